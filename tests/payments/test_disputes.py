"""Disputes: what the provider tells is booked by what has changed, in whatever order it is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import transaction

from backend.core import platform
from backend.core.errors import NotAllowed
from backend.payments import disputes, refund_requests, refunds
from backend.payments import services as payments
from backend.payments.disputes import Learned, Overtaken
from backend.payments.models import Dispute, Folio, LedgerEntry, Payment
from backend.payments.providers.base import DisputeState
from tests.factories import NOW, make_user
from tests.payments.desk import TOTAL, books, give_back, make_folio, pay
from tests.racing import race

pytestmark = pytest.mark.usefixtures("db")

FEE = 1_500
OPEN = DisputeState(
    reference="dp_1",
    parent_ref="",
    amount_minor=TOTAL,
    currency="EUR",
    status="needs_response",
    reason="fraudulent",
    funds_withdrawn=True,
    opened_at=NOW,
    evidence_due_at=NOW + timedelta(days=7),
    fee_minor=FEE,
)
WON = replace(OPEN, status="won", funds_withdrawn=False)
LOST = replace(OPEN, status="lost")


def learn(payment: Payment, state: DisputeState, *, seen: int | None = None, over: bool = False) -> Learned:
    version = disputes.version_of("sandbox", state.reference) if seen is None else seen
    with transaction.atomic():
        return disputes.learn(payment=payment, state=state, seen=version, stay_is_over=over, now=NOW)


def balances(folio: Folio) -> dict[str, int]:
    left: dict[str, int] = {}
    for account, minor in LedgerEntry.objects.filter(folio=folio).values_list("account", "amount_minor"):
        left[account] = left.get(account, 0) + minor
    return {account: minor for account, minor in left.items() if minor}


def known() -> tuple[Any, ...]:
    return Dispute.objects.values_list("status", "funds_withdrawn", "fee_minor", "version").get()


def test_payment_is_found_by_the_reference_of_what_took_it() -> None:
    payment = pay(make_folio())
    reference = payment.ops.get().provider_ref

    assert disputes.payment_of("sandbox", reference) == payment
    assert disputes.payment_of("stripe", reference) is None
    assert disputes.payment_of("sandbox", "") is None


def test_opened_moves_the_money_and_the_fee() -> None:
    payment = pay(make_folio())

    learned = learn(payment, OPEN)

    assert learned.news == disputes.OPENED
    assert books()[2:] == [
        ("dispute.opened", "disputes", TOTAL),
        ("dispute.opened", "clearing:sandbox", -TOTAL),
        ("dispute.fee", "provider_fees", FEE),
        ("dispute.fee", "clearing:sandbox", -FEE),
    ]
    row = Dispute.objects.get()
    assert (row.payment, row.amount_minor, row.folio_minor, row.reason, row.closed_at) == (
        payment,
        TOTAL,
        TOTAL,
        "fraudulent",
        None,
    )
    payment.refresh_from_db()
    assert payment.status == "completed"


def test_inquiry_moves_nothing_until_the_money_is_taken() -> None:
    folio = make_folio()
    payment = pay(folio)

    asked = learn(payment, replace(OPEN, funds_withdrawn=False, fee_minor=0))
    assert (asked.news, len(books())) == (disputes.OPENED, 2)
    assert refunds.refundable(folio) == TOTAL
    taken = learn(payment, OPEN)

    assert taken.news == disputes.UPDATED
    assert refunds.refundable(folio) == 0
    assert balances(folio)["disputes"] == TOTAL


def test_told_again_changes_nothing() -> None:
    payment = pay(make_folio())
    learn(payment, OPEN)
    before = books()

    assert learn(payment, OPEN).news == ""

    assert (books(), known()) == (before, ("needs_response", True, FEE, 1))


def test_won_undoes_it_but_for_the_fee() -> None:
    folio = make_folio()
    payment = pay(folio)
    learn(payment, OPEN)

    assert learn(payment, WON).news == disputes.WON

    assert balances(folio) == {
        "clearing:sandbox": TOTAL - FEE,
        "guest_funds": -TOTAL,
        "provider_fees": FEE,
    }
    assert refunds.refundable(folio) == TOTAL
    assert Dispute.objects.get().closed_at == NOW


@pytest.mark.parametrize(
    ("bearer", "divided", "parts"),
    [
        ("platform", False, {"guest_funds": -TOTAL, "revenue": TOTAL}),
        ("host", False, {"guest_funds": -TOTAL, "host_payable": TOTAL}),
        ("shared", False, {}),
        ("platform", True, {"host_payable": -25_350, "revenue": -4_650 + TOTAL, "tax": -1_500}),
        ("host", True, {"host_payable": -25_350 + TOTAL, "revenue": -4_650, "tax": -1_500}),
        ("shared", True, {}),
    ],
)
def test_lost_is_borne_by_whom_the_platform_says(bearer: str, divided: bool, parts: dict[str, int]) -> None:
    platform.put("dispute_loss_borne_by", bearer)
    folio = make_folio()
    payment = pay(folio)
    learn(payment, OPEN)
    if divided:
        with transaction.atomic():
            payments.earned(folio=folio, now=NOW)

    assert learn(payment, LOST).news == disputes.LOST

    assert balances(folio) == {"clearing:sandbox": -FEE, "provider_fees": FEE, **parts}
    assert (refunds.refundable(folio), payments.paid(folio)) == (0, 0)


def test_lost_of_a_stay_that_is_not_had_comes_out_of_what_is_held() -> None:
    folio = make_folio()
    payment = pay(folio)
    learn(payment, OPEN)

    learn(payment, LOST, over=True)

    assert balances(folio) == {"clearing:sandbox": -FEE, "provider_fees": FEE}


def test_decided_otherwise_after_all_is_undone_and_done_again() -> None:
    folio = make_folio()
    payment = pay(folio)
    learn(payment, OPEN)
    lost = (balances(folio), learn(payment, LOST), balances(folio))[2]
    assert Dispute.objects.get().loss is not None

    learn(payment, WON)
    assert balances(folio) == {
        "clearing:sandbox": TOTAL - FEE,
        "guest_funds": -TOTAL,
        "provider_fees": FEE,
    }
    assert Dispute.objects.get().loss is None
    learn(payment, LOST)

    assert balances(folio) == lost


@pytest.mark.parametrize("late", [OPEN, replace(OPEN, status="under_review")])
def test_late_word_of_an_open_dispute_does_not_open_a_decided_one(late: DisputeState) -> None:
    payment = pay(make_folio())
    learn(payment, OPEN)
    learn(payment, WON)
    before = (books(), known())

    assert learn(payment, late).news == ""

    assert (books(), known()) == before


def test_answer_that_was_overtaken_is_refused() -> None:
    payment = pay(make_folio())
    learn(payment, OPEN)
    seen = disputes.version_of("sandbox", "dp_1")
    learn(payment, LOST)
    before = (books(), known())

    with pytest.raises(Overtaken):
        learn(payment, WON, seen=seen)

    assert (books(), known()) == before


def test_same_word_told_by_many_at_once_is_booked_once() -> None:
    payment = pay(make_folio())

    outcomes = race(*(partial(learn, payment, OPEN, seen=0) for _ in range(4)))

    assert sorted(type(each).__name__ for each in outcomes) == [
        "Learned",
        "Overtaken",
        "Overtaken",
        "Overtaken",
    ]
    assert (len(books()), known()) == (6, ("needs_response", True, FEE, 1))


def test_dispute_of_a_part_leaves_the_rest_to_be_given_back() -> None:
    folio = make_folio()
    payment = pay(folio)

    learn(payment, replace(OPEN, amount_minor=10_000))

    assert refunds.refundable(folio) == TOTAL - 10_000
    with pytest.raises(refunds.RefundTooLarge):
        give_back(folio, TOTAL - 9_999)
    give_back(folio, TOTAL - 10_000)
    assert balances(folio)["clearing:sandbox"] == -FEE


def test_dispute_of_what_was_given_back_is_the_platforms_loss() -> None:
    folio = make_folio()
    payment = pay(folio)
    give_back(folio, TOTAL)

    learn(payment, OPEN)
    assert refunds.refundable(folio) == 0
    learn(payment, LOST)

    assert balances(folio) == {
        "clearing:sandbox": -TOTAL - FEE,
        "provider_fees": FEE,
        "revenue": TOTAL,
    }


def test_dispute_in_another_currency_than_the_stays_leaves_the_difference_in_fx() -> None:
    folio = make_folio()
    payment = pay(folio)
    state = replace(OPEN, amount_minor=10_000, currency="USD", fee_minor=0)

    learn(payment, state)
    learn(payment, replace(state, status="lost"))

    dispute = Dispute.objects.get()
    assert 0 < dispute.folio_minor < 10_000
    entries = LedgerEntry.objects.filter(transaction__cause="dispute.lost").order_by("id")
    assert list(entries.values_list("account", "currency", "amount_minor")) == [
        ("disputes", "USD", -10_000),
        ("fx", "USD", 10_000),
        ("fx", "EUR", -dispute.folio_minor),
        ("revenue", "EUR", dispute.folio_minor),
    ]


def test_refund_against_dispute_never_gives_what_the_bank_has_taken() -> None:
    for number in range(4):
        folio = make_folio()
        payment = pay(folio)
        state = replace(OPEN, reference=f"dp_{number}")

        refunded, learned = race(
            partial(
                refund_requests.ask,
                actor=make_user("finance"),
                folio=folio,
                amount_minor=20_000,
                bearer="shared",
                reason="x",
                now=NOW,
            ),
            partial(learn, payment, state, seen=0),
        )

        assert isinstance(learned, Learned)
        underway = Payment.objects.filter(folio=folio, kind="refund").count()
        # Whichever was first: written down before the dispute it is under way, after it there is nothing to give.
        assert underway == (0 if isinstance(refunded, refunds.RefundTooLarge) else 1)
        assert refunds.refundable(folio) == 0


def test_note_is_kept_by_finance_and_audited() -> None:
    learn(pay(make_folio()), OPEN)
    dispute = Dispute.objects.get()

    with pytest.raises(NotAllowed):
        disputes.note(actor=make_user("support"), dispute=dispute, text="x", now=NOW)
    assert Dispute.objects.get().note == ""
    disputes.note(actor=make_user("finance"), dispute=dispute, text=" Key log of 4 May ", now=NOW)

    assert Dispute.objects.get().note == "Key log of 4 May"
