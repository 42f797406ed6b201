"""Addresses of attachments: signed, for a short time, for whoever was shown them. Nobody else finds the files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core import signing

GOOD_FOR_S = 3600
"""How long an address works; whoever reads the message again gets a fresh one."""

_SALT = "messaging.attachment"


def address(attachment_id: int, size: str) -> str:
    """Where the file (``size`` ``full``), or its smaller picture (``thumbnail``), is to be had for ``GOOD_FOR_S`` seconds."""
    token = signing.TimestampSigner(salt=_SALT).sign(f"{attachment_id}:{size}").rpartition(f"{size}:")[2]
    return f"{settings.PUBLIC_URL}/api/attachments/{attachment_id}/{size}/?token={token}"


def is_good(attachment_id: int, size: str, token: str) -> bool:
    """Whether ``token`` is from an address of this very file that has not run out."""
    try:
        signing.TimestampSigner(salt=_SALT).unsign(f"{attachment_id}:{size}:{token}", max_age=GOOD_FOR_S)
    except signing.BadSignature:
        return False
    return True


def with_addresses(attachment: Mapping[str, Any]) -> dict[str, Any]:
    """``reading.attachment_data`` with its ``url``, and for pictures a ``thumbnail_url`` once that is made."""
    result = {key: value for key, value in attachment.items() if key != "has_thumbnail"}
    result["url"] = address(attachment["id"], "full")
    has_thumbnail = attachment["has_thumbnail"]
    result["thumbnail_url"] = address(attachment["id"], "thumbnail") if has_thumbnail else None
    return result
