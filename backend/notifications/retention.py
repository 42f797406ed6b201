"""What is dropped when it is old."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connection

EVENTS_KEPT = timedelta(days=30)
"""How far back a client can resume."""


def purge(*, now: datetime) -> dict[str, int]:
    """Drop live events that no client can still ask for: all that are older than the oldest one to keep.

    What stays of a user is without gaps although clocks may have been set back.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            DELETE FROM live_events old WHERE created_at < %(cutoff)s AND NOT EXISTS (
                SELECT 1 FROM live_events kept
                WHERE kept.user_id = old.user_id AND kept.seq < old.seq AND kept.created_at >= %(cutoff)s
            )
            """,
            {"cutoff": now - EVENTS_KEPT},
        )
        return {"live_events": cursor.rowcount}
