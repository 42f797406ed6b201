"""Search over HTTP: ``GET /api/properties/``."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from ninja import Query, Router
from pydantic import BaseModel, Field

from api import languages, pagination
from api.auth import ANONYMOUS, optional_bearer
from api.conditional import etag_response
from api.pagination import Cursor, Page, PageQuery
from api.problems import responses
from api.property_types import Policy, PropertyOut, RoomType, property_payload
from api.rendering import dumps
from api.types import DateIn, MoneyAmount, MoneyOut, Out, Text
from backend.core import fx
from backend.core.errors import Invalid
from backend.core.money import Money, number
from backend.listings import amenities
from backend.search import pages
from backend.search.find import find
from backend.search.geo import HALF_EARTH_KM
from backend.search.pages import Card
from backend.search.query import MAX_FLEXIBLE_DAYS, PAGE_SIZE, Ordering, Position, SearchQuery

router = Router(tags=["Search"])

AMOUNTS = {
    "price_per_night": "price",
    "weekend_price": "weekend_price",
    "extra_guest_fee": "extra_guest_fee",
    "cleaning_fee": "cleaning_fee",
}
"""The amounts of a property, and the listing's field of each."""


class SearchFilters(BaseModel):
    """What to find. Everything may be left out; what is given must all hold."""

    q: Annotated[str, Text(200), Field(description="Words of title, place and description.")] = ""
    location: Annotated[
        str, Text(200), Field(description="City, area or country, in any order.", examples=["Lisbon"])
    ] = ""
    lat: Annotated[float | None, Field(ge=-90, le=90)] = None
    lng: Annotated[float | None, Field(ge=-180, le=180)] = None
    radius_km: Annotated[
        float | None,
        Field(gt=0, le=math.ceil(HALF_EARTH_KM), description="Around lat and lng.", examples=[5]),
    ] = None
    bbox: Annotated[
        str | None,
        Field(
            max_length=200,
            description="west,south,east,north; west may lie east of east across the date line.",
            examples=["-9.3,38.6,-9,38.8"],
        ),
    ] = None
    price_min: Annotated[MoneyAmount | None, Field(description="A night, in `currency`.", examples=[50])] = (
        None
    )
    price_max: Annotated[MoneyAmount | None, Field(description="A night, in `currency`.", examples=[150])] = (
        None
    )
    guests: Annotated[int | None, Field(ge=1, le=1_000_000)] = None
    bedrooms: Annotated[int | None, Field(ge=0, le=1_000_000)] = None
    beds: Annotated[int | None, Field(ge=0, le=1_000_000)] = None
    bathrooms: Annotated[Decimal | None, Field(ge=0, le=1000, examples=[1])] = None
    amenities: Annotated[
        str, Field(max_length=1000, description="Slugs with commas: all of them.", examples=["wifi,pool"])
    ] = ""
    property_type: Annotated[str, Text(40), Field(examples=["apartment"])] = ""
    room_type: RoomType | None = None
    instant_book: bool | None = None
    cancellation_policy: Policy | None = None
    rating_min: Annotated[Decimal | None, Field(ge=0, le=5, examples=[4.5])] = None
    superhost: bool | None = None
    check_in: Annotated[
        DateIn | None, Field(description="With check_out: only what can be booked for these nights.")
    ] = None
    check_out: DateIn | None = None
    flexible_days: Annotated[
        int | None,
        Field(
            ge=0,
            le=MAX_FLEXIBLE_DAYS,
            description="With the dates: stays of the same length that begin so many days earlier or later will do too;"
            " each result names the nearest one that can be booked as `available_stay`, and its price.",
            examples=[3],
        ),
    ] = None
    ordering: Annotated[
        Ordering,
        Field(description="Prices are compared by the night, before fees. distance needs lat and lng."),
    ] = "recommended"
    currency: Annotated[
        str | None,
        Field(
            pattern="^[A-Z]{3}$",
            description="Show prices in it; else in each listing's own.",
            examples=["EUR"],
        ),
    ] = None


class SearchParams(SearchFilters, PageQuery):
    """What to find, and which page of it. Everything may be left out; what is given must all hold."""


class AvailableStay(Out):
    """The dates that can be booked: of those asked for, the nearest."""

    check_in: date
    check_out: date


class SearchResult(PropertyOut):
    """A property as anyone sees it. Amounts are in the asked currency, when one is asked for."""

    total_price: MoneyOut | None = Field(
        default=None, description="With dates: what the stay costs, for `guests` people (else one)."
    )
    available_stay: AvailableStay | None = Field(
        default=None, description="With `flexible_days`: the stay that `total_price` is of."
    )
    distance_km: float | None = Field(default=None, description="Around a point: how far away.")


@router.get("/properties/", response=responses(Page[SearchResult]), auth=optional_bearer, summary="Search")
def search_properties(request: HttpRequest, params: Query[SearchParams]) -> HttpResponse:
    """Find properties. With dates only those that can really be booked then, each with the stay's `total_price`.

    `price_min`, `price_max` and the orders by price look at the price of a night, compared at the day's exchange
    rates. `count` is exact up to what can be counted fast; beyond, `count_is_exact` is false and there are more: `page`
    reaches the first 5,000 of such a list, `next` all of them.
    """
    query = query_of(params, page=params.page, page_size=params.size)
    scope = f"search:{query.ordering}"
    if params.cursor:
        cursor = pagination.decode(params.cursor, scope=scope)
        query = replace(query, position=Position(cursor.direction == "after", cursor.values))
    now = timezone.now()
    found = find(query, now)
    language = languages.code(request)
    cards = pages.load(found.hits, guests=query.guests or 1, now=now, language=language)
    body = dumps(
        pagination.envelope(
            request,
            _results(cards, query.currency, flexible=params.flexible_days is not None),
            count=found.count,
            exact=found.exact,
            next_cursor=_cursor(found.next, scope),
            previous_cursor=_cursor(found.previous, scope),
        )
    )
    return etag_response(request, f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"', body)


def query_of(params: SearchFilters, *, page: int = 1, page_size: int = PAGE_SIZE) -> SearchQuery:
    """The parameters in the types of search. Raises: Invalid for those that say nothing."""
    if (params.lat is None) != (params.lng is None):
        missing = "lng" if params.lng is None else "lat"
        raise Invalid.field(missing, "required", _("A point needs lat and lng."))
    return SearchQuery(
        q=params.q,
        location=params.location,
        point=None if params.lat is None or params.lng is None else (params.lat, params.lng),
        radius_km=params.radius_km,
        bbox=None if params.bbox is None else _bbox(params.bbox),
        price_min=params.price_min,
        price_max=params.price_max,
        currency=params.currency or "",
        guests=params.guests,
        bedrooms=params.bedrooms,
        beds=params.beds,
        bathrooms=params.bathrooms,
        amenities=amenities.mask(slug for slug in params.amenities.split(",") if slug),
        property_type=params.property_type,
        room_type=params.room_type or "",
        instant_book=params.instant_book,
        cancellation_policy=params.cancellation_policy or "",
        rating_min=params.rating_min,
        superhost=params.superhost,
        check_in=params.check_in,
        check_out=params.check_out,
        flexible_days=params.flexible_days,
        ordering=params.ordering,
        page=page,
        page_size=page_size,
    )


def params_of(query: SearchQuery) -> dict[str, Any]:
    """The parameters that ``query_of`` makes ``query`` of; what asks nothing is left out."""
    latitude, longitude = query.point or (None, None)
    shown = {
        "q": query.q,
        "location": query.location,
        "lat": latitude,
        "lng": longitude,
        "radius_km": query.radius_km,
        "bbox": None if query.bbox is None else ",".join(f"{edge:.15g}" for edge in query.bbox),
        "price_min": query.price_min,
        "price_max": query.price_max,
        "guests": query.guests,
        "bedrooms": query.bedrooms,
        "beds": query.beds,
        "bathrooms": query.bathrooms,
        "amenities": ",".join(amenities.slugs(query.amenities)),
        "property_type": query.property_type,
        "room_type": query.room_type,
        "instant_book": query.instant_book,
        "cancellation_policy": query.cancellation_policy,
        "rating_min": query.rating_min,
        "superhost": query.superhost,
        "check_in": query.check_in,
        "check_out": query.check_out,
        "flexible_days": query.flexible_days,
        "ordering": None if query.ordering == "recommended" else query.ordering,
        "currency": query.currency,
    }
    return {name: value for name, value in shown.items() if value not in (None, "")}


def _bbox(text: str) -> tuple[float, float, float, float]:
    """Raises: Invalid for anything but four degrees on earth."""
    try:
        west, south, east, north = map(float, text.split(","))
    except ValueError:
        west = south = east = north = math.nan
    if not all(-180 <= lon <= 180 for lon in (west, east)) or not all(
        -90 <= lat <= 90 for lat in (south, north)
    ):
        raise Invalid.field("bbox", "invalid_bbox", _("Four numbers are needed: west,south,east,north."))
    return west, south, east, north


def _cursor(position: Position | None, scope: str) -> str | None:
    if position is None:
        return None
    return pagination.encode(Cursor("after" if position.after else "before", position.values), scope=scope)


def _results(cards: Sequence[Card], currency: str, *, flexible: bool = False) -> list[dict[str, Any]]:
    """The cards as the wire shows them, amounts in ``currency`` where one is asked for. Raises: UnknownCurrency."""
    rates: Mapping[str, Decimal] = fx.rates() if currency else {}
    if currency and currency not in rates:
        raise fx.UnknownCurrency.field("currency", "unknown_currency", fx.UnknownCurrency.title)
    return [_result(card, currency, rates, flexible=flexible) for card in cards]


def _result(card: Card, currency: str, rates: Mapping[str, Decimal], *, flexible: bool) -> dict[str, Any]:
    listing = card.listing
    result = property_payload(listing, ANONYMOUS, exact=False)
    # An amount in a currency that has lost its rate stays as it is.
    if currency and currency != listing.currency and listing.currency in rates:
        result["currency"] = currency
        rate = rates[currency] / rates[listing.currency]
        amounts = {name: getattr(listing, f"{field}_minor") for name, field in AMOUNTS.items()}
        for name, minor in {**amounts, "total_price": card.total_minor}.items():
            if minor is not None:
                result[name] = fx.exchange(Money(minor, listing.currency), currency, at=rate).number()
    elif card.total_minor is not None:
        result["total_price"] = number(card.total_minor, listing.currency)
    if flexible and card.stay:
        result["available_stay"] = {"check_in": card.stay.check_in, "check_out": card.stay.check_out}
    if card.distance_km is not None:
        result["distance_km"] = round(card.distance_km, 3)
    return result
