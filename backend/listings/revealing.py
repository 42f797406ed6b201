"""Showing staff the address of a place, which the back office masks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from backend.accounts.models import ADMIN, MODERATOR, SUPPORT
from backend.audit import services as audit
from backend.core import access
from backend.identity.suspension import required_reason
from backend.listings.models import Listing


@dataclass(frozen=True, slots=True)
class Address:
    """Where a place is, to the door. ``point`` is latitude and longitude in degrees, "" where it is not known."""

    line1: str
    line2: str
    postal_code: str
    point: str


@access.rule("listing.reveal")
def _may_reveal(actor: Any, listing: Listing) -> bool:
    return bool(actor.has_role(SUPPORT, MODERATOR, ADMIN))


def address(*, actor: Any, listing: Listing, reason: str, now: datetime) -> Address:
    """Show ``actor`` where ``listing`` is. Raises: NotAllowed, Invalid (``reason``)."""
    access.require(actor, "listing.reveal", listing)
    text = required_reason(reason)
    point = "" if listing.latitude is None else f"{listing.latitude}, {listing.longitude}"
    with transaction.atomic():
        audit.record(
            actor=actor,
            action="listing.revealed",
            subject=listing,
            now=now,
            after={"shown": ["address"]},
            reason=text,
        )
        return Address(listing.line1, listing.line2, listing.postal_code, point)
