"""Until when a stay may be reviewed, and what time does about it: people are invited, reminded, and the seal is broken.

A stay may be reviewed once it is completed, or was cut short after it had begun, for ``LASTS`` days on the clock of the
place: until the same wall-clock time 14 days after it ended, whatever the clocks did in between. That second is the
first one too late. The sweep closes the window and publishes what lies in it; so does the second review.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from backend.audit import services as audit
from backend.bookings import sweeping
from backend.bookings.clock import instant
from backend.bookings.models import Booking
from backend.bookings.states import BookingStatus
from backend.bookings.steps import hold
from backend.core import platform
from backend.core.access import SYSTEM
from backend.core.db import retrying
from backend.core.errors import Conflict
from backend.reviews import announcing, scores
from backend.reviews.models import GUEST, PROPERTY, Review, ReviewWindow
from backend.reviews.states import TRANSITIONS, ReviewStatus

LASTS = 14
"""Days."""


class NotCompleted(Conflict):
    """There is nothing to review yet, or there never will be."""

    code = "not_completed"
    title = _("A stay can be reviewed once it is completed.")


class WindowClosed(Conflict):
    """The time is up, or both reviews are published."""

    code = "review_window_closed"
    title = _("The time for reviewing this stay is up.")


def closes_at(ended_at: datetime, zone: str) -> datetime:
    """When the time for reviews is up (UTC), of a stay that ended at ``ended_at`` (UTC) on the clock of ``zone``. Pure."""
    local = ended_at.astimezone(ZoneInfo(zone))
    return instant(local.date() + timedelta(days=LASTS), local.time(), zone)


def ended_at(booking: Booking) -> datetime | None:
    """When the stay was over (UTC): the agreed check-out, or when it was cut short. None: it was not, or never began."""
    if booking.status == BookingStatus.COMPLETED:
        return booking.check_out_at
    cut_short = booking.status == BookingStatus.CANCELED and booking.confirmed_at is not None
    if cut_short and booking.ended_at is not None and booking.ended_at >= booking.check_in_at:
        return booking.ended_at
    return None


def of(booking: Booking) -> ReviewWindow:
    """The window of a held booking, with its end. Raises: NotCompleted."""
    ended = ended_at(booking)
    if ended is None:
        raise NotCompleted
    window = ReviewWindow.objects.get_or_create(booking=booking)[0]
    if window.closes_at is None:
        window.closes_at = closes_at(ended, booking.terms["zone"])
        window.save(update_fields=["closes_at"])
    return window


def require_open(booking: Booking, now: datetime) -> ReviewWindow:
    """The window of a held booking that may be reviewed at ``now`` (UTC). Raises: NotCompleted, WindowClosed."""
    window = of(booking)
    if window.closed_at is not None or window.closes_at is None or now >= window.closes_at:
        raise WindowClosed
    return window


def ask_the_other_side(booking: Booking, window: ReviewWindow, now: datetime) -> None:
    """Tell whose review of a held booking is missing that the other one is in."""
    if window.closes_at is not None:
        announcing.ask(booking, _missing(booking), "review.received", until=window.closes_at, now=now)


def close(booking: Booking, window: ReviewWindow, now: datetime) -> list[Review]:
    """Close the window of a held booking and publish what lies in it, all in the caller's transaction."""
    sealed = Review.objects.filter(booking=booking, status=ReviewStatus.SEALED)
    published = list(sealed.select_related("author", "subject").order_by("pk"))
    window.closed_at = now
    window.save(update_fields=["closed_at"])
    for review in published:
        TRANSITIONS.require(review.status, ReviewStatus.PUBLISHED)
        review.status, review.published_at, review.updated_at = ReviewStatus.PUBLISHED, now, now
        review.version += 1
        review.save(update_fields=["status", "published_at", "updated_at", "version"])
        audit.record(actor=SYSTEM, action="review.publish", subject=review, now=now)
    if any(review.about == PROPERTY for review in published):
        scores.settle(booking.listing_id)
    announcing.published(booking, published, now=now)
    return published


def publish_due(*, now: datetime) -> dict[str, int]:
    """Close every window whose time is up by ``now`` (UTC) and publish what lies in it, a transaction a stay."""
    due = ReviewWindow.objects.filter(closed_at=None, closes_at__lte=now).order_by("closes_at")
    return _each(due, "closed", _close_one, now)


def invite_due(*, now: datetime) -> dict[str, int]:
    """Invite the sides of every stay that has ended to review each other.

    Whoever hears of it so late that the time is up already is not invited.
    """
    new = ReviewWindow.objects.filter(invited_at=None, closed_at=None).order_by("booking")
    return _each(new, "invited", _invite_one, now)


def remind_due(*, now: datetime) -> dict[str, int]:
    """Remind those who have not written, once, ``review_reminder_days`` before the time is up."""
    days = platform.get("review_reminder_days")
    if not days:
        return {"reminded": 0, "left": 0}
    soon = now + timedelta(days=days)
    # Invited so late that a reminder would come with it: once is enough.
    due = ReviewWindow.objects.filter(
        closed_at=None, closes_at__lte=soon, closes_at__gt=now, reminded_at=None, invited_at__isnull=False
    ).order_by("closes_at")
    return _each(due, "reminded", _remind_one, now)


def _each(windows: Any, done: str, operation: Any, now: datetime) -> dict[str, int]:
    ids: Iterable[int] = windows.values_list("booking_id", flat=True)
    return sweeping.each(ids, done, lambda booking_id: operation(booking_id, now=now))


def _held(booking_id: int) -> tuple[Booking, ReviewWindow]:
    listing_id = Booking.objects.values_list("listing_id", flat=True).get(pk=booking_id)
    booking = hold(booking_id, listing_id)
    return booking, of(booking)


@retrying
def _close_one(booking_id: int, *, now: datetime) -> bool:
    with transaction.atomic(durable=True):
        booking, window = _held(booking_id)
        if window.closed_at is not None or window.closes_at is None or window.closes_at > now:
            return False
        close(booking, window, now)
    return True


@retrying
def _invite_one(booking_id: int, *, now: datetime) -> bool:
    with transaction.atomic(durable=True):
        booking, window = _held(booking_id)
        if window.invited_at is not None or window.closes_at is None:
            return False
        window.invited_at = now
        window.save(update_fields=["invited_at"])
        if window.closed_at is None and now < window.closes_at:
            announcing.ask(booking, _missing(booking), "review.invited", until=window.closes_at, now=now)
    return True


@retrying
def _remind_one(booking_id: int, *, now: datetime) -> bool:
    with transaction.atomic(durable=True):
        booking, window = _held(booking_id)
        if window.closed_at is not None or window.reminded_at is not None or window.closes_at is None:
            return False
        window.reminded_at = now
        window.save(update_fields=["reminded_at"])
        period = timedelta(days=platform.get("review_reminder_days"))
        if window.invited_at is not None and window.invited_at <= window.closes_at - period:
            announcing.ask(booking, _missing(booking), "review.reminder", until=window.closes_at, now=now)
    return True


def _missing(booking: Booking) -> list[str]:
    """What the reviews would be about that are not in."""
    there = set(Review.objects.filter(booking=booking).values_list("about", flat=True))
    return [about for about in (PROPERTY, GUEST) if about not in there]
