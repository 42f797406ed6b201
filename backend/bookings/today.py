"""A host's day: who comes, who leaves, who stays, and what waits for an answer. Reads only.

Every listing is read on its own clock: at one moment it is two dates on earth.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from backend.bookings.models import Alteration, Booking, Inquiry, InquiryStatus
from backend.bookings.states import BookingStatus

AT_MOST = 200
"""How many of each are shown; a host with more looks at the lists."""


@dataclass(frozen=True, slots=True)
class Day:
    """What concerns a host now. ``staying`` neither come nor leave today."""

    arrivals: list[Booking]
    departures: list[Booking]
    staying: list[Booking]
    waiting_requests: list[Booking]
    alterations: list[Booking]
    inquiries: list[Inquiry]


def of(host: Any, *, now: datetime) -> Day:
    """The day of ``host`` at ``now`` (UTC), in a fixed number of queries; each list ordered by what comes first."""
    hosted = Booking.objects.as_host(host).detailed()
    # A date on any clock is at most a day away from the one in UTC.
    first, last = now.date() - timedelta(days=1), now.date() + timedelta(days=1)
    near = hosted.filter(
        status__in=(BookingStatus.CONFIRMED, BookingStatus.COMPLETED),
        check_in__lte=last,
        check_out__gte=first,
    ).order_by("check_in_at", "id")
    arrivals, departures, staying = [], [], []
    for booking in near[: 3 * AT_MOST]:
        today = local_date(booking, now)
        if booking.check_in == today:
            arrivals.append(booking)
        elif booking.check_out == today:
            departures.append(booking)
        elif booking.check_in < today < booking.check_out:
            staying.append(booking)
    asked = hosted.filter(status=BookingStatus.PENDING, pending_reason="host", expires_at__gt=now).order_by(
        "expires_at", "id"
    )
    changes = Alteration.objects.filter(
        booking__host=host, status="proposed", proposed_by="guest", expires_at__gt=now
    ).order_by("expires_at", "id")
    changing = hosted.filter(pk__in=changes.values("booking_id")).order_by("id")
    questions = (
        Inquiry.objects.filter(host=host, status=InquiryStatus.OPEN, expires_at__gt=now)
        .select_related("listing", "guest", "host")
        .order_by("expires_at", "id")
    )
    return Day(
        arrivals=arrivals[:AT_MOST],
        departures=sorted(departures, key=lambda one: (one.check_out_at, one.pk))[:AT_MOST],
        staying=staying[:AT_MOST],
        waiting_requests=list(asked[:AT_MOST]),
        alterations=list(changing[:AT_MOST]),
        inquiries=list(questions[:AT_MOST]),
    )


def local_date(booking: Booking, now: datetime) -> date:
    """The date at the booking's listing at ``now`` (UTC)."""
    return now.astimezone(ZoneInfo(booking.listing.timezone)).date()
