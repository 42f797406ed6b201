"""Who bears what is given back, refunds that fail or come back, and making them again."""

from __future__ import annotations

from functools import partial

import pytest
from django.db import transaction

from backend.audit.models import AuditEntry
from backend.core.errors import Invalid, NotAllowed, NotFound, WrongState
from backend.payments import payout_splits, refund_requests, refunds
from backend.payments import services as payments
from backend.payments.folios import Line
from backend.payments.models import Folio, LedgerEntry, MoneyOp, Payment, PayoutSplit, RefundRequest
from backend.payments.providers.base import Result
from tests.factories import NOW, make_listing, make_user
from tests.payments.desk import TOTAL, books, give_back, make_folio, pay, settle
from tests.racing import race

pytestmark = pytest.mark.usefixtures("db")

GIFT = 5_000


def gift(folio: Folio, bearer: str, amount: int = GIFT) -> MoneyOp:
    """So much given back by the finance team, and settled."""
    request = refund_requests.ask(
        actor=make_user("finance"), folio=folio, amount_minor=amount, bearer=bearer, reason="Noise", now=NOW
    )
    return settle(MoneyOp.objects.get(payment__refund_request=request)).op


def earned(folio: Folio) -> None:
    with transaction.atomic():
        payments.earned(folio=folio, now=NOW)


def came_back(op: MoneyOp) -> None:
    with transaction.atomic():
        result = Result("succeeded", stage="returned", error_code="account_closed")
        assert payments.record(op_id=op.pk, result=result, now=NOW).came_back


def balances(folio: Folio) -> dict[str, int]:
    left: dict[str, int] = {}
    for account, minor in LedgerEntry.objects.filter(folio=folio).values_list("account", "amount_minor"):
        left[account] = left.get(account, 0) + minor
    return {account: minor for account, minor in left.items() if minor}


@pytest.mark.parametrize(
    ("bearer", "cause", "account", "afterwards"),
    [
        ("shared", "payment.refunded", "guest_funds", (-21_326, -3_912, -1_262)),
        ("host", "refund.by_host", "host_payable", (-20_350, -4_650, -1_500)),
        ("platform", "refund.by_platform", "revenue", (-25_350, 350, -1_500)),
    ],
)
def test_gift_before_the_end_lowers_what_its_bearer_earns(
    bearer: str, cause: str, account: str, afterwards: tuple[int, int, int]
) -> None:
    folio = make_folio()
    pay(folio)

    gift(folio, bearer)
    assert books()[2:] == [(cause, "clearing:sandbox", -GIFT), (cause, account, GIFT)]
    earned(folio)

    host, revenue, tax = afterwards
    assert balances(folio) == {
        "clearing:sandbox": TOTAL - GIFT,
        "host_payable": host,
        "revenue": revenue,
        "tax": tax,
    }


@pytest.mark.parametrize(
    ("bearer", "parts"),
    [
        ("shared", {"host_payable": 4_024, "revenue": 738, "tax": 238}),
        ("host", {"host_payable": 5_000}),
        ("platform", {"revenue": 5_000}),
    ],
)
def test_gift_after_the_end_is_taken_from_its_bearer(bearer: str, parts: dict[str, int]) -> None:
    folio = make_folio()
    pay(folio)
    earned(folio)

    gift(folio, bearer)

    assert [(account, minor) for _, account, minor in books()[-len(parts) :]] == list(parts.items())


@pytest.mark.parametrize(("bearer", "of_host", "of_other"), [("shared", 3_018, 1_006), ("host", 5_000, 0)])
def test_refund_of_shared_earnings_is_borne_by_those_who_share(
    bearer: str, of_host: int, of_other: int
) -> None:
    folio, listing, other = make_folio(), make_listing(), make_user()
    pay(folio)
    PayoutSplit.objects.create(listing=listing, user=other, percent=25, created_at=NOW)
    with transaction.atomic():
        division = payments.earned(folio=folio, now=NOW)
        assert division is not None
        payout_splits.divide(folio=folio, listing_id=listing.pk, division=division, now=NOW)

    gift(folio, bearer)

    taken = LedgerEntry.objects.filter(account="host_payable", transaction__cause__startswith="payment.")
    taken |= LedgerEntry.objects.filter(account="host_payable", transaction__cause="refund.by_host")
    assert dict(taken.values_list("holder_id", "amount_minor")) == {
        holder: minor for holder, minor in ((folio.host_id, of_host), (other.pk, of_other)) if minor
    }


def test_gift_that_is_under_way_at_the_end_is_borne_when_it_is_made() -> None:
    folio = make_folio()
    pay(folio)
    request = refund_requests.ask(
        actor=make_user("finance"), folio=folio, amount_minor=GIFT, bearer="host", reason="Noise", now=NOW
    )

    earned(folio)
    settle(MoneyOp.objects.get(payment__refund_request=request))

    assert balances(folio)["host_payable"] == -25_350 + GIFT


def test_shared_gift_leaves_alone_what_is_on_its_way_for_a_policy() -> None:
    folio = make_folio()
    pay(folio)
    with transaction.atomic():
        payments.kept(folio=folio, host_minor=10_000, service_fee_minor=0, tax_minor=500, now=NOW)
        (owed,) = payments.refund(folio=folio, amount_minor=20_000, cause="canceled", now=NOW)

    gift(folio, "shared", 2_100)
    assert balances(folio)["guest_funds"] == -20_000 - 1_000 + 1_000
    settle(owed)

    assert balances(folio).get("guest_funds", 0) == 0


def test_refunds_in_parts_of_what_was_earned_leave_nothing() -> None:
    folio = make_folio()
    pay(folio)
    earned(folio)

    for amount in (10_001, 9_999, 3, TOTAL - 20_003):
        give_back(folio, amount)

    assert balances(folio) == {}


def test_ask_needs_the_role_a_reason_an_amount_and_a_bearer() -> None:
    folio = make_folio()
    pay(folio)
    finance, support = make_user("finance"), make_user("support")
    ask = partial(refund_requests.ask, folio=folio, now=NOW)

    for actor in (support, folio.host, folio.guest):
        with pytest.raises(NotAllowed):
            ask(actor=actor, amount_minor=1, bearer="shared", reason="kind")
    for fields in (
        {"amount_minor": 1, "bearer": "shared", "reason": "  "},
        {"amount_minor": 0, "bearer": "shared", "reason": "kind"},
        {"amount_minor": 1, "bearer": "guest", "reason": "kind"},
        {"amount_minor": TOTAL + 1, "bearer": "shared", "reason": "kind"},
    ):
        with pytest.raises(Invalid):
            ask(actor=finance, **fields)

    assert (RefundRequest.objects.count(), MoneyOp.objects.count(), AuditEntry.objects.count()) == (0, 1, 0)


def test_ask_up_to_the_limit_is_under_way_at_once_and_audited() -> None:
    folio = make_folio()
    pay(folio)
    finance = make_user("finance")

    request = refund_requests.ask(
        actor=finance, folio=folio, amount_minor=100, bearer="shared", reason=" Late key ", now=NOW
    )

    op = MoneyOp.objects.get(kind="refund")
    assert (request.status, request.decided_at, request.decided_by, request.reason) == (
        "approved",
        NOW,
        None,
        "Late key",
    )
    assert (op.amount_minor, op.payment.refund_request, op.options) == (100, request, {"cause": "gift"})
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor, entry.reason) == ("payment.refund", finance, "Late key")
    assert entry.after["ops"] == [str(op.pk)]


def waiting(folio: Folio) -> RefundRequest:
    """A refund that needs a second person: 501.00 EUR of 600.00."""
    return refund_requests.ask(
        actor=make_user("finance"),
        folio=folio,
        amount_minor=50_100,
        bearer="platform",
        reason="Flood",
        now=NOW,
    )


def dear_folio() -> Folio:
    folio = make_folio([Line("guest", "night", 6, 10_000, 60_000)])
    pay(folio, 60_000)
    return folio


def test_ask_above_the_limit_waits_for_a_second_person() -> None:
    folio = dear_folio()

    request = waiting(folio)
    assert (request.status, MoneyOp.objects.filter(kind="refund").count()) == ("waiting", 0)
    assert refunds.refundable(folio) == 60_000
    with pytest.raises(refund_requests.FourEyes):
        refund_requests.approve(actor=request.requested_by, request_id=request.pk, reason="Me too", now=NOW)
    with pytest.raises(NotAllowed):
        refund_requests.approve(actor=make_user("support"), request_id=request.pk, reason="Fine", now=NOW)
    assert MoneyOp.objects.filter(kind="refund").count() == 0
    second = make_user("finance")
    refund_requests.approve(actor=second, request_id=request.pk, reason="Seen the photos", now=NOW)

    request.refresh_from_db()
    assert (request.status, request.decided_by, request.decision_note) == (
        "approved",
        second,
        "Seen the photos",
    )
    settle(MoneyOp.objects.get(kind="refund"))
    assert balances(folio) == {"clearing:sandbox": 9_900, "guest_funds": -60_000, "revenue": 50_100}
    with pytest.raises(WrongState):
        refund_requests.decline(actor=second, request_id=request.pk, reason="No", now=NOW)


def test_small_refunds_of_one_stay_add_up_to_the_limit() -> None:
    folio = dear_folio()
    finance = make_user("finance")
    ask = partial(refund_requests.ask, actor=finance, folio=folio, bearer="platform", reason="Flood", now=NOW)

    assert [ask(amount_minor=25_000).status for _ in range(2)] == ["approved", "approved"]
    assert ask(amount_minor=100).status == "waiting"


def test_decline_and_withdraw_give_nothing() -> None:
    folio = dear_folio()
    first, second = waiting(folio), waiting(folio)

    with pytest.raises(refund_requests.FourEyes):
        refund_requests.decline(actor=first.requested_by, request_id=first.pk, reason="No", now=NOW)
    refund_requests.decline(actor=make_user("admin"), request_id=first.pk, reason="No flood", now=NOW)
    with pytest.raises(NotAllowed):
        refund_requests.withdraw(actor=first.requested_by, request_id=second.pk, reason="Mine?", now=NOW)
    refund_requests.withdraw(actor=second.requested_by, request_id=second.pk, reason="Wrong stay", now=NOW)

    statuses = RefundRequest.objects.order_by("id").values_list("status", flat=True)
    assert list(statuses) == ["declined", "withdrawn"]
    assert MoneyOp.objects.filter(kind="refund").count() == 0


def test_approve_of_what_is_gone_meanwhile_is_refused_and_waits_on() -> None:
    folio = dear_folio()
    request = waiting(folio)
    give_back(folio, 20_000)

    with pytest.raises(refunds.RefundTooLarge):
        refund_requests.approve(actor=make_user("admin"), request_id=request.pk, reason="Fine", now=NOW)

    request.refresh_from_db()
    assert (request.status, request.decided_at) == ("waiting", None)


def test_host_gives_at_most_the_own_part_and_waits_for_nobody() -> None:
    folio = make_folio()
    pay(folio)
    give = partial(refund_requests.give, folio=folio, reason="Broken shower", now=NOW)

    for actor in (make_user(), folio.guest, make_user("finance")):
        with pytest.raises(NotAllowed):
            give(actor=actor, amount_minor=1)
    with pytest.raises(refund_requests.MoreThanHostsPart):
        give(actor=folio.host, amount_minor=25_351)
    request = give(actor=folio.host, amount_minor=25_000)
    with pytest.raises(refund_requests.MoreThanHostsPart):
        give(actor=folio.host, amount_minor=351)
    settle(MoneyOp.objects.get(kind="refund"))
    give(actor=folio.host, amount_minor=350)
    settle(MoneyOp.objects.get(kind="refund", state="created"))

    assert (request.bearer, request.status) == ("host", "approved")
    earned(folio)
    assert balances(folio) == {"clearing:sandbox": 6_150, "revenue": -4_650, "tax": -1_500}


def test_refund_that_comes_back_is_owed_again() -> None:
    folio = make_folio()
    payment = pay(folio)
    give_back(folio, 1_500)
    (op,) = give_back(folio, TOTAL - 1_500)

    came_back(op)

    payment.refresh_from_db()
    refund = Payment.objects.get(pk=op.payment_id)
    assert (payment.status, payment.refunded_minor) == ("partially_refunded", 1_500)
    assert (refund.status, refund.completed_at) == ("failed", None)
    assert MoneyOp.objects.get(pk=op.pk).error_code == "account_closed"
    assert books()[-2:] == [
        ("payment.refunded.returned", "clearing:sandbox", TOTAL - 1_500),
        ("payment.refunded.returned", "guest_funds", 1_500 - TOTAL),
    ]
    assert list(Payment.objects.needing_attention()) == [refund]


@pytest.mark.parametrize("bearer", ["shared", "host", "platform"])
def test_gift_that_comes_back_is_its_bearers_again(bearer: str) -> None:
    folio = make_folio()
    pay(folio)
    earned(folio)
    before = balances(folio)

    came_back(gift(folio, bearer))

    assert balances(folio) == before


def test_refund_that_comes_back_twice_changes_nothing_the_second_time() -> None:
    folio = make_folio()
    pay(folio)
    (op,) = give_back(folio, 500)
    came_back(op)
    before = books()

    for result in (Result("succeeded", stage="returned"), Result("failed"), Result("succeeded")):
        with transaction.atomic():
            assert payments.record(op_id=op.pk, result=result, now=NOW).changed is False

    assert books() == before


def test_refund_is_made_again_once_by_finance() -> None:
    folio = make_folio()
    pay(folio)
    finance = make_user("finance")
    (op,) = give_back(folio, 500)
    again = partial(refunds.again, payment_id=op.payment_id, reason="By bank transfer", now=NOW)
    with pytest.raises(WrongState):
        again(actor=finance)
    came_back(op)

    for actor, error in ((make_user("support"), NotAllowed), (folio.host, NotAllowed)):
        with pytest.raises(error):
            again(actor=actor)
    with pytest.raises(NotFound):
        refunds.again(actor=finance, payment_id=10**9, reason="x", now=NOW)
    with pytest.raises(Invalid):
        refunds.again(actor=finance, payment_id=op.payment_id, reason=" ", now=NOW)
    second = again(actor=finance)
    with pytest.raises(refunds.MadeAgain):
        again(actor=finance)

    assert second.payment.retry_of_id == op.payment_id
    assert list(Payment.objects.needing_attention()) == []
    settle(second)
    assert balances(folio) == {"clearing:sandbox": TOTAL - 500, "guest_funds": 500 - TOTAL}


def test_refund_against_refund_gives_no_more_than_was_paid() -> None:
    folio = make_folio()
    pay(folio)
    ask = partial(refund_requests.ask, folio=folio, amount_minor=20_000, bearer="shared", reason="x", now=NOW)

    outcomes = race(*(partial(ask, actor=make_user("finance")) for _ in range(4)))

    won = [each for each in outcomes if isinstance(each, RefundRequest)]
    lost = [each for each in outcomes if isinstance(each, refunds.RefundTooLarge)]
    assert (len(won), len(lost)) == (1, 3)
    assert refunds.refundable(folio) == TOTAL - 20_000
    assert MoneyOp.objects.filter(kind="refund").count() == 1


def test_two_second_persons_at_once_give_once() -> None:
    folio = dear_folio()
    request = waiting(folio)
    approve = partial(refund_requests.approve, request_id=request.pk, reason="Fine", now=NOW)

    outcomes = race(*(partial(approve, actor=make_user("admin")) for _ in range(3)))

    assert sorted(type(each).__name__ for each in outcomes) == ["RefundRequest", "WrongState", "WrongState"]
    assert MoneyOp.objects.filter(kind="refund").count() == 1


def test_many_make_a_refund_again_at_once_and_it_is_made_once() -> None:
    folio = make_folio()
    pay(folio)
    (op,) = give_back(folio, 500)
    came_back(op)
    finance = make_user("finance")
    again = partial(refunds.again, actor=finance, payment_id=op.payment_id, reason="x", now=NOW)

    outcomes = race(again, again, again)

    assert sorted(type(each).__name__ for each in outcomes) == ["MadeAgain", "MadeAgain", "MoneyOp"]
    assert Payment.objects.filter(retry_of=op.payment_id).count() == 1
