"""Local dates and hours as instants. Pure."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo


def instant(on: date, at: time, zone: str) -> datetime:
    """When the clock of ``zone`` shows ``at`` on the date ``on``, in UTC.

    An hour that the clock skips counts as the same elapsed time after the last one that it showed (02:30 becomes
    03:30 summer time); of an hour that comes twice the first is meant.
    """
    return datetime.combine(on, at, tzinfo=ZoneInfo(zone)).astimezone(UTC)
