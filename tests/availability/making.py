"""Calendars as hosts leave them, for tests."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from random import Random
from typing import Any

from django.db import transaction

from backend.availability import services as availability
from backend.availability.models import Block, CalendarDay, Reason
from backend.core.errors import DomainError
from backend.core.stay import Stay
from backend.listings.models import Listing
from backend.rates.models import PriceRule
from tests.factories import NOW, make_listing

ZONES = ["Europe/Lisbon", "Africa/Nairobi", "Pacific/Kiritimati", "Pacific/Honolulu", "Australia/Lord_Howe"]


def make_season(listing: Listing, starts_on: date, ends_on: date, **fields: Any) -> PriceRule:
    """A season ``[starts_on, ends_on)`` of ``listing``."""
    values = {"created_at": NOW, "updated_at": NOW, **fields}
    return PriceRule.objects.create(
        listing=listing, kind="season", starts_on=starts_on, ends_on=ends_on, **values
    )


def take(listing: Listing, stay: Stay, reason: str = Reason.BOOKING, **kwargs: Any) -> Block:
    """Nights that somebody has; a hold runs out fifteen minutes after NOW unless it is said."""
    if reason == Reason.HOLD:
        kwargs.setdefault("expires_at", NOW + timedelta(minutes=15))
    with transaction.atomic():
        return availability.claim(listing=listing, stay=stay, reason=Reason(reason), now=NOW, **kwargs)


def some_listing(random: Random, now: datetime) -> Listing:
    """A listing with rules of every kind, some nights taken, some dates and seasons set."""
    listing = make_listing(**_some_rules(random))
    today = now.date()
    for _ in range(random.randint(0, 4)):
        start = today + timedelta(days=random.randint(-3, 40))
        reason = random.choice(["hold", "booking", "booking", "host", "feed"])
        lapse = {"expires_at": now + timedelta(minutes=random.choice([0, 5]))} if reason == "hold" else {}
        try:
            take(listing, Stay(start, start + timedelta(days=random.randint(1, 5))), reason, **lapse)
        except DomainError:
            continue
    for day in random.sample(range(40), random.choice([0, 0, 8])):
        CalendarDay.objects.create(
            listing=listing, date=today + timedelta(days=day), **_some_calendar(random)
        )
    start = today
    for _ in range(random.choice([0, 0, 1, 2])):
        start += timedelta(days=random.randint(0, 8))
        end = start + timedelta(days=random.randint(1, 20))
        make_season(listing, start, end, price_minor=random.choice([None, 20_000]), **_some_calendar(random))
        start = end
    return listing


def _some_calendar(random: Random) -> dict[str, Any]:
    return {
        "min_nights": random.choice([None, None, None, 1, 1, 4]),
        "max_nights": random.choice([None, None, 30, 5]),
        "closed_to_arrival": random.choice([None, None, None, True, False]),
        "closed_to_departure": random.choice([None, None, None, True, False]),
    }


def _some_rules(random: Random) -> dict[str, Any]:
    some, fewest = random.random, random.choice([1, 1, 1, 1, 1, 2, 3])
    return {
        "timezone": random.choice(ZONES),
        "check_in_time": random.choice([time(15), time(0), time(23, 30)]),
        "max_guests": random.randint(1, 4),
        "min_nights": fewest,
        "max_nights": random.choice([365, 28, fewest + 2]),
        "min_nights_by_weekday": {str(random.randint(1, 7)): random.randint(1, 5)} if some() < 0.3 else {},
        "arrival_weekdays": random.sample(range(1, 8), 4) if some() < 0.2 else [],
        "departure_weekdays": random.sample(range(1, 8), 4) if some() < 0.2 else [],
        "advance_notice_hours": random.choice([0, 0, 7, 24, 72]),
        "same_day_cutoff_hour": random.choice([None, None, 0, 12, 20]),
        "booking_window_days": random.choice([730, 730, 730, 30, 10, 0]),
        "preparation_days_before": random.choice([0, 0, 0, 1, 3]),
        "preparation_days_after": random.choice([0, 0, 0, 2]),
        "allow_request_inside_notice": some() < 0.3,
        "instant_book": some() < 0.7,
    }
