"""Jobs of listings: the operations that wait for nobody."""

from __future__ import annotations

from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from backend.listings import photos

RETRY = RetryStrategy(max_attempts=8, exponential_wait=3)


@app.task(name="listings.make_photo_sizes", queue="photos", retry=RETRY)
def make_photo_sizes(photo_id: int) -> None:
    photos.make_sizes(photo_id)


@app.task(name="listings.remove_photo_files", queue="photos", retry=RETRY)
def remove_photo_files(names: list[str]) -> None:
    photos.delete_files(names)


@app.task(name="listings.remove_unused_photo_file", queue="photos", retry=RETRY)
def remove_unused_photo_file(listing_id: int, name: str) -> None:
    photos.remove_unused(listing_id, name)
