"""Addresses of stored files."""

from __future__ import annotations

from urllib.parse import urljoin

from django.conf import settings
from django.core.files.storage import default_storage


def url(name: str) -> str | None:
    """The absolute address of a stored file; None for no file. Private storages sign it for a short time."""
    return urljoin(f"{settings.PUBLIC_URL}/", default_storage.url(name)) if name else None
