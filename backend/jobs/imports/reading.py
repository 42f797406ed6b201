"""Read Inside Airbnb's files (insideairbnb.com): what a row says, in our words. Pure but for opening the file.

What the real files teach: prices carry ``$`` whatever the currency, and thousands commas; texts hold newlines, bare
carriage returns and ``<br>``; ids pass 2**53; prices can be empty; bathrooms live in a text, and in older files bedrooms
live in the name.
"""

from __future__ import annotations

import csv
import gzip
import html
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from pathlib import Path
from typing import Any, TextIO

LONGEST_STAY = 365

REQUIRED = {
    "listings": {
        "id",
        "name",
        "host_id",
        "latitude",
        "longitude",
        "room_type",
        "accommodates",
        "minimum_nights",
    },
    "calendar": {"listing_id", "date", "available", "minimum_nights", "maximum_nights"},
    "reviews": {"listing_id", "id", "date"},
}
"""Columns without which a file is not what it is said to be."""

ROOM_TYPES = {
    "Entire home/apt": "entire_place",
    "Private room": "private_room",
    "Hotel room": "private_room",
    "Shared room": "shared_room",
}

RESPONSE_HOURS = {
    "within an hour": 1,
    "within a few hours": 4,
    "within a day": 24,
    "a few days or more": 72,
}
"""Inside Airbnb's words → hours, the upper end of what each says."""

AMENITIES = {
    "wifi": r"wifi|wi-fi|wireless internet",
    "kitchen": r"kitchen\b|kitchenette",
    "air_conditioning": r"air conditioning|ac - ",
    "heating": r"heating",
    "washer": r"washer(?! ?/ ?dryer in building)",
    "dryer": r"(?<!hair )dryer",
    "tv": r"\btv\b|hdtv",
    "free_parking": r"free .*parking",
    "paid_parking": r"paid .*parking",
    "pool": r"\bpool\b(?! table)",
    "hot_tub": r"hot tub",
    "gym": r"\bgym\b",
    "elevator": r"elevator",
    "workspace": r"workspace",
    "hair_dryer": r"hair ?dryer",
    "iron": r"^iron\b",
    "essentials": r"^essentials$",
    "shampoo": r"shampoo",
    "hot_water": r"hot water$",
    "bathtub": r"bathtub",
    "refrigerator": r"refrigerator|fridge",
    "microwave": r"microwave",
    "oven": r"\boven\b",
    "stove": r"stove",
    "dishwasher": r"dishwasher",
    "coffee_maker": r"coffee maker|nespresso|coffee$",
    "kettle": r"kettle",
    "dishes": r"dishes and silverware",
    "breakfast": r"^breakfast",
    "bbq_grill": r"bbq|barbecue grill",
    "balcony": r"balcony",
    "patio": r"patio",
    "garden": r"garden|backyard",
    "beachfront": r"beachfront|waterfront",
    "lake_access": r"lake access",
    "sea_view": r"(sea|ocean|beach) view",
    "mountain_view": r"mountain view",
    "fireplace": r"fireplace",
    "fan": r"\bfans?$",
    "mosquito_net": r"mosquito net",
    "crib": r"crib|pack .n.? play",
    "high_chair": r"high chair",
    "pets_allowed": r"pets allowed",
    "smoking_allowed": r"smoking allowed",
    "self_check_in": r"self check-in|lockbox|keypad|smart lock",
    "luggage_dropoff": r"luggage dropoff",
    "cleaning": r"cleaning available|housekeeping",
    "smoke_alarm": r"smoke (alarm|detector)",
    "carbon_monoxide_alarm": r"carbon monoxide (alarm|detector)",
    "fire_extinguisher": r"fire extinguisher",
    "first_aid_kit": r"first aid",
    "safe": r"^safe$",
    "private_entrance": r"private entrance",
    "step_free_access": r"step-free|single level home",
    "ev_charger": r"ev charger",
}
"""Our amenity → what its names look like in the files, without regard to case."""
_AMENITY_PATTERNS = [(slug, re.compile(pattern, re.IGNORECASE)) for slug, pattern in AMENITIES.items()]

_OLD_NAME = re.compile(r"^(?P<title>.+?) · (?:★|New)")
_BEDROOMS = re.compile(r"(\d+) bedrooms?")
_BEDS = re.compile(r"(\d+) beds?\b")
_BATHS = re.compile(r"\d+(?:\.\d+)?")
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]{1,200}>")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class WrongFile(Exception):
    """The file is not what it is said to be: unreadable, or without the columns that it must have."""


class RowRefused(Exception):
    """One row that cannot become a listing; ``reason`` is a stable word."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class HostRow:
    """What a row says of its host."""

    source_id: str
    first_name: str
    is_superhost: bool
    response_rate: int | None
    response_time_hours: int | None
    since: date | None


@dataclass(frozen=True, slots=True)
class ListingRow:
    """What a row says, under the names of ``listings.fields``; the price is None where the row has none."""

    source_id: str
    host: HostRow
    values: dict[str, Any]
    price: Decimal | None
    neighbourhood: str
    rating: Decimal | None
    review_count: int
    unknown_amenities: int = 0


@dataclass(frozen=True, slots=True)
class CalendarNight:
    """One night of a calendar file."""

    listing_id: str
    date: date
    available: bool
    price: Decimal | None
    min_nights: int
    max_nights: int


@contextmanager
def opened(path: Path) -> Iterator[TextIO]:
    """Open ``.csv`` or ``.csv.gz`` as UTF-8. Raises: WrongFile for what cannot be opened, unpacked or decoded."""
    try:
        if path.suffix == ".gz":
            with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
                yield file
        else:
            with path.open(encoding="utf-8", newline="") as file:
                yield file
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise WrongFile(f"{path.name}: {error}") from error


def rows(file: TextIO, kind: str) -> Iterator[dict[str, str]]:
    """The rows of a file of ``kind`` (listings, calendar, reviews). Raises: WrongFile."""
    reader = csv.DictReader(file)
    missing = REQUIRED[kind] - set(reader.fieldnames or ())
    if missing:
        raise WrongFile(f"this is no {kind} file: it has no column {', '.join(sorted(missing))}")
    try:
        for row in reader:
            yield {name: value or "" for name, value in row.items() if name}
    except csv.Error as error:
        raise WrongFile(f"line {reader.line_num}: {error}") from error


def plain_text(value: str) -> str:
    """The text without markup: ``<br>`` and every kind of line end become one newline, paragraphs stay."""
    text = html.unescape(_TAG.sub("", _BREAK.sub("\n", value.replace("\r\n", "\n").replace("\r", "\n"))))
    lines = [" ".join(_CONTROL.sub("", line).split()) for line in text.split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def price(value: str) -> Decimal | None:
    """``"$1,379.00"`` → 1379.00; None for an empty one. The sign says nothing of the currency. Raises: RowRefused."""
    bare = value.strip().lstrip("$").replace(",", "")
    if not bare:
        return None
    try:
        amount = Decimal(bare)
    except InvalidOperation:
        raise RowRefused("bad_price") from None
    if not amount.is_finite() or amount <= 0:
        raise RowRefused("bad_price")
    return amount


def bathrooms(number: str, text: str) -> Decimal:
    """``"1.5 shared baths"`` → 1.5, ``"Half-bath"`` → 0.5, nothing → 1; the number's own column goes first."""
    found = _BATHS.search(number) or _BATHS.search(text)
    if found:
        return min(Decimal(found[0]), Decimal(100))
    return Decimal("0.5") if "half" in text.lower() else Decimal(1)


def amenities(value: str) -> tuple[list[str], int]:
    """Our slugs for a JSON list of names, and how many names we have no word for. Raises: RowRefused."""
    try:
        names = json.loads(value or "[]")
    except ValueError:
        raise RowRefused("bad_amenities") from None
    matched = [_slugs(str(name)) for name in names]
    return sorted(frozenset().union(*matched)), sum(not slugs for slugs in matched)


@lru_cache(maxsize=50_000)
def _slugs(name: str) -> frozenset[str]:
    return frozenset(slug for slug, pattern in _AMENITY_PATTERNS if pattern.search(name))


def _integer(value: str, reason: str) -> int:
    try:
        return int(Decimal(value))
    except (InvalidOperation, ValueError, OverflowError):
        raise RowRefused(reason) from None


def _degrees(value: str, most: int) -> float:
    try:
        degrees = round(float(value), 6)
    except ValueError:
        raise RowRefused("no_place") from None
    if not -most <= degrees <= most:
        raise RowRefused("no_place")
    return degrees


def _count(column: str, name: str, pattern: re.Pattern[str], otherwise: int) -> int:
    if column:
        return _integer(column, "bad_number")
    found = pattern.search(name)
    return int(found[1]) if found else otherwise


def listing(row: dict[str, str]) -> ListingRow:
    """What a row of a listings file says. Raises: RowRefused with the reason."""
    source_id = row["id"].strip()
    if not source_id.isdigit() or len(source_id) > 40:
        raise RowRefused("bad_id")
    raw_name = " ".join(plain_text(row["name"]).split())
    old = _OLD_NAME.match(raw_name)
    title = (old["title"] if old else raw_name)[:100].strip()
    if not title:
        raise RowRefused("no_title")
    room_type = ROOM_TYPES.get(row["room_type"])
    if room_type is None:
        raise RowRefused("unknown_room_type")
    fewest = max(1, _integer(row["minimum_nights"], "bad_number"))
    if fewest > LONGEST_STAY:
        raise RowRefused("min_nights_too_long")
    most = _integer(row.get("maximum_nights", "") or str(LONGEST_STAY), "bad_number")
    guests = _integer(row["accommodates"], "bad_number")
    if guests < 1:
        raise RowRefused("no_guests")
    slugs, unknown = amenities(row.get("amenities", ""))
    rating = row.get("review_scores_rating", "")
    values = {
        "title": title,
        "description": plain_text(row.get("description", ""))[:10_000].strip(),
        "property_type": _property_type(row.get("property_type", "")),
        "room_type": room_type,
        "max_guests": min(guests, 100),
        "guests_included": min(guests, 100),
        "bedrooms": min(_count(row.get("bedrooms", ""), raw_name, _BEDROOMS, 1), 100),
        "beds": min(_count(row.get("beds", ""), raw_name, _BEDS, 1), 200),
        "bathrooms": bathrooms(row.get("bathrooms", ""), row.get("bathrooms_text", "")),
        "amenities": slugs,
        "min_nights": fewest,
        "max_nights": max(fewest, min(most, LONGEST_STAY)),
        "instant_book": row.get("instant_bookable") == "t",
        "latitude": _degrees(row["latitude"], 90),
        "longitude": _degrees(row["longitude"], 180),
    }
    return ListingRow(
        source_id=source_id,
        host=_host(row),
        values=values,
        price=price(row.get("price", "")),
        neighbourhood=plain_text(row.get("neighbourhood_cleansed", ""))[:80],
        rating=min(Decimal(rating), Decimal(5)).quantize(Decimal("0.01")) if rating else None,
        review_count=_integer(row.get("number_of_reviews", "") or "0", "bad_number"),
        unknown_amenities=unknown,
    )


def _property_type(value: str) -> str:
    """``"Private room in rental unit"`` → ``rental_unit``, ``"Tiny home"`` → ``tiny_home``."""
    kind = re.sub(
        r"^(entire|private room in|shared room in|room in|private|shared)\s+", "", value.lower().strip()
    )
    return re.sub(r"[^a-z0-9]+", "_", kind).strip("_")[:40] or "place"


def _host(row: dict[str, str]) -> HostRow:
    source_id = row["host_id"].strip()
    if not source_id.isdigit() or len(source_id) > 40:
        raise RowRefused("no_host")
    rate = row.get("host_response_rate", "").rstrip("%")
    since = row.get("host_since", "")
    return HostRow(
        source_id=source_id,
        first_name=plain_text(row.get("host_name", "")).replace("\n", " ")[:80],
        is_superhost=row.get("host_is_superhost") == "t",
        response_rate=int(rate) if rate.isdigit() else None,
        response_time_hours=RESPONSE_HOURS.get(row.get("host_response_time", "")),
        since=date.fromisoformat(since) if since else None,
    )


def night(row: dict[str, str]) -> CalendarNight:
    """What a row of a calendar file says. Raises: RowRefused."""
    try:
        evening = date.fromisoformat(row["date"])
    except ValueError:
        raise RowRefused("bad_date") from None
    fewest = min(max(1, _integer(row["minimum_nights"], "bad_number")), LONGEST_STAY)
    most = _integer(row["maximum_nights"], "bad_number")
    return CalendarNight(
        listing_id=row["listing_id"].strip(),
        date=evening,
        available=row["available"] == "t",
        price=price(row.get("adjusted_price", "") or row.get("price", "")),
        min_nights=fewest,
        max_nights=max(fewest, min(most, LONGEST_STAY)),
    )
