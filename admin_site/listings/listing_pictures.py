"""Where the pictures of listings are."""

from __future__ import annotations

from django.core.files.storage import default_storage

from backend.listings.models import Photo


def thumbnail_url(photo: Photo) -> str:
    """The address of the smallest picture that there is of ``photo``."""
    smallest = min(photo.sizes, key=int) if photo.sizes else None
    return default_storage.url(photo.sizes[smallest] if smallest else photo.file.name)
