"""Reminders of stays that begin soon: the guest three days and one day before, who keeps the place one day before.

A day before is the same hour of the listing's clock, a day earlier. Whoever booked after that hour has just been told.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import CharField, Exists, OuterRef, QuerySet, Value
from django.db.models.functions import Cast, Concat

from backend.bookings import clock, sweeping
from backend.bookings.announcing import params
from backend.bookings.models import Booking
from backend.bookings.states import BookingStatus
from backend.bookings.steps import hold_still
from backend.core.access import SYSTEM
from backend.core.db import retrying
from backend.listings import cohosts
from backend.notifications import services as notifications
from backend.notifications.models import Notification
from backend.notifications.services import Telling

GUEST_KIND, HOST_KIND = "booking.reminder", "booking.arriving"

DAYS_BEFORE = (3, 1)
"""When guests are reminded; the host is told at the last of them."""

_CLOCK_CHANGE = timedelta(hours=2)
"""By how much at most a clock is changed within days; the hour itself is looked at booking by booking."""


def remind(*, now: datetime) -> dict[str, int]:
    """Remind the parties of every confirmed stay that begins soon by ``now`` (UTC), each once for each of the days.

    A reminder that was missed, since nothing ran, is left out once the next one is due.
    """
    counts = {"reminded": 0, "left": 0}
    for days in DAYS_BEFORE:
        due = [booking.pk for booking in _candidates(days, now) if _is_due(booking, days, now)]
        done = sweeping.each(due, "reminded", lambda pk, days=days: _remind_one(pk, days, now))  # type: ignore[misc]
        counts = {name: counts[name] + done[name] for name in counts}
    return counts


def _candidates(days: int, now: datetime) -> QuerySet[Booking]:
    """Confirmed stays that begin about then and whose guests were not reminded of it."""
    told = Notification.objects.filter(
        user=OuterRef("guest"),
        kind=GUEST_KIND,
        object_key=Concat(
            Value("booking:"),
            Cast(OuterRef("pk"), CharField()),
            Value(":"),
            Cast(OuterRef("check_in"), CharField()),
            Value(f":{days}"),
        ),
    )
    soon = Booking.objects.filter(
        status=BookingStatus.CONFIRMED,
        check_in_at__gt=now,
        check_in_at__lte=now + timedelta(days=days) + _CLOCK_CHANGE,
        # Who was erased is told nothing, and would come up each time.
        guest__erased_at=None,
    )
    return soon.exclude(Exists(told)).select_related("listing").order_by("check_in_at")


def _is_due(booking: Booking, days: int, now: datetime) -> bool:
    since = _moment(booking, days)
    later = [other for other in DAYS_BEFORE if other < days]
    until = _moment(booking, later[0]) if later else booking.check_in_at
    confirmed = booking.confirmed_at
    return since <= now < until and confirmed is not None and confirmed <= since


def _moment(booking: Booking, days: int) -> datetime:
    """The hour of check-in, ``days`` earlier, on the listing's clock."""
    zone = booking.listing.timezone
    hour = booking.check_in_at.astimezone(ZoneInfo(zone)).time()
    return clock.instant(booking.check_in - timedelta(days=days), hour, zone)


@retrying
def _remind_one(booking_id: int, days: int, now: datetime) -> bool:
    with transaction.atomic(durable=True):
        booking = hold_still(SYSTEM, booking_id)
        if booking.status != BookingStatus.CONFIRMED or not _is_due(booking, days, now):
            return False
        readers = [(booking.guest, GUEST_KIND)]
        if days == DAYS_BEFORE[-1]:
            keepers = cohosts.with_grant(booking.listing, cohosts.BOOKINGS)
            readers += [(user, HOST_KIND) for user in (booking.host, *keepers)]
        zone = ZoneInfo(booking.listing.timezone)
        values = {
            **params(booking),
            "days": days,
            "time": f"{booking.check_in_at.astimezone(zone):%H:%M}",
        }
        key = f"booking:{booking.pk}:{booking.check_in.isoformat()}:{days}"
        data = {"booking_id": booking.pk, "property_id": booking.listing_id}
        url = f"/bookings/{booking.pk}"
        notifications.tell([Telling(user, kind, key, values, data, url) for user, kind in readers], now=now)
    return True
