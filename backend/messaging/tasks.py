"""Messaging's jobs, a line each."""

from __future__ import annotations

from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from backend.core import stored
from backend.messaging import attaching

RETRY = RetryStrategy(max_attempts=8, exponential_wait=3)


@app.task(name="messaging.make_thumbnail", queue="photos", retry=RETRY)
def make_thumbnail(attachment_id: int) -> None:
    attaching.make_thumbnail(attachment_id)


@app.task(
    name="messaging.remove_files", queue="files", retry=RetryStrategy(max_attempts=20, exponential_wait=3)
)
def remove_files(names: list[str], for_good: bool = False) -> None:
    with stored.for_good(for_good):
        attaching.delete_files(names)
