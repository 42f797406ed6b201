"""Jobs of this package, a line each."""

from __future__ import annotations

from django.utils import timezone
from procrastinate import JobContext, RetryStrategy
from procrastinate.contrib.django import app

from backend.notifications import deliveries, retention

MAIL_RETRIES = 7
"""After 4 s, 16 s, … four and a half hours; six hours in all."""


@app.task(
    name="notifications.deliver_email",
    queue="mail",
    pass_context=True,
    retry=RetryStrategy(max_attempts=MAIL_RETRIES, exponential_wait=4),
)
def deliver_email(context: JobContext, delivery_id: int) -> None:
    """Mail one notice."""
    deliveries.deliver(delivery_id, now=timezone.now(), last=context.job.attempts >= MAIL_RETRIES)


@app.periodic(cron="17 3 * * *")
@app.task(name="notifications.purge", queue="upkeep", queueing_lock="notifications.purge")
def purge(timestamp: int) -> None:
    """Drop live events that nobody can still resume from. By the machine's clock: it is about retention."""
    retention.purge(now=timezone.now())
