"""What gifts, failed refunds and disputes mean for a stay, and what its parties hear of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import pytest

from backend.bookings import disputing, earnings, settlement
from backend.bookings import services as bookings
from backend.bookings.models import Booking
from backend.notifications.models import LiveEvent, Notification
from backend.payments import disputes, inbox, payouts, refund_requests, refunds
from backend.payments.models import MoneyOp, Payment, SandboxRecord
from backend.payments.providers import sandbox
from backend.payments.providers.base import DisputeState
from tests.bookings.making import book, confirmed, journal, money, pay, state, wrong_books
from tests.factories import NOW, make_listing, make_user
from tests.payments.hosts import account, owes
from tests.racing import race

pytestmark = pytest.mark.usefixtures("db")

TWO_DAYS = NOW + timedelta(days=2)


def _ask(booking: Booking, bearer: str, amount: int = 10_000) -> None:
    refund_requests.ask(
        actor=make_user("finance"),
        folio=booking.folio,
        amount_minor=amount,
        bearer=bearer,
        reason="Noise",
        now=NOW,
    )


def _kinds(user_id: int) -> list[str]:
    return list(Notification.objects.filter(user_id=user_id).order_by("id").values_list("kind", flat=True))


def _frames(user_id: int) -> list[tuple[str, str] | None]:
    """What the live events of a user say of a payment, in order."""
    found = []
    for event in LiveEvent.objects.filter(user_id=user_id, type="booking").order_by("id"):
        payment = event.data.get("payment")
        found.append((payment["kind"], payment["status"]) if payment else None)
    return found


@pytest.mark.parametrize(
    ("bearer", "host", "revenue"),
    [
        # Of the 300.00 that are left half goes back. The other half is divided, 84.5 to 15.5.
        ("shared", -12_675, -2_325),
        # And with the rest that is held, half of what was given is kept, too; the other half is its bearer's.
        ("host", -12_675 - 4_225 + 10_000 - 5_000, -2_325 - 775),
        ("platform", -12_675 - 4_225, -2_325 - 775 + 10_000 - 5_000),
    ],
)
def test_cancel_after_a_gift_divides_what_is_left(bearer: str, host: int, revenue: int) -> None:
    booking = confirmed(make_listing(cancellation_policy="strict"))
    _ask(booking, bearer)
    settlement.reconcile(now=NOW)

    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=TWO_DAYS)
    settlement.reconcile(now=TWO_DAYS)

    booking.refresh_from_db()
    assert (booking.refund_minor, booking.host_keeps_minor) == (15_000, 15_000)
    assert money(booking)[1] == {"clearing:sandbox": 15_000, "host_payable": host, "revenue": revenue}
    assert wrong_books() == {}


@pytest.mark.parametrize("bearer", ["shared", "host", "platform"])
def test_cancel_that_gives_everything_back_takes_a_gift_in(bearer: str) -> None:
    booking = confirmed(make_listing())
    _ask(booking, bearer)

    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=NOW)
    settlement.reconcile(now=NOW)

    assert sorted(journal("refund")) == [(10_000, "succeeded"), (30_000, "succeeded")]
    assert money(booking)[1] == {}
    assert wrong_books() == {}


def test_gift_is_told_to_both_and_pushed() -> None:
    booking = confirmed(make_listing())

    refund_requests.give(actor=booking.host, folio=booking.folio, amount_minor=1_000, reason="Sorry", now=NOW)
    settlement.reconcile(now=NOW)

    assert _kinds(booking.guest_id)[-1] == "payment.refunded"
    assert _kinds(booking.host_id) == ["booking.confirmed", "payment.refunded"]
    for user_id in (booking.guest_id, booking.host_id):
        assert _frames(user_id)[-2:] == [("payment", "completed"), ("refund", "completed")]
    assert state(booking)[2] == ["held", "confirmed", "refunded"]
    assert wrong_books() == {}


def test_every_change_of_a_payment_is_pushed_to_both() -> None:
    booking = book(make_listing(instant_book=False))
    pay(booking)
    bookings.decline(actor=booking.host, booking_id=booking.pk, now=NOW)
    settlement.reconcile(now=NOW)

    for user_id in (booking.guest_id, booking.host_id):
        frames = [each for each in _frames(user_id) if each]
        assert frames == [("payment", "pending"), ("payment", "failed")]


def test_refund_that_comes_back_is_told_and_made_again() -> None:
    booking = confirmed(make_listing())
    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=NOW)
    settlement.reconcile(now=NOW)
    op = MoneyOp.objects.get(kind="refund")

    SandboxRecord.objects.filter(kind="refund").update(state="returned")
    body, headers = sandbox.webhook(SandboxRecord.objects.get(kind="refund"), now=NOW)
    assert inbox.receive(provider="sandbox", body=body, headers=headers, now=NOW)
    assert settlement.apply_events(now=NOW) == {"applied": 1, "left": 0}

    assert state(booking)[2] == ["held", "confirmed", "canceled", "refunded", "refund_returned"]
    assert _kinds(booking.guest_id)[-2:] == ["payment.refunded", "payment.refund_failed"]
    assert _frames(booking.host_id)[-1] == ("refund", "failed")
    assert set(wrong_books()) == {"canceled_stays_are_divided", "money_goes_back_when_owed"}
    refunds.again(actor=make_user("finance"), payment_id=op.payment_id, reason="Other card", now=NOW)
    settlement.reconcile(now=NOW)

    assert money(booking)[1] == {}
    assert wrong_books() == {}


def test_refund_that_is_refused_is_told_to_the_guest() -> None:
    booking = confirmed(make_listing())
    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=NOW)
    op = MoneyOp.objects.get(kind="refund")
    SandboxRecord.objects.update(currency="USD")

    settlement.reconcile(now=NOW)

    op.refresh_from_db()
    assert (op.state, op.error_code) == ("failed", "currency_mismatch")
    assert state(booking)[2][-1] == "refund_failed"
    assert _kinds(booking.guest_id)[-1] == "payment.refund_failed"
    assert list(Payment.objects.needing_attention()) == [op.payment]


OPEN = DisputeState(
    reference="dp_1",
    parent_ref="",
    amount_minor=40_000,
    currency="EUR",
    status="needs_response",
    reason="fraudulent",
    funds_withdrawn=True,
    opened_at=NOW,
)
WON, LOST = replace(OPEN, status="won", funds_withdrawn=False), replace(OPEN, status="lost")


def _learn(booking: Booking, told: DisputeState, now: datetime = NOW) -> str:
    payment = Payment.objects.get(folio=booking.folio, kind="payment")
    seen = disputes.version_of("sandbox", told.reference)
    return disputing.learn(payment=payment, state=told, seen=seen, now=now).news


def test_dispute_is_told_to_host_and_finance_and_not_to_the_guest() -> None:
    finance, admin = make_user("finance"), make_user("admin")
    booking = confirmed(make_listing())
    before = _kinds(booking.guest_id)

    assert [_learn(booking, told) for told in (OPEN, OPEN, WON)] == ["opened", "", "won"]

    assert _kinds(booking.host_id)[1:] == ["dispute.opened", "dispute.won"]
    assert _kinds(finance.pk) == ["dispute.opened", "dispute.won"]
    assert (_kinds(admin.pk), _kinds(booking.guest_id)) == ([], before)
    assert wrong_books() == {}


@pytest.mark.parametrize("ending", [WON, LOST])
def test_cancel_while_disputed_gives_back_when_the_bank_has_decided(ending: DisputeState) -> None:
    booking = confirmed(make_listing(cancellation_policy="strict"))
    _learn(booking, OPEN)

    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=TWO_DAYS)
    settlement.reconcile(now=TWO_DAYS)
    booking.refresh_from_db()
    assert (booking.refund_minor, booking.host_keeps_minor, journal("refund")) == (20_000, 20_000, [])
    assert wrong_books() == {}
    _learn(booking, ending, TWO_DAYS)
    settlement.reconcile(now=TWO_DAYS)

    divided = {"host_payable": -16_900, "revenue": -3_100}
    if ending is WON:
        assert journal("refund") == [(20_000, "succeeded")]
        assert money(booking)[1] == {"clearing:sandbox": 20_000, **divided}
    else:
        # The guest has 200.00 more than they are owed: the platform bears it.
        assert journal("refund") == []
        assert money(booking)[1] == {**divided, "revenue": -3_100 + 20_000}
    assert wrong_books() == {}


def test_cancel_after_a_lost_dispute_gives_nothing_twice() -> None:
    booking = confirmed(make_listing())
    _learn(booking, OPEN)
    _learn(booking, LOST)
    assert wrong_books() == {}
    for seen in (Booking.objects.detailed().get(pk=booking.pk), Booking.objects.get(pk=booking.pk)):
        assert seen.detail.held_minor == 0
        assert bookings.preview(seen, paid_minor=seen.detail.held_minor, now=NOW).now.refund_minor == 0

    bookings.cancel(actor=booking.host, booking_id=booking.pk, now=NOW, reason="Flood")
    settlement.reconcile(now=NOW)

    assert journal("refund") == []
    penalty = {"host_payable": 5_000, "revenue": -5_000}
    assert {**money(booking)[1], **penalty} == money(booking)[1] | penalty
    assert wrong_books() == {}


def test_dispute_of_a_completed_stay_waits_with_its_payouts() -> None:
    booking = confirmed(make_listing())
    bookings.complete(now=booking.check_out_at)
    payout = booking.folio.payouts.get()

    _learn(booking, OPEN, booking.check_out_at)
    payout.refresh_from_db()
    assert payout.status == "on_hold"
    assert payout.holds.filter(reason="dispute", released_at=None).count() == 1
    _learn(booking, WON, booking.check_out_at)

    assert payout.holds.filter(reason="dispute", released_at=None).count() == 0
    assert wrong_books() == {}


def test_cancel_against_dispute_gives_no_more_than_was_paid() -> None:
    for number in range(4):
        booking = confirmed(make_listing())
        told = replace(OPEN, reference=f"dp_{number}")

        outcomes = race(
            partial(bookings.cancel, actor=booking.guest, booking_id=booking.pk, now=NOW),
            partial(_learn, booking, told),
        )
        settlement.reconcile(now=NOW)

        assert outcomes == [None, "opened"]
        back = sum(p.amount_minor for p in Payment.objects.filter(folio=booking.folio, kind="refund"))
        assert back in (0, 40_000)
        assert wrong_books() == {}


@pytest.mark.parametrize(("bearer", "taken_back"), [("host", 10_000), ("shared", 8_450), ("platform", 0)])
def test_gift_after_the_payout_is_taken_back_from_its_bearer(bearer: str, taken_back: int) -> None:
    booking = confirmed(make_listing())
    account(booking.host)
    over = booking.check_out_at
    bookings.complete(now=over)
    earnings.pay_out(now=over)
    settlement.reconcile(now=over)
    assert owes(booking.folio) == 0

    _ask(booking, bearer)
    settlement.reconcile(now=over)

    back = MoneyOp.objects.filter(kind="reverse").values_list("state", "amount_minor")
    assert list(back) == ([("succeeded", taken_back)] if taken_back else [])
    assert owes(booking.folio) == 0
    assert wrong_books() == {}


def test_refund_that_comes_back_after_it_was_taken_from_the_host_is_paid_again() -> None:
    booking = confirmed(make_listing())
    account(booking.host)
    over = booking.check_out_at
    bookings.complete(now=over)
    earnings.pay_out(now=over)
    settlement.reconcile(now=over)
    _ask(booking, "host")
    settlement.reconcile(now=over)
    SandboxRecord.objects.filter(kind="refund").update(state="returned")
    body, headers = sandbox.webhook(SandboxRecord.objects.get(kind="refund"), now=NOW)
    assert inbox.receive(provider="sandbox", body=body, headers=headers, now=NOW)

    settlement.apply_events(now=over)
    assert owes(booking.folio) == 10_000
    payouts.schedule_rest(now=over)
    earnings.pay_out(now=over)
    settlement.reconcile(now=over)

    assert owes(booking.folio) == 0
    paid = booking.folio.payouts.order_by("id").values_list("status", "amount_minor")
    assert list(paid) == [("paid", 33_800), ("paid", 10_000)]
    assert wrong_books() == {}
