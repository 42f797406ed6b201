"""Tell people of reviews: that they may write, that they were written about, what became of theirs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from backend.accounts.models import User
from backend.bookings.announcing import params
from backend.bookings.models import Booking
from backend.listings import cohosts
from backend.notifications import services as notifications
from backend.notifications.services import Telling
from backend.reviews.models import GUEST, PROPERTY, Review


def host_side(booking: Booking) -> list[User]:
    """The host and the co-hosts who deal with bookings."""
    return [booking.host, *cohosts.with_grant(booking.listing, cohosts.BOOKINGS)]


def ask(booking: Booking, missing: Sequence[str], kind: str, *, until: datetime, now: datetime) -> None:
    """Tell the sides whose review is ``missing`` (what it would be about) that they may write until ``until`` (UTC)."""
    readers: list[User] = []
    if PROPERTY in missing:
        readers.append(booking.guest)
    if GUEST in missing:
        readers.extend(host_side(booking))
    last = until.astimezone(ZoneInfo(booking.terms["zone"])).date()
    values = {**params(booking), "until": last.isoformat()}
    tellings = [
        Telling(
            user=reader,
            kind=kind,
            object_key=f"booking:{booking.pk}",
            params=values,
            data={"booking_id": booking.pk, "property_id": booking.listing_id},
            url=f"/bookings/{booking.pk}/review",
        )
        for reader in readers
    ]
    notifications.tell(tellings, now=now)


def published(booking: Booking, reviews: Iterable[Review], *, now: datetime) -> None:
    """Tell each side that what was written about it can be read."""
    tellings = [
        _telling(review, booking, reader, "review.published")
        for review in reviews
        for reader in ([booking.guest] if review.about == GUEST else host_side(booking))
    ]
    notifications.tell(tellings, now=now)


def author(review: Review, kind: str, *, key: str, now: datetime, reason: str = "") -> None:
    """Tell whoever wrote ``review`` (with its booking and parties) what became of it; once per ``key``."""
    notifications.tell(
        [_telling(review, review.booking, review.author, kind, reason=reason, key=key)], now=now
    )


def _telling(
    review: Review, booking: Booking, reader: User, kind: str, *, reason: str = "", key: str = ""
) -> Telling:
    return Telling(
        user=reader,
        kind=kind,
        object_key=key or f"review:{review.pk}",
        params=params(booking, reason=reason),
        data={"review_id": review.pk, "booking_id": booking.pk, "property_id": booking.listing_id},
        url=f"/reviews/{review.pk}",
    )
