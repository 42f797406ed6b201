"""Write past every guard of the database, as somebody with its superuser's console could."""

from __future__ import annotations

from django.db import connection, transaction

from backend.local.postgres import UNBOUND_ROLE


def plant(sql: str, *values: object) -> int:
    """Run one statement past rights, triggers and foreign keys; how many rows it hit, which is at least one.

    CHECK and UNIQUE constraints stand.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL ROLE {UNBOUND_ROLE}")
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(sql, values or None)
        hit = cursor.rowcount
        cursor.execute("RESET ROLE")
    assert hit > 0, "the damage hit nothing"
    return hit
