"""The place where files lie is full or does not answer: a picture is refused for now, and nothing of it is left."""

from __future__ import annotations

import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from backend.core.buckets import PATIENCE
from backend.listings.models import Photo
from tests.api.client import ApiClient
from tests.factories import make_listing
from tests.listings.pictures import drawn, encoded

pytestmark = pytest.mark.usefixtures("db")

Breaks = Callable[[Any, Path], Any]


@contextmanager
def _no_room(settings: Any, folder: Path) -> Iterator[None]:
    """No file may grow: as the file system says it that is full."""
    settings.MEDIA_ROOT = folder
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def _no_bucket(settings: Any, folder: Path) -> Iterator[None]:
    """Nobody listens where the bucket is."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        bucket = {
            "BACKEND": "storages.backends.s3.S3Storage",
            "OPTIONS": {
                **{"bucket_name": "pictures", "access_key": "key", "secret_key": "secret"},
                **{"region_name": "eu-west-1", "endpoint_url": f"http://127.0.0.1:{nobody.getsockname()[1]}"},
                "client_config": PATIENCE,
            },
        }
        settings.STORAGES = {**settings.STORAGES, "default": bucket}
        yield


@pytest.mark.parametrize("breaks", [_no_room, _no_bucket])
def test_picture_is_refused_for_now_while_it_cannot_be_stored(
    settings: Any, tmp_path: Path, breaks: Breaks
) -> None:
    listing = make_listing()
    client = ApiClient(listing.host)

    with breaks(settings, tmp_path):
        answer = client.upload(
            f"/api/properties/{listing.pk}/photos/",
            {"file": SimpleUploadedFile("a.jpg", encoded(drawn()))},
        )

    assert (answer.status_code, answer["Content-Type"]) == (503, "application/problem+json")
    assert (answer.json()["code"], answer["Retry-After"]) == ("unavailable", "5")
    assert Photo.objects.count() == 0
