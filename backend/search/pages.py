"""The listings of a page of hits, ready to be shown: with their hosts and pictures, and the price of the stay.

One statement for all that, planned once on each connection and read as plain values: building model objects would cost
more than the search itself, and so does each further trip to the database.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
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
from backend.listings.reading import Shown
from backend.rates import reading
from backend.rates.terms import Rates
from backend.search.query import Hit

HIDDEN = {"line1", "line2", "postal_code", "latitude", "longitude", "status_reason"}
"""What nobody is shown in a list."""

FIELDS = [field for field in Listing._meta.concrete_fields if field.attname not in HIDDEN]
LISTING = {field.attname: field.column for field in FIELDS}
INSTANTS = [field.attname for field in FIELDS if isinstance(field, models.DateTimeField)]
"""Read as text: Django's own way of reading instants takes longer than the rest of a row."""

HOST = ("id", "username", "first_name", "created_at")
PROFILE = ("photo", "is_superhost", "identity_verified_at", "response_rate", "response_time_hours")
PHOTO = ("pk", "file", "sizes", "caption", "position", "is_cover")

_PAGE = f"""
    SELECT {", ".join(f"p.{column}{'::text' * (name in INSTANTS)}" for name, column in LISTING.items())},
        u.id, u.username, u.first_name, u.created_at::text, {", ".join(f"h.{column}" for column in PROFILE)},
        (SELECT json_agg(json_build_array(f.id, f.file, f.sizes, f.caption, f.position, f.is_cover)
            ORDER BY f.position, f.id)
        FROM photos f WHERE f.listing_id = p.id),
        (SELECT json_object_agg(d.date, d.price_minor) FROM calendar_days d
        WHERE d.listing_id = p.id AND d.date >= hit.first AND d.date < hit.past AND d.price_minor IS NOT NULL),
        CASE WHEN hit.first IS NOT NULL THEN {reading.packed(listing="p.id", host="p.host_id", now="asked.now")} END
    FROM (SELECT %s::timestamptz AS now) AS asked,
        unnest(%s::bigint[], %s::date[], %s::date[]) AS hit (id, first, past)
    JOIN properties p ON p.id = hit.id JOIN users u ON u.id = p.host_id JOIN profiles h ON h.user_id = p.host_id
    WHERE p.status = 'published'
"""  # noqa: S608 - column names of our own


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

    One query, and with dates one more where a listing has a discount for new ones. A listing that was withdrawn since it
    was found is left out.
    """
    if not hits:
        return []
    stays = [hit.stay for hit in hits]
    with prepared() as cursor:
        cursor.execute(
            _PAGE,
            [
                now,
                _array(hit.listing_id for hit in hits),
                _array(stay.check_in if stay else None for stay in stays),
                _array(stay.check_out if stay else None for stay in stays),
            ],
        )
        rows = {row[0]: row for row in cursor.fetchall()}
    dated = [row for row in rows.values() if row[-1]]
    rates = dict(zip((row[0] for row in dated), reading.unpacked(row[-1] for row in dated), strict=True))
    rates = quotes.with_newness(rates)
    cards = []
    for hit in hits:
        if row := rows.get(hit.listing_id):
            listing = _listing(row)
            total = _total(listing, row[-2], hit.stay, guests, rates[listing.pk], now) if hit.stay else None
            cards.append(Card(listing, hit.distance_km, hit.stay, total))
    return cards


def _array(values: Iterable[int | date | None]) -> str:
    """The values as PostgreSQL spells an array. psycopg looks at each of them, which takes longer."""
    return f"{{{','.join('NULL' if value is None else str(value) for value in values)}}}"


def _listing(row: tuple[Any, ...]) -> Shown:
    values = dict(zip(LISTING, row, strict=False))
    hosted = row[len(LISTING) :]
    for name in INSTANTS:
        if values[name]:
            values[name] = datetime.fromisoformat(values[name])
    values["pk"] = values["id"]
    values["min_nights_by_weekday"] = orjson.loads(values["min_nights_by_weekday"])
    host = dict(zip(HOST, hosted, strict=False))
    host["pk"] = host["id"]
    host["created_at"] = datetime.fromisoformat(host["created_at"])
    host["profile"] = Shown(dict(zip(PROFILE, hosted[len(HOST) :], strict=False)))
    values["host"] = Shown(host)
    values["photos"] = [Shown(dict(zip(PHOTO, photo, strict=True))) for photo in row[-3] or ()]
    return Shown(values)


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
