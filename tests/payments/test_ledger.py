"""The books: what may be posted, and what the database refuses whoever writes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import IntegrityError, ProgrammingError, connection, transaction
from django.db.backends.utils import CursorWrapper
from hypothesis import given
from hypothesis import strategies as st
from psycopg.errors import InsufficientPrivilege

from backend.audit import services as audit
from backend.core.access import SYSTEM
from backend.local.postgres import UNBOUND_ROLE
from backend.payments import folios, ledger
from backend.payments.folios import Line
from backend.payments.ledger import Entry, Unbalanced
from backend.payments.models import Document, FolioLine, LedgerEntry, LedgerTransaction, MoneyOp, Payment
from tests.factories import NOW
from tests.payments.desk import TOTAL, give_back, make_folio, pay, start

pytestmark = pytest.mark.usefixtures("db")

PAIR = [Entry("clearing:sandbox", 500, "EUR"), Entry("guest_funds", -500, "EUR")]


def refused(constraint: str, sql: str, *values: object) -> None:
    """Assert that the database refuses ``sql`` by the constraint's name."""
    with pytest.raises(IntegrityError) as refusal, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, values)
    assert refusal.value.__cause__.diag.constraint_name == constraint  # type: ignore[union-attr]


def test_post_writes_balanced_entries_and_leaves_zeros_out() -> None:
    ledger.post(cause="test", entries=[*PAIR, Entry("tax", 0, "EUR")], now=NOW)

    assert ledger.trial_balance() == {("clearing:sandbox", "EUR"): 500, ("guest_funds", "EUR"): -500}


@pytest.mark.parametrize(
    "entries",
    [
        [],
        PAIR[:1],
        [*PAIR, Entry("tax", 1, "EUR")],
        [Entry("clearing:sandbox", 500, "EUR"), Entry("guest_funds", -500, "USD")],
        [Entry("pocket", 500, "EUR"), Entry("guest_funds", -500, "EUR")],
        [Entry("tax", 0, "EUR"), Entry("revenue", 0, "EUR")],
    ],
)
def test_post_refuses_what_does_not_balance(entries: list[Entry]) -> None:
    with pytest.raises(Unbalanced):
        ledger.post(cause="test", entries=entries, now=NOW)

    assert (LedgerTransaction.objects.count(), LedgerEntry.objects.count()) == (0, 0)


@pytest.mark.parametrize(
    "amounts",
    [[], [("EUR", 500)], [("EUR", 500), ("EUR", -499)], [("EUR", 500), ("USD", -500)]],
)
def test_ledger_that_does_not_sum_to_zero_cannot_commit(amounts: list[tuple[str, int]]) -> None:
    begun = transaction.atomic()
    begun.__enter__()
    posted = LedgerTransaction.objects.create(cause="test", at=NOW)
    for currency, amount in amounts:
        LedgerEntry.objects.create(transaction=posted, account="tax", currency=currency, amount_minor=amount)
    assert LedgerTransaction.objects.count() == 1, "the sum is judged at commit, not before"

    with pytest.raises(IntegrityError) as refusal:
        begun.__exit__(None, None, None)

    assert refusal.value.__cause__.diag.constraint_name == "ledger_sums_to_zero"  # type: ignore[union-attr]
    assert LedgerTransaction.objects.count() == 0


def test_ledger_refuses_a_later_entry_that_breaks_the_sum() -> None:
    posted = ledger.post(cause="test", entries=PAIR, now=NOW)

    with pytest.raises(IntegrityError):
        LedgerEntry.objects.create(transaction=posted, account="tax", currency="EUR", amount_minor=1)

    assert LedgerEntry.objects.count() == 2


WRITTEN_ONCE = {
    "ledger_transactions": "cause",
    "ledger_entries": "amount_minor",
    "folio_lines": "amount_minor",
    "documents": "total_minor",
    "audit_log": "reason",
}
"""Each with a column that says something."""


@contextmanager
def with_every_right() -> Iterator[CursorWrapper]:
    """As somebody whom only the triggers bind."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL ROLE {UNBOUND_ROLE}")
        yield cursor


def rows(table: str) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table} ORDER BY id")  # noqa: S608 - names from above
        return cursor.fetchall()


def written_once() -> None:
    """A row in each of the tables that are written once."""
    payment = pay(make_folio())
    audit.record(actor=SYSTEM, action="test", subject=payment, now=NOW)
    Document.objects.create(
        kind="receipt",
        issuer="KRB",
        year=2027,
        number=1,
        reference="KRB-1",
        recipient=payment.folio.guest,
        payment=payment,
        language="en",
        currency="EUR",
        total_minor=TOTAL,
        data={},
        issued_at=NOW,
    )


@pytest.mark.parametrize(("table", "column"), WRITTEN_ONCE.items())
def test_application_has_no_right_to_change_what_is_written_once(table: str, column: str) -> None:
    written_once()
    before = rows(table)

    changed = f"UPDATE {table} SET {column} = {column}"  # noqa: S608 - names from above
    for statement in (changed, f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"):  # noqa: S608
        with pytest.raises(ProgrammingError) as refusal, transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
        assert isinstance(refusal.value.__cause__, InsufficientPrivilege)

    assert rows(table) == before != []


@pytest.mark.parametrize("table", WRITTEN_ONCE)
def test_triggers_refuse_whom_rights_do_not_bind(table: str) -> None:
    written_once()
    before = rows(table)

    rule = "documents_immutable" if table == "documents" else f"{table}_append_only"
    for statement, name in {
        f"UPDATE {table} SET id = id + 1000": rule,  # noqa: S608 - names from above
        f"DELETE FROM {table}": rule,  # noqa: S608
        f"TRUNCATE {table} CASCADE": f"{table}_not_emptied",
    }.items():
        with pytest.raises(IntegrityError) as refusal, with_every_right() as cursor:
            cursor.execute(statement)
        assert refusal.value.__cause__.diag.constraint_name == name  # type: ignore[union-attr]

    assert rows(table) == before != []


def test_application_that_may_change_the_key_column_still_may_not() -> None:
    """The right that foreign keys need is no way around: the trigger refuses what it would allow."""
    pay(make_folio())

    for table in ("ledger_transactions", "ledger_entries", "folio_lines"):
        refused(f"{table}_append_only", f"UPDATE {table} SET id = id + 1000")  # noqa: S608 - names from above


def test_states_move_along_their_edges_only() -> None:
    folio = make_folio()
    payment = pay(folio)

    refused("payments_status_edge", "UPDATE payments SET status = 'pending'")
    refused("money_ops_state_edge", "UPDATE money_ops SET state = 'failed'")

    assert Payment.objects.get().status == payment.status
    assert MoneyOp.objects.get().state == "succeeded"


def test_terms_of_a_payment_are_frozen() -> None:
    start(make_folio())

    refused("payments_terms_frozen", "UPDATE payments SET amount_minor = 1")
    refused("money_ops_terms_frozen", "UPDATE money_ops SET amount_minor = 1")
    refused("money_ops_terms_frozen", "UPDATE money_ops SET kind = 'refund'")

    assert MoneyOp.objects.get().amount_minor == TOTAL


def test_one_operation_is_booked_once() -> None:
    folio = make_folio()
    pay(folio)

    with pytest.raises(IntegrityError), transaction.atomic():
        ledger.post(cause="again", entries=PAIR, money_op=MoneyOp.objects.get(), now=NOW)

    assert LedgerTransaction.objects.count() == 1


def test_one_payment_has_one_open_operation_and_one_pending_payment_a_folio() -> None:
    op = start(make_folio())

    for model, row in ((MoneyOp, op), (Payment, op.payment)):
        row = model.objects.get(pk=row.pk)
        row._state.adding = True
        row.pk = None if model is Payment else "00000000-0000-4000-8000-000000000001"
        if isinstance(row, Payment):
            row.reference = "P-OTHER"
        with pytest.raises(IntegrityError), transaction.atomic():
            row.save(force_insert=True)

    assert (MoneyOp.objects.count(), Payment.objects.count()) == (1, 1)


def test_balances_are_those_of_the_folio() -> None:
    folio, other = make_folio(), make_folio()
    pay(folio)
    pay(other)
    give_back(folio, 500)

    assert ledger.balances(folio) == {"clearing:sandbox": TOTAL - 500, "guest_funds": 500 - TOTAL}


def test_open_folio_refuses_what_is_no_account() -> None:
    for lines in ([], [Line("guest", "night", 1, -1, -1)], [Line("host", "service_fee", 1, -1, -1)]):
        with pytest.raises(ValueError):
            make_folio(lines) if lines else folios.open_folio(
                guest=None,
                host=None,
                currency="EUR",
                lines=[],
                now=NOW,  # type: ignore[arg-type]
            )
    with pytest.raises(ValueError):
        Line("host", "service_fee", 1, 1, 1)

    assert FolioLine.objects.count() == 0


amounts = st.integers(min_value=0, max_value=10**9)


@given(nights=amounts, cleaning=amounts, guest_fee=amounts, tax=amounts, percent=st.integers(0, 100))
def test_shares_sum_to_what_the_guest_pays(
    nights: int, cleaning: int, guest_fee: int, tax: int, percent: int
) -> None:
    host_fee = nights * percent // 100
    lines = [
        Line("guest", "night", 1, nights, nights),
        Line("guest", "cleaning", 1, cleaning, cleaning),
        Line("guest", "service_fee", 1, guest_fee, guest_fee),
        Line("guest", "tax", 1, tax, tax),
        Line("host", "service_fee", 1, -host_fee, -host_fee),
    ]

    shares = folios.shares_of(lines)

    assert shares.total == nights + cleaning + guest_fee + tax
    assert (shares.host, shares.revenue, shares.tax) == (
        nights + cleaning - host_fee,
        guest_fee + host_fee,
        tax,
    )


@given(st.lists(st.tuples(st.sampled_from(["EUR", "JPY"]), st.integers(-(10**12), 10**12)), max_size=6))
def test_post_takes_exactly_what_balances(amounts: list[tuple[str, int]]) -> None:
    """Every list of entries either stands in the books as it was given, or leaves no trace."""
    sums: dict[str, int] = defaultdict(int)
    for currency, amount in amounts:
        sums[currency] += amount
    balances = not any(sums.values()) and sum(1 for _, amount in amounts if amount) >= 2

    with transaction.atomic():
        before = LedgerEntry.objects.count()
        try:
            posted = ledger.post(
                cause="test", entries=[Entry("fx", amount, currency) for currency, amount in amounts], now=NOW
            )
        except Unbalanced:
            assert not balances
            assert LedgerEntry.objects.count() == before
        else:
            assert balances
            written = list(posted.entries.order_by("id").values_list("currency", "amount_minor"))
            assert written == [each for each in amounts if each[1]]
