"""What Stripe told while nobody listened is found out by asking."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from backend.bookings import disputing, settlement
from backend.bookings import services as bookings
from backend.bookings.models import Booking
from backend.notifications.models import Notification
from backend.payments import reconciliation
from backend.payments.models import Dispute, MoneyOp, Payment, ReconciliationDifference
from tests.bookings.making import book, money, state, wrong_books
from tests.factories import NOW, make_listing
from tests.fakes.base import Fault
from tests.fakes.stripe import CONNECT_SECRET, KEY, SECRET, StripeFake

pytestmark = pytest.mark.usefixtures("db")

LATER = NOW + timedelta(hours=1)


@pytest.fixture
def fake(settings: Any) -> Iterator[StripeFake]:
    with StripeFake(clock=NOW.timestamp) as running:
        running.patience_s = 0.1
        settings.STRIPE_API_BASE = running.url
        settings.STRIPE_SECRET_KEY = KEY
        settings.STRIPE_WEBHOOK_SECRETS = (SECRET, CONNECT_SECRET)
        yield running


def paid(fake: StripeFake) -> tuple[Booking, str]:
    """A stay that its guest has paid through Stripe, and the intent."""
    booking = book(make_listing())
    bookings.pay(actor=booking.guest, booking_id=booking.pk, now=NOW)
    intent = MoneyOp.objects.get(payment__folio=booking.folio, kind="charge").provider_ref
    fake.confirm(intent)
    settlement.reconcile(now=NOW)
    assert state(booking)[0] == "confirmed"
    return booking, intent


def told(booking: Booking) -> list[str]:
    kinds = Notification.objects.filter(user=booking.host, kind__startswith="dispute.")
    return list(kinds.order_by("id").values_list("kind", flat=True))


@pytest.mark.parametrize("ending", ["won", "lost"])
def test_dispute_that_no_webhook_told_of_is_learned(fake: StripeFake, ending: str) -> None:
    booking, intent = paid(fake)
    reference = fake.dispute(intent)
    fake.drop_webhooks()

    opened = disputing.catch_up(now=NOW)
    again = disputing.catch_up(now=NOW)
    fake.dispute_moves(reference, ending)
    fake.drop_webhooks()
    closed = disputing.catch_up(now=LATER)
    after = disputing.catch_up(now=LATER)

    assert [opened, again, closed] == [{"asked": 1, "failed": 0}] * 3
    assert after == {"asked": 0, "failed": 0}
    assert Dispute.objects.get().status == ending
    assert told(booking) == ["dispute.opened", f"dispute.{ending}"]
    assert money(booking)[1]["clearing:stripe"] == fake.balance["eur"]
    assert wrong_books() == {}


def test_dispute_whose_payment_was_not_recorded_yet_is_learned_later(fake: StripeFake) -> None:
    booking = book(make_listing())
    bookings.pay(actor=booking.guest, booking_id=booking.pk, now=NOW)
    intent = MoneyOp.objects.get().provider_ref
    fake.confirm(intent)
    fake.dispute(intent)
    fake.drop_webhooks()

    disputing.catch_up(now=NOW)
    assert not Dispute.objects.exists()
    settlement.reconcile(now=NOW)
    disputing.catch_up(now=LATER)

    assert Dispute.objects.get().status == "needs_response"
    assert money(booking)[1]["clearing:stripe"] == fake.balance["eur"]


def test_catch_up_asks_again_what_was_not_answered(fake: StripeFake) -> None:
    references = [fake.dispute(paid(fake)[1]) for _ in range(2)]
    fake.drop_webhooks()
    fake.faults.script(*[Fault.ERROR_BEFORE] * 20, on=f"/v1/disputes/{references[1]}")

    first = disputing.catch_up(now=NOW)
    known = set(Dispute.objects.values_list("provider_ref", flat=True))
    fake.faults.clear()
    second = disputing.catch_up(now=NOW)

    assert (first, known) == ({"asked": 2, "failed": 1}, {references[0]})
    assert second == {"asked": 2, "failed": 0}
    assert set(Dispute.objects.values_list("provider_ref", flat=True)) == set(references)


def test_refund_that_came_back_unheard_is_taken_back(fake: StripeFake) -> None:
    booking, _intent = paid(fake)
    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=NOW)
    settlement.reconcile(now=NOW)
    fake.refund_fails(MoneyOp.objects.get(kind="refund").provider_ref)
    fake.drop_webhooks()

    unseen = settlement.take_back(now=NOW)
    reconciliation.reconcile(now=LATER)
    seen = settlement.take_back(now=LATER)
    again = settlement.take_back(now=LATER)
    reconciliation.reconcile(now=LATER)

    assert (unseen, seen, again) == (
        {"asked": 0, "back": 0},
        {"asked": 1, "back": 1},
        {"asked": 0, "back": 0},
    )
    assert Payment.objects.get(kind="refund").status == "failed"
    assert state(booking)[2] == ["held", "confirmed", "canceled", "refunded", "refund_returned"]
    assert money(booking)[1]["clearing:stripe"] == fake.balance["eur"]
    assert not ReconciliationDifference.objects.filter(settled_at=None).exists()


def test_take_back_leaves_alone_what_the_provider_does_not_call_failed(fake: StripeFake) -> None:
    booking, _intent = paid(fake)
    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=NOW)
    settlement.reconcile(now=NOW)
    key = str(MoneyOp.objects.get(kind="refund").pk)
    for row in (key, "not-a-key-of-ours"):
        ReconciliationDifference.objects.create(
            provider="stripe",
            key=row,
            what="outcome",
            ours="succeeded",
            theirs="failed",
            first_seen_at=NOW,
            last_seen_at=NOW,
        )

    assert settlement.take_back(now=LATER) == {"asked": 1, "back": 0}

    assert Payment.objects.get(kind="refund").status == "completed"
    assert state(booking)[2] == ["held", "confirmed", "canceled", "refunded"]
