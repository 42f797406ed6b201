"""Taking, letting go and giving back, through the sandbox."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction

from backend.core.errors import Invalid, WrongState
from backend.payments import sending
from backend.payments import services as payments
from backend.payments.models import LedgerTransaction, MoneyOp, Payment, SandboxRecord
from backend.payments.providers.base import Result
from backend.payments.providers.registry import ProviderUnknown
from tests.factories import NOW
from tests.payments.desk import TOTAL, authorize, books, give_back, make_folio, pay, settle, start

pytestmark = pytest.mark.usefixtures("db")

TAKEN = [("payment.captured", "clearing:sandbox", TOTAL), ("payment.captured", "guest_funds", -TOTAL)]


def test_charge_succeeds_and_is_booked_once() -> None:
    folio = make_folio()

    op = start(folio)
    assert (op.state, payments.status_of(folio), books()) == ("created", "pending", [])
    recorded = settle(op)

    assert recorded.changed
    payment = Payment.objects.get()
    assert (payment.status, payment.completed_at, payment.amount_minor) == ("completed", NOW, TOTAL)
    assert payment.reference.startswith("P-")
    assert len(payment.reference) == 10
    assert books() == TAKEN
    assert payments.status_of(folio) == "completed"
    assert payments.refundable(folio) == TOTAL


def test_charge_declined_fails_and_can_be_tried_again() -> None:
    folio = make_folio()

    recorded = settle(start(folio, "decline"))

    assert (recorded.op.state, recorded.op.error_code) == ("failed", "card_declined")
    assert (payments.status_of(folio), books()) == ("failed", [])
    assert pay(folio).status == "completed"
    assert payments.status_of(folio) == "completed"


@pytest.mark.parametrize("outcome", ["pending", "timeout"])
def test_charge_without_an_answer_stays_open_and_refuses_a_second_one(outcome: str) -> None:
    folio = make_folio()

    recorded = settle(start(folio, outcome))

    assert (recorded.op.state, recorded.op.payment.status) == ("unknown", "pending")
    assert books() == []
    with pytest.raises(payments.PaymentInProgress):
        start(folio)
    assert (Payment.objects.count(), MoneyOp.objects.count(), SandboxRecord.objects.count()) == (1, 1, 1)


def test_timeout_is_resolved_by_sending_the_same_key() -> None:
    folio = make_folio()
    op = settle(start(folio, "timeout")).op

    assert payments.open_ops(NOW) == [op.pk]
    recorded = settle(op, NOW + timedelta(minutes=1))

    assert (recorded.op.state, recorded.op.payment.status) == ("succeeded", "completed")
    assert SandboxRecord.objects.get().calls == 2
    assert books() == TAKEN
    assert payments.open_ops(NOW + timedelta(days=1)) == []


def test_pending_is_resolved_by_looking_it_up_after_the_delay() -> None:
    op = settle(start(make_folio(), "pending")).op

    assert settle(op, NOW + timedelta(seconds=2)).op.state == "unknown"
    assert settle(op, NOW + timedelta(seconds=3)).op.state == "succeeded"

    assert SandboxRecord.objects.get().calls == 1
    assert books() == TAKEN


def test_start_refuses_a_paid_folio() -> None:
    folio = make_folio()
    pay(folio)

    with pytest.raises(payments.AlreadyPaid):
        start(folio)

    assert (Payment.objects.count(), MoneyOp.objects.count()) == (1, 1)


def test_start_takes_what_is_still_owed_and_no_more() -> None:
    folio = make_folio()
    pay(folio, 20_000)

    with pytest.raises(payments.AlreadyPaid):
        start(folio, amount=TOTAL - 19_999)
    pay(folio, TOTAL - 20_000)

    assert payments.refundable(folio) == TOTAL


def test_start_refuses_unknown_providers_and_outcomes() -> None:
    folio = make_folio()

    with pytest.raises(ProviderUnknown) as refusal, transaction.atomic():
        payments.start(folio=folio, provider="stripe", amount_minor=1, capture=True, options={}, now=NOW)
    assert [error.field for error in refusal.value.errors] == ["provider"]
    with pytest.raises(Invalid):
        start(folio, "explode")

    assert Payment.objects.count() == 0


def test_authorize_then_capture_takes_the_money_at_the_capture() -> None:
    folio = make_folio()

    payment = authorize(folio)
    assert (payment.status, payment.authorized_at, books()) == ("pending", NOW, [])
    with pytest.raises(payments.AlreadyPaid):
        start(folio)
    with transaction.atomic():
        op = payments.capture(payment=payment, now=NOW)
        assert payments.capture(payment=payment, now=NOW).pk == op.pk
    settle(op)

    assert Payment.objects.get().status == "completed"
    assert books() == TAKEN


def test_authorize_then_void_takes_nothing() -> None:
    payment = authorize(make_folio())

    with transaction.atomic():
        op = payments.void(payment=payment, now=NOW)
        assert payments.void(payment=payment, now=NOW).pk == op.pk
        with pytest.raises(WrongState):
            payments.capture(payment=payment, now=NOW)
    settle(op)

    assert Payment.objects.get().status == "failed"
    assert books() == []
    assert list(SandboxRecord.objects.order_by("created_at").values_list("kind", flat=True)) == [
        "authorize",
        "void",
    ]
    with pytest.raises(WrongState), transaction.atomic():
        payments.void(payment=payment, now=NOW)


def test_capture_refuses_what_is_not_set_aside() -> None:
    folio = make_folio()
    unknown = settle(start(folio, "timeout", capture=False)).op.payment

    for verb in (payments.capture, payments.void):
        with pytest.raises(WrongState), transaction.atomic():
            verb(payment=unknown, now=NOW)

    assert MoneyOp.objects.count() == 1


def test_abandon_gives_up_only_what_was_never_sent() -> None:
    unsent, sent = start(make_folio()), settle(start(make_folio(), "timeout")).op

    with transaction.atomic():
        assert payments.abandon(payment=unsent.payment, now=NOW) is True
        assert payments.abandon(payment=sent.payment, now=NOW) is False

    assert sending.send(unsent.pk, now=NOW) is None
    assert payments.status_of(unsent.payment.folio) == "failed"
    assert payments.status_of(sent.payment.folio) == "pending"


def test_refund_in_parts_then_whole() -> None:
    folio = make_folio()
    payment = pay(folio)

    (first,) = give_back(folio, 10_000)
    payment.refresh_from_db()
    assert (payment.status, payment.refunded_minor) == ("partially_refunded", 10_000)
    assert (first.payment.kind, first.payment.status, first.payment.parent_id) == (
        "refund",
        "completed",
        payment.pk,
    )
    assert first.payment.reference.startswith("R-")
    give_back(folio, TOTAL - 10_000)

    payment.refresh_from_db()
    assert (payment.status, payment.refunded_minor) == ("refunded", TOTAL)
    assert sum(amount for _, account, amount in books() if account == "guest_funds") == 0
    assert payments.status_of(folio) == "refunded"


def test_refund_refuses_more_than_was_taken_and_what_is_on_its_way_counts() -> None:
    folio = make_folio()
    pay(folio)
    with transaction.atomic():
        payments.refund(folio=folio, amount_minor=TOTAL - 1, cause="test", now=NOW)

    with pytest.raises(payments.RefundTooLarge), transaction.atomic():
        payments.refund(folio=folio, amount_minor=2, cause="test", now=NOW)

    assert MoneyOp.objects.filter(kind="refund").count() == 1
    assert payments.refundable(folio) == 1


def test_refund_of_nothing_writes_nothing() -> None:
    folio = make_folio()

    with transaction.atomic():
        assert payments.refund(folio=folio, amount_minor=0, cause="test", now=NOW) == []

    assert MoneyOp.objects.count() == 0


def test_refund_spans_payments_newest_first() -> None:
    folio = make_folio()
    older, newer = pay(folio, 20_000), pay(folio, 11_500)

    ops = give_back(folio, 15_000)

    assert [(op.payment.parent_id, op.amount_minor) for op in ops] == [(newer.pk, 11_500), (older.pk, 3_500)]


def test_refund_of_a_captured_authorization() -> None:
    folio = make_folio()
    payment = authorize(folio)
    with transaction.atomic():
        op = payments.capture(payment=payment, now=NOW)
    settle(op)

    (back,) = give_back(folio, TOTAL)

    assert back.state == "succeeded"
    assert Payment.objects.get(pk=payment.pk).status == "refunded"


def test_refund_that_is_refused_leaves_the_payment_as_it_was() -> None:
    folio = make_folio()
    payment = pay(folio)
    with transaction.atomic():
        (op,) = payments.refund(folio=folio, amount_minor=TOTAL, cause="test", now=NOW)
        result = Result("failed", error_code="account_closed")
        payments.record(op_id=op.pk, result=result, now=NOW)

    payment.refresh_from_db()
    assert (payment.status, payment.refunded_minor) == ("completed", 0)
    assert Payment.objects.get(kind="refund").status == "failed"
    assert books() == TAKEN
    assert payments.refundable(folio) == TOTAL


def test_record_twice_changes_nothing_the_second_time() -> None:
    op = settle(start(make_folio())).op

    for status in ("succeeded", "failed", "pending", "unknown"):
        with transaction.atomic():
            assert payments.record(op_id=op.pk, result=Result(status), now=NOW).changed is False  # type: ignore[arg-type]

    assert Payment.objects.get().status == "completed"
    assert LedgerTransaction.objects.count() == 1


def test_record_late_success_after_a_refusal_changes_nothing() -> None:
    op = settle(start(make_folio(), "decline")).op

    with transaction.atomic():
        recorded = payments.record(op_id=op.pk, result=Result("succeeded"), now=NOW)

    assert (recorded.changed, recorded.op.state, books()) == (False, "failed", [])


def test_earned_divides_what_is_held() -> None:
    folio = make_folio()
    pay(folio)

    with transaction.atomic():
        posted = payments.earned(folio=folio, now=NOW)
        again = payments.earned(folio=folio, now=NOW)

    assert posted == again
    assert books()[2:] == [
        ("stay.completed", "guest_funds", 31_500),
        ("stay.completed", "host_payable", -25_350),
        ("stay.completed", "revenue", -4_650),
        ("stay.completed", "tax", -1_500),
    ]


def test_earned_after_a_partial_refund_divides_the_rest_in_proportion() -> None:
    folio = make_folio()
    pay(folio)
    give_back(folio, 15_750)

    with transaction.atomic():
        payments.earned(folio=folio, now=NOW)

    assert [(account, amount) for cause, account, amount in books() if cause == "stay.completed"] == [
        ("guest_funds", 15_750),
        ("host_payable", -12_675),
        ("revenue", -2_325),
        ("tax", -750),
    ]


def test_earned_of_nothing_held_books_nothing() -> None:
    folio = make_folio()
    pay(folio)
    give_back(folio, TOTAL)

    with transaction.atomic():
        assert payments.earned(folio=folio, now=NOW) is None


def test_refund_after_the_stay_is_borne_by_those_who_earned_it() -> None:
    folio = make_folio()
    pay(folio)
    with transaction.atomic():
        payments.earned(folio=folio, now=NOW)

    give_back(folio, TOTAL // 2)

    assert books()[-4:] == [
        ("payment.refunded", "clearing:sandbox", -15_750),
        ("payment.refunded", "host_payable", 12_675),
        ("payment.refunded", "revenue", 2_325),
        ("payment.refunded", "tax", 750),
    ]
