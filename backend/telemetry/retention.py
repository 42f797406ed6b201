"""How long figures and lines are kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.db import connection

from backend.core import platform
from backend.telemetry.models import ErrorLine, ProcessFigure, RequestFigure, Sample, SlowStatement
from backend.telemetry.writing import PART, forget_parts

MINUTES_KEPT = timedelta(hours=25)
HOURS_KEPT = timedelta(days=31)


def purge_figures(*, now: datetime) -> int:
    """Drop figures that are shown no longer; how many rows."""
    old = [
        RequestFigure.objects.filter(span=RequestFigure.MINUTE, starts_at__lt=now - MINUTES_KEPT),
        RequestFigure.objects.filter(
            span__in=(RequestFigure.HOUR, RequestFigure.DAY), starts_at__lt=now - HOURS_KEPT
        ),
        Sample.objects.filter(at__lt=now - HOURS_KEPT),
        SlowStatement.objects.filter(last_at__lt=now - HOURS_KEPT),
        ProcessFigure.objects.filter(at__lt=now - timedelta(hours=1)),
    ]
    return sum(rows.delete()[0] for rows in old)


def purge_lines(*, now: datetime) -> int:
    """Drop the parts of the table of requests that lie behind ``access_log_hours`` whole; how many parts."""
    before = now - timedelta(hours=platform.get("access_log_hours"))
    dropped = 0
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relid::text FROM pg_partition_tree('access_lines') WHERE isleaf AND level = 1 ORDER BY 1"
        )
        for (name,) in cursor.fetchall():
            begins = datetime.strptime(name.rpartition("_")[2], "%Y%m%d%H").replace(tzinfo=UTC)
            if begins + PART <= before:
                # A name of the catalogue, which only ``ensure_part`` makes.
                cursor.execute(f"DROP TABLE IF EXISTS {name}")
                dropped += 1
    forget_parts()
    return dropped


def purge_errors(*, now: datetime) -> int:
    """Drop errors that are older than ``error_log_days``; how many."""
    before = now - timedelta(days=platform.get("error_log_days"))
    return ErrorLine.objects.filter(at__lt=before).delete()[0]
