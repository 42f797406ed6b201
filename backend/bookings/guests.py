"""Who comes along and when they arrive: what the guest tells the host before the stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, time
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from backend.audit import services as audit
from backend.bookings.announcing import announce
from backend.bookings.models import Booking
from backend.bookings.states import BookingStatus
from backend.bookings.steps import GUEST, hold_still, step
from backend.core import access
from backend.core.db import retrying
from backend.core.errors import Invalid, Stale, WrongState
from backend.listings.models import Listing
from backend.listings.states import ListingStatus


@dataclass(frozen=True, slots=True)
class Companion:
    """Somebody who stays. ``age`` in years, where it matters (children)."""

    name: str
    is_child: bool = False
    age: int | None = None


@retrying
def tell(
    *,
    actor: Any,
    booking_id: int,
    companions: Sequence[Companion],
    arrival: dict[str, Any],
    now: datetime,
    version: int | None = None,
) -> None:
    """Say who comes along, and with ``arrival`` (``arrival_time``, ``arrival_note``; what is not in it stays) when.

    Possible until check-out. The list may be shorter than the number of guests, never longer.
    Raises: NotFound, NotAllowed, WrongState (over or ended), Stale, Invalid (``too_many_guests``).
    """
    with transaction.atomic(durable=True):
        booking = hold_still(actor, booking_id)
        access.require(actor, "booking.alter", booking)
        if version is not None and version != booking.version:
            raise Stale
        living = booking.status in (BookingStatus.PENDING, BookingStatus.CONFIRMED)
        if not living or now >= booking.check_out_at:
            raise WrongState(extra={"state": booking.status})
        if len(companions) > booking.guests:
            message = _("The booking is for %(count)d guests.") % {"count": booking.guests}
            raise Invalid.field("guests", "too_many_guests", message)
        step(
            booking,
            event="guests_listed",
            by=GUEST,
            actor=actor,
            now=now,
            guest_list=[asdict(one) for one in companions],
            **_arrival(arrival),
        )
        # Names of people who have no account do not belong into a log that is never changed.
        audit.record(
            actor=actor,
            action="booking.tell_guests",
            subject=booking,
            now=now,
            after={"count": len(companions)},
        )
        announce(booking, now=now)


def _arrival(arrival: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if "arrival_time" in arrival:
        at: time | None = arrival["arrival_time"]
        values["arrival_time"] = at
    if "arrival_note" in arrival:
        values["arrival_note"] = arrival["arrival_note"] or ""
    return values


def counts_on(actor: Any, listing: Listing | Any) -> bool:
    """Whether ``actor`` has a confirmed stay at ``listing``, so that they may see it whatever became of its offer."""
    if not getattr(actor, "is_authenticated", False) or listing.status == ListingStatus.ARCHIVED:
        return False
    return (
        Booking.objects.as_guest(actor).filter(listing_id=listing.pk, status=BookingStatus.CONFIRMED).exists()
    )
