"""A random world of listings with all kinds of calendar rules, and the plain rules to compare search with."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from random import Random

from psycopg.types.range import DateRange

from backend.availability import rules as calendar_rules
from backend.availability import services as availability
from backend.availability.models import Block, CalendarDay
from backend.core.stay import Stay
from backend.listings.models import Listing
from backend.rates.models import PriceRule
from tests.factories import NOW, make_listing, make_user

ZONES = ["UTC", "Europe/Lisbon", "Africa/Nairobi", "Asia/Tokyo", "Pacific/Auckland", "Pacific/Honolulu"]


def make_world(random: Random, *, listings: int, now: datetime) -> list[Listing]:
    """``listings`` published listings, most of them with some blocks, some with rules for single dates."""
    hosts = [make_user() for _ in range(5)]
    made = [make_listing(random.choice(hosts), **_rules(random)) for _ in range(listings)]
    for listing in made:
        _take_nights(random, listing, now)
        if random.random() < 0.4:
            _set_days(random, listing, now)
        if random.random() < 0.3:
            set_season(random, listing, now)
    return made


def _rules(random: Random) -> dict[str, object]:
    fewest = random.choice([1, 1, 1, 2, 3, 7])
    some = random.random
    return {
        "timezone": random.choice(ZONES),
        "check_in_time": random.choice([time(15), time(0), time(23, 30)]),
        "max_guests": random.randint(1, 6),
        "min_nights": fewest,
        "max_nights": random.choice([365, 28, fewest]),
        "min_nights_by_weekday": {str(random.randint(1, 7)): random.randint(1, 5)} if some() < 0.3 else {},
        "arrival_weekdays": random.sample(range(1, 8), 4) if some() < 0.2 else [],
        "departure_weekdays": random.sample(range(1, 8), 4) if some() < 0.2 else [],
        "advance_notice_hours": random.choice([0, 0, 24, 72, 500]),
        "same_day_cutoff_hour": random.choice([None, None, 0, 12, 20]),
        "booking_window_days": random.choice([730, 730, 90, 10, 0]),
        "preparation_days_before": random.choice([0, 0, 0, 1, 3]),
        "preparation_days_after": random.choice([0, 0, 0, 2]),
        "allow_request_inside_notice": some() < 0.2,
    }


def _take_nights(random: Random, listing: Listing, now: datetime) -> None:
    gap = availability.rules_of(listing).gap
    start = now.date() - timedelta(days=random.randint(0, 30))
    blocks = []
    for _ in range(random.randint(0, 12)):
        start += timedelta(days=random.choice([0, 1, 2, 5, 20, 90]) + (gap if random.random() < 0.8 else 0))
        end = start + timedelta(days=random.randint(1, 12))
        reason = random.choice(["hold", "booking", "booking", "host", "feed"])
        stay = reason in ("hold", "booking")
        active = random.random() < 0.85
        lapse = timedelta(minutes=random.choice([-10, 0, 10]))
        blocks.append(
            Block(
                listing=listing,
                nights=DateRange(start, end),
                guarded=DateRange(start, end + timedelta(days=gap)) if stay and gap else None,
                reason=reason,
                active=active,
                released_at=None if active else now,
                expires_at=now + lapse if reason == "hold" else None,
                created_at=now,
            )
        )
        start = end + timedelta(days=gap)
    Block.objects.bulk_create(blocks)


def _set_days(random: Random, listing: Listing, now: datetime) -> None:
    days = random.sample(range(40), 10) + random.sample(range(40, 800), 3)
    CalendarDay.objects.bulk_create(
        CalendarDay(
            listing=listing,
            date=now.date() + timedelta(days=day),
            price_minor=random.choice([None, 5000]),
            min_nights=random.choice([None, 1, 4]),
            max_nights=random.choice([None, 30]),
            closed_to_arrival=random.choice([None, None, True, False]),
            closed_to_departure=random.choice([None, None, True, False]),
        )
        for day in days
    )


def set_season(random: Random, listing: Listing, now: datetime) -> None:
    """Give the listing one season, if none of its own is in the way, with or without rules for the calendar."""
    first = now.date() + timedelta(days=random.choice([0, 20, 60, 300]) + random.randint(0, 20))
    past = first + timedelta(days=random.randint(1, 90))
    if PriceRule.objects.filter(
        listing=listing, kind="season", starts_on__lt=past, ends_on__gt=first
    ).exists():
        return
    PriceRule.objects.create(
        listing=listing,
        kind="season",
        starts_on=first,
        ends_on=past,
        weekdays=random.choice([[], [5, 6]]),
        price_minor=random.choice([None, 7000]),
        min_nights=random.choice([None, None, 1, 4]),
        max_nights=random.choice([None, None, 30]),
        closed_to_arrival=random.choice([None, None, True, False]),
        closed_to_departure=random.choice([None, None, True, False]),
        created_at=now,
        updated_at=now,
    )


def bookable(listings: list[Listing], stay: Stay, guests: int, now: datetime) -> set[int]:
    """The listings that a booking of ``stay`` would not be refused for, asked one by one of the booking's own rules."""
    edges = CalendarDay.objects.filter(date__in=(stay.check_in, stay.check_out))
    seasons = PriceRule.objects.filter(
        kind="season", starts_on__lte=stay.check_out, ends_on__gt=stay.check_in
    )
    ruled = {*edges.values_list("listing_id", flat=True), *seasons.values_list("listing_id", flat=True)}
    return {
        listing.pk for listing in listings if _is_bookable(listing, stay, guests, now, listing.pk in ruled)
    }


def _is_bookable(listing: Listing, stay: Stay, guests: int, now: datetime, has_days: bool) -> bool:
    days = availability.days(listing.pk, stay.check_in, stay.check_out) if has_days else {}
    if calendar_rules.refusals(availability.rules_of(listing), days, stay, guests, now):
        return False
    return availability.refusal_of_nights(listing=listing, stay=stay, now=now) is None


def some_stay(random: Random, now: datetime) -> Stay:
    """A stay that may begin from today on, mostly soon, sometimes years away."""
    ahead = random.choice(
        [0, 0, 1, 2, 3, random.randint(0, 40), random.randint(0, 120), random.randint(300, 745)]
    )
    check_in = now.date() + timedelta(days=ahead)
    return Stay(check_in, check_in + timedelta(days=random.choice([1, 1, 2, 3, 5, 7, 14, 40, 130])))


def on(day: int, month: int = 4) -> date:
    """A date in the spring of the tests' year."""
    return date(NOW.year, month, day)
