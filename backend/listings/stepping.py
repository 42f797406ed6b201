"""Take listings along the edges of their states: the row that is held, the step that is noted."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import F, Max
from django.db.models.functions import Coalesce

from backend.accounts.models import User
from backend.core.db import lock
from backend.core.errors import NotFound, WrongState
from backend.listings.models import Listing, ListingTransition
from backend.listings.states import TRANSITIONS, ListingStatus

REASON_LONGEST = 500


def living(listing: Listing) -> Listing:
    """The locked row of a listing that is not withdrawn. Raises: NotFound, Unavailable."""
    current = lock(Listing.objects.all(), pk=listing.pk)
    if current.status == ListingStatus.ARCHIVED:
        raise NotFound
    return current


def move(listing: Listing, new: ListingStatus, actor: Any, now: datetime, reason: str = "") -> Listing:
    """Take a locked listing along one edge, by compare-and-set, and note the step. Raises: WrongState."""
    old = listing.status
    TRANSITIONS.require(old, new)
    values: dict[str, Any] = {
        "status": new,
        "status_reason": reason,
        "version": F("version") + 1,
        "updated_at": now,
    }
    if new == ListingStatus.PUBLISHED:
        values["published_at"] = Coalesce(F("published_at"), now)
    if not Listing.objects.filter(pk=listing.pk, status=old).update(**values):
        raise WrongState(extra={"state": old})
    ListingTransition.objects.create(
        listing=listing,
        seq=count(listing) + 1,
        old=old,
        new=new,
        actor=person(actor),
        reason=reason,
        at=now,
    )
    listing.refresh_from_db(fields=[*values])
    return listing


def count(listing: Listing) -> int:
    """How many steps a listing has taken."""
    found = ListingTransition.objects.filter(listing_id=listing.pk).aggregate(last=Max("seq"))
    return int(found["last"] or 0)


def explain(listing: Listing, reason: str, now: datetime) -> Listing:
    """Give a locked listing another reason for the status that it has already."""
    Listing.objects.filter(pk=listing.pk).update(
        status_reason=reason, version=F("version") + 1, updated_at=now
    )
    listing.refresh_from_db(fields=["status_reason", "version", "updated_at"])
    return listing


def person(actor: Any) -> User | None:
    """Whoever acts, where it is somebody: the system is nobody."""
    return actor if isinstance(actor, User) else None
