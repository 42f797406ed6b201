"""The listings of a page of hits, ready to be shown: with their hosts and pictures, and the price of the stay.

One statement, read as plain values: building model objects would cost more than the search itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from types import SimpleNamespace
from typing import Any

import orjson
from django.db import connection

from backend.availability.rules import DayRule
from backend.bookings import quotes
from backend.core.money import MoneyError
from backend.core.stay import Stay
from backend.listings.models import Listing
from backend.search.query import Hit

LISTING = {field.attname: field.column for field in Listing._meta.concrete_fields}
HOST = ("id", "username", "first_name", "created_at")
PROFILE = ("photo", "is_superhost", "response_rate", "response_time_hours")

_PAGE = f"""
    SELECT {", ".join(f"p.{column}" for column in LISTING.values())},
        {", ".join(f"u.{column}" for column in HOST)}, {", ".join(f"h.{column}" for column in PROFILE)},
        (SELECT json_agg(json_build_object('pk', f.id, 'file', f.file, 'sizes', f.sizes, 'caption', f.caption,
            'position', f.position, 'is_cover', f.is_cover) ORDER BY f.position, f.id)
        FROM photos f WHERE f.listing_id = p.id),
        (SELECT json_object_agg(d.date, d.price_minor) FROM calendar_days d
        WHERE d.listing_id = p.id AND d.date >= %s AND d.date < %s AND d.price_minor IS NOT NULL)
    FROM properties p JOIN users u ON u.id = p.host_id JOIN profiles h ON h.user_id = p.host_id
    WHERE p.id = ANY (%s) AND p.status = 'published'
"""  # noqa: S608 - column names of our own


class Photos(list[Any]):
    """The pictures of a listing in their order, asked for as a related manager is."""

    def all(self) -> list[Any]:
        return self


@dataclass(frozen=True, slots=True)
class Card:
    """One result. ``total_minor`` is what the stay costs in the listing's currency, ``None`` without dates.

    ``listing`` has the fields of a ``Listing`` with ``host``, its ``profile``, and ``photos``, but is no model.
    """

    listing: Any
    distance_km: float | None
    total_minor: int | None


def load(hits: Sequence[Hit], *, stay: Stay | None, guests: int) -> list[Card]:
    """The cards of ``hits`` in their order, in one query. Prices of the stay are for ``guests`` people.

    A listing that was withdrawn since it was found is left out.
    """
    if not hits:
        return []
    with connection.cursor() as cursor:
        dates = (stay.check_in, stay.check_out) if stay else (None, None)
        cursor.execute(_PAGE, [*dates, [hit.listing_id for hit in hits]])
        rows = {row[0]: row for row in cursor.fetchall()}
    cards = []
    for hit in hits:
        if row := rows.get(hit.listing_id):
            listing = _listing(row)
            total = _total(listing, row[-1], stay, guests) if stay else None
            cards.append(Card(listing, hit.distance_km, total))
    return cards


def _listing(row: tuple[Any, ...]) -> Any:
    listing = SimpleNamespace(**dict(zip(LISTING, row, strict=False)))
    hosted = row[len(LISTING) :]
    listing.pk = listing.id
    listing.min_nights_by_weekday = orjson.loads(listing.min_nights_by_weekday)
    listing.host = SimpleNamespace(**dict(zip(HOST, hosted, strict=False)))
    listing.host.pk = listing.host.id
    listing.host.profile = SimpleNamespace(**dict(zip(PROFILE, hosted[len(HOST) :], strict=False)))
    listing.photos = Photos(SimpleNamespace(**photo) for photo in row[-2] or ())
    return listing


def _total(listing: Any, prices: dict[str, int] | None, stay: Stay, guests: int) -> int | None:
    days = {date.fromisoformat(day): DayRule(price_minor=minor) for day, minor in (prices or {}).items()}
    try:
        return quotes.total_for(listing, days, stay, guests)
    except MoneyError:
        # Beyond what can be paid at once: shown without a price, and refused by the quote.
        return None
