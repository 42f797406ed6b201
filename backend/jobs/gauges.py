"""The jobs and the backups for a monitoring system."""

from __future__ import annotations

from datetime import datetime
from math import nan

from backend.core.gauges import Figure, Gauge
from backend.jobs.backups.standing import kept_back, standing
from backend.jobs.health import queue_figures


def gauges(now: datetime) -> list[Figure]:
    """How the queue and the backups stand at ``now`` (UTC)."""
    queue, backups = queue_figures(), standing(now)

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
            ({"kind": "drill"}, age(backups.drilled_at)),
        ]),
        Gauge("karibu_backup_kept_back_bytes", "What the database keeps for the next shipment.", [
            ({"kind": "shipment"}, float(kept_back() or 0))
        ]),
    ]  # fmt: skip
