"""Jobs of this package, a line each."""

from __future__ import annotations

from django.utils import timezone
from procrastinate.contrib.django import app

from backend.webhooks import delivering, retention


@app.task(name=delivering.JOB, queue=delivering.QUEUE)
def deliver(endpoint_id: int) -> None:
    """Send what is due to one endpoint."""
    delivering.deliver(endpoint_id, now=timezone.now())


@app.periodic(cron="23 3 * * *")
@app.task(name="webhooks.purge", queue="upkeep", queueing_lock="webhooks.purge")
def purge(timestamp: int) -> None:
    """Drop old deliveries. By the machine's clock: it is about retention."""
    retention.purge(now=timezone.now())
