"""Addresses of stored files."""

from __future__ import annotations

import re

from django.conf import settings
from django.core.files.storage import FileSystemStorage, default_storage

_PLAIN = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9_.-]*/)*[A-Za-z0-9_-][A-Za-z0-9_.-]*")
"""Names that stand in an address as they are. Those that we give are."""


def url(name: str) -> str | None:
    """The absolute address of a stored file; None for no file. Private storages sign it for a short time."""
    if not name:
        return None
    if isinstance(default_storage, FileSystemStorage) and _PLAIN.fullmatch(name):
        # What the storage would answer, without taking the address apart and together for each picture of a page.
        address = f"{default_storage.base_url}{name}"
    else:
        address = default_storage.url(name)
    return f"{settings.PUBLIC_URL}{address}" if address.startswith("/") else address
