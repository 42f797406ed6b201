"""The webhooks that go out, for a monitoring system."""

from __future__ import annotations

from datetime import datetime

from django.db import connection

from backend.core.gauges import Figure, Gauge

COUNTED = 10_000


def gauges(now: datetime) -> list[Figure]:
    """What is due and not taken at ``now`` (UTC), and endpoints that do not answer. One query over what waits."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT count(*), coalesce(extract(epoch FROM %(now)s - min(next_at)), 0)::float, (
                SELECT count(*) FROM webhook_endpoints WHERE disabled_at IS NULL AND failing_since IS NOT NULL
            ) FROM (
                SELECT d.next_at FROM webhook_deliveries d JOIN webhook_endpoints e ON e.id = d.endpoint_id
                WHERE d.state = 'waiting' AND d.next_at <= %(now)s AND e.disabled_at IS NULL LIMIT %(most)s
            ) AS due
            """,
            {"now": now, "most": COUNTED},
        )
        due, late_s, failing = cursor.fetchone()
    return [
        Gauge(
            "karibu_webhook_deliveries_due",
            "Events that webhooks should have been told; counted to 10,000.",
            [({"queue": "webhooks"}, due)],
        ),
        Gauge(
            "karibu_webhook_deliveries_late_seconds",
            "Seconds since the first of them was due.",
            [({"queue": "webhooks"}, late_s)],
        ),
        Gauge(
            "karibu_webhook_endpoints_failing",
            "Webhooks that are on and did not take what they were told last.",
            [({"state": "failing"}, failing)],
        ),
    ]
