"""Calendars as pictures: the months of one listing, and six weeks of all listings of a host.

A picture is a table, night by night: what takes several nights is one cell over all of them, with words and a link, so
that it is read by keyboard and by ear as by eye. Colours only repeat what the words say.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.dates import WEEKDAYS, WEEKDAYS_ABBR
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _

from admin_site.frame.custom import CustomPage, register_page
from admin_site.frame.display import days, url_of
from admin_site.frame.fields import FIRST, LAST
from admin_site.frame.masking import full_name
from backend.accounts.models import User
from backend.bookings import occupancy
from backend.bookings.occupancy import Span
from backend.listings.models import Listing

MONTHS, WEEKS = 3, 6
"""How much one picture shows: of a listing, of a host."""

PER_PAGE = 20
"""How many listings of a host one picture has."""

WORDS: dict[str, Any] = {
    "booking": _("booked"),
    "hold": _("held for a guest"),
    "host": _("closed by the host"),
    "pinned": _("kept closed by the platform"),
    "feed": _("imported calendar"),
    "preparation": _("preparation"),
}
"""What takes nights, in the order of the legend."""


@dataclass(frozen=True, slots=True)
class Run:
    """Nights of one row that are one cell: free, or taken by ``span``. ``begins`` and ``ends``: it does so here."""

    first: date
    nights: int
    span: Span | None = None
    begins: bool = True
    ends: bool = True
    words: str = ""
    title: str = ""
    url: str = ""
    has_today: bool = False


def runs(spans: Iterable[Span], first: date, last: date, today: date, may_open: bool) -> list[Run]:
    """The nights ``[first, last)`` in cells: a free night is one of its own. ``spans`` are one listing's, by date."""
    found: list[Run] = []
    at = first
    for span in spans:
        begin, end = max(span.first, first), min(span.last, last)
        if begin < at:  # preparation reaches into what follows; the stay comes first
            begin = at
        if end <= begin:
            continue
        found += [Run(day, 1, has_today=day == today) for day in _dates(at, begin)]
        found.append(
            Run(
                begin,
                (end - begin).days,
                span,
                begins=span.first >= first,
                ends=span.last <= last,
                words=_short(span),
                title=_whole(span),
                url=url_of(span.booking) if span.booking is not None and may_open else "",
                has_today=begin <= today < end,
            )
        )
        at = end
    return found + [Run(day, 1, has_today=day == today) for day in _dates(at, last)]


def _dates(first: date, last: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((last - first).days)]


def _short(span: Span) -> str:
    if span.booking is not None:
        return f"{span.booking.reference} · {full_name(span.booking.guest)}"
    return span.words or str(WORDS[span.kind])


def _whole(span: Span) -> str:
    """What there is to say of a cell: what it is, from when to when, and whose."""
    parts = [str(WORDS[span.kind]), days(span.first, span.last)]
    if span.booking is not None:
        status = str(span.booking.get_status_display())
        parts += [span.booking.reference, full_name(span.booking.guest), status]
    elif span.words:
        parts.append(span.words)
    return " · ".join(parts)


def _month(text: str, default: date) -> date:
    """The first day of the month that an address names (``2027-05``)."""
    return _date(f"{text}-01", default).replace(day=1)


def _date(text: str, default: date) -> date:
    try:
        asked = date.fromisoformat(text)
    except ValueError:
        return default
    return asked if FIRST <= asked <= LAST - timedelta(days=400) else default


def _moved(month: date, by: int) -> date:
    number = month.year * 12 + month.month - 1 + by
    return date(number // 12, number % 12 + 1, 1)


def _by_listing(spans: Iterable[Span]) -> dict[int, list[Span]]:
    found: dict[int, list[Span]] = {}
    for span in spans:
        found.setdefault(span.listing_id, []).append(span)
    return found


def _legend() -> list[tuple[str, Any]]:
    words = [*WORDS.items(), ("free", _("free"))]
    words.insert(1, ("is-completed", _("stayed")))
    return words


def listing_view(request: HttpRequest, listing_id: int) -> HttpResponseBase:
    """The months of one listing, on its own clock."""
    listing = Listing.objects.select_related("host").filter(pk=listing_id).first()
    if listing is None:
        raise Http404
    today = timezone.now().astimezone(ZoneInfo(listing.timezone)).date()
    first = _month(request.GET.get("month", ""), today.replace(day=1))
    last = _moved(first, MONTHS)
    taken = occupancy.spans([listing.pk], first - timedelta(days=6), last + timedelta(days=6))
    may_open = request.user.has_perm("bookings.view_booking")
    months = [_weeks(_moved(first, number), taken, today, may_open) for number in range(MONTHS)]
    return LISTING.render(
        request,
        "admin_site/calendar_listing.html",
        {
            "listing": listing,
            "back": url_of(listing),
            "months": months,
            "weekdays": [(WEEKDAYS[number], WEEKDAYS_ABBR[number]) for number in range(7)],
            "legend": _legend(),
            "before": f"?month={_moved(first, -MONTHS):%Y-%m}",
            "after": f"?month={_moved(first, MONTHS):%Y-%m}",
            "now": LISTING.url(listing.pk),
            "of_host": HOST.url(listing.host_id),
            "host": full_name(listing.host),
        },
    )


def _weeks(month: date, taken: list[Span], today: date, may_open: bool) -> dict[str, Any]:
    """A month as rows of weeks that begin on Monday; the days of its neighbors are left empty."""
    end = _moved(month, 1)
    weeks = []
    monday = month - timedelta(days=month.weekday())
    while monday < end:
        first, last = max(monday, month), min(monday + timedelta(days=7), end)
        weeks.append(
            {
                "days": [
                    {"date": day, "is_today": day == today, "is_past": day < today}
                    for day in _dates(first, last)
                ],
                "before": (first - monday).days,
                "after": (monday + timedelta(days=7) - last).days,
                "runs": runs(taken, first, last, today, may_open),
            }
        )
        monday += timedelta(days=7)
    return {"name": date_format(month, "YEAR_MONTH_FORMAT"), "weeks": weeks}


def host_view(request: HttpRequest, host_id: int) -> HttpResponseBase:
    """Six weeks of the listings of a host, a page of them at a time."""
    host = User.objects.filter(pk=host_id).first()
    if host is None:
        raise Http404
    today = timezone.now().date()
    first = _date(request.GET.get("from", ""), today - timedelta(days=today.weekday()))
    last = first + timedelta(weeks=WEEKS)
    number = request.GET.get("page", "1")
    page = max(1, int(number)) if number.isascii() and number.isdigit() and len(number) < 5 else 1
    start = (page - 1) * PER_PAGE
    mine = list(Listing.objects.filter(host=host).order_by("id")[start : start + PER_PAGE + 1])
    listings = mine[:PER_PAGE]
    of_listing = _by_listing(occupancy.spans([each.pk for each in listings], first, last))
    may_open = request.user.has_perm("bookings.view_booking")
    step = timedelta(weeks=WEEKS)

    def at(begin: date, shown: int) -> str:
        return f"?from={begin:%Y-%m-%d}&page={shown}"

    return HOST.render(
        request,
        "admin_site/calendar_host.html",
        {
            "host": host,
            "name": full_name(host),
            "back": url_of(host),
            "weeks": [
                {"name": days(begin, begin + timedelta(days=6)), "nights": 7}
                for begin in (first + timedelta(weeks=week) for week in range(WEEKS))
            ],
            "dates": [
                {
                    "date": day,
                    "weekday": WEEKDAYS[day.weekday()],
                    "is_today": day == today,
                    "is_weekend": day.weekday() >= 5,
                }
                for day in _dates(first, last)
            ],
            "rows": [
                {
                    "listing": each,
                    "url": LISTING.url(each.pk),
                    "runs": runs(of_listing.get(each.pk, []), first, last, today, may_open),
                }
                for each in listings
            ],
            "legend": _legend(),
            "before": at(first - step, page),
            "after": at(first + step, page),
            "now": HOST.url(host.pk),
            "page_before": at(first, page - 1) if page > 1 else "",
            "page_after": at(first, page + 1) if len(mine) > PER_PAGE else "",
            "number": page,
        },
    )


def of_host(host_id: int) -> str:
    """Where the picture of a host's calendars is."""
    return reverse("admin:page_host_calendar", args=(host_id,))


LISTING = register_page(
    CustomPage(
        "listing_calendar",
        _("Calendar of a listing"),
        "calendar_month",
        listing_view,
        rule="calendar.look",
        route="listing-calendar/<int:listing_id>/",
    )
)
HOST = register_page(
    CustomPage(
        "host_calendar",
        _("Calendars of a host"),
        "calendar_view_week",
        host_view,
        rule="calendar.look",
        route="host-calendar/<int:host_id>/",
    )
)
