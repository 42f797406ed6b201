"""Who comes and who goes today, where today is the date at each listing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import DateField, DateTimeField, F, Func, QuerySet, Value
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import RadioFilter

from admin_site.frame.display import BOOKING_COLOURS, label, link
from admin_site.frame.masking import full_name
from backend.bookings.models import Booking
from backend.bookings.states import BookingStatus

ARRIVALS, DEPARTURES = "arrivals", "departures"
DAYS = {
    ARRIVALS: ("check_in", (BookingStatus.CONFIRMED,)),
    DEPARTURES: ("check_out", (BookingStatus.CONFIRMED, BookingStatus.COMPLETED)),
}
"""What happens today → the date that says so, and the states of bookings in which it does happen."""

AT_MOST = 100
SHOWN = 6


class TodayFilter(RadioFilter):
    """Stays that begin or end today."""

    title = _("today")
    parameter_name = "today"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(ARRIVALS, _("arriving")), (DEPARTURES, _("departing"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Booking]) -> QuerySet[Booking]:
        return queryset if self.value() not in DAYS else on(str(self.value()), timezone.now(), queryset)


def on(what: str, now: datetime, queryset: QuerySet[Booking] | None = None) -> QuerySet[Booking]:
    """Bookings whose ``what`` is on the day that ``now`` is at their listing: some day of three by UTC's."""
    field, states = DAYS[what]
    today = now.astimezone(UTC).date()
    local = Func(
        Value(now, DateTimeField()),
        F("listing__timezone"),
        template="(%(expressions)s)::date",
        arg_joiner=" AT TIME ZONE ",
        output_field=DateField(),
    )
    bookings = Booking.objects.all() if queryset is None else queryset
    return bookings.filter(
        **{f"{field}__range": (today - timedelta(days=1), today + timedelta(days=1)), "status__in": states}
    ).filter(**{field: local})


def card(what: str, now: datetime) -> dict[str, Any]:
    """The first of them in the order of their hours, how many there are, and the way to all."""
    field, _states = DAYS[what]
    rows = on(what, now).select_related("listing", "guest").order_by(field, "id")[:AT_MOST]
    stays = sorted(rows, key=lambda stay: getattr(stay, f"{field}_at"))
    return {
        "key": what,
        "count": f"{AT_MOST - 1}+" if len(stays) >= AT_MOST else str(len(stays)),
        "url": f"{reverse('admin:bookings_booking_changelist')}?today={what}",
        "rows": [_row(stay, getattr(stay, f"{field}_at")) for stay in stays[:SHOWN]],
    }


def headers() -> Sequence[Any]:
    return (_("Hour there"), _("Booking"), _("Listing"), _("Guest"), _("Status"))


def _row(stay: Booking, at: datetime) -> list[Any]:
    return [
        f"{at.astimezone(ZoneInfo(stay.listing.timezone)):%H:%M}",
        link(stay),
        stay.listing.title,
        full_name(stay.guest),
        label(stay.get_status_display(), BOOKING_COLOURS[stay.status]),
    ]
