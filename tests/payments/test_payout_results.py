"""What becomes of a payout that was sent: arrived, refused, unknown, returned, taken back."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction

from backend.accounts.models import User
from backend.audit.models import AuditEntry
from backend.bookings import settlement
from backend.core.errors import Invalid, NotAllowed, WrongState
from backend.notifications.models import Notification
from backend.payments import inbox, payout_results, payout_reversals, payouts, statements
from backend.payments import services as payments
from backend.payments.models import MoneyOp, Payment, Payout, PayoutHold, SandboxRecord
from backend.payments.providers import sandbox
from backend.payments.providers.base import Result
from tests.bookings.making import wrong_books
from tests.factories import NOW, make_user
from tests.payments.desk import give_back
from tests.payments.hosts import LATER, SHARE, account, booked, earn, owes, send, settle_open, shown

pytestmark = pytest.mark.usefixtures("db")


def _kinds(user: User) -> list[str]:
    return list(Notification.objects.filter(user=user).order_by("id").values_list("kind", flat=True))


def _ops() -> list[tuple[str, str, int]]:
    rows = MoneyOp.objects.filter(payout__isnull=False).order_by("created_at", "kind")
    return list(rows.values_list("kind", "state", "amount_minor"))


def test_refused_payout_is_tried_again_later_and_then_waits_for_staff() -> None:
    host, finance = make_user(), make_user("finance")
    account(host, "decline")
    folio = earn(host)
    at = LATER

    waits = []
    for _number in range(4):
        assert len(send(at).ops) == 1
        payout = Payout.objects.get()
        waits.append(payout.due_at - at)
        at = payout.due_at
    assert waits[:3] == [timedelta(hours=1), timedelta(hours=6), timedelta(hours=24)]
    assert (payout.status, payout.attempts, payout.failure_code, payout.needs_attention) == (
        "failed",
        4,
        "card_declined",
        True,
    )
    assert send(at + timedelta(days=9)).ops == []
    assert _kinds(host) == ["payout.failed"] * 4
    assert owes(folio) == SHARE
    assert wrong_books() == {}

    payouts.retry(actor=finance, payout_id=payout.pk, reason="The bank was closed.", now=at)
    assert shown(host) == [("scheduled", SHARE, SHARE, "EUR", [])]
    assert len(send(at).ops) == 1
    assert Payout.objects.get().attempts == 1
    assert len({op.pk for op in MoneyOp.objects.filter(kind="payout")}) == 5
    assert AuditEntry.objects.get(action="payout.retry").reason == "The bank was closed."


def test_retry_refused_changes_nothing() -> None:
    host, finance = make_user(), make_user("finance")
    account(host)
    earn(host)
    payout = Payout.objects.get()

    with pytest.raises(payouts.NothingToRetry):
        payouts.retry(actor=finance, payout_id=payout.pk, reason="Why not", now=LATER)
    with pytest.raises(NotAllowed):
        payouts.retry(actor=host, payout_id=payout.pk, reason="I want it", now=LATER)
    with pytest.raises(Invalid):
        payouts.hold(actor=finance, payout_id=payout.pk, reason=" ", now=LATER)
    send()
    for refused in (payouts.retry, payouts.pay_now, payouts.hold, payouts.release):
        with pytest.raises(WrongState):
            refused(actor=finance, payout_id=payout.pk, reason="Too late", now=LATER)

    assert shown(host) == [("paid", SHARE, SHARE, "EUR", [])]
    assert not AuditEntry.objects.filter(action__startswith="payout.").exists()
    assert not PayoutHold.objects.exists()


def test_unknown_payout_is_sent_again_under_the_same_key() -> None:
    host = make_user()
    account(host, "timeout")
    earn(host)

    send()
    assert (_ops(), shown(host)[0][0]) == ([("payout", "unknown", SHARE)], "scheduled")
    assert send(LATER + timedelta(minutes=1)).ops == []

    assert (_ops(), shown(host)[0][0]) == ([("payout", "succeeded", SHARE)], "paid")
    assert list(SandboxRecord.objects.filter(kind="payout").values_list("calls", flat=True)) == [2]
    assert wrong_books() == {}


def test_pending_payout_is_settled_by_its_webhook() -> None:
    host = make_user()
    account(host, "pending")
    earn(host)
    send()
    op = MoneyOp.objects.get(kind="payout")
    assert op.state == "unknown"

    body, headers = sandbox.webhook(sandbox.settle_pending(str(op.pk)), now=LATER)
    inbox.receive(provider="sandbox", body=body, headers=headers, now=LATER)
    settlement.apply_events(now=LATER)

    assert shown(host)[0][0] == "paid"
    assert wrong_books() == {}


def test_returned_payout_is_owed_again_and_waits_for_staff() -> None:
    host, finance = make_user(), make_user("finance")
    account(host, "return")
    folio = earn(host)
    send()
    op = MoneyOp.objects.get(kind="payout")
    assert shown(host)[0][0] == "paid"

    body, headers = sandbox.webhook(sandbox.settle_pending(str(op.pk)), now=LATER)
    inbox.receive(provider="sandbox", body=body, headers=headers, now=LATER)
    settlement.apply_events(now=LATER)

    assert shown(host) == [
        ("reversed", SHARE, SHARE, "EUR", []),
        ("on_hold", SHARE, SHARE, "EUR", ["staff"]),
    ]
    assert booked("payout.returned") == [("clearing:sandbox", "EUR", SHARE), ("host_payable", "EUR", -SHARE)]
    assert owes(folio) == SHARE
    assert _kinds(host) == ["payout.sent", "payout.on_hold", "payout.returned"]
    assert send(LATER + timedelta(days=9)).ops == []
    assert wrong_books() == {}

    again = Payout.objects.get(status="on_hold")
    account(host)
    payouts.retry(actor=finance, payout_id=again.pk, reason="The host has checked it.", now=LATER)
    assert (shown(host)[1][0], Payout.objects.get(pk=again.pk).needs_attention) == ("scheduled", False)
    (month,) = statements.of(host, LATER.date())
    assert [(row.kind, row.amount_minor) for row in month.rows] == [("payout", SHARE), ("returned", -SHARE)]
    assert (month.totals.gross_minor, month.totals.service_fees_minor, month.totals.net_minor) == (0, 0, 0)


def test_sent_payout_arrives_once() -> None:
    host = make_user()
    account(host)
    earn(host)
    (op,) = payouts.prepare_due(now=LATER).ops
    from backend.payments import sending

    sending.send(op.pk, now=LATER)
    with transaction.atomic():
        payments.record(op_id=op.pk, result=Result("succeeded", "tr_1", stage="sent"), now=LATER)
    payout = Payout.objects.get()
    assert (payout.status, payout.sent_at, payout.paid_at) == ("sent", LATER, None)

    news = [payout_results.arrived(op_id=op.pk, now=LATER + timedelta(days=2)) for _again in range(2)]

    payout.refresh_from_db()
    assert (news, payout.status, payout.paid_at) == ([True, False], "paid", LATER + timedelta(days=2))
    assert len(booked("payout.sent")) == 2


def _refunded(folio_owner: User, amount: int) -> Payment:
    payout = Payout.objects.get(receiver=folio_owner)
    give_back(payout.folio, amount)
    return Payment.objects.get(kind="refund")


def test_refund_after_the_payout_is_taken_back_once() -> None:
    host = make_user()
    account(host)
    folio = earn(host)
    send()
    refund = _refunded(host, 10_000)
    debt = -owes(folio)
    assert 0 < debt < 10_000

    with transaction.atomic():
        first = payout_reversals.take_back(refund=refund, now=LATER)
        again = payout_reversals.take_back(refund=refund, now=LATER)
    settle_open()
    with transaction.atomic():
        later = payout_reversals.take_back(refund=refund, now=LATER)

    assert (len(first), again, later) == (1, [], [])
    assert _ops() == [("payout", "succeeded", SHARE), ("reverse", "succeeded", debt)]
    assert booked("payout.taken_back") == [
        ("clearing:sandbox", "EUR", debt),
        ("host_payable", "EUR", -debt),
    ]
    assert (owes(folio), shown(host)[0][0]) == (0, "paid")
    (month,) = statements.of(host, LATER.date())
    assert [(row.kind, row.amount_minor) for row in month.rows] == [("payout", SHARE), ("taken_back", -debt)]
    assert wrong_books() == {}


def test_whole_refund_reverses_the_payout() -> None:
    host = make_user()
    account(host, currency="USD")
    folio = earn(host)
    send()
    refund = _refunded(host, 31_500)

    with transaction.atomic():
        payout_reversals.take_back(refund=refund, now=LATER)
    settle_open()

    payout = Payout.objects.get()
    assert (payout.status, payout.reversed_at, owes(folio)) == ("reversed", LATER, 0)
    assert _ops() == [("payout", "succeeded", payout.paid_minor), ("reverse", "succeeded", payout.paid_minor)]
    (month,) = statements.of(host, LATER.date())
    assert [row.kind for row in month.rows] == ["payout", "taken_back"]
    assert month.totals.net_minor == 0
    assert wrong_books() == {}


def test_what_cannot_be_taken_back_is_netted_from_the_next_payout_without_a_loop() -> None:
    host = make_user()
    account(host, "spent")
    folio = earn(host)
    send()
    refund = _refunded(host, 10_000)
    debt = -owes(folio)
    with transaction.atomic():
        payout_reversals.take_back(refund=refund, now=LATER)
    settle_open()
    assert _ops()[1] == ("reverse", "failed", debt)
    with transaction.atomic():
        assert payout_reversals.take_back(refund=refund, now=LATER) == []

    earn(host, now=LATER)
    send()

    assert shown(host)[1] == ("paid", SHARE, SHARE - debt, "EUR", [])
    assert owes(folio) == 0
    assert wrong_books() == {}


def test_hold_of_staff_stops_a_payout_until_it_is_released() -> None:
    host, support, finance = make_user(), make_user("support"), make_user("finance")
    account(host)
    earn(host)
    payout = Payout.objects.get()

    payouts.hold(actor=support, payout_id=payout.pk, reason="A guest has called.", now=NOW)
    assert shown(host) == [("on_hold", SHARE, SHARE, "EUR", ["staff"])]
    held = PayoutHold.objects.get()
    assert (held.owner, held.note) == (support, "A guest has called.")
    assert send().ops == []
    with pytest.raises(NotAllowed):
        payouts.release(actor=support, payout_id=payout.pk, reason="Fine", now=LATER)
    payouts.release(actor=finance, payout_id=payout.pk, reason="All is well.", now=LATER)
    with pytest.raises(WrongState):
        payouts.release(actor=finance, payout_id=payout.pk, reason="Again", now=LATER)

    held.refresh_from_db()
    assert (held.released_by, held.released_at) == (finance, LATER)
    assert len(send().ops) == 1
    actions = AuditEntry.objects.filter(action__startswith="payout.").order_by("id")
    assert list(actions.values_list("action", "actor", "reason")) == [
        ("payout.hold", support.pk, "A guest has called."),
        ("payout.release", finance.pk, "All is well."),
    ]


def test_pay_now_makes_a_payout_due_but_does_not_overrule_a_hold() -> None:
    host, finance = make_user(), make_user("finance")
    earn(host, due_at=LATER + timedelta(days=5))
    payout = Payout.objects.get()

    payouts.pay_now(actor=finance, payout_id=payout.pk, reason="In need.", now=LATER)
    assert send().ops == []
    account(host)
    assert len(send().ops) == 1

    payout.refresh_from_db()
    assert (payout.status, payout.due_at) == ("paid", LATER)
    assert wrong_books() == {}


def test_finance_does_not_let_their_own_payout_go() -> None:
    both = make_user("host", "finance")
    account(both)
    earn(both)
    payout = Payout.objects.get()
    payouts.hold(actor=both, payout_id=payout.pk, reason="Wait", now=NOW)

    with pytest.raises(NotAllowed):
        payouts.release(actor=both, payout_id=payout.pk, reason="Mine", now=NOW)

    assert shown(both)[0][0] == "on_hold"


def test_hold_for_folio_stops_its_payouts_and_lets_them_go() -> None:
    host = make_user()
    account(host)
    folio = earn(host)

    with transaction.atomic():
        held = payouts.hold_for_folio(folio=folio, reason="dispute", note="bank", now=NOW)
        again = payouts.hold_for_folio(folio=folio, reason="dispute", note="bank", now=NOW)
    assert ([one.pk for one in held], len(again)) == ([Payout.objects.get().pk], 1)
    assert PayoutHold.objects.count() == 1
    assert send().ops == []
    with transaction.atomic():
        freed = payouts.release_for_folio(folio=folio, reason="dispute", now=LATER)
        nothing = payouts.release_for_folio(folio=folio, reason="dispute", now=LATER)

    assert ([one.status for one in freed], nothing) == (["scheduled"], [])
    assert len(send().ops) == 1


def test_hold_comes_too_late_for_what_is_on_its_way() -> None:
    host = make_user()
    account(host, "timeout")
    folio = earn(host)
    send()

    with transaction.atomic():
        assert payouts.hold_for_folio(folio=folio, reason="dispute", now=LATER) == []
    assert shown(host) == [("scheduled", SHARE, SHARE, "EUR", ["dispute"])]
    settle_open(LATER + timedelta(minutes=1))

    assert shown(host) == [("paid", SHARE, SHARE, "EUR", [])]
    assert wrong_books() == {}
