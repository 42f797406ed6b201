"""The listings of a page of hits, ready to be shown: with their hosts and pictures, and the price of the stay.

One statement for them, planned once on each connection and read as plain values (building model objects would cost more
than the search itself), and with dates one for what their prices are made of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import orjson
from django.db import models

from backend.availability.rules import DayRule
from backend.bookings import pricing, quotes
from backend.bookings.pricing import Priced
from backend.core.db import prepared
from backend.core.money import MoneyError
from backend.core.stay import Stay
from backend.listings.models import Listing
from backend.rates.terms import Rates
from backend.search.query import Hit

HIDDEN = {"line1", "line2", "postal_code", "latitude", "longitude", "status_reason"}
"""What nobody is shown in a list."""

LISTING = {
    field.attname: field.column for field in Listing._meta.concrete_fields if field.attname not in HIDDEN
}
INSTANTS = [
    field.attname for field in Listing._meta.concrete_fields if isinstance(field, models.DateTimeField)
]
"""Read as text: Django's own way of reading instants takes longer than the rest of a row."""

HOST = ("id", "username", "first_name", "created_at")
PROFILE = ("photo", "is_superhost", "response_rate", "response_time_hours")

_PAGE = f"""
    SELECT {", ".join(f"p.{column}{'::text' * (name in INSTANTS)}" for name, column in LISTING.items())},
        u.id, u.username, u.first_name, u.created_at::text, {", ".join(f"h.{column}" for column in PROFILE)},
        (SELECT json_agg(json_build_object('pk', f.id, 'file', f.file, 'sizes', f.sizes, 'caption', f.caption,
            'position', f.position, 'is_cover', f.is_cover) ORDER BY f.position, f.id)
        FROM photos f WHERE f.listing_id = p.id),
        (SELECT json_object_agg(d.date, d.price_minor) FROM calendar_days d
        WHERE d.listing_id = p.id AND d.date >= asked.first AND d.date < asked.past AND d.price_minor IS NOT NULL)
    FROM unnest(%s::bigint[], %s::date[], %s::date[]) AS asked (id, first, past)
    JOIN properties p ON p.id = asked.id JOIN users u ON u.id = p.host_id JOIN profiles h ON h.user_id = p.host_id
    WHERE p.status = 'published'
"""  # noqa: S608 - column names of our own


class Photos(list[Any]):
    """The pictures of a listing in their order, asked for as a related manager is."""

    def all(self) -> list[Any]:
        return self


@dataclass(frozen=True, slots=True)
class Card:
    """One result. ``stay`` is the one that can be booked, ``total_minor`` what it costs in the listing's currency;
    ``None`` without dates.

    ``listing`` has the fields of a ``Listing`` with ``host``, its ``profile``, and ``photos``, but is no model.
    """

    listing: Any
    distance_km: float | None
    stay: Stay | None
    total_minor: int | None


def load(hits: Sequence[Hit], *, guests: int, now: datetime) -> list[Card]:
    """The cards of ``hits`` in their order, with the prices of their stays for ``guests`` people at ``now`` (UTC).

    One query, and with dates one or two more whatever the number of hits. A listing that was withdrawn since it was found
    is left out.
    """
    if not hits:
        return []
    stays = [hit.stay for hit in hits]
    with prepared() as cursor:
        cursor.execute(
            _PAGE,
            [
                [hit.listing_id for hit in hits],
                [stay.check_in if stay else None for stay in stays],
                [stay.check_out if stay else None for stay in stays],
            ],
        )
        rows = {row[0]: (_listing(row), row[-1]) for row in cursor.fetchall()}
    dated = any(stays)
    rates = quotes.rates_of([listing for listing, _prices in rows.values()], now) if dated else {}
    cards = []
    for hit in hits:
        if row := rows.get(hit.listing_id):
            listing, prices = row
            total = _total(listing, prices, hit.stay, guests, rates[listing.pk], now) if hit.stay else None
            cards.append(Card(listing, hit.distance_km, hit.stay, total))
    return cards


def _listing(row: tuple[Any, ...]) -> Any:
    listing = SimpleNamespace(**dict(zip(LISTING, row, strict=False)))
    hosted = row[len(LISTING) :]
    listing.pk = listing.id
    for name in INSTANTS:
        if instant := getattr(listing, name):
            setattr(listing, name, datetime.fromisoformat(instant))
    listing.min_nights_by_weekday = orjson.loads(listing.min_nights_by_weekday)
    listing.host = SimpleNamespace(**dict(zip(HOST, hosted, strict=False)))
    listing.host.pk = listing.host.id
    listing.host.created_at = datetime.fromisoformat(listing.host.created_at)
    listing.host.profile = SimpleNamespace(**dict(zip(PROFILE, hosted[len(HOST) :], strict=False)))
    listing.photos = Photos(SimpleNamespace(**photo) for photo in row[-2] or ())
    return listing


def _total(
    listing: Any, prices: dict[str, int] | None, stay: Stay, guests: int, rates: Rates, now: datetime
) -> int | None:
    days = {date.fromisoformat(day): DayRule(price_minor=minor) for day, minor in (prices or {}).items()}
    try:
        return _total_of(quotes.priced_for(listing, days, stay, guests, rates, now=now))
    except MoneyError:
        # Beyond what can be paid at once: shown without a price, and refused by the quote.
        return None


@lru_cache(maxsize=5_000)
def _total_of(priced: Priced) -> int:
    """What a guest pays. Equal inputs have equal prices; the same few nights are asked for again and again."""
    return pricing.price(priced).total_minor
