"""What makes PgBouncer in transaction mode as good as the server itself.

A connection's own settings (how long to wait for a lock, for a statement) are not passed on by PgBouncer: the session
behind it has begun long before. So they are the defaults of our role, written down by each ``migrate``.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import connection
from psycopg import sql

from backend.core.databases import SESSION


def keep_session_defaults(**_sent: Any) -> None:
    """Let every new session of our role begin with ``SESSION``. After migrations (``post_migrate``)."""
    if not settings.DATABASE_POOLED:
        return
    with connection.cursor() as cursor:
        for name, value in SESSION.items():
            cursor.execute(
                sql.SQL("ALTER ROLE CURRENT_USER IN DATABASE {} SET {} = {}").format(
                    sql.Identifier(connection.settings_dict["NAME"]), sql.Identifier(name), sql.Literal(value)
                )
            )


def differences() -> list[str]:
    """Names of ``SESSION`` that the session which answers now does not have; all is well where there are none."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name FROM unnest(%s::text[], %s::text[]) AS wanted (name, value)"
            " JOIN pg_settings s USING (name) WHERE s.setting <> value ORDER BY 1",
            [list(SESSION), list(SESSION.values())],
        )
        return [name for (name,) in cursor.fetchall()]
