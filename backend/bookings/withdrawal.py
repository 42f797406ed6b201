"""What a listing may do because of its bookings: be withdrawn, show its address."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import STAFF_ROLES
from backend.bookings.models import Booking
from backend.bookings.states import BookingStatus
from backend.core import access
from backend.core.db import retrying
from backend.core.errors import Conflict, NotFound
from backend.listings import services as listings
from backend.listings.cohosts import stands_in
from backend.listings.models import Listing


class ActiveBookings(Conflict):
    """Somebody still counts on the place."""

    code = "active_bookings"
    title = _("There are coming bookings. Cancel or finish them first.")


@retrying
def withdraw_listing(*, actor: Any, listing: Listing, now: datetime) -> None:
    """Take a listing off for good; its past bookings keep their record.

    Bookings that are being made wait for this and are refused after it.
    Raises: NotFound, NotAllowed, ActiveBookings (held, waiting or coming stays).
    """
    with transaction.atomic(durable=True):
        # FOR UPDATE, since it must also wait for those that have pinned the listing (``steps.pin``).
        held = Listing.objects.visible_to(actor).select_for_update(of=("self",)).filter(pk=listing.pk).first()
        if held is None:
            raise NotFound
        access.require(actor, "listing.withdraw", held)
        coming = Booking.objects.filter(listing_id=held.pk).coming(now)
        if coming.exists():
            raise ActiveBookings
        listings.archive(actor=actor, listing=held, now=now)


def knows_address(actor: Any, listing: Listing) -> bool:
    """Whether ``actor`` may see the exact address: its host and co-hosts, staff, and guests with a confirmed or completed stay."""
    if not getattr(actor, "is_authenticated", False):
        return False
    if actor.has_role(*STAFF_ROLES, "system") or stands_in(actor, listing):
        return True
    agreed = (BookingStatus.CONFIRMED, BookingStatus.COMPLETED)
    return Booking.objects.as_guest(actor).filter(listing_id=listing.pk, status__in=agreed).exists()
