"""An imported calendar and a stay that was sold here have the same nights: its host decides."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from backend.availability import feeds
from backend.availability.models import Decision, FeedConflict
from backend.bookings import cancellation
from backend.bookings.models import Booking
from backend.bookings.states import BookingStatus
from backend.core.errors import NotFound, WrongState
from backend.listings import access as listing_access
from backend.listings.models import Listing


def booking_ids(block_ids: Collection[int]) -> dict[int, int]:
    """The bookings that these blocks belong to. One query, none for no blocks."""
    if not block_ids:
        return {}
    return dict(Booking.objects.filter(block_id__in=list(block_ids)).values_list("block_id", "pk"))


def decide(
    *,
    actor: Any,
    listing: Listing,
    feed_id: int,
    conflict_id: int,
    decision: Decision,
    now: datetime,
    reason: str = "",
) -> FeedConflict:
    """What becomes of a stay that another calendar has sold too.

    KEEP: it stays; the entry's other nights are closed already. SKIP: the entry is ignored until it moves. CANCEL: it
    is canceled in the name of its host, with all that this means, and the entry takes the nights. KEEP may be
    thought over. Staff who help a host say why in ``reason``; what they cancel is canceled in the platform's name. Raises: NotAllowed, NotFound, WrongState (decided before, or no longer in conflict), and what
    ``bookings.cancel`` raises.
    """
    listing_access.require_change(actor, "listing.calendar", listing, reason)
    conflict = (
        FeedConflict.objects.select_related("event__feed")
        .filter(pk=conflict_id, event__feed_id=feed_id, event__feed__listing_id=listing.pk)
        .first()
    )
    if conflict is None:
        raise NotFound
    if conflict.closed_at is not None or conflict.decision not in ("", Decision.KEEP):
        raise WrongState(extra={"state": conflict.decision or "closed"})
    if decision == Decision.CANCEL:
        booking_id = (
            Booking.objects.filter(block_id=conflict.block_id)
            .exclude(status__in=[BookingStatus.CANCELED, BookingStatus.DECLINED, BookingStatus.EXPIRED])
            .values_list("pk", flat=True)
            .first()
        )
        if booking_id is None:
            raise WrongState(extra={"state": "closed"})
        why = reason or _("These nights were taken through another calendar.")
        cancellation.cancel(actor=actor, booking_id=booking_id, now=now, reason=why)
    return feeds.decide(actor=actor, conflict=conflict, decision=decision, now=now, reason=reason)
