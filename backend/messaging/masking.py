"""Take contact data out of what a guest and a host write before they have a booking; what is looked for says ``contact_data``."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings

from backend.core import platform
from backend.messaging.contact_data import PLACEHOLDER, spans


def masked(text: str) -> tuple[str, bool]:
    """``text`` with its contact data replaced by ``PLACEHOLDER``, and whether there was any to replace.

    Addresses of our own pages stay, and those of the front ends that we serve. Without the platform's setting ``mask_contact_data`` everything does.
    """
    if not text or not platform.get("mask_contact_data"):
        return text, False
    parts, end = [], 0
    for start, stop in spans(text, own_hosts=own_hosts()):
        parts += [text[end:start], PLACEHOLDER]
        end = stop
    return "".join([*parts, text[end:]]), bool(parts)


def own_hosts() -> set[str]:
    """The hosts of our own pages and of the front ends that we serve: links to them are nobody's contact data."""
    return {urlsplit(page).hostname or "" for page in (settings.PUBLIC_URL, *settings.CORS_ORIGINS)}
