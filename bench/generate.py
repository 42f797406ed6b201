"""A made-up platform of any size by COPY: listings in the cities of the world, their amenities and taken nights.

Everything follows from the seed. Cities get listings by the square root of their population, except the first, which
gets a twentieth of all: the "big city". Points lie around the centre as houses do, dense inside and thin outside.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

from django.db import connection, transaction
from psycopg.types.range import DateRange

BLOCKS_A_LISTING = 6
HOSTS_SHARE = 3
"""So many listings a host has on average."""

BIG_SHARE = 0.05
AMENITIES = {
    "wifi": 0.95, "kitchen": 0.85, "heating": 0.7, "tv": 0.7, "washer": 0.5,
    "air_conditioning": 0.4, "free_parking": 0.4, "pool": 0.12, "hot_tub": 0.06, "sauna": 0.02,
}  # fmt: skip
NOUNS = ["Flat", "House", "Studio", "Loft", "Cabin", "Villa", "Room", "Cottage", "Penthouse", "Bungalow"]
ADJECTIVES = ["Sunny", "Quiet", "Bright", "Old", "New", "Cosy", "Large", "Small", "Green", "Central"]
THINGS = ["river", "garden", "station", "market", "park", "beach", "museum", "harbour", "hill", "square"]
TYPES = ["apartment", "apartment", "house", "villa", "cabin"]


@dataclass(frozen=True)
class City:
    """Where listings are made. ``share`` of all of them."""

    name: str
    region: str
    country: str
    lat: float
    lon: float
    timezone: str
    share: float


def cities() -> list[City]:
    """The thousand largest cities that the platform knows, the big one first."""
    from backend.listings.models import Location

    rows = list(Location.objects.order_by("-population", "pk")[:1000])
    weights = [math.sqrt(row.population) for row in rows[1:]]
    rest = (1 - BIG_SHARE) / sum(weights)
    shares = [BIG_SHARE, *(weight * rest for weight in weights)]
    return [
        City(row.name, row.region, row.country, row.latitude, row.longitude, row.timezone, share)
        for row, share in zip(rows, shares, strict=True)
    ]


def generate(
    listings: int,
    today: date,
    *,
    seed: int = 1,
    calendars: bool = True,
    say: Callable[[str], None] = print,
) -> None:
    """Fill the empty database with ``listings`` published listings and their calendars, search rows included."""
    from backend.listings import amenities
    from backend.search import maintenance

    random = Random(seed)
    with connection.cursor() as cursor:
        for table in ("properties", "blocks", "profiles", "users"):
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    say(f"  {listings:,} listings …")
    _copy_hosts(max(1, listings // HOSTS_SHARE))
    masks = {slug: amenities.mask([slug]) for slug in AMENITIES if slug in amenities.bits()}
    _copy("properties", LISTING, _listings(random, listings, masks, cities()))
    if calendars:
        say("  calendars …")
        _copy("blocks", BLOCK, _blocks(random, listings, today))
    with connection.cursor() as cursor:
        for table in ("properties", "blocks", "profiles", "users"):
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
            cursor.execute(f"ANALYZE {table}")
    say("  search rows …")
    maintenance.rebuild()
    maintenance.cluster()
    with connection.cursor() as cursor:
        for table in ("search_row", "search_text", "search_places", "blocks", "properties"):
            cursor.execute(f"VACUUM ANALYZE {table}")


def _copy(table: str, columns: list[str], rows: Iterator[tuple[Any, ...]]) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        with cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        if "id" in columns:
            cursor.execute(
                f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))"
            )


MADE_AT = datetime(2026, 1, 1, tzinfo=UTC)


def _copy_hosts(count: int) -> None:
    users = (
        (number, "!", False, f"host_{number}", f"host_{number}@example.com", f"Host{number}", "", True, False, "", MADE_AT, 0)
        for number in range(1, count + 1)
    )  # fmt: skip
    _copy("users", USER, users)
    numbers = range(1, count + 1)
    _copy(
        "profiles",
        PROFILE,
        ((number, "", "", [], "", "", "", "", "{}", number % 5 == 0) for number in numbers),
    )


USER = [
    *(
        "id",
        "password",
        "is_superuser",
        "username",
        "email",
        "first_name",
        "last_name",
        "is_active",
        "is_staff",
    ),
    *("suspended_reason", "created_at", "event_seq"),
]
PROFILE = [
    *("user_id", "phone", "bio", "languages", "photo", "currency", "language", "timezone"),
    *("notification_preferences", "is_superhost"),
]
LISTING = [
    *(
        "id",
        "host_id",
        "status",
        "status_reason",
        "title",
        "description",
        "property_type",
        "room_type",
        "currency",
    ),
    *(
        "price_minor",
        "cleaning_fee_minor",
        "extra_guest_fee_minor",
        "max_guests",
        "guests_included",
        "bedrooms",
    ),
    *(
        "beds",
        "bathrooms",
        "amenities_mask",
        "min_nights",
        "max_nights",
        "min_nights_by_weekday",
        "arrival_weekdays",
    ),
    *("departure_weekdays", "advance_notice_hours", "booking_window_days", "preparation_days_before"),
    *(
        "preparation_days_after",
        "allow_request_inside_notice",
        "check_in_time",
        "check_out_time",
        "instant_book",
    ),
    *(
        "cancellation_policy",
        "house_rules",
        "location",
        "city",
        "region",
        "country",
        "line1",
        "line2",
        "postal_code",
    ),
    *(
        "latitude",
        "longitude",
        "public_latitude",
        "public_longitude",
        "timezone",
        "rating",
        "review_count",
        "imported_rating",
        "imported_review_count",
        "source",
    ),
    *("source_id", "version", "created_at", "updated_at", "published_at"),
]
BLOCK = ["listing_id", "nights", "reason", "active", "note", "created_at"]


def _listings(
    random: Random, count: int, masks: dict[str, int], places: list[City]
) -> Iterator[tuple[Any, ...]]:
    shares = [city.share for city in places]
    chosen = random.choices(places, shares, k=count)
    hosts = max(1, count // HOSTS_SHARE)
    for number, city in enumerate(chosen, 1):
        lat, lon = _around(random, city)
        reviews = int(random.paretovariate(1)) - 1
        guests = random.choice([2, 2, 2, 4, 4, 6, 8])
        mask = sum(bit for slug, bit in masks.items() if random.random() < AMENITIES[slug])
        noun, thing = random.choice(NOUNS), random.choice(THINGS)
        title = f"{random.choice(ADJECTIVES)} {noun.lower()} by the {thing}"
        text = (
            f"A {noun.lower()} for {guests} near the {thing} and the {random.choice(THINGS)} of {city.name}."
        )
        yield (
            *(number, random.randint(1, hosts), "published", "", title, text, random.choice(TYPES)),
            random.choices(["entire_place", "private_room", "shared_room"], [70, 28, 2])[0],
            *("EUR", int(random.lognormvariate(9.1, 0.6)), 2000, 0, guests, guests, max(1, guests // 2)),
            *(max(1, guests // 2), 1, mask, random.choice([1, 1, 1, 2, 2, 3]), 365, "{}", [], []),
            *(random.choice([0, 0, 24]), random.choice([730, 365]), 0, 0, False, "15:00", "11:00"),
            *(random.random() < 0.6, random.choice(["flexible", "moderate", "firm", "strict"]), ""),
            *(f"{city.name}, {city.region}", city.name, city.region, city.country, "", "", ""),
            *(lat, lon, lat, lon, city.timezone),
            (rating := None if reviews == 0 else round(min(5.0, random.gauss(4.7, 0.3)), 2)),
            *(reviews, rating, reviews, "", "", 1, MADE_AT, MADE_AT, MADE_AT),
        )


def _around(random: Random, city: City) -> tuple[float, float]:
    spread = 0.09
    lat = min(89.0, max(-89.0, random.gauss(city.lat, spread)))
    lon = random.gauss(city.lon, spread / max(0.1, math.cos(math.radians(city.lat))))
    return lat, (lon + 180) % 360 - 180


def _blocks(random: Random, listings: int, today: date) -> Iterator[tuple[Any, ...]]:
    """Six stays a listing over the coming year, never overlapping: about 40 nights of it."""
    for listing in range(1, listings + 1):
        start = today - timedelta(days=random.randint(0, 20))
        for _ in range(BLOCKS_A_LISTING):
            start += timedelta(days=int(random.expovariate(1 / 40)))
            end = start + timedelta(days=random.randint(2, 12))
            yield listing, DateRange(start, end), "booking", True, "", MADE_AT
            start = end
