"""The jobs and the backups for a monitoring system."""

from __future__ import annotations

from datetime import datetime
from math import nan

from django.db import connection

from backend.core.gauges import Figure, Gauge
from backend.jobs.backups.standing import kept_back, standing
from backend.jobs.health import queue_figures


def gauges(now: datetime) -> list[Figure]:
    """How the queue and the backups stand at ``now`` (UTC)."""
    queue, backups = queue_figures(), standing(now)
    connections, limit, sockets = _now()

    def age(at: datetime | None) -> float:
        return (now - at).total_seconds() if at else nan

    return [
        Gauge("karibu_jobs", "Jobs by how they stand; each counted to 10,000.", [
            ({"state": state}, float(queue[state])) for state in ("due", "failed", "stalled")
        ]),
        Gauge("karibu_jobs_lag_seconds", "Seconds since the oldest job that waits was due.", [
            ({"queue": "all"}, float(queue["lag_s"]))
        ]),
        Gauge("karibu_workers", "Job workers that were heard of in the last minute.", [
            ({"queue": "all"}, float(queue["workers"]))
        ]),
        Gauge("karibu_backup_age_seconds", "Seconds since the last good one ended; NaN when there is none.", [
            ({"kind": "base"}, age(backups.based_at)),
            ({"kind": "shipment"}, age(backups.safe_until)),
            ({"kind": "files"}, age(backups.files_until)),
            ({"kind": "drill"}, age(backups.drilled_at)),
        ]),
        Gauge("karibu_backup_kept_back_bytes", "What the database keeps for the next shipment.", [
            ({"kind": "shipment"}, float(kept_back() or 0))
        ]),
        Gauge("karibu_database_connections", "Connections to the database server, by what they do.", [
            ({"state": state}, count) for state, count in connections
        ]),
        Gauge("karibu_database_connections_limit", "How many connections the database server takes from us.", [
            ({"server": "primary"}, limit)
        ]),
        Gauge("karibu_sockets", "Live sockets that are open, of all processes.", [({"kind": "live"}, sockets)]),
    ]  # fmt: skip


def _now() -> tuple[list[tuple[str, int]], int, int]:
    """Connections by state, how many there may be, and open sockets."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT CASE WHEN state = 'active' THEN 'active' WHEN state LIKE 'idle in%' THEN 'in_transaction'
                ELSE 'idle' END, count(*)
            FROM pg_stat_activity WHERE backend_type = 'client backend' GROUP BY 1 ORDER BY 1
            """
        )
        connections = cursor.fetchall()
        cursor.execute(
            """
            SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
                (SELECT count(*) FROM (SELECT FROM open_sockets LIMIT 100000) AS counted)
            """
        )
        limit, sockets = cursor.fetchone()
    return connections, limit, sockets
