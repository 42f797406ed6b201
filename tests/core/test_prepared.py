"""``db.prepared``: statements that are planned once on a connection."""

from __future__ import annotations

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from backend.core.db import prepared

pytestmark = pytest.mark.usefixtures("db")

STATEMENT = "SELECT %s::bigint + 1, %s::date, %s"


def plans() -> dict[str, tuple[str, ...]]:
    """The statements that this connection keeps a plan for, with the types of their values."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement, parameter_types::text[] FROM pg_prepared_statements")
        return {statement: tuple(types) for statement, types in cursor.fetchall()}


@pytest.fixture(autouse=True)
def _new_connection(db: None) -> None:
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]


def test_prepared_plans_a_statement_once_whatever_its_values() -> None:
    answers = []
    for number in (1, 70_000, 3_000_000_000):
        with prepared() as cursor:
            cursor.execute(STATEMENT, [number, None, "word"])
            answers.append(cursor.fetchone())

    assert answers == [(2, None, "word"), (70_001, None, "word"), (3_000_000_001, None, "word")]
    assert plans() == {"SELECT $1::bigint + 1, $2::date, $3": ("bigint", "date", "text")}


def test_prepared_keeps_its_plans_through_a_rollback() -> None:
    with transaction.atomic():
        with prepared() as cursor:
            cursor.execute(STATEMENT, [1, None, ""])
        transaction.set_rollback(True)

    assert list(plans()) == ["SELECT $1::bigint + 1, $2::date, $3"]


def test_other_statements_are_not_prepared() -> None:
    for number in range(8):
        with connection.cursor() as cursor:
            cursor.execute("SELECT %s", [number])

    assert plans() == {}


def test_prepared_takes_part_in_the_transaction_and_in_the_count_of_queries() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM rate_counters")
    insert = "INSERT INTO rate_counters (key, count, resets_at) VALUES (%s, %s, clock_timestamp())"
    count = "SELECT count(*) FROM rate_counters WHERE key = ANY(%s)"

    with CaptureQueriesContext(connection) as captured, transaction.atomic():
        with prepared() as cursor:
            cursor.execute(insert, ["a:b", 5])
            cursor.execute(count, [["a:b", "c"]])
            inside = cursor.fetchone()
        transaction.set_rollback(True)
    with prepared() as cursor:
        cursor.execute(count, [["a:b", "c"]])
        after = cursor.fetchone()

    assert (inside, after) == ((1,), (0,))
    assert [query["sql"].split()[0] for query in captured.captured_queries] == [
        "BEGIN", "INSERT", "SELECT", "ROLLBACK"
    ]  # fmt: skip


def test_prepared_takes_numbers_that_are_no_ids() -> None:
    with prepared() as cursor:
        cursor.execute("SELECT %s = 1", [10**30])
        assert cursor.fetchone() == (False,)
