"""``db.prepared``: statements that are planned once on a connection."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from backend.audit.models import AuditEntry
from backend.core.db import Columns, insert, prepared
from backend.listings.models import Listing
from tests.factories import make_listing, make_user

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


def test_prepared_raw_takes_values_by_their_numbers() -> None:
    with prepared(raw=True) as cursor:
        cursor.execute("SELECT $2::text, $1::bigint + 1, $2 || '%s'", [5, "a"])
        assert cursor.fetchone() == ("a", 6, "a%s")

    with prepared(raw=True) as cursor:
        cursor.execute("SELECT $2::text, $1::bigint + 1, $2 || '%s'", [70_000, "b"])
        assert cursor.fetchone() == ("b", 70_001, "b%s")
    assert plans() == {"SELECT $2::text, $1::bigint + 1, $2 || '%s'": ("bigint", "text")}


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


def test_insert_writes_what_save_writes() -> None:
    at = datetime(2027, 3, 1, 9, tzinfo=UTC)
    values = {"at": at, "action": "a", "object_type": "b", "object_id": "1", "address": "2001:db8::1"}
    AuditEntry.objects.create(**values, before={"x": [1, "é"]}, reason="\\ ' %s")

    written = insert(AuditEntry(**values, before={"x": [1, "é"]}, reason="\\ ' %s"))

    # The database makes the rest anew for each entry.
    written_by_us = [field.name for field in AuditEntry._meta.fields if field.editable]
    saved, inserted = AuditEntry.objects.order_by("pk").values(*written_by_us)
    assert inserted.pop("id") == written.pk == saved.pop("id") + 1
    assert inserted == saved
    assert (written._state.adding, written._state.db) == (False, "default")
    written.refresh_from_db()
    assert written.before == {"x": [1, "é"]}


def test_columns_read_what_the_orm_reads() -> None:
    listing = make_listing(make_user("host"), min_nights_by_weekday={"5": 3}, arrival_weekdays=[1, 6])
    columns = Columns(Listing)

    with prepared() as cursor:
        cursor.execute(f"SELECT {columns.of('p')} FROM properties p WHERE id = %s", [listing.pk])  # noqa: S608
        read = columns.read(cursor.fetchone())

    known = Listing.objects.get(pk=listing.pk)
    names = [field.attname for field in Listing._meta.concrete_fields]
    assert {name: getattr(read, name) for name in names} == {name: getattr(known, name) for name in names}
