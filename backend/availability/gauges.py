"""Calendars of other sites, for a monitoring system."""

from __future__ import annotations

from django.db.models import Count

from backend.availability.models import CalendarFeed, FeedStatus
from backend.core.gauges import Figure, Gauge


def gauges() -> list[Figure]:
    """How many feeds are out of date or do not answer. One query over an index of those alone."""
    unwell = (
        CalendarFeed.objects.exclude(status=FeedStatus.OK)
        .values_list("status")
        .annotate(count=Count("id"))
        .order_by("status")
    )
    counts = {str(status): 0 for status in FeedStatus if status != FeedStatus.OK} | dict(unwell)
    return [
        Gauge(
            "karibu_feeds_unwell",
            "Calendars of other sites that are out of date or do not answer.",
            [({"status": status}, count) for status, count in counts.items()],
        )
    ]
