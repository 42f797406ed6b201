"""What is dropped when it is old."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connection

KEPT = timedelta(days=30)
"""How far back deliveries are shown and can be sent again, as live events can be resumed from."""


def purge(*, now: datetime) -> dict[str, int]:
    """Drop deliveries that are older, with their attempts; what still waits on an endpoint that is on stays."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH old AS (
                SELECT d.id FROM webhook_deliveries d JOIN webhook_endpoints e ON e.id = d.endpoint_id
                WHERE d.created_at < %(cutoff)s AND (d.state <> 'waiting' OR e.disabled_at IS NOT NULL)
            ), tries AS (
                DELETE FROM webhook_attempts WHERE delivery_id IN (SELECT id FROM old)
            )
            DELETE FROM webhook_deliveries WHERE id IN (SELECT id FROM old)
            """,
            {"cutoff": now - KEPT},
        )
        return {"webhook_deliveries": cursor.rowcount}
