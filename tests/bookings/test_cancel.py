from __future__ import annotations

from datetime import timedelta

import pytest

from backend.audit.models import AuditEntry
from backend.bookings import services as bookings
from backend.bookings import settlement
from backend.core.errors import Invalid, NotAllowed, NotFound, Stale, WrongState
from backend.notifications.models import Notification
from tests.bookings.making import book, confirmed, journal, money, pay, state
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")


def test_cancel_by_the_guest_gives_everything_back() -> None:
    listing = make_listing()
    booking = confirmed(listing)

    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=NOW, reason="Ill")

    assert state(booking) == ("canceled", "", ["held", "confirmed", "canceled"], False)
    booking.refresh_from_db()
    assert (booking.canceled_by, booking.refund_minor) == ("guest", 40_000)
    assert money(booking)[0] == [("charge", "succeeded"), ("refund", "created")]
    assert journal("refund") == []

    settlement.reconcile(now=NOW)

    assert money(booking) == ([("charge", "succeeded"), ("refund", "succeeded")], {})
    assert state(booking)[2] == ["held", "confirmed", "canceled", "refunded"]
    assert confirmed(listing).status == "confirmed"


@pytest.mark.parametrize("side", ["host", "platform"])
def test_cancel_by_host_or_platform_gives_everything_back(side: str) -> None:
    booking = confirmed(make_listing())
    actor = booking.host if side == "host" else make_user("support")

    bookings.cancel(actor=actor, booking_id=booking.pk, now=NOW, reason="Water damage")

    booking.refresh_from_db()
    assert (booking.canceled_by, booking.refund_minor) == (side, 40_000)
    entry = AuditEntry.objects.get()
    assert (entry.actor_id, entry.action, entry.reason) == (actor.pk, "booking.cancel", "Water damage")
    told = Notification.objects.filter(kind="booking.canceled").values_list("user_id", flat=True)
    assert sorted(told) == sorted([booking.guest_id, booking.host_id])


def test_cancel_by_staff_needs_a_reason() -> None:
    booking = confirmed(make_listing())

    with pytest.raises(Invalid):
        bookings.cancel(actor=make_user("admin"), booking_id=booking.pk, now=NOW)

    assert state(booking) == ("confirmed", "", ["held", "confirmed"], True)


def test_cancel_an_unpaid_hold_frees_the_nights_and_refunds_nothing() -> None:
    booking = book(make_listing())

    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=NOW)

    assert state(booking) == ("canceled", "", ["held", "canceled"], False)
    booking.refresh_from_db()
    assert booking.refund_minor == 0
    assert money(booking) == ([], {})


def test_cancel_a_request_lets_go_what_was_set_aside() -> None:
    booking = book(make_listing(instant_book=False))
    pay(booking)

    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=NOW)
    settlement.reconcile(now=NOW)

    assert state(booking) == ("canceled", "", ["requested", "authorized", "canceled"], False)
    assert money(booking) == ([("authorize", "succeeded"), ("void", "succeeded")], {})


def test_cancel_twice_is_refused_and_refunds_once() -> None:
    booking = confirmed(make_listing())
    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=NOW)

    for actor in (booking.guest, booking.host):
        with pytest.raises(WrongState):
            bookings.cancel(actor=actor, booking_id=booking.pk, now=NOW)

    settlement.reconcile(now=NOW)
    settlement.reconcile(now=NOW)
    assert journal("refund") == [(40_000, "succeeded")]


def test_cancel_is_for_its_parties() -> None:
    booking = confirmed(make_listing())

    for actor, error in ((make_user(), NotFound), (make_user("moderator"), NotAllowed)):
        with pytest.raises(error):
            bookings.cancel(actor=actor, booking_id=booking.pk, now=NOW, reason="No")

    assert state(booking) == ("confirmed", "", ["held", "confirmed"], True)


def test_cancel_of_a_booking_that_changed_meanwhile_is_refused() -> None:
    booking = book(make_listing())
    seen = booking.version
    pay(booking)

    with pytest.raises(Stale):
        bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=NOW, version=seen)

    assert state(booking)[0] == "confirmed"


def test_cancel_during_the_stay_gives_everything_back_and_after_it_is_refused() -> None:
    during, after = confirmed(make_listing()), confirmed(make_listing())

    bookings.cancel(actor=during.guest, booking_id=during.pk, now=during.check_in_at + timedelta(days=1))
    with pytest.raises(WrongState):
        bookings.cancel(actor=after.guest, booking_id=after.pk, now=after.check_out_at)

    during.refresh_from_db()
    assert (during.status, during.refund_minor) == ("canceled", 40_000)
    assert state(after) == ("confirmed", "", ["held", "confirmed"], True)
