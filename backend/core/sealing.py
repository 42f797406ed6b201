"""Migrations that seal a column which was plain, its values in batches.

The steps of such a migration, which is not atomic: the column becomes a ``TextField``, ``seal`` it, it becomes a
``SealedTextField``, and is told to hold ``only_sealed`` texts, as a column that is made sealed is by itself. Each step can be taken again after it was broken off,
and taken back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations import RunPython, RunSQL

from backend.core import crypto
from backend.core.sealed import index_of

BATCH = 500


def is_ours(text: str) -> bool:
    """Whether ``text`` was sealed by us, and does not merely look like it."""
    try:
        crypto.unseal(text)
    except crypto.NotSealed:
        return False
    return True


def seal(table: str, column: str, *, index: str = "", empty: str = "", key: str = "id") -> RunPython:
    """Seal the texts of a column, those equal to ``empty`` (``[]`` of a JSON column) becoming "".

    ``key`` is the table's primary key, a number; ``index`` the kind of the blind index.
    """

    def closed(text: str) -> str:
        if text in ("", empty):
            return ""
        if is_ours(text):
            return text
        return crypto.seal(text, index=index_of(index, text) if index else "")

    def opened(text: str) -> str:
        return crypto.unseal(text) if text else empty

    return RunPython(_each(table, column, key, closed), _each(table, column, key, opened))


def only_sealed(table: str, column: str) -> RunSQL:
    """Let PostgreSQL refuse what is not sealed, whatever way it comes."""
    name = f"{table}_{column}_sealed"
    check = f"CHECK ({column} = '' OR starts_with({column}, 'sealed:v'))"
    return RunSQL(
        [
            f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}",
            f"ALTER TABLE {table} ADD CONSTRAINT {name} {check} NOT VALID",
            f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}",
        ],
        f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}",
    )


def _each(table: str, column: str, key: str, change: Callable[[str], str]) -> Callable[..., None]:
    """Change every text of a column, in batches of their own transactions, and only where nobody else has meanwhile."""

    def run(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
        connection = schema_editor.connection
        last: Any = None
        while True:
            with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
                cursor.execute(
                    f"SELECT {key}, {column} FROM {table} WHERE %s::bigint IS NULL OR {key} > %s::bigint"  # noqa: S608
                    f" ORDER BY {key} LIMIT {BATCH}",
                    [last, last],
                )
                rows = cursor.fetchall()
                changes = [(change(text), pk, text) for pk, text in rows]
                cursor.executemany(
                    f"UPDATE {table} SET {column} = %s WHERE {key} = %s AND {column} = %s",  # noqa: S608
                    [each for each in changes if each[0] != each[2]],
                )
            if len(rows) < BATCH:
                return
            last = rows[-1][0]

    return run
