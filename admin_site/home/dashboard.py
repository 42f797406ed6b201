"""The back office's first page: figures, what waits, the latest bookings."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.timesince import timesince, timeuntil
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from admin_site.frame.display import BOOKING_COLOURS, days, label, link, money, number, share, short_day
from admin_site.frame.masking import full_name
from admin_site.home import figures, today, waiting
from admin_site.money import reconciliation
from backend.bookings.models import Booking
from backend.core import rate_book
from backend.core.money import Money

LATEST = 8


def context(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold's dashboard callback: what ``templates/admin/index.html`` shows. Every number is read now."""
    now = timezone.now()
    sold, before = figures.sales(now)
    full = figures.occupancy(now)
    waits = waiting.waits(request, now)
    sees_bookings = request.user.has_perm("bookings.view_booking")
    context.update(
        {
            "title": _("Dashboard"),
            "read_at": now,
            "figures": [_bookings(sold, before), _gmv(sold, before), _occupancy(full)],
            "bookings_chart": _chart(sold.days, sold.bookings, _("Bookings")),
            "gmv_chart": _chart(
                sold.days, [Money(minor, sold.currency).number() for minor in sold.gmv_minor], _("GMV")
            ),
            "occupancy_chart": _chart(full.days, full.booked, _("Booked nights")),
            "gmv_currency": sold.currency,
            "waiting": [_wait(wait, now) for wait in waits],
            "waits_for_nobody": not any(wait.count for wait in waits),
            "sees_bookings": sees_bookings,
            **reconciliation.card(request, now),
            "age": rate_book.age(now) if request.user.has_perm("core.view_exchangerate") else None,
        }
    )
    if sees_bookings:
        arrivals, departures = (today.card(what, now) for what in (today.ARRIVALS, today.DEPARTURES))
        context |= {
            "today": [
                arrivals | {"title": _("Arrivals today")},
                departures | {"title": _("Departures today")},
            ],
            "today_headers": today.headers(),
            "latest_headers": _latest_headers(),
            "latest": _latest(),
        }
    return context


def _wait(wait: waiting.Wait, now: datetime) -> dict[str, Any]:
    kind = wait.kind
    return {
        "key": kind.key,
        "title": kind.title,
        "why": kind.why,
        "count": waiting.shown(wait.count) or "0",
        "age": _age(wait, now),
        "is_late": wait.until is not None and wait.until - now < waiting.REQUESTS_RUN_OUT_IN,
        "url": reverse("admin:index") + kind.path,
        "icon": kind.icon,
        "variant": kind.variant if wait.count else "calm",
    }


def _age(wait: waiting.Wait, now: datetime) -> str:
    """How long the oldest waits and until when there is time, in words; "" for nothing to say."""
    said = []
    if wait.until is not None:
        left = {"time": timeuntil(wait.until, now, depth=1)}
        said.append(_("Time is up in %(time)s.") % left if wait.until > now else _("Time is up."))
    if wait.since is not None and wait.since < now - timedelta(minutes=1):
        gone = {"time": timesince(wait.since, now, depth=1)}
        said.append((_("For %(time)s or longer.") if wait.is_more else _("The oldest for %(time)s.")) % gone)
    return " ".join(said)


def _bookings(sold: figures.Sales, before: figures.Sales) -> dict[str, Any]:
    return {
        "key": "bookings",
        "title": _("Bookings"),
        "value": number(sold.total_bookings),
        "trend": _trend(sold.total_bookings, before.total_bookings),
        "note": _("confirmed in the last 30 days"),
        "meaning": _(
            "Bookings that were confirmed in the last 30 days and are confirmed or completed now. Canceled ones do "
            "not count."
        ),
    }


def _gmv(sold: figures.Sales, before: figures.Sales) -> dict[str, Any]:
    note = _("of these bookings")
    if sold.missing:
        note = _("of these bookings, without %s (no rate)") % ", ".join(sold.missing)
    return {
        "key": "gmv",
        "title": _("GMV"),
        "value": money(sold.total_gmv_minor, sold.currency),
        "trend": _trend(sold.total_gmv_minor, before.total_gmv_minor),
        "note": note,
        "meaning": _(
            "Gross merchandise value: what the guests of these bookings pay in all, in the platform's currency at "
            "the newest stored exchange rates."
        ),
    }


def _occupancy(full: figures.Occupancy) -> dict[str, Any]:
    note = ngettext("%s published listing", "%s published listings", full.listings) % number(full.listings)
    return {
        "key": "occupancy",
        "title": _("Occupancy"),
        "value": share(full.percent),
        "trend": None,
        "note": _("next 30 nights, %s") % note,
        "meaning": _(
            "Booked nights of published listings in the next 30 nights, of all nights that these have."
        ),
    }


def _trend(now: int, before: int) -> dict[str, Any] | None:
    """The change against the 30 days before; None when there is nothing to compare with."""
    if not before:
        return None
    percent = round(100 * (now - before) / before)
    return {"text": f"{percent:+d} %", "up": percent >= 0}


def _chart(dates: list[Any], values: list[Any], name: str) -> str:
    """What Unfold's bar chart reads. Bars begin at zero, which its lines do not."""
    dataset: dict[str, Any] = {
        "label": name,
        "data": values,
        "displayYAxis": True,
        "maxTicksXLimit": 8,
        "backgroundColor": "var(--color-primary-600)",
    }
    return json.dumps({"labels": [short_day(day) for day in dates], "datasets": [dataset]})


def _latest_headers() -> list[str]:
    return [_("Booking"), _("Listing"), _("Guest"), _("Stay"), _("Status"), _("Total")]


def _latest() -> list[list[Any]]:
    rows = Booking.objects.select_related("listing", "guest").order_by("-id")[:LATEST]
    return [
        [
            link(booking),
            booking.listing.title,
            full_name(booking.guest),
            days(booking.check_in, booking.check_out),
            label(booking.get_status_display(), BOOKING_COLOURS[booking.status]),
            money(booking.total_minor, booking.currency),
        ]
        for booking in rows
    ]
