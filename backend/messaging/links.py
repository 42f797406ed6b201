"""Addresses of attachments: signed, for a short time, for whoever was shown them. Nobody else finds the files."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core import signing
from django.utils.crypto import constant_time_compare

GOOD_FOR_S = 3600
"""How long an address works at least, and half of how long at most; whoever reads the message again gets a fresh one."""

FULL, THUMBNAIL = SIZES = ("full", "thumbnail")

_SALT = "messaging.attachment"


def address(attachment_id: int, size: str) -> str:
    """Where a file, or its smaller picture, is to be had. The same address all through an hour, for the sake of caches."""
    until = (int(time.time()) // GOOD_FOR_S + 2) * GOOD_FOR_S
    return f"{settings.PUBLIC_URL}/api/attachments/{attachment_id}/{size}/?token={_token(attachment_id, size, until)}"


def is_good(attachment_id: int, size: str, token: str) -> bool:
    """Whether ``token`` is from an address of this very file that has not run out."""
    until = token.partition(".")[0]
    if not (until.isascii() and until.isdigit() and len(until) <= 12) or int(until) < time.time():
        return False
    return constant_time_compare(token, _token(attachment_id, size, int(until)))


def with_addresses(attachment: Mapping[str, Any]) -> dict[str, Any]:
    """``reading.attachment_data`` with its ``url``, and for pictures a ``thumbnail_url`` once that is made."""
    result = {key: value for key, value in attachment.items() if key != "has_thumbnail"}
    result["url"] = address(attachment["id"], FULL)
    has_thumbnail = attachment["has_thumbnail"]
    result["thumbnail_url"] = address(attachment["id"], THUMBNAIL) if has_thumbnail else None
    return result


def _token(attachment_id: int, size: str, until: int) -> str:
    signature = signing.Signer(salt=_SALT).signature(f"{attachment_id}:{size}:{until}")
    return f"{until}.{signature}"
