"""The whole story of a booking as a page, and as a part of the booking's own page."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from admin_site.bookings import booking_timeline
from admin_site.bookings.booking_timeline import KEYS, Moment
from admin_site.frame.custom import CustomPage, register_page
from admin_site.frame.display import instant, label, url_of
from backend.bookings.models import Booking


def shown(booking: Booking, request: HttpRequest) -> dict[str, Any]:
    """What the template needs: the kinds to choose from, and a page of moments on both clocks."""
    kind = request.GET.get("kind", "")
    kind = kind if kind in KEYS else ""
    until = booking_timeline.as_utc(request.GET.get("until", ""))
    page = booking_timeline.read(booking, request.user, kind=kind, until=until)
    there, here = booking_timeline.clocks(booking, request.user)
    address = PAGE.url(booking.pk)

    def at(**query: str) -> str:
        chosen = {name: value for name, value in query.items() if value}
        return f"{address}?{urlencode(chosen)}" if chosen else address

    return {
        "booking": booking,
        "kinds": [
            {"title": _("All"), "icon": "list", "url": at(), "chosen": not kind},
            *(
                {"title": each.title, "icon": each.icon, "url": at(kind=each.key), "chosen": each.key == kind}
                for each in booking_timeline.offered(request.user)
            ),
        ],
        "moments": [_row(moment, there, here) for moment in page.moments],
        "older": at(kind=kind, until=page.older.isoformat()) if page.older else "",
        "is_older": until is not None,
        "newest": at(kind=kind),
        "zones": (there.key, here.key),
    }


def _row(moment: Moment, there: Any, here: Any) -> dict[str, Any]:
    return {
        "moment": moment,
        "icon": KEYS[moment.kind].icon,
        "kind": KEYS[moment.kind].title,
        "there": instant(moment.at.astimezone(there), seconds=True),
        "here": "" if there.key == here.key else instant(moment.at.astimezone(here), seconds=True),
        "state": label(moment.state, moment.colour) if moment.state else "",
    }


def part(booking: Booking, request: HttpRequest) -> SafeString:
    """The story inside another page; its links load its other kinds and pages in place."""
    return SafeString(render_to_string("admin_site/booking_timeline_part.html", shown(booking, request)))


def view(request: HttpRequest, booking_id: int) -> HttpResponseBase:
    """The story of one booking by itself: also what the part loads."""
    rows = Booking.objects.visible_to(request.user)
    booking = rows.select_related("listing", "guest", "host", "conversation").filter(pk=booking_id).first()
    if booking is None:
        raise Http404
    return PAGE.render(
        request, "admin_site/booking_timeline.html", {**shown(booking, request), "back": url_of(booking)}
    )


PAGE = register_page(
    CustomPage(
        "booking_timeline",
        _("Story of a booking"),
        "timeline",
        view,
        rule="booking.look",
        route="booking-timeline/<int:booking_id>/",
    )
)
