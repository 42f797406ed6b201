"""The letters about one booking: notices to its people, with what became of each channel."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from backend.bookings.in_stead import letter_keys
from backend.bookings.models import Booking
from backend.listings import cohosts
from backend.notifications.kinds import KINDS
from backend.notifications.models import Notification

ABOUT_STAYS = ("booking", "payment", "payout", "host", "dispute", "document", "review")

OF_STAYS = [name for name in KINDS if name.partition(".")[0] in ABOUT_STAYS]


def letters(booking: Booking, about: list[str]) -> QuerySet[Notification]:
    """The notices to guest, host and co-hosts about the booking itself and the objects ``about``.

    People, kinds and objects are all named: each notice is found by the index that keeps it from being sent twice.
    """
    people = [
        booking.guest_id,
        booking.host_id,
        *(user.pk for user in cohosts.with_grant(booking.listing, "bookings")),
    ]
    keys = [f"booking:{booking.pk}", *letter_keys(booking.pk), *about]
    rows = Notification.objects.filter(user__in=people, kind__in=OF_STAYS, object_key__in=keys)
    return rows.select_related("user").prefetch_related("deliveries")


def astray(letter: Any) -> bool:
    """Whether a channel of the letter has failed."""
    return any(each.state in ("failed", "bounced", "suppressed") for each in letter.deliveries.all())
