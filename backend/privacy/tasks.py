"""Jobs of this package, a line each."""

from __future__ import annotations

from django.utils import timezone
from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from backend.privacy import cleaning, erasure

AGAIN = RetryStrategy(max_attempts=7, exponential_wait=4)
"""After 4 s, 16 s, … four and a half hours; then the sweep takes it up once an hour."""


@app.task(name=erasure.CLEAN_JOB, queue="upkeep", retry=AGAIN)
def clean(erasure_id: int) -> None:
    """Do what an erasure has left."""
    cleaning.clean(erasure_id, now=timezone.now())
