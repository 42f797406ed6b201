"""What staff do on a booking for a guest or a host who has asked them to."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from backend.audit.models import AuditEntry
from backend.availability.services import DatesUnavailable
from backend.bookings import alterations, in_stead
from backend.bookings import services as bookings
from backend.bookings.alteration_rules import Change
from backend.bookings.models import Alteration, Booking
from backend.core.errors import Invalid, NotAllowed, WrongState
from backend.core.stay import Stay
from backend.notifications.models import Delivery, Notification
from backend.payments.documents.mailing import NAMED
from backend.payments.effects import EffectChanged
from tests.bookings.making import book, confirmed, pay, state, wrong_books
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

LONGER = Change(check_out=date(2027, 5, 9), reason="On the phone")
SHORTER = Change(check_out=date(2027, 5, 6), reason="On the phone")


def terms(booking: Booking) -> tuple[date, date, int]:
    booking.refresh_from_db()
    return booking.check_in, booking.check_out, booking.total_minor


def test_change_for_the_guest_of_an_instant_place_waits_for_the_payment_alone() -> None:
    booking, support = confirmed(make_listing()), make_user("support")
    given: dict[str, Any] = {"actor": support, "booking_id": booking.pk, "side": "guest", "change": LONGER}

    told, effect = in_stead.preview(**given, now=NOW)
    alteration = in_stead.change(**given, now=NOW, expected=effect.digest)

    assert (told.cost.difference, told.asks_host, effect.more) == (20_000, False, 20_000)
    assert (effect.changes.host, effect.changes.platform) == (16_900, 3_100)
    assert (alteration.status, alteration.proposed_by) == ("accepted", "guest")
    assert terms(booking)[1:] == (date(2027, 5, 7), 40_000)
    pay(booking)
    assert terms(booking)[1:] == (date(2027, 5, 9), 60_000)
    entry = AuditEntry.objects.get(action="booking.alter")
    assert (entry.actor_id, entry.in_stead_of_id, entry.reason) == (
        support.pk,
        booking.guest_id,
        "On the phone",
    )
    assert wrong_books() == {}


def test_change_for_the_guest_asks_a_host_who_decides_on_requests() -> None:
    listing = make_listing(instant_book=False)
    booking = book(listing)
    bookings.accept(actor=booking.host, booking_id=booking.pk, now=NOW)
    pay(booking)

    alteration = in_stead.change(
        actor=make_user("support"), booking_id=booking.pk, side="guest", change=SHORTER, now=NOW
    )

    assert (alteration.status, terms(booking)[2]) == ("proposed", 40_000)
    alterations.accept(actor=booking.host, booking_id=booking.pk, now=NOW)
    assert terms(booking)[1:] == (date(2027, 5, 6), 30_000)


def test_change_for_the_host_asks_the_guest() -> None:
    booking, support = confirmed(make_listing()), make_user("support")

    alteration = in_stead.change(actor=support, booking_id=booking.pk, side="host", change=SHORTER, now=NOW)

    assert (alteration.status, alteration.proposed_by) == ("proposed", "host")
    assert AuditEntry.objects.get(action="booking.propose").in_stead_of_id == booking.host_id
    told = Notification.objects.filter(kind="booking.change_proposed")
    assert list(told.values_list("user_id", flat=True)) == [booking.guest_id]
    with pytest.raises(NotAllowed):
        alterations.accept(actor=support, booking_id=booking.pk, now=NOW)
    assert terms(booking)[2] == 40_000


def test_change_is_refused_without_reason_right_or_the_effect_that_was_told() -> None:
    booking, support = confirmed(make_listing()), make_user("support")
    given: dict[str, Any] = {"booking_id": booking.pk, "now": NOW}
    _told, effect = in_stead.preview(actor=support, side="guest", change=LONGER, **given)

    for actor, side, change, expected, error in (
        (support, "guest", Change(check_out=date(2027, 5, 9)), "", Invalid),
        (support, "nobody", LONGER, "", Invalid),
        (make_user("finance"), "guest", LONGER, "", NotAllowed),
        (support, "guest", SHORTER, effect.digest, EffectChanged),
    ):
        with pytest.raises(error):
            in_stead.change(actor=actor, side=side, change=change, expected=expected, **given)

    assert Alteration.objects.count() == 0
    assert not AuditEntry.objects.filter(object_type="booking").exists()


def test_extend_gives_more_time_and_keeps_the_nights() -> None:
    booking, support = book(make_listing()), make_user("support")
    until = NOW + timedelta(hours=5)

    in_stead.extend(actor=support, booking_id=booking.pk, until=until, reason="The bank is slow", now=NOW)

    booking.refresh_from_db()
    assert (booking.expires_at, booking.block.expires_at) == (until, until)
    assert state(booking) == ("pending", "payment", ["held", "extended"], True)
    assert AuditEntry.objects.get(action="booking.extend").reason == "The bank is slow"


@pytest.mark.parametrize("hours", [-1, 0, 73])
def test_extend_has_bounds(hours: int) -> None:
    booking = book(make_listing())
    before = booking.expires_at

    with pytest.raises(Invalid):
        in_stead.extend(
            actor=make_user("support"),
            booking_id=booking.pk,
            until=NOW + timedelta(hours=hours),
            reason="x",
            now=NOW,
        )

    booking.refresh_from_db()
    assert booking.expires_at == before


def test_extend_is_for_what_waits_and_still_has_its_nights() -> None:
    paid, support = confirmed(make_listing()), make_user("support")
    lost = book(make_listing())
    lost.block.active, lost.block.released_at = False, NOW
    lost.block.save()

    for booking, error in ((paid, WrongState), (lost, DatesUnavailable)):
        with pytest.raises(error):
            in_stead.extend(
                actor=support,
                booking_id=booking.pk,
                until=NOW + timedelta(hours=5),
                reason="x",
                now=NOW,
            )

    assert not AuditEntry.objects.filter(action="booking.extend").exists()


def test_send_again_mails_the_confirmation_with_its_papers() -> None:
    booking, support = confirmed(make_listing()), make_user("support")

    in_stead.send_again(
        actor=support, booking_id=booking.pk, sides=["guest", "host"], reason="Mail lost", now=NOW
    )

    again = Notification.objects.filter(kind="booking.confirmed", object_key__contains="again")
    assert {row.user_id for row in again} == {booking.guest_id, booking.host_id}
    mine = again.get(user=booking.guest)
    assert len(mine.data[NAMED]) == 2
    assert NAMED not in again.get(user=booking.host).data
    assert Delivery.objects.filter(notification=mine, channel="email").count() == 1
    assert AuditEntry.objects.get(action="booking.send_again").reason == "Mail lost"


def test_send_again_has_an_end() -> None:
    booking, support = confirmed(make_listing()), make_user("support")
    given: dict[str, Any] = {"actor": support, "booking_id": booking.pk, "reason": "x", "now": NOW}
    for _number in range(in_stead.TIMES):
        in_stead.send_again(**given, sides=["guest"])

    with pytest.raises(in_stead.SentOften):
        in_stead.send_again(**given, sides=["guest"])
    with pytest.raises(Invalid):
        in_stead.send_again(**given, sides=[])

    assert AuditEntry.objects.filter(action="booking.send_again").count() == in_stead.TIMES


def test_send_again_is_for_what_is_confirmed() -> None:
    booking = book(make_listing(), stay=Stay(date(2027, 6, 1), date(2027, 6, 3)))

    with pytest.raises(WrongState):
        in_stead.send_again(
            actor=make_user("support"), booking_id=booking.pk, sides=["guest"], reason="x", now=NOW
        )

    assert not Notification.objects.filter(kind="booking.confirmed").exists()
