"""What a key may be used for: each operation that keys may use at all, by the scope that it needs.

The areas are those of ``identity.api_keys.SCOPES``: reading takes ``<area>:read``, everything else ``<area>:write``. What
is open to anyone is open to every key; what stands nowhere here is for people, not for programs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.utils.translation import gettext_lazy as _

from api.access import ACCESS, ANYONE
from backend.core.errors import NotAllowed

AREAS = {
    **dict.fromkeys(
        (
            "availability",
            "calendar",
            "feeds",
            "host_codes",
            "photos",
            "prices",
            "properties",
            "property_texts",
        ),
        "listings",
    ),
    **dict.fromkeys(("alterations", "bookings", "cancellations", "host", "inquiries"), "bookings"),
    **dict.fromkeys(("attachments", "conversations", "messages"), "messages"),
    "reviews": "reviews",
    **dict.fromkeys(("disputes", "invoices", "payments", "payouts", "refunds", "statements"), "money"),
    "host_analytics": "analytics",
    "standing": "analytics",
    "webhooks": "webhooks",
}
"""Module of the API → area."""

READ_ONLY = ("money", "analytics")
"""Areas in which a key changes nothing, whatever its scopes."""

READS = ("GET", "HEAD")


class ScopeMissing(NotAllowed):
    """The key was not given what this operation needs, or it is not for keys."""

    code = "scope_missing"
    title = _("This key is not good for that.")


def needed(view: Callable[..., Any], method: str) -> str | None:
    """The scope that the operation needs; empty for none, None where keys are not taken."""
    module = view.__module__.rpartition(".")[2]
    reads = method in READS or getattr(view, "_counts_as_read", False)
    entry = ACCESS.get(f"{module}_{view.__name__}")
    if entry is not None and ANYONE in entry.may and reads:
        return ""
    area = AREAS.get(module)
    if area is None or (not reads and area in READ_ONLY):
        return None
    return f"{area}:{'read' if reads else 'write'}"


def require(scopes: frozenset[str], view: Callable[..., Any], method: str) -> None:
    """Raises: ScopeMissing."""
    scope = needed(view, method)
    if scope is None or (scope and scope not in scopes):
        raise ScopeMissing(extra={"scope": scope} if scope else {})
