from __future__ import annotations

from datetime import timedelta

import pytest

from backend.audit.models import AuditEntry
from backend.bookings import services as bookings
from backend.bookings import settlement
from backend.bookings.models import Booking
from backend.core.errors import NotAllowed, NotFound, WrongState
from backend.core.stay import Stay
from backend.notifications.models import Notification
from tests.bookings.making import book, journal, money, pay, state
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

LATER = NOW + timedelta(hours=2)


def request_of(**wish: object) -> Booking:
    return book(make_listing(instant_book=False), **wish)


def test_accept_captures_what_was_set_aside() -> None:
    booking = request_of()
    pay(booking)

    bookings.accept(actor=booking.host, booking_id=booking.pk, now=LATER)

    assert state(booking) == ("confirmed", "", ["requested", "authorized", "accepted", "confirmed"], True)
    assert money(booking) == (
        [("authorize", "succeeded"), ("capture", "succeeded")],
        {"clearing:sandbox": 40_000, "guest_funds": -40_000},
    )
    booking.refresh_from_db()
    assert (booking.accepted_at, booking.confirmed_at) == (LATER, LATER)
    guest_notices = (
        Notification.objects.filter(user=booking.guest).order_by("id").values_list("kind", flat=True)
    )
    assert list(guest_notices) == ["booking.confirmed", "payment.completed"]
    assert AuditEntry.objects.get().action == "booking.accept"


def test_accept_without_a_payment_waits_for_it() -> None:
    booking = request_of()

    bookings.accept(actor=booking.host, booking_id=booking.pk, now=LATER)

    assert state(booking) == ("pending", "payment", ["requested", "accepted"], True)
    booking.refresh_from_db()
    assert booking.expires_at == LATER + timedelta(hours=24) == booking.block.expires_at
    assert Notification.objects.get(user=booking.guest).kind == "booking.accepted"

    pay(booking, now=LATER + timedelta(hours=23))

    assert state(booking)[0] == "confirmed"


def test_accept_leaves_time_to_pay_until_check_in_at_most() -> None:
    booking = request_of(stay=Stay(NOW.date(), NOW.date() + timedelta(days=2)))

    bookings.accept(actor=booking.host, booking_id=booking.pk, now=LATER)

    booking.refresh_from_db()
    assert booking.expires_at == booking.check_in_at == NOW.replace(hour=15)


def test_accept_captures_an_authorization_that_arrives_later() -> None:
    booking = request_of()
    pay(booking, "timeout")
    bookings.accept(actor=booking.host, booking_id=booking.pk, now=LATER)
    assert state(booking) == ("pending", "payment", ["requested", "accepted"], True)

    settlement.reconcile(now=LATER)

    assert state(booking) == ("confirmed", "", ["requested", "accepted", "authorized", "confirmed"], True)
    assert journal("authorize") == [(40_000, "succeeded")]
    assert journal("capture") == [(40_000, "succeeded")]


def test_accept_is_the_hosts_alone_and_once() -> None:
    booking = request_of()

    for actor, error in (
        (booking.guest, NotAllowed),
        (make_user(), NotFound),
        (make_user("admin"), NotAllowed),
    ):
        with pytest.raises(error):
            bookings.accept(actor=actor, booking_id=booking.pk, now=LATER)
    assert state(booking) == ("pending", "host", ["requested"], True)

    bookings.accept(actor=booking.host, booking_id=booking.pk, now=LATER)
    with pytest.raises(WrongState):
        bookings.accept(actor=booking.host, booking_id=booking.pk, now=LATER)
    with pytest.raises(WrongState):
        bookings.decline(actor=booking.host, booking_id=booking.pk, now=LATER)
    assert state(booking) == ("pending", "payment", ["requested", "accepted"], True)


def test_accept_of_a_canceled_or_lapsed_request_is_refused() -> None:
    canceled, lapsed, instant = request_of(), request_of(), book(make_listing())
    bookings.cancel(actor=canceled.guest, booking_id=canceled.pk, now=NOW)

    for booking, at in ((canceled, NOW), (lapsed, NOW + timedelta(hours=24)), (instant, NOW)):
        before = state(booking)
        with pytest.raises(WrongState):
            bookings.accept(actor=booking.host, booking_id=booking.pk, now=at)
        assert state(booking) == before


def test_decline_frees_the_nights_and_lets_the_money_go() -> None:
    booking = request_of()
    pay(booking)

    bookings.decline(actor=booking.host, booking_id=booking.pk, now=LATER, reason="Painters are in")

    assert state(booking) == ("declined", "", ["requested", "authorized", "declined"], False)
    assert money(booking)[0] == [("authorize", "succeeded"), ("void", "created")]
    settlement.reconcile(now=LATER)
    assert money(booking) == ([("authorize", "succeeded"), ("void", "succeeded")], {})
    notice = Notification.objects.get(user=booking.guest)
    assert (notice.kind, notice.params["reason"]) == ("booking.declined", "Painters are in")


def test_decline_gives_up_an_authorization_that_arrives_later() -> None:
    booking = request_of()
    pay(booking, "timeout")
    bookings.decline(actor=booking.host, booking_id=booking.pk, now=LATER)

    settlement.reconcile(now=LATER)

    assert state(booking) == ("declined", "", ["requested", "declined"], False)
    assert money(booking) == ([("authorize", "succeeded"), ("void", "succeeded")], {})
    assert journal("void") == [(40_000, "succeeded")]
