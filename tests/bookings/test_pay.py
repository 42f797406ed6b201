from __future__ import annotations

from datetime import timedelta

import pytest

from backend.availability.models import Block
from backend.bookings import services as bookings
from backend.bookings import settlement
from backend.bookings.payment import Refused
from backend.core.errors import NotAllowed, NotFound, WrongState
from backend.core.stay import Stay
from backend.notifications.models import Notification
from backend.payments import inbox
from backend.payments.models import MoneyOp, Payment, ProviderEvent, SandboxRecord
from backend.payments.providers import sandbox
from backend.payments.services import AlreadyPaid, PaymentInProgress
from tests.bookings.making import STAY, book, confirmed, journal, money, pay, state
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

PAID_40_000 = {"clearing:sandbox": 40_000, "guest_funds": -40_000}


def _kinds(user_id: int) -> list[str]:
    return list(Notification.objects.filter(user_id=user_id).order_by("id").values_list("kind", flat=True))


def test_pay_confirms_an_instant_booking() -> None:
    booking = book(make_listing())

    paid = pay(booking)

    assert paid.payment.status == "completed"
    assert state(booking) == ("confirmed", "", ["held", "confirmed"], True)
    assert money(booking) == ([("charge", "succeeded")], PAID_40_000)
    assert Block.objects.get().reason == "booking"
    assert Block.objects.get().expires_at is None
    assert _kinds(booking.guest_id) == ["booking.confirmed", "payment.completed"]
    assert _kinds(booking.host_id) == ["booking.confirmed"]


def test_pay_declined_leaves_the_hold_to_another_try() -> None:
    booking = book(make_listing())

    with pytest.raises(Refused) as refused:
        pay(booking, "decline")

    assert (refused.value.status, refused.value.code) == (402, "card_declined")
    assert state(booking) == ("pending", "payment", ["held", "payment_failed"], True)
    assert money(booking) == ([("charge", "failed")], {})
    assert _kinds(booking.guest_id) == ["payment.failed"]

    pay(booking)

    assert state(booking)[0] == "confirmed"
    assert money(booking) == ([("charge", "failed"), ("charge", "succeeded")], PAID_40_000)


def test_pay_pending_is_confirmed_by_the_webhook_once() -> None:
    booking = book(make_listing())

    paid = pay(booking, "pending")

    assert paid.payment.status == "pending"
    assert state(booking) == ("pending", "payment", ["held"], True)
    with pytest.raises(PaymentInProgress):
        pay(booking)

    record = SandboxRecord.objects.get()
    body, headers = sandbox.webhook(sandbox.settle_pending(record.key), now=NOW)
    assert inbox.receive(provider="sandbox", body=body, headers=headers, now=NOW)
    assert not inbox.receive(provider="sandbox", body=body, headers=headers, now=NOW)
    assert settlement.apply_events(now=NOW) == {"applied": 1, "left": 0}
    assert settlement.apply_events(now=NOW) == {"applied": 0, "left": 0}

    assert state(booking) == ("confirmed", "", ["held", "confirmed"], True)
    assert money(booking) == ([("charge", "succeeded")], PAID_40_000)
    assert ProviderEvent.objects.get().outcome == "charge succeeded"


def test_pay_timeout_is_unknown_until_reconciled_and_charged_once() -> None:
    booking = book(make_listing())

    paid = pay(booking, "timeout")

    assert paid.payment.status == "pending"
    assert money(booking) == ([("charge", "unknown")], {})
    assert settlement.reconcile(now=NOW + timedelta(seconds=1)) == {"settled": 1, "open": 0, "errors": 0}
    assert state(booking) == ("confirmed", "", ["held", "confirmed"], True)
    assert journal("charge") == [(40_000, "succeeded")]
    assert settlement.reconcile(now=NOW + timedelta(seconds=2)) == {"settled": 0, "open": 0, "errors": 0}


def test_pay_unknown_keeps_the_nights_past_the_holds_time() -> None:
    booking = book(make_listing())
    pay(booking, "timeout")
    later = NOW + timedelta(minutes=16)

    assert bookings.expire(now=later) == {"expired": 0, "left": 1}

    assert state(booking) == ("pending", "payment", ["held", "held_on"], True)
    settlement.reconcile(now=later)
    assert state(booking)[0] == "confirmed"


def test_pay_of_a_paid_booking_is_refused() -> None:
    booking = confirmed(make_listing())

    with pytest.raises(AlreadyPaid):
        pay(booking)

    assert money(booking) == ([("charge", "succeeded")], PAID_40_000)


def test_pay_after_the_hold_ran_out_is_refused() -> None:
    booking = book(make_listing())

    with pytest.raises(WrongState):
        pay(booking, now=NOW + timedelta(minutes=15))

    assert state(booking) == ("pending", "payment", ["held"], True)
    assert not MoneyOp.objects.exists()


def test_pay_is_the_guests_alone() -> None:
    booking = book(make_listing())

    for actor, error in ((booking.host, NotAllowed), (make_user(), NotFound)):
        with pytest.raises(error):
            bookings.pay(actor=actor, booking_id=booking.pk, now=NOW)

    assert state(booking) == ("pending", "payment", ["held"], True)
    assert not Payment.objects.exists()


def test_pay_of_a_request_sets_the_amount_aside() -> None:
    booking = book(make_listing(instant_book=False))

    paid = pay(booking)

    assert paid.is_authorized
    assert state(booking) == ("pending", "host", ["requested", "authorized"], True)
    assert money(booking) == ([("authorize", "succeeded")], {})
    with pytest.raises(AlreadyPaid):
        pay(booking)


def test_late_payment_takes_free_nights_again() -> None:
    booking = book(make_listing())
    pay(booking, "pending")
    late = NOW + timedelta(minutes=20)
    assert bookings.expire(now=late) == {"expired": 1, "left": 0}
    assert state(booking) == ("expired", "", ["held", "expired"], False)

    settlement.reconcile(now=late)

    assert state(booking) == ("confirmed", "", ["held", "expired", "confirmed"], True)
    assert Block.objects.filter(active=True).get().reason == "booking"
    assert money(booking) == ([("charge", "succeeded")], PAID_40_000)


def test_late_payment_is_given_back_when_the_nights_are_gone() -> None:
    listing = make_listing()
    booking = book(listing)
    pay(booking, "pending")
    late = NOW + timedelta(minutes=20)
    bookings.expire(now=late)
    other = confirmed(listing, now=late)

    settlement.reconcile(now=late)

    assert state(booking) == ("expired", "", ["held", "expired", "late_payment", "refunded"], False)
    assert money(booking) == ([("charge", "succeeded"), ("refund", "succeeded")], {})
    booking.refresh_from_db()
    assert booking.refund_minor == 40_000
    assert journal("refund") == [(40_000, "succeeded")]
    assert state(other)[0] == "confirmed"
    assert _kinds(booking.guest_id) == ["booking.expired", "payment.refunded"]


def test_late_payment_for_a_hold_that_another_guest_took_over_is_given_back() -> None:
    listing = make_listing()
    booking = book(listing)
    pay(booking, "pending")
    late = NOW + timedelta(minutes=20)
    other = book(listing, now=late)

    settlement.reconcile(now=late)

    assert state(booking) == ("expired", "", ["held", "expired", "late_payment", "refunded"], False)
    assert money(booking) == ([("charge", "succeeded"), ("refund", "succeeded")], {})
    assert state(other) == ("pending", "payment", ["held"], True)


def test_late_payment_of_a_canceled_booking_is_given_back() -> None:
    booking = book(make_listing())
    pay(booking, "timeout")
    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=NOW)

    settlement.reconcile(now=NOW)

    assert state(booking) == ("canceled", "", ["held", "canceled", "late_payment", "refunded"], False)
    assert money(booking) == ([("charge", "succeeded"), ("refund", "succeeded")], {})
    booking.refresh_from_db()
    assert booking.refund_minor == 40_000


def test_late_payment_is_given_back_once_the_stay_would_have_begun() -> None:
    listing = make_listing()
    booking = book(listing, stay=Stay(NOW.date(), STAY.check_out))
    pay(booking, "pending")
    bookings.expire(now=NOW + timedelta(minutes=20))

    settlement.reconcile(now=booking.check_in_at)

    assert state(booking)[0] == "expired"
    assert money(booking) == ([("charge", "succeeded"), ("refund", "succeeded")], {})
