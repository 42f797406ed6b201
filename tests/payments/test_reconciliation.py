"""What a provider's list says beside our own operations: nothing else, or a difference that somebody must explain."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial
from uuid import uuid4

import pytest
from django.db import transaction

from backend.audit.models import AuditEntry
from backend.core.db import ProviderCallInTransaction
from backend.core.errors import Invalid, NotAllowed, NotFound, WrongState
from backend.payments import reconciliation
from backend.payments.models import MoneyOp, ReconciliationDifference, ReconciliationRun, SandboxRecord
from backend.payments.providers import registry
from backend.payments.providers.base import Movement, ProviderUnavailable
from backend.payments.providers.sandbox import Sandbox
from backend.payments.reconciliation import LAG, WINDOW, Standing
from tests.damage import plant
from tests.factories import NOW, make_user
from tests.payments.desk import TOTAL, give_back, make_folio, pay, settle, start
from tests.racing import race

pytestmark = pytest.mark.usefixtures("db")

LATER = NOW + timedelta(hours=1)


class Deaf(Sandbox):
    """A provider whose list cannot be had."""

    name = "deaf"
    error: Exception = ProviderUnavailable("no answer in 20 s")

    def list_recent(self, since: datetime) -> Iterable[Movement]:
        raise self.error


def stray(key: str = "", **values: object) -> SandboxRecord:
    """An order in the sandbox's journal that we never wrote down."""
    given = {
        "key": key or str(uuid4()),
        "reference": f"sbx_{uuid4().hex[:8]}",
        "kind": "charge",
        "amount_minor": 100,
        "currency": "EUR",
        "outcome": "succeed",
        "state": "succeeded",
        "created_at": NOW,
        **values,
    }
    return SandboxRecord.objects.create(**given)


def seen() -> list[tuple[str, str, str, str]]:
    """The differences that are open: key, what, ours, theirs."""
    rows = ReconciliationDifference.objects.filter(settled_at=None).order_by("id")
    return list(rows.values_list("key", "what", "ours", "theirs"))


def test_reconcile_finds_nothing_after_honest_work() -> None:
    for outcome in ("succeed", "decline", "pending", "timeout"):
        settle(start(make_folio(), outcome))
    start(make_folio())
    folio = make_folio()
    pay(folio)
    give_back(folio, 500)

    assert reconciliation.reconcile(now=LATER) == {"compared": 6, "differences": 0, "failed": 0}

    assert seen() == []
    run = ReconciliationRun.objects.get()
    assert (run.provider, run.since, run.until, run.compared, run.differences, run.failure) == (
        "sandbox",
        LATER - reconciliation.LONG_WINDOW,
        LATER,
        6,
        0,
        "",
    )


def test_reconcile_keeps_each_difference_from_first_to_last_sight() -> None:
    paid, declined = pay(make_folio()).ops.get(), settle(start(make_folio(), "decline")).op
    lost = pay(make_folio()).ops.get()
    SandboxRecord.objects.filter(key=str(paid.pk)).update(amount_minor=1)
    SandboxRecord.objects.filter(key=str(declined.pk)).update(state="succeeded")
    SandboxRecord.objects.filter(key=str(lost.pk)).delete()
    unasked = stray()

    first = reconciliation.reconcile(now=LATER)
    again = reconciliation.reconcile(now=LATER + timedelta(minutes=10))

    assert first == again == {"compared": 3, "differences": 4, "failed": 0}
    assert sorted(seen()) == sorted(
        [
            (str(paid.pk), "terms", f"charge {TOTAL} EUR", "charge 1 EUR"),
            (str(declined.pk), "outcome", "failed", "succeeded"),
            (str(lost.pk), "unknown_to_them", "succeeded", ""),
            (unasked.key, "unknown_to_us", "", "succeeded"),
        ]
    )
    sights = set(ReconciliationDifference.objects.values_list("first_seen_at", "last_seen_at", "note"))
    assert sights == {(LATER, LATER + timedelta(minutes=10), "")}


def test_reconcile_settles_what_is_gone() -> None:
    op = pay(make_folio()).ops.get()
    SandboxRecord.objects.filter(key=str(op.pk)).update(amount_minor=1)
    unasked = stray()
    reconciliation.reconcile(now=LATER)

    SandboxRecord.objects.filter(key=str(op.pk)).update(amount_minor=TOTAL)
    SandboxRecord.objects.filter(pk=unasked.pk).update(state="declined")
    done = LATER + timedelta(minutes=10)

    assert reconciliation.reconcile(now=done) == {"compared": 2, "differences": 0, "failed": 0}
    assert set(ReconciliationDifference.objects.values_list("what", "settled_at")) == {
        ("terms", done),
        ("unknown_to_us", done),
    }


def test_reconcile_leaves_what_lies_before_its_window_to_a_person() -> None:
    unasked = stray(created_at=NOW - WINDOW)
    reconciliation.reconcile(now=NOW)
    assert [row[0] for row in seen()] == [unasked.key]

    reconciliation.reconcile(now=NOW + timedelta(minutes=10))

    assert [row[0] for row in seen()] == [unasked.key]


def test_reconcile_gives_a_providers_list_time_to_catch_up() -> None:
    op = pay(make_folio()).ops.get()
    SandboxRecord.objects.filter(key=str(op.pk)).delete()

    early = reconciliation.reconcile(now=NOW + LAG - timedelta(seconds=1))
    due = reconciliation.reconcile(now=NOW + LAG)

    assert (early["differences"], due["differences"]) == (0, 1)


def test_reconcile_asks_by_name_for_what_is_not_listed() -> None:
    pay(make_folio())
    SandboxRecord.objects.update(created_at=NOW - timedelta(days=30))

    assert reconciliation.reconcile(now=LATER) == {"compared": 0, "differences": 0, "failed": 0}


def test_reconcile_does_not_miss_what_a_provider_never_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    op = pay(make_folio()).ops.get()
    SandboxRecord.objects.filter(key=str(op.pk)).delete()
    monkeypatch.setattr(Sandbox, "lists", Sandbox.lists - {"charge"})

    assert reconciliation.reconcile(now=LATER) == {"compared": 0, "differences": 0, "failed": 0}


def test_reconcile_takes_a_refund_that_came_back_as_both_tell_it() -> None:
    folio = make_folio()
    pay(folio)
    (refund,) = give_back(folio, TOTAL)
    SandboxRecord.objects.filter(key=str(refund.pk)).update(state="declined")
    assert reconciliation.reconcile(now=LATER)["differences"] == 1

    plant("UPDATE payments SET status = 'failed' WHERE kind = 'refund'")

    assert reconciliation.reconcile(now=LATER)["differences"] == 0


def test_compare_finds_a_second_order_under_one_key() -> None:
    op = pay(make_folio()).ops.get()

    class Doubled(Sandbox):
        def list_recent(self, since: datetime) -> Iterable[Movement]:
            (once,) = super().list_recent(since)
            yield once
            yield Movement(once.key, once.kind, "sbx_second", once.amount_minor, once.currency, once.status)

    found = reconciliation.compare(Doubled(), since=NOW, now=LATER)

    assert [(each.key, each.what, each.theirs) for each in found.differences] == [
        ("sbx_second", "unknown_to_us", "succeeded")
    ]
    assert found.keys == {str(op.pk), "sbx_second"}


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (ProviderUnavailable("no answer in 20 s"), "no answer: no answer in 20 s"),
        (KeyError("data"), "KeyError: 'data'"),
    ],
)
def test_reconcile_counts_a_provider_that_does_not_answer_as_a_failed_run(
    monkeypatch: pytest.MonkeyPatch, error: Exception, failure: str
) -> None:
    pay(make_folio())
    monkeypatch.setattr(Deaf, "error", error)
    monkeypatch.setattr(registry, "_real", lambda: [Deaf()])

    done = reconciliation.reconcile(now=LATER)

    assert done == {"compared": 1, "differences": 0, "failed": 1}
    assert dict(ReconciliationRun.objects.values_list("provider", "failure")) == {
        "deaf": failure,
        "sandbox": "",
    }
    assert reconciliation.standing() == [
        Standing("deaf", 0, None, failure),
        Standing("sandbox", 0, LATER, ""),
    ]


def test_reconcile_looks_far_back_once_a_day() -> None:
    instants = [NOW, NOW + timedelta(minutes=10), NOW + timedelta(hours=24)]

    for instant in instants:
        reconciliation.reconcile(now=instant)

    spans = [run.until - run.since for run in ReconciliationRun.objects.order_by("id")]
    assert spans == [reconciliation.LONG_WINDOW, reconciliation.WINDOW, reconciliation.LONG_WINDOW]


def test_reconcile_at_once_keeps_each_difference_once() -> None:
    stray()

    results = race(*[partial(reconciliation.reconcile, now=LATER)] * 4)

    assert results == [{"compared": 1, "differences": 1, "failed": 0}] * 4
    assert len(seen()) == 1


def test_reconcile_asks_no_provider_inside_a_transaction() -> None:
    with pytest.raises(ProviderCallInTransaction), transaction.atomic():
        reconciliation.reconcile(now=NOW)

    assert ReconciliationRun.objects.count() == 0


def test_settle_explains_a_difference_until_it_changes() -> None:
    unasked = stray()
    reconciliation.reconcile(now=LATER)
    person = make_user("finance")
    found = ReconciliationDifference.objects.get()

    reconciliation.settle(actor=person, difference_id=found.pk, note=" a test by hand ", now=LATER)

    assert reconciliation.reconcile(now=LATER) == {"compared": 1, "differences": 0, "failed": 0}
    found.refresh_from_db()
    assert (found.settled_at, found.note) == (LATER, "a test by hand")
    entry = AuditEntry.objects.get()
    assert (entry.actor_id, entry.action, entry.reason) == (
        person.pk,
        "reconciliation.settle",
        "a test by hand",
    )
    SandboxRecord.objects.filter(pk=unasked.pk).update(state="pending")
    assert reconciliation.reconcile(now=LATER)["differences"] == 1


@pytest.mark.parametrize(
    ("roles", "note", "error"),
    [
        (("finance",), "  ", Invalid),
        (("support",), "why", NotAllowed),
        (("guest", "host"), "why", NotAllowed),
    ],
)
def test_settle_refuses(roles: tuple[str, ...], note: str, error: type[Exception]) -> None:
    stray()
    reconciliation.reconcile(now=LATER)
    found = ReconciliationDifference.objects.get()

    with pytest.raises(error):
        reconciliation.settle(actor=make_user(*roles), difference_id=found.pk, note=note, now=LATER)

    found.refresh_from_db()
    assert (found.settled_at, found.note, AuditEntry.objects.count()) == (None, "", 0)


def test_settle_refuses_what_is_settled_or_not_there() -> None:
    stray()
    reconciliation.reconcile(now=LATER)
    found, person = ReconciliationDifference.objects.get(), make_user("admin")
    reconciliation.settle(actor=person, difference_id=found.pk, note="known", now=LATER)

    with pytest.raises(WrongState):
        reconciliation.settle(actor=person, difference_id=found.pk, note="again", now=NOW)
    with pytest.raises(NotFound):
        reconciliation.settle(actor=person, difference_id=found.pk + 1, note="other", now=NOW)

    found.refresh_from_db()
    assert (found.settled_at, found.note) == (LATER, "known")


def test_purge_forgets_old_runs_and_no_difference() -> None:
    stray()
    reconciliation.reconcile(now=NOW)
    reconciliation.reconcile(now=NOW + timedelta(days=1))

    assert reconciliation.purge(now=NOW + reconciliation.RUNS_KEPT + timedelta(seconds=1)) == 1

    assert list(ReconciliationRun.objects.values_list("ran_at", flat=True)) == [NOW + timedelta(days=1)]
    assert ReconciliationDifference.objects.count() == 1


def test_open_operations_are_no_difference() -> None:
    op = settle(start(make_folio(), "pending")).op
    assert MoneyOp.objects.get(pk=op.pk).state == "unknown"

    assert reconciliation.reconcile(now=LATER) == {"compared": 1, "differences": 0, "failed": 0}
