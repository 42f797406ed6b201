"""The figures of money for a monitoring system: whether our books and the providers' agree, and what waits."""

from __future__ import annotations

from datetime import datetime
from math import nan

from django.db import connection

from backend.core.gauges import Gauge
from backend.payments import reconciliation


def gauges(now: datetime) -> list[Gauge]:
    """The figures at ``now`` (UTC). Three queries, each over a small index."""
    standings = reconciliation.standing()
    return [
        Gauge(
            "karibu_reconciliation_differences",
            "Orders that a provider tells otherwise than we do, and nobody has explained.",
            [({"provider": each.provider}, each.differences) for each in standings],
        ),
        Gauge(
            "karibu_reconciliation_age_seconds",
            "Seconds since our operations were last compared with the provider's list; NaN when they never were.",
            [
                ({"provider": each.provider}, (now - each.good_at).total_seconds() if each.good_at else nan)
                for each in standings
            ],
        ),
        *_open_operations(now),
        *_waiting_events(now),
    ]


def _open_operations(now: datetime) -> list[Gauge]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT provider, count(*), extract(epoch FROM %s - min(created_at))::float FROM money_ops
            WHERE state IN ('created', 'sending', 'unknown') GROUP BY provider ORDER BY provider
            """,
            [now],
        )
        rows = cursor.fetchall()
    return [
        Gauge(
            "karibu_money_operations_open",
            "Movements of money that have no outcome yet.",
            [({"provider": provider}, count) for provider, count, _age in rows],
        ),
        Gauge(
            "karibu_money_operations_open_age_seconds",
            "Seconds since the oldest movement of money without an outcome was written down.",
            [({"provider": provider}, age) for provider, _count, age in rows],
        ),
    ]


def _waiting_events(now: datetime) -> list[Gauge]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT provider, count(*), extract(epoch FROM %s - min(received_at))::float FROM provider_events
            WHERE applied_at IS NULL GROUP BY provider ORDER BY provider
            """,
            [now],
        )
        rows = cursor.fetchall()
    return [
        Gauge(
            "karibu_provider_events_waiting",
            "Events of providers that are not applied yet.",
            [({"provider": provider}, count) for provider, count, _age in rows],
        ),
        Gauge(
            "karibu_provider_events_waiting_age_seconds",
            "Seconds since the oldest event that is not applied came in.",
            [({"provider": provider}, age) for provider, _count, age in rows],
        ),
    ]
