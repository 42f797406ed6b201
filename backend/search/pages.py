"""The listings of a page of hits, ready to be shown: with their hosts and pictures, and the price of the stay.

One statement for all that, planned once on each connection and read as plain values: building model objects would cost
more than the search itself, and so does each further trip to the database.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import orjson
from django.db import models

from backend.availability.rules import DayRule
from backend.bookings import pricing, quotes
from backend.core import platform
from backend.core.db import prepared
from backend.core.money import MoneyError
from backend.core.replicas import may_lag
from backend.core.stay import Stay
from backend.listings.models import Listing
from backend.listings.reading import Shown, speak, words_in
from backend.rates import reading
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


class Offer(NamedTuple):
    """Of a listing what ``quotes.priced_for`` reads: of a total nothing else decides."""

    price_minor: int
    weekend_price_minor: int | None
    extra_guest_fee_minor: int
    guests_included: int
    cleaning_fee_minor: int
    currency: str
    cancellation_policy: str
    timezone: str


_offer_of = itemgetter(*map(list(LISTING).index, Offer._fields))
"""The values of an ``Offer`` in a row."""

_PAGE = f"""
    SELECT {", ".join(f"p.{column}{'::text' * (name in INSTANTS)}" for name, column in LISTING.items())},
        u.id, u.username, u.first_name, u.created_at::text, {", ".join(f"h.{column}" for column in PROFILE)},
        ({words_in("p", "asked.language")})::text,
        (SELECT json_agg(json_build_array(f.id, f.file, f.sizes, f.caption, f.position, f.is_cover)
            ORDER BY f.position, f.id)::text
        FROM photos f WHERE f.listing_id = p.id),
        (SELECT json_object_agg(d.date, d.price_minor)::text FROM calendar_days d
        WHERE d.listing_id = p.id AND d.date >= hit.first AND d.date < hit.past AND d.price_minor IS NOT NULL),
        CASE WHEN hit.first IS NOT NULL THEN {reading.packed(listing="p.id", host="p.host_id", now="asked.now")} END
    FROM (SELECT %s::timestamptz AS now, %s::text AS language) AS asked,
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


@may_lag
def load(hits: Sequence[Hit], *, guests: int, now: datetime, language: str = "") -> list[Card]:
    """The cards of ``hits`` in their order, with the prices of their stays for ``guests`` people at ``now`` (UTC).

    They speak ``language`` where they can, else their own; "" is their own.

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
                language,
                _array(hit.listing_id for hit in hits),
                _array(stay.check_in if stay else None for stay in stays),
                _array(stay.check_out if stay else None for stay in stays),
            ],
        )
        rows = {row[0]: row for row in cursor.fetchall()}
    totals = _totals(hits, rows, guests, now)
    cards = []
    for hit in hits:
        if row := rows.get(hit.listing_id):
            cards.append(Card(_listing(row, language), hit.distance_km, hit.stay, totals.get(hit.listing_id)))
    return cards


def _array(values: Iterable[int | date | None]) -> str:
    """The values as PostgreSQL spells an array. psycopg looks at each of them, which takes longer."""
    return f"{{{','.join('NULL' if value is None else str(value) for value in values)}}}"


def _listing(row: tuple[Any, ...], language: str) -> Shown:
    values = dict(zip(LISTING, row, strict=False))
    hosted = row[len(LISTING) :]
    for name in INSTANTS:
        if values[name]:
            values[name] = datetime.fromisoformat(values[name])
    values["pk"] = values["id"]
    by_weekday = values["min_nights_by_weekday"]
    values["min_nights_by_weekday"] = {} if by_weekday == "{}" else orjson.loads(by_weekday)
    host = dict(zip(HOST, hosted, strict=False))
    host["pk"] = host["id"]
    host["created_at"] = datetime.fromisoformat(host["created_at"])
    host["profile"] = _shown(dict(zip(PROFILE, hosted[len(HOST) :], strict=False)))
    values["host"] = _shown(host)
    speak(values, orjson.loads(row[-4]) if row[-4] else None, language)
    photos = orjson.loads(row[-3]) if row[-3] else ()
    values["photos"] = [_shown(dict(zip(PHOTO, photo, strict=True))) for photo in photos]
    return _shown(values)


def _shown(values: dict[str, Any]) -> Shown:
    """``Shown(values)`` without a copy of them."""
    shown = Shown.__new__(Shown)
    shown.__dict__ = values
    return shown


def _totals(
    hits: Sequence[Hit], rows: dict[int, tuple[Any, ...]], guests: int, now: datetime
) -> dict[int, int | None]:
    """What the stays cost, by listing. Without a price where it is beyond what can be paid at once: the quote refuses it."""
    dated = {key: row for key, row in rows.items() if row[-1]}
    if not dated:
        return {}
    unpacked = reading.unpacked(row[-1] for row in dated.values())
    rates = quotes.with_newness(dict(zip(dated, unpacked, strict=True)))
    # As a text: compared twenty times a page.
    settings = repr((reading.platform_service_fee(), platform.get("non_refundable_percent")))
    today: dict[str, date] = {}
    totals = {}
    for hit in hits:
        row = dated.get(hit.listing_id)
        if row is None or hit.stay is None:
            continue
        offer = _offer_of(row)
        zone = offer[-1]
        if zone not in today:
            today[zone] = now.astimezone(ZoneInfo(zone)).date()
        stay, is_new = hit.stay, rates[hit.listing_id].is_new
        totals[hit.listing_id] = _total(
            offer, row[-2], row[-1], is_new, stay.check_in, stay.check_out, guests, today[zone], settings
        )
    return totals


@lru_cache(maxsize=10_000)
def _total(
    offer: tuple[Any, ...],
    prices: str | None,
    packed: str,
    is_new: bool,
    check_in: date,
    check_out: date,
    guests: int,
    today: date,
    settings: str,
) -> int | None:
    """What a guest pays, in minor units. Equal questions have equal answers; the same few nights are asked for again and again.

    ``prices`` are those of single dates, ``packed`` the rates as they were read, ``today`` the date at the listing;
    ``settings`` are what the platform adds.
    """
    offered: Any = Offer._make(offer)
    days = {
        date.fromisoformat(day): DayRule(price_minor=minor)
        for day, minor in (orjson.loads(prices) if prices else {}).items()
    }
    (rates,) = reading.unpacked([packed])
    noon = datetime.combine(today, time(12), ZoneInfo(offered.timezone))
    stay = Stay(check_in, check_out)
    try:
        priced = quotes.priced_for(offered, days, stay, guests, replace(rates, is_new=is_new), now=noon)
        return pricing.price(priced).total_minor
    except MoneyError:
        return None
