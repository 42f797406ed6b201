"""What a host looks at first: today."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import override
from ninja import Router
from pydantic import Field

from api import languages
from api.booking_types import BookingOut, booking_payload
from api.conditional import etag, etag_response
from api.inquiries import InquiryOut, inquiry_payload
from api.problems import responses
from api.types import Out
from backend.bookings import today

router = Router(tags=["Host"])


class TodayOut(Out):
    """A host's day. Each stay is read on its own listing's clock; at most 200 of each kind."""

    date: Annotated[date, Field(description="Today on the host's own clock.")]
    timezone: Annotated[
        str, Field(description="The host's, from their preferences.", examples=["Europe/Lisbon"])
    ]
    arrivals: Annotated[list[BookingOut], Field(description="Check in today.")]
    departures: Annotated[list[BookingOut], Field(description="Check out today.")]
    staying: Annotated[list[BookingOut], Field(description="Are there, neither coming nor leaving today.")]
    waiting_requests: Annotated[list[BookingOut], Field(description="Ask to stay; answer by expires_at.")]
    alterations: Annotated[
        list[BookingOut], Field(description="Confirmed stays whose guest asks for a change.")
    ]
    inquiries: Annotated[list[InquiryOut], Field(description="Questions that are not answered yet.")]


@router.get("/host/today/", response=responses(TodayOut), summary="See one's day as a host")
def see_today(request: HttpRequest) -> HttpResponse:
    """Arrivals, departures, who stays, and what waits for an answer, at all of one's places."""
    actor, now = request.auth, timezone.now()  # type: ignore[attr-defined]
    zone = actor.profile.timezone or "UTC"
    found = today.of(actor, now=now)
    with override(languages.code(request)):
        answer: dict[str, Any] = {
            "date": now.astimezone(ZoneInfo(zone)).date(),
            "timezone": zone,
            **{
                name: [booking_payload(booking, actor, now) for booking in getattr(found, name)]
                for name in ("arrivals", "departures", "staying", "waiting_requests", "alterations")
            },
            "inquiries": [inquiry_payload(inquiry) for inquiry in found.inquiries],
        }
    return etag_response(request, etag(answer), answer)
