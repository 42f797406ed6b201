"""How a review is fetched and held, and who may do what with it.

The listing is locked first, then the stay, then the review: whatever changes what is published changes the listing's
figures, and two sides that write at the same moment wait for each other.
"""

from __future__ import annotations

from typing import Any

from backend.accounts.models import ADMIN, MODERATOR
from backend.bookings.models import Booking
from backend.bookings.steps import hold
from backend.core import access
from backend.core.db import lock
from backend.core.errors import NotFound
from backend.listings.cohosts import BOOKINGS, stands_in
from backend.reviews.models import GUEST, PROPERTY, Review


@access.rule("review.write")
def may_write(actor: Any, booking: Booking) -> bool:
    """The guest of the stay about the place; the host, or who deals with bookings for them, about the guest."""
    return booking.guest_id == actor.pk or stands_in(actor, booking.listing, BOOKINGS)


@access.rule("review.edit")
def may_edit(actor: Any, review: Review) -> bool:
    """The side that wrote it."""
    return is_authors_side(actor, review)


@access.rule("review.respond")
def may_respond(actor: Any, review: Review) -> bool:
    """The host of the place that it is about, or who deals with bookings for them. Guests have no response."""
    if review.about != PROPERTY or review.author_id == actor.pk:
        return False
    return stands_in(actor, review.listing, BOOKINGS)


@access.rule("review.appeal")
def may_appeal(actor: Any, review: Review) -> bool:
    """The side that wrote it."""
    return is_authors_side(actor, review)


@access.rule("review.moderate")
def may_moderate(actor: Any, review: Review) -> bool:
    """Moderators and administrators, and never where they have a part in it themselves."""
    parties = (review.author_id, review.subject_id, review.listing.host_id)
    return actor.has_role(MODERATOR, ADMIN) and actor.pk not in parties


def is_authors_side(actor: Any, review: Review) -> bool:
    """Whether ``actor`` wrote it, or stands where its author stood."""
    if review.about == PROPERTY:
        return bool(review.author_id == actor.pk)
    return review.subject_id != actor.pk and stands_in(actor, review.listing, BOOKINGS)


def is_receivers_side(actor: Any, review: Review) -> bool:
    """Whether it is for ``actor``: the guest, or the host and who deals with bookings for them."""
    if review.about == GUEST:
        return bool(review.subject_id == actor.pk)
    return review.author_id != actor.pk and stands_in(actor, review.listing, BOOKINGS)


def held(actor: Any, review_id: int) -> Review:
    """Hold a review that ``actor`` may know of, with its stay and listing, until the transaction ends.

    Raises: NotFound, Unavailable.
    """
    found = Review.objects.visible_to(actor).filter(pk=review_id)
    ids = found.values_list("booking_id", "listing_id").first()
    if ids is None:
        raise NotFound
    booking = hold(*ids)
    # What was looked at before the lock may have moved on; the present state decides what may be known.
    review = lock(Review.objects.select_related("author", "subject"), pk=review_id)
    if not Review.objects.visible_to(actor).filter(pk=review_id).exists():
        raise NotFound
    review.booking, review.listing = booking, booking.listing
    return review
