"""What of reviews is shown to whom: bylines without names that are gone, notes to their receivers alone."""

from __future__ import annotations

from typing import Any

from backend.accounts.models import ADMIN, MODERATOR, SUPPORT, User
from backend.bookings.models import Booking, Inquiry
from backend.core import access
from backend.core.errors import NotFound
from backend.listings.cohosts import BOOKINGS
from backend.listings.models import hosted_by
from backend.reviews.models import Review
from backend.reviews.steps import is_authors_side, is_receivers_side


@access.rule("review.read_guest")
def may_read_about(actor: Any, user: User) -> bool:
    """The guest; staff who look after people; hosts whom the guest has asked or booked with, and who does it for them."""
    if actor.pk == user.pk or actor.has_role(SUPPORT, MODERATOR, ADMIN):
        return True
    theirs = hosted_by(actor, BOOKINGS)
    return (
        Booking.objects.filter(theirs, guest=user).exists()
        or Inquiry.objects.filter(theirs, guest=user).exists()
    )


def found(actor: Any, review_id: int) -> Review:
    """A review that ``actor`` may know of, with its parties and listing. Raises: NotFound."""
    known = Review.objects.visible_to(actor).select_related("author", "listing", "booking__review_window")
    review = known.filter(pk=review_id).first()
    if review is None:
        raise NotFound
    return review


def has_name(person: User) -> bool:
    """Whether a byline names ``person``: not those who were erased, suspended or shut out."""
    return person.erased_at is None and person.suspended_at is None and person.is_active


def sees_note(actor: Any, review: Review) -> bool:
    """Whether the private note is for ``actor``: who wrote it, and whom it is for once it is published."""
    if getattr(actor, "pk", None) is None:
        return False
    return is_authors_side(actor, review) or is_receivers_side(actor, review)
