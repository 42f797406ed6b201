"""Stays that are over and reviews of them, as the operations leave them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from backend.accounts.models import User
from backend.bookings import services as bookings
from backend.bookings.models import Booking
from backend.listings.models import Listing
from backend.reviews import services as reviews
from backend.reviews.models import Review
from backend.reviews.services import Given
from tests.bookings.making import confirmed
from tests.factories import make_listing

SECOND = timedelta(seconds=1)


def stayed(listing: Listing | None = None, guest: User | None = None, **wish: Any) -> Booking:
    """A completed stay: by default of a new listing by a new guest, from 3 to 7 May 2027 in Lisbon."""
    booking = confirmed(listing or make_listing(), guest, **wish)
    assert bookings.complete(now=booking.check_out_at)["completed"] == 1
    booking.refresh_from_db()
    return booking


def review(
    booking: Booking, by: User | None = None, rating: int = 5, *, now: datetime | None = None, **given: Any
) -> Review:
    """A review of ``booking`` by its guest, or by somebody else of its parties, right after the stay."""
    said = {"comment": "We would come again.", **given}
    return reviews.submit(
        actor=by or booking.guest,
        booking_id=booking.pk,
        given=Given(rating=rating, **said),
        now=now or booking.check_out_at + SECOND,
    )


def published(listing: Listing, rating: int, guest: User | None = None, **wish: Any) -> Review:
    """A published review of ``listing`` by its guest, whose host has reviewed them too."""
    booking = stayed(listing, guest, **wish)
    made = review(booking, rating=rating)
    review(booking, booking.host)
    made.refresh_from_db()
    assert made.status == "published"
    return made
