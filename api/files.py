"""Addresses of stored files."""

from __future__ import annotations

from django.conf import settings
from django.core.files.storage import default_storage


def url(name: str) -> str | None:
    """The absolute address of a stored file; None for no file. Private storages sign it for a short time."""
    if not name:
        return None
    address = default_storage.url(name)
    return f"{settings.PUBLIC_URL}{address}" if address.startswith("/") else address
