"""Money and time meet: whoever is first, the guest has the stay or the money, and never neither or both."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest

from backend.bookings import services as bookings
from backend.bookings import settlement
from backend.bookings.models import Booking
from backend.payments import inbox, refund_requests
from backend.payments.models import MoneyOp, Payment, SandboxRecord
from backend.payments.providers import sandbox
from tests.bookings.making import book, confirmed, pay, state, wrong_books
from tests.factories import NOW, make_listing, make_user
from tests.racing import race

pytestmark = pytest.mark.usefixtures("db")

ROUNDS = 4


def held(booking: Booking) -> int:
    """What of the guest's money is neither given back nor on its way back."""
    rows = Payment.objects.filter(folio=booking.folio)
    taken = sum(row.amount_minor for row in rows if row.kind == "payment" and row.completed_at)
    return taken - sum(row.amount_minor for row in rows if row.kind == "refund" and row.status != "failed")


def paid_unheard(booking: Booking) -> None:
    """The guest has paid, the answer was lost, and the provider's webhook is in the inbox."""
    pay(booking, "timeout")
    op = MoneyOp.objects.get(payment__folio=booking.folio)
    body, headers = sandbox.webhook(SandboxRecord.objects.get(key=str(op.pk)), now=NOW)
    assert inbox.receive(provider="sandbox", body=body, headers=headers, now=NOW)


def test_cancel_against_confirm_leaves_the_stay_or_the_money() -> None:
    for _ in range(ROUNDS):
        booking = book(make_listing())
        paid_unheard(booking)

        outcomes = race(
            partial(bookings.cancel, actor=booking.guest, booking_id=booking.pk, now=NOW),
            partial(settlement.apply_events, now=NOW),
            partial(settlement.reconcile, now=NOW),
        )
        settlement.reconcile(now=NOW + timedelta(minutes=2))
        settlement.apply_events(now=NOW + timedelta(minutes=2))

        assert outcomes[0] is None
        assert (state(booking)[0], held(booking)) == ("canceled", 0)
        assert MoneyOp.objects.filter(payment__folio=booking.folio, kind="refund").count() == 1
        assert wrong_books() == {}


def test_pay_against_expire_leaves_the_stay_or_the_money() -> None:
    late = NOW + timedelta(minutes=15)
    for _ in range(ROUNDS):
        listing = make_listing()
        booking = book(listing)
        pay(booking, "timeout")

        race(
            partial(settlement.reconcile, now=late),
            partial(bookings.expire, now=late),
            partial(book, listing, make_user(), now=late),
        )
        settlement.reconcile(now=late + timedelta(minutes=2))
        bookings.expire(now=late + timedelta(minutes=2))

        status = state(booking)[0]
        assert (status, held(booking)) in (("confirmed", 40_000), ("expired", 0))
        assert wrong_books() == {}


def test_gift_against_cancel_gives_no_more_than_was_paid() -> None:
    for bearer in ("host", "platform", "shared", "host"):
        booking = confirmed(make_listing())
        finance = make_user("finance")

        outcomes = race(
            partial(bookings.cancel, actor=booking.guest, booking_id=booking.pk, now=NOW),
            partial(
                refund_requests.ask,
                actor=finance,
                folio=booking.folio,
                amount_minor=30_000,
                bearer=bearer,
                reason="x",
                now=NOW,
            ),
        )
        settlement.reconcile(now=NOW)

        assert outcomes[0] is None
        assert held(booking) == 0
        back = Payment.objects.filter(folio=booking.folio, kind="refund", status="completed")
        assert sum(row.amount_minor for row in back) == 40_000
        assert wrong_books() == {}


def test_many_workers_apply_one_event_once() -> None:
    booking = book(make_listing())
    paid_unheard(booking)

    counts = race(*(partial(settlement.apply_events, now=NOW) for _ in range(4)))

    assert sum(count["applied"] for count in counts) == 1
    assert state(booking)[2] == ["held", "confirmed"]
