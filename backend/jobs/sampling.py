"""Figures that are read off once a minute, for the charts of the back office."""

from __future__ import annotations

from datetime import datetime

from django.db import connection

from backend.jobs.health import queue_figures
from backend.telemetry import reading


def sample(now: datetime) -> dict[str, float]:
    """Keep how far the jobs lag behind, how many wait, how many sockets and connections are open."""
    queue = queue_figures()
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT (SELECT count(*) FROM (SELECT FROM open_sockets LIMIT 100000) AS counted),
                (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')
            """
        )
        sockets, connections = cursor.fetchone()
    values = {
        "job_lag_s": float(queue["lag_s"]),
        "jobs_due": float(queue["due"]),
        "sockets": float(sockets),
        "connections": float(connections),
    }
    reading.put_samples(values, now=now)
    return values
