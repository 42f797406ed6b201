"""Jobs of bookings. Each does nothing but call an operation with the clock."""

from __future__ import annotations

from uuid import UUID

from django.utils import timezone
from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from backend.bookings import settlement
from backend.payments import inbox

RETRY = RetryStrategy(max_attempts=8, exponential_wait=3)
"""After 3, 9, 27 … seconds; the reconciling sweep takes over whatever is left."""


@app.task(name=settlement.SETTLE_JOB, queue="payments", retry=RETRY)
def settle(op_id: str) -> None:
    """Send one money operation."""
    settlement.settle(UUID(op_id), now=timezone.now())


@app.task(name=inbox.DRAIN_JOB, retry=RETRY)
def apply_events() -> None:
    """Apply the provider events that wait in the inbox."""
    settlement.apply_events(now=timezone.now())
