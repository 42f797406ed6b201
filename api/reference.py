"""Reference lists, over HTTP: what places may have, what they may be paid in, where they may be."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router
from pydantic import Field

from api import languages
from api.auth import optional_bearer
from api.conditional import bytes_response
from api.pagination import Page, whole
from api.problems import responses
from api.rendering import dumps
from api.types import Out, Params, Text
from backend.core import fx
from backend.core.models import Currency
from backend.listings import amenities, places
from backend.listings.models import Amenity

router = Router(tags=["Reference"], auth=optional_bearer)


class AmenityOut(Out):
    """Something a place may have."""

    slug: str
    name: str = Field(description="In the language of the request.")
    category: str


class CurrencyOut(Out):
    """A currency. ``rate``: how much of it one euro buys, of which day, and who said so."""

    code: str
    name: str
    minor_units: int
    rate: float | None
    rate_date: date | None
    source: str | None


class LocationOut(Out):
    """A city."""

    id: int
    name: str
    region: str
    country: str
    country_name: str
    label: str = Field(description="As people write it: city, region, country.")
    latitude: float
    longitude: float
    timezone: str
    population: int


class LocationQuery(Params):
    """What has been typed so far."""

    q: Annotated[str, Text(100)] = Field(
        default="", description="The beginning of a city's name, in any case."
    )


@router.get("/amenities/", response=responses(Page[AmenityOut]), summary="Amenities")
def list_amenities(request: HttpRequest) -> HttpResponse:
    """Everything a place may have, with its name in the language of the request."""
    language = languages.code(request)
    rows = [
        {"slug": row.slug, "name": amenities.name_in(row, language), "category": row.category}
        for row in Amenity.objects.all()
    ]
    return bytes_response(request, dumps(whole(rows)))


@router.get("/currencies/", response=responses(Page[CurrencyOut]), summary="Currencies")
def list_currencies(request: HttpRequest) -> HttpResponse:
    """The currencies that places may be priced and prices be shown in."""
    chosen, newest = fx.chosen_codes(), fx.read()
    rows = [
        {
            "code": row.code,
            "name": row.name,
            "minor_units": row.minor_units,
            "rate": float(newest[row.code].per_euro),
            "rate_date": newest[row.code].rate_on,
            "source": newest[row.code].source,
        }
        for row in Currency.objects.all()
        if row.code in newest and (not chosen or row.code in chosen)
    ]
    return bytes_response(request, dumps(whole(rows)))


@router.get(
    "/locations/", response=responses(Page[LocationOut]), summary="Cities by the beginning of their name"
)
def list_locations(request: HttpRequest, params: Query[LocationQuery]) -> HttpResponse:
    """At most 20 cities of which a name begins with ``q``, the most populous first. A comma narrows: ``albany, ny``."""
    return bytes_response(request, dumps(whole(_locations(params.q))))


def _locations(typed: str) -> list[dict[str, Any]]:
    return [
        {
            "id": row.geoname_id,
            "name": row.name,
            "region": row.region,
            "country": row.country,
            "country_name": row.country_name,
            "label": ", ".join(
                dict.fromkeys(part for part in (row.name, row.region, row.country_name) if part)
            ),
            "latitude": row.latitude,
            "longitude": row.longitude,
            "timezone": row.timezone,
            "population": row.population,
        }
        for row in places.suggest(typed)
    ]
