"""Jobs of this package, a line each."""

from __future__ import annotations

from django.utils import timezone
from procrastinate import JobContext, RetryStrategy
from procrastinate.contrib.django import app

from backend.notifications import deliveries, retention
from backend.notifications.kinds import EMAIL, SMS

MAIL_RETRIES = 7
"""After 4 s, 16 s, … four and a half hours; six hours in all."""

SMS_RETRIES = 5
"""After 4 s, 16 s, … seventeen minutes: a short message that comes much later says nothing any more."""


@app.task(
    name=deliveries.JOBS[EMAIL],
    queue=deliveries.QUEUE,
    pass_context=True,
    retry=RetryStrategy(max_attempts=MAIL_RETRIES, exponential_wait=4),
)
def deliver_email(context: JobContext, delivery_id: int) -> None:
    """Mail one notice."""
    deliveries.deliver(delivery_id, now=timezone.now(), last=context.job.attempts >= MAIL_RETRIES)


@app.task(
    name=deliveries.JOBS[SMS],
    queue=deliveries.QUEUE,
    pass_context=True,
    retry=RetryStrategy(max_attempts=SMS_RETRIES, exponential_wait=4),
)
def deliver_sms(context: JobContext, delivery_id: int) -> None:
    """Text one notice."""
    deliveries.text(delivery_id, now=timezone.now(), last=context.job.attempts >= SMS_RETRIES)


BY_CHANNEL = {EMAIL: deliver_email, SMS: deliver_sms}


@app.periodic(cron="17 3 * * *")
@app.task(name="notifications.purge", queue="upkeep", queueing_lock="notifications.purge")
def purge(timestamp: int) -> None:
    """Drop live events that nobody can still resume from. By the machine's clock: it is about retention."""
    retention.purge(now=timezone.now())
