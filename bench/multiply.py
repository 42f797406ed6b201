"""A large platform out of a small one: every row of it copied as often as is wanted, with numbers of its own.

The rows of the demo are as the operations left them: bookings with folios, payments, notices, conversations. A copy moves
all ids by the same step, so that what belongs together stays together; what must be unique gets the copy's number.
Reference tables are shared. Nothing is checked while rows are written, since they are as right as those that they are of.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db import connection, models

STEP = 100_000
"""More than any table of the small platform has rows."""

SHARED = {
    *(
        "auth.Group",
        "auth.Permission",
        "auth.Group_permissions",
        "contenttypes.ContentType",
        "sessions.Session",
    ),
    *("core.Currency", "core.ExchangeRate", "listings.Amenity", "listings.Location", "listings.LocationName"),
    *("bookings.CancellationPolicy", "payments.ProviderRoute", "payments.DocumentSeries"),
}
"""What all copies stand on."""

LEFT = (
    "core.PlatformSetting",
    "core.Setting",
    "search.",
    "telemetry.",
    "procrastinate.",
    "analytics.",
    "privacy.",
)
"""What is one of its kind, or made anew from the rows."""


PLACES = ("accounts.", "listings.", "rates.")
"""What every copy has: people, their places and prices. What happened there only the first copies have."""


@dataclass(frozen=True)
class Column:
    """A column, and the SQL of what stands in it in copy ``c.n``."""

    name: str
    value: str


def multiply(copies: int, *, lively: int | None = None, say: Callable[[str], None] = print) -> None:
    """Add ``copies`` copies of all rows; after the first ``lively`` ones (none: all) only people and places.

    Raises: DatabaseError for a table whose rows cannot be copied.
    """
    lively = copies if lively is None else min(lively, copies)
    chosen = [model for model in apps.get_models(include_auto_created=True) if _is_copied(model)]
    tables = {model._meta.db_table for model in chosen}
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
        for table in tables:
            _let_go(cursor, table)
        for model in chosen:
            table = model._meta.db_table
            cursor.execute(f'SELECT count(*) FROM "{table}"')
            count = cursor.fetchone()[0]
            if not count:
                continue
            times = copies if model._meta.label.startswith(PLACES) else lively
            columns = _columns(cursor, model, tables)
            names = ", ".join(f'"{column.name}"' for column in columns)
            values = ", ".join(column.value for column in columns)
            cursor.execute(
                f'INSERT INTO "{table}" ({names}) SELECT {values} FROM "{table}" t, generate_series(1, %s) c(n)'
                " ON CONFLICT DO NOTHING",
                [times],
            )
            if count * times > 100_000:
                say(f"  {table}: {cursor.rowcount:,} rows")
            _move_sequence(cursor, table)
        for table in tables:
            cursor.execute(f'ALTER TABLE "{table}" ENABLE TRIGGER USER')
        cursor.execute("VACUUM ANALYZE")


def _let_go(cursor: Any, table: str) -> None:
    """Nothing follows or checks the table's rows: no trigger, and for good no foreign key."""
    cursor.execute(f'ALTER TABLE "{table}" DISABLE TRIGGER USER')
    cursor.execute(
        "SELECT conname FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'f'", [table]
    )
    for (name,) in cursor.fetchall():
        cursor.execute(f'ALTER TABLE "{table}" DROP CONSTRAINT "{name}"')


def _is_copied(model: type[models.Model]) -> bool:
    label = model._meta.label
    return bool(model._meta.managed and label not in SHARED and not label.startswith(LEFT))


def _columns(cursor: Any, model: type[models.Model], tables: set[str]) -> list[Column]:
    """The columns that can be written, each with what a copy has in it."""
    table = model._meta.db_table
    cursor.execute(
        "SELECT column_name, data_type, character_maximum_length FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name = %s AND is_generated = 'NEVER' ORDER BY ordinal_position",
        [table],
    )
    kinds = {name: (kind, length) for name, kind, length in cursor.fetchall()}
    moved = {
        field.column
        for field in model._meta.local_concrete_fields
        if (field.primary_key and not field.is_relation)
        or (field.is_relation and field.related_model._meta.db_table in tables)
    } & set(kinds)
    alone = _unique_alone(cursor, table, moved)
    return [Column(name, _value(name, *kinds[name], name in moved, name in alone)) for name in kinds]


def _value(name: str, kind: str, length: int | None, is_moved: bool, is_alone: bool) -> str:
    column = f't."{name}"'
    if kind == "uuid" and (is_moved or is_alone):
        return f"CASE WHEN {column} IS NULL THEN NULL ELSE md5({column}::text || c.n)::uuid END"
    if is_moved and kind in ("bigint", "integer"):
        return f"{column} + c.n * {STEP}"
    if not (is_alone or is_moved):
        return column
    if kind in ("character varying", "text"):
        marked = f"to_hex(c.n) || '_' || {column}"
        marked = f"left({marked}, {length})" if length else marked
        # What is empty is unique nowhere, and often means that there is none.
        return f"CASE WHEN {column} = '' THEN '' ELSE {marked} END"
    if kind == "bytea":
        return f"sha256({column} || c.n::text::bytea)"
    if kind in ("bigint", "integer"):
        return f"{column} + c.n * {STEP}"
    return column


def _unique_alone(cursor: Any, table: str, moved: set[str]) -> set[str]:
    """Columns of unique indexes in which nothing else makes a copy different."""
    cursor.execute(
        "SELECT pg_get_indexdef(i.indexrelid),"
        " ARRAY(SELECT a.attname FROM pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum > 0"
        "       AND (a.attnum = ANY (i.indkey) OR position(a.attname IN pg_get_expr(i.indexprs, i.indrelid)) > 0))"
        " FROM pg_index i WHERE i.indrelid = %s::regclass AND i.indisunique",
        [table],
    )
    found: set[str] = set()
    for _definition, names in cursor.fetchall():
        if not moved & set(names):
            found |= set(names)
    return found


def _move_sequence(cursor: Any, table: str) -> None:
    cursor.execute(
        "SELECT pg_get_serial_sequence(%s, 'id') FROM information_schema.columns"
        " WHERE table_name = %s AND column_name = 'id' AND data_type IN ('bigint', 'integer')",
        [table, table],
    )
    row = cursor.fetchone()
    if row and row[0]:
        cursor.execute(f'SELECT setval(%s, (SELECT max(id) FROM "{table}"))', [row[0]])
