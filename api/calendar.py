"""The calendar of a listing: read by anyone, changed by its host."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from ninja import Query, Router
from pydantic import Field

from api.auth import bearer, optional_bearer
from api.conditional import etag, etag_response
from api.pagination import Page, whole
from api.problems import responses
from api.types import DateIn, In, MoneyAmount, MoneyOut, Out, Params, Text
from backend.availability import calendar
from backend.availability.calendar import Night, NightsOutOfOrder, RangeRefused
from backend.availability.services import DatesUnavailable
from backend.core.errors import Invalid, NotAllowed, NotFound
from backend.core.money import Money, MoneyError, TooPrecise
from backend.listings.cohosts import stands_in
from backend.listings.models import Listing

router = Router(tags=["Calendar"])

NIGHTS_SHOWN = 365
"""How far the calendar is shown when the caller does not say until when."""

Nights = Annotated[int, Field(ge=1, le=365)]


class CalendarRange(Params):
    from_: Annotated[
        DateIn | None, Field(alias="from", description="The first evening; today unless given.")
    ] = None
    to: Annotated[DateIn | None, Field(description="The evening after the last; a year on unless given.")] = (
        None
    )


class CalendarRow(Out):
    date: date
    available: bool
    price: MoneyOut
    currency: str
    min_nights: int
    max_nights: int
    closed_to_arrival: bool
    closed_to_departure: bool
    reason: Annotated[str | None, Field(description="Why the night is closed; for the host only.")] = None
    note: Annotated[str | None, Field(description="For the host only.")] = None


class CalendarChange(In):
    from_: Annotated[DateIn, Field(alias="from")]
    to: DateIn
    available: bool | None = None
    price: MoneyAmount | None = None
    min_nights: Nights | None = None
    max_nights: Nights | None = None
    closed_to_arrival: bool | None = None
    closed_to_departure: bool | None = None
    note: Annotated[str, Text(500)] | None = None


def _listing(actor: Any, listing_id: int) -> Listing:
    listing = Listing.objects.visible_to(actor).filter(pk=listing_id).first()
    if listing is None:
        raise NotFound
    return listing


def _rows(listing: Listing, actor: Any, start: date, end: date, now: datetime) -> dict[str, Any]:
    nights = calendar.read(listing=listing, start=start, end=end, now=now)
    is_host = stands_in(actor, listing)
    return whole([_row(night, listing.currency, is_host) for night in nights])


def _row(night: Night, currency: str, is_host: bool) -> dict[str, Any]:
    row = {
        "date": night.date,
        "available": night.available,
        "price": Money(night.price_minor, currency).number(),
        "currency": currency,
        "min_nights": night.min_nights,
        "max_nights": night.max_nights,
        "closed_to_arrival": night.closed_to_arrival,
        "closed_to_departure": night.closed_to_departure,
    }
    return {**row, "reason": night.reason, "note": night.note or None} if is_host else row


@router.get(
    "/properties/{int:property_id}/calendar/",
    auth=optional_bearer,
    response=responses(Page[CalendarRow], NotFound, RangeRefused),
    summary="A listing's calendar, a row a night",
)
def read(request: HttpRequest, property_id: int, params: Query[CalendarRange]) -> Any:
    """What holds for each night in the end: set for the date, else by its season, else by the weekday or the listing."""
    now = timezone.now()
    listing = _listing(request.auth, property_id)  # type: ignore[attr-defined]
    start = params.from_ or calendar.today(listing, now)
    revision = calendar.revision(listing)
    payload = _rows(listing, request.auth, start, params.to or start + timedelta(days=NIGHTS_SHOWN), now)  # type: ignore[attr-defined]
    return etag_response(request, f'"{revision}-{etag(payload)[1:]}', payload)


@router.put(
    "/properties/{int:property_id}/calendar/",
    auth=bearer,
    response=responses(
        Page[CalendarRow], NotFound, NotAllowed, RangeRefused, NightsOutOfOrder, DatesUnavailable
    ),
    summary="Close, open and price a range of dates",
)
def change(request: HttpRequest, property_id: int, body: CalendarChange) -> Any:
    """All or nothing for the dates from ``from`` up to ``to``. Null clears a date's own value; nights that are taken stay so."""
    now = timezone.now()
    listing = _listing(request.auth, property_id)  # type: ignore[attr-defined]
    changes = body.model_dump(exclude_unset=True, exclude={"from_", "to", "price"})
    if "price" in body.model_fields_set:
        changes["price_minor"] = _price(body.price, listing.currency)
    calendar.change(
        actor=request.auth,  # type: ignore[attr-defined]
        listing=listing,
        start=body.from_,
        end=body.to,
        changes=changes,
        now=now,
        revisions=_revisions(request),
    )
    return _rows(listing, request.auth, body.from_, body.to, now)  # type: ignore[attr-defined]


def _revisions(request: HttpRequest) -> set[str] | None:
    """The revisions of the calendar that ``If-Match`` names, whatever range was read; None when it names none or any."""
    header = request.headers.get("If-Match", "").strip()
    if not header or header == "*":
        return None
    return set(re.findall(r'(?<!W/)"([0-9a-f]{16})-[0-9a-f]{24}"', header))


def _price(value: Decimal | None, currency: str) -> int | None:
    """A night's price in minor units. Raises: Invalid ``too_precise``, ``invalid_price``."""
    if value is None:
        return None
    try:
        minor = Money.from_major(value, currency).minor
    except TooPrecise:
        raise Invalid.field("price", "too_precise", _("The price is finer than its currency.")) from None
    except MoneyError:
        minor = 0
    if minor <= 0:
        raise Invalid.field("price", "invalid_price", _("A price must be more than nothing."))
    return minor
