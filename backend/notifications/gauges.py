"""What of the mails and short messages a monitoring system should see."""

from __future__ import annotations

from datetime import datetime

from django.db import connection

from backend.core.gauges import Gauge
from backend.notifications import carriers, guard

_ASTRAY = ("failed", "bounced", "suppressed", "skipped", "unknown")


def gauges(now: datetime) -> list[Gauge]:
    """Deliveries that wait, how long the oldest has, what went astray in a day, SMS that the cost guard stopped, and who is left
    alone since they failed."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT task_name = 'notifications.deliver_sms', count(*),
                coalesce(extract(epoch FROM max(clock_timestamp() - deferred.at)), 0)
            FROM procrastinate_jobs job
            CROSS JOIN LATERAL (
                SELECT max(at) AS at FROM procrastinate_events WHERE job_id = job.id AND type = 'deferred'
            ) deferred
            WHERE status = 'todo' AND task_name IN ('notifications.deliver_email', 'notifications.deliver_sms')
              AND (scheduled_at IS NULL OR scheduled_at <= clock_timestamp())
            GROUP BY 1
            """
        )
        waiting = {bool(is_sms): (count, age) for is_sms, count, age in cursor.fetchall()}
        cursor.execute(
            "SELECT state, channel, count(*), count(*) FILTER (WHERE starts_with(error, %s)) FROM deliveries"
            " WHERE state = ANY(%s) AND created_at > %s GROUP BY 1, 2",
            [guard.STOPPED, list(_ASTRAY), now - guard.DAY],
        )
        astray = cursor.fetchall()
    channels = ((False, "email"), (True, "sms"))
    return [
        Gauge(
            "karibu_deliveries_waiting",
            "Mails and short messages that are due and not handed over",
            [({"channel": name}, float(waiting.get(key, (0, 0))[0])) for key, name in channels],
        ),
        Gauge(
            "karibu_deliveries_oldest_seconds",
            "How long the oldest of them has waited",
            [({"channel": name}, float(waiting.get(key, (0, 0))[1])) for key, name in channels],
        ),
        Gauge(
            "karibu_deliveries_astray",
            "Mails and short messages of the last day that did not arrive, by what became of them",
            [({"channel": channel, "state": state}, float(count)) for state, channel, count, _n in astray],
        ),
        Gauge(
            "karibu_deliveries_stopped",
            "Short messages of the last day that the cost guard stopped",
            [({"channel": "sms"}, float(sum(stopped for _state, _channel, _count, stopped in astray)))],
        ),
        Gauge(
            "karibu_carrier_rests",
            "Whether a carrier has failed within the last minute and another one stands in (1)",
            [
                ({"channel": channel, "carrier": name}, float(rests))
                for (channel, name), rests in carriers.resting().items()
            ],
        ),
    ]
