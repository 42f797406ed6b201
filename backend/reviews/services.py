"""Reviews: write one, change it while it is sealed, respond to it, hide it and decide about that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import User
from backend.audit import services as audit
from backend.bookings import steps as stays
from backend.core import access, platform
from backend.core.db import constraint_errors, retrying
from backend.core.errors import Conflict, FieldError, Invalid, Stale, WrongState
from backend.reviews import announcing, windows
from backend.reviews.judging import AlreadyAppealed, appeal, decide_appeal, hide, unhide
from backend.reviews.models import GUEST, MAX_COMMENT, MAX_NOTE, MAX_RESPONSE, PROPERTY, SUBRATINGS, Review
from backend.reviews.states import ReviewStatus
from backend.reviews.steps import held
from backend.reviews.windows import NotCompleted, WindowClosed, invite_due, publish_due, remind_due

__all__ = [
    "AlreadyAppealed",
    "AlreadyResponded",
    "AlreadyReviewed",
    "Given",
    "NotCompleted",
    "WindowClosed",
    "appeal",
    "decide_appeal",
    "edit",
    "hide",
    "invite_due",
    "publish_due",
    "remind_due",
    "respond",
    "submit",
    "unhide",
]

CHANGEABLE = ("rating", *SUBRATINGS, "comment", "private_note")


class AlreadyReviewed(Conflict):
    """The side has written its review of this stay."""

    code = "already_reviewed"
    title = _("You have reviewed this stay already.")


class AlreadyResponded(Conflict):
    """There is a response."""

    code = "already_responded"
    title = _("There is a response to this review already.")


@dataclass(frozen=True, slots=True)
class Given:
    """What somebody says of a stay: ``rating`` 1–5, what they say, and of a place how single things were (1–5)."""

    rating: int
    comment: str
    subratings: Mapping[str, int | None] = field(default_factory=dict)
    private_note: str = ""


@retrying
def submit(*, actor: User, booking_id: int, given: Given, now: datetime) -> Review:
    """Review a stay as its guest (the place) or on the host's side (the guest), sealed until both are in or time is up.

    The other side is told that there is one, and not what it says; the second review publishes both at once. Raises: NotFound, NotAllowed, AlreadyReviewed, NotCompleted, WindowClosed,
    Invalid (``out_of_range``, ``required``, ``too_long``).
    """
    with transaction.atomic(durable=True):
        booking = stays.hold_still(actor, booking_id)
        access.require(actor, "review.write", booking)
        platform.require("reviews")
        about = PROPERTY if booking.guest_id == actor.pk else GUEST
        if Review.objects.filter(booking=booking, about=about).exists():
            raise AlreadyReviewed
        window = windows.require_open(booking, now)
        review = Review(
            booking=booking,
            listing=booking.listing,
            about=about,
            author=actor,
            subject=booking.host if about == PROPERTY else booking.guest,
            created_at=now,
            updated_at=now,
        )
        values: dict[str, Any] = {name: given.subratings.get(name) for name in SUBRATINGS}
        _fill(
            review,
            {**values, "rating": given.rating, "comment": given.comment, "private_note": given.private_note},
        )
        with constraint_errors({"reviews_once_a_side": AlreadyReviewed}, savepoint=False):
            review.save(force_insert=True)
        # What it says stands in no log: whoever reads that may not know it yet.
        audit.record(
            actor=actor,
            action="review.submit",
            subject=review,
            now=now,
            after={"about": about},
            in_stead_of=booking.host_id if about == GUEST else None,
        )
        if Review.objects.filter(booking=booking).count() == len((PROPERTY, GUEST)):
            windows.close(booking, window, now)
            review.refresh_from_db()
        else:
            windows.ask_the_other_side(booking, window, now)
    return review


@retrying
def edit(
    *, actor: User, review_id: int, changes: Mapping[str, Any], now: datetime, version: int | None = None
) -> Review:
    """Change what one's side has written, as long as it is sealed and the time is not up. ``changes``: field → value.

    ``version``: the one that the change is made to. Raises: NotFound, NotAllowed, Stale, WrongState (published),
    WindowClosed, Invalid.
    """
    with transaction.atomic(durable=True):
        review = held(actor, review_id)
        access.require(actor, "review.edit", review)
        if version is not None and version != review.version:
            raise Stale
        if review.status != ReviewStatus.SEALED:
            raise WrongState(extra={"state": review.status})
        windows.require_open(review.booking, now)
        before = [getattr(review, name) for name in CHANGEABLE]
        _fill(review, changes)
        changed = [name for name, old in zip(CHANGEABLE, before, strict=True) if getattr(review, name) != old]
        if changed:
            review.updated_at, review.version = now, review.version + 1
            review.save(update_fields=[*changed, "updated_at", "version"])
            audit.record(
                actor=actor,
                action="review.edit",
                subject=review,
                now=now,
                after={"changed": changed},
                in_stead_of=review.booking.host_id if review.about == GUEST else None,
            )
    return review


@retrying
def respond(*, actor: User, review_id: int, comment: str, now: datetime) -> Review:
    """Answer a published review of a place in public, once, on the host's side. The guest is told.

    Raises: NotFound, NotAllowed, AlreadyResponded, WrongState (not published), Invalid (``required``, ``too_long``).
    """
    with transaction.atomic(durable=True):
        review = held(actor, review_id)
        access.require(actor, "review.respond", review)
        if review.responded_at is not None:
            raise AlreadyResponded
        if review.status != ReviewStatus.PUBLISHED:
            raise WrongState(extra={"state": review.status})
        text = comment.strip()
        _require([_text("comment", text, MAX_RESPONSE, required=True)])
        review.response, review.responded_by, review.responded_at, review.updated_at = text, actor, now, now
        review.version += 1
        review.save(update_fields=["response", "responded_by", "responded_at", "updated_at", "version"])
        audit.record(
            actor=actor,
            action="review.respond",
            subject=review,
            now=now,
            in_stead_of=review.booking.host_id,
        )
        announcing.author(review, "review.response", key=f"review:{review.pk}", now=now)
    return review


def _fill(review: Review, values: Mapping[str, Any]) -> None:
    """Set what was given. Raises: Invalid, with every field that is refused."""
    refused: list[FieldError | None] = []
    for name, value in values.items():
        if name not in CHANGEABLE:
            raise KeyError(name)
        if name == "comment":
            value = (value or "").strip()
            refused.append(_text(name, value, MAX_COMMENT, required=True))
        elif name == "private_note":
            value = (value or "").strip()
            refused.append(_text(name, value, MAX_NOTE, required=False))
        else:
            refused.append(_stars(name, value))
        setattr(review, name, value)
    _require(refused)


def _stars(name: str, value: int | None) -> FieldError | None:
    if value is None and name != "rating":
        return None
    if value is None or isinstance(value, bool) or not 1 <= value <= 5:
        return FieldError(name, "out_of_range", _("Rate from 1 to 5."))
    return None


def _text(name: str, value: str, most: int, *, required: bool) -> FieldError | None:
    if required and not value:
        return FieldError(name, "required", _("Say something."))
    if len(value) > most:
        message = _("At most %(most)s characters.") % {"most": most}
        return FieldError(name, "too_long", message)
    return None


def _require(refused: list[FieldError | None]) -> None:
    errors = [error for error in refused if error is not None]
    if errors:
        raise Invalid(errors=errors)
