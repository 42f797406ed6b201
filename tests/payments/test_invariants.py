"""Each invariant holds after honest work, and finds the damage that it is there for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import connection, transaction

from backend.payments import inbox, reconciliation
from backend.payments import services as payments
from backend.payments.folios import Charge
from backend.payments.invariants import CHECKS
from backend.payments.models import MoneyOp, ReconciliationDifference, SandboxRecord
from backend.payments.providers import sandbox
from tests.damage import plant
from tests.factories import NOW
from tests.payments.desk import TOTAL, authorize, give_back, make_folio, pay, settle, start

pytestmark = pytest.mark.usefixtures("db")


def violated() -> set[str]:
    """The names of the checks that return something."""
    found = set()
    with connection.cursor() as cursor:
        for check in CHECKS:
            cursor.execute(check.sql, {"now": NOW + timedelta(hours=1), "seen": NOW + timedelta(hours=1)})
            if cursor.fetchall():
                found.add(check.name)
    return found


@contextmanager
def unguarded(*tables: str) -> Iterator[None]:
    """With the triggers off, as an owner can."""
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        try:
            yield
        finally:
            for table in tables:
                cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def a_day_at_the_till() -> None:
    """Every kind of payment in every state, through the operations."""
    for outcome in ("succeed", "decline", "pending", "timeout"):
        settle(start(make_folio(), outcome))
    start(make_folio())
    voided, captured = authorize(make_folio()), authorize(make_folio())
    authorize(make_folio())
    with transaction.atomic():
        ops = [payments.void(payment=voided, now=NOW), payments.capture(payment=captured, now=NOW)]
        payments.abandon(payment=start(make_folio()).payment, now=NOW)
    for op in ops:
        settle(op)
    for amount in (1, TOTAL):
        folio = make_folio()
        pay(folio)
        give_back(folio, amount)
        with transaction.atomic():
            payments.earned(folio=folio, now=NOW)
    folio = make_folio()
    pay(folio)
    with transaction.atomic():
        payments.earned(folio=folio, now=NOW)
    give_back(folio, 500)
    in_dollars()


def in_dollars() -> None:
    """A guest pays for a stay in euros with dollars, and gets a third of it back, and all of another."""
    rate = Charge("USD", Decimal("1.0837"), NOW.date(), "test")
    for back in (TOTAL // 3, TOTAL):
        folio = make_folio(charge=rate)
        pay(folio)
        give_back(folio, back)


def test_invariants_hold_after_honest_work() -> None:
    assert violated() == set()

    a_day_at_the_till()

    assert violated() == set()
    assert reconciliation.differences(now=NOW) == []


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        (
            "UPDATE ledger_entries SET amount_minor = amount_minor + 1 WHERE account = 'guest_funds'",
            {"ledger_sums_to_zero"},
        ),
        (
            "DELETE FROM ledger_entries WHERE transaction_id = (SELECT min(id) FROM ledger_transactions)",
            {"ledger_sums_to_zero", "money_is_booked_once"},
        ),
        (
            "UPDATE ledger_entries SET amount_minor = amount_minor * 2 WHERE transaction_id IN "
            "(SELECT id FROM ledger_transactions WHERE cause = 'payment.captured')",
            {"money_is_booked_once"},
        ),
        (
            "UPDATE ledger_transactions SET money_op_id = NULL",
            {"money_is_booked_once"},
        ),
        (
            "UPDATE payments SET status = 'completed' WHERE status = 'pending'",
            {"payment_follows_its_operations"},
        ),
        (
            "UPDATE payments SET status = 'failed' WHERE status = 'partially_refunded'",
            {"payment_follows_its_operations"},
        ),
        (
            "UPDATE money_ops SET state = 'unknown' WHERE state = 'succeeded' AND kind = 'charge'",
            {"payment_follows_its_operations", "money_is_booked_once"},
        ),
        ("UPDATE money_ops SET currency = 'USD'", {"operation_matches_its_payment"}),
        (
            "UPDATE payments SET refunded_minor = 1 WHERE status = 'partially_refunded'",
            {"refunds_add_up"},
        ),
        (
            "UPDATE payments SET status = 'refunded' WHERE status = 'partially_refunded'",
            {"refunds_add_up"},
        ),
        (
            "UPDATE folio_lines SET amount_minor = amount_minor / 2 WHERE side = 'guest'",
            {"guest_pays_once"},
        ),
        (
            "UPDATE ledger_transactions SET folio_id = (SELECT max(id) FROM folios) WHERE cause = 'payment.captured'",
            {"folio_money_is_where_it_belongs"},
        ),
        (
            "UPDATE sandbox_journal SET amount_minor = amount_minor + 1 WHERE kind = 'charge'",
            {"sandbox_agrees"},
        ),
        ("UPDATE sandbox_journal SET state = 'declined'", {"sandbox_agrees"}),
        ("DELETE FROM sandbox_journal", {"sandbox_agrees"}),
        (
            "UPDATE payments SET charged_minor = charged_minor - 1 WHERE kind = 'refund'",
            {"charged_parts_make_the_whole"},
        ),
        (
            "UPDATE ledger_entries SET amount_minor = amount_minor + 1 WHERE account = 'fx' AND currency = 'USD'",
            {"exchange_is_booked"},
        ),
        (
            "UPDATE ledger_entries SET account = 'fx' WHERE account = 'guest_funds' AND amount_minor < 0",
            {"exchange_is_booked"},
        ),
    ],
)
def test_invariants_find_planted_damage(sql: str, names: set[str]) -> None:
    settle(start(make_folio(), "pending"))
    folio = make_folio()
    pay(folio)
    give_back(folio, 500)
    make_folio()
    in_dollars()
    assert violated() == set()

    plant(sql)

    assert names <= violated()


def test_invariants_find_a_charge_that_we_know_nothing_of() -> None:
    SandboxRecord.objects.create(
        key=str(uuid4()),
        reference="sbx_stray",
        kind="charge",
        amount_minor=100,
        currency="EUR",
        outcome="succeed",
        state="succeeded",
        created_at=NOW,
    )

    assert violated() == {"sandbox_agrees"}
    assert [(each.what, each.theirs) for each in reconciliation.differences(now=NOW)] == [
        ("unknown_to_us", "succeeded")
    ]


@pytest.mark.parametrize(
    "table",
    [
        *(
            "ledger_entries",
            "ledger_transactions",
            "folio_lines",
            "payments",
            "money_ops",
            "folios",
            "payouts",
        ),
        *("disputes", "refund_requests", "documents", "document_series", "audit_log"),
    ],
)
def test_invariants_find_a_disabled_guard(table: str) -> None:
    with unguarded(table):
        assert violated() == {"books_are_guarded"}

    assert violated() == set()


@pytest.mark.parametrize(
    "right",
    [
        "UPDATE ON ledger_entries",
        "DELETE ON ledger_transactions",
        "TRUNCATE ON folio_lines",
        "DELETE ON documents",
        "UPDATE ON document_series",
        "DELETE ON audit_log",
    ],
)
def test_invariants_find_a_right_that_nobody_should_have(right: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"GRANT {right} TO CURRENT_USER")
        try:
            assert violated() == {"books_are_write_once"}
        finally:
            cursor.execute(f"REVOKE {right} FROM CURRENT_USER")
            cursor.execute("GRANT UPDATE (id) ON ledger_entries, document_series TO CURRENT_USER")
            cursor.execute("GRANT UPDATE (last_number) ON document_series TO CURRENT_USER")

    assert violated() == set()


def test_invariants_find_an_inbox_that_nobody_drains() -> None:
    op = settle(start(make_folio())).op
    body, headers = sandbox.webhook(SandboxRecord.objects.get(key=str(op.pk)), now=NOW)
    received = NOW - timedelta(seconds=1)
    inbox.receive(provider="sandbox", body=body, headers=headers, now=received)
    assert violated() == {"events_are_applied"}

    inbox.mark(inbox.waiting()[0], outcome="applied", now=NOW)

    assert violated() == set()


def test_invariants_find_operations_without_an_outcome() -> None:
    op = settle(start(make_folio(), "timeout")).op
    assert violated() == set()

    MoneyOp.objects.filter(pk=op.pk).update(created_at=NOW - timedelta(hours=48))

    assert violated() == {"operations_are_settled"}


def test_invariants_find_a_difference_that_nobody_explains() -> None:
    op = settle(start(make_folio())).op
    SandboxRecord.objects.filter(key=str(op.pk)).update(amount_minor=1)
    reconciliation.reconcile(now=NOW)
    assert violated() == {"sandbox_agrees"}

    ReconciliationDifference.objects.update(first_seen_at=NOW - timedelta(seconds=1))

    assert violated() == {"sandbox_agrees", "differences_are_settled"}
    ReconciliationDifference.objects.update(settled_at=NOW)
    assert violated() == {"sandbox_agrees"}
