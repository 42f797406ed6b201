"""Whether a stay can be booked, and every reason why not."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import override
from ninja import Query, Router
from pydantic import Field

from api import languages
from api.auth import optional_bearer
from api.conditional import etag_response
from api.problems import responses
from api.quotes import stay_of
from api.types import DateIn, Out, Params
from backend.availability import services as availability
from backend.availability.rules import Refusal
from backend.bookings import quotes
from backend.core.errors import NotFound
from backend.core.stay import Stay
from backend.listings.cohosts import stands_in
from backend.listings.models import Listing

router = Router(tags=["Calendar"])

Count = Annotated[int, Field(ge=1, le=1_000_000)]


class AvailabilityQuery(Params):
    check_in: DateIn
    check_out: DateIn
    guests: Count = 1
    pets: Annotated[
        int, Field(ge=0, le=1_000_000, description="Taken as a quote takes it; no rule asks.")
    ] = 0


class NightsOut(Out):
    """A half-open range of nights."""

    from_: Annotated[date, Field(alias="from", examples=["2027-06-11"])]
    to: Annotated[date, Field(examples=["2027-06-13"])]


class ReasonOut(Out):
    """One reason why the stay cannot be booked."""

    code: Annotated[
        str,
        Field(
            description="The code that a booking would be refused with: `not_available`, `check_in_past`,"
            " `booking_window`, `too_many_guests`, `min_nights`, `max_nights`, `closed_to_arrival`,"
            " `closed_to_departure`, `advance_notice`, `dates_unavailable` or `preparation`.",
            examples=["dates_unavailable"],
        ),
    ]
    field: Annotated[str | None, Field(description="What to change.", examples=["check_in"])] = None
    message: Annotated[str, Field(examples=["Some of these nights are no longer free."])]
    limit: Annotated[
        int | None,
        Field(description="What the rule allows or asks for: nights, guests, days ahead, hours of notice."),
    ] = None
    nights: Annotated[
        list[NightsOut] | None, Field(description="Which nights are taken or needed for preparation.")
    ] = None
    reason: Annotated[
        str | None,
        Field(
            description="For the host only: booking, hold, host, feed or preparation.", examples=["booking"]
        ),
    ] = None


class StayOut(Out):
    check_in: Annotated[date, Field(examples=["2027-06-13"])]
    check_out: Annotated[date, Field(examples=["2027-06-15"])]


class AvailabilityOut(Out):
    """``bookable`` when there is nothing in ``why``. ``nearest``: other dates of the same length that can be booked."""

    check_in: date
    check_out: date
    guests: int
    bookable: Annotated[bool, Field(examples=[False])]
    requires_request: Annotated[
        bool,
        Field(
            description="The host must say yes first: by their choice, since check-in is near, or while another"
            " site's calendar is out of date."
        ),
    ]
    why: list[ReasonOut]
    nearest: Annotated[
        list[StayOut],
        Field(
            description="Up to three, at most 14 days away, the nearest first; only where the stay cannot be booked."
        ),
    ]


@router.get(
    "/properties/{int:property_id}/availability/",
    auth=optional_bearer,
    response=responses(AvailabilityOut, NotFound),
    summary="Whether a stay can be booked, and why not",
)
def read(request: HttpRequest, property_id: int, params: Query[AvailabilityQuery]) -> Any:
    """All reasons at once, in the order in which a booking would be refused. Nothing is held by asking."""
    actor, now = request.auth, timezone.now()  # type: ignore[attr-defined]
    listing = Listing.objects.known_to(actor).select_related("host").filter(pk=property_id).first()
    if listing is None:
        raise NotFound
    stay = stay_of(params.check_in, params.check_out)
    is_host = stands_in(actor, listing)
    asks_host = quotes.needs_request(listing, stay, now)
    answer = availability.explain(
        listing=listing,
        stay=stay,
        guests=params.guests,
        now=now,
        for_host=is_host,
        asks_host=asks_host,
    )
    with override(languages.code(request)):
        payload = {
            **_dates(stay),
            "guests": params.guests,
            "bookable": not answer.why,
            "requires_request": asks_host,
            "why": [_reason(refusal, is_host) for refusal in answer.why],
            "nearest": [_dates(near) for near in answer.nearest],
        }
        return etag_response(request, payload, payload)


def _dates(stay: Stay) -> dict[str, date]:
    return {"check_in": stay.check_in, "check_out": stay.check_out}


def _reason(refusal: Refusal, is_host: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "code": refusal.code,
        "field": refusal.field or None,
        "message": str(refusal.message),
    }
    if refusal.limit is not None:
        row["limit"] = refusal.limit
    if refusal.nights:
        row["nights"] = [{"from": start, "to": end} for start, end in refusal.nights]
    return {**row, "reason": refusal.reason} if is_host else row
