"""Seasons in the calendar: above the weekdays and the listing, below what is set for the date itself."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backend.availability import calendar
from backend.availability import services as availability
from backend.availability.models import CalendarDay
from backend.availability.rules import DayRule
from backend.core.stay import Stay
from backend.rates.models import PriceRule
from tests.availability.making import make_season
from tests.factories import NOW, make_listing

pytestmark = pytest.mark.usefixtures("db")

START, END = date(2027, 7, 1), date(2027, 7, 5)  # Thursday to Monday


def nights(listing, start=START - timedelta(days=1), end=END + timedelta(days=1)):
    return calendar.read(listing=listing, start=start, end=end, now=NOW)


def make_rule(listing, kind, **fields):
    return PriceRule.objects.create(listing=listing, kind=kind, created_at=NOW, updated_at=NOW, **fields)


def test_days_hold_for_every_date_of_the_season_and_no_other():
    listing = make_listing()
    make_season(listing, START, END, min_nights=3)

    found = availability.days(listing.pk, START - timedelta(days=2), END + timedelta(days=2))

    assert found == {START + timedelta(days=index): DayRule(min_nights=3) for index in range(4)}


def test_days_take_from_the_season_what_the_date_leaves_open():
    listing = make_listing()
    make_season(listing, START, END, min_nights=3, max_nights=9, closed_to_arrival=True)
    CalendarDay.objects.create(
        listing=listing, date=START, price_minor=7, min_nights=1, closed_to_arrival=False, note="fair"
    )

    found = availability.days(listing.pk, START, START + timedelta(days=1))

    assert found == {
        START: DayRule(price_minor=7, min_nights=1, max_nights=9, closed_to_arrival=False, note="fair"),
        START + timedelta(days=1): DayRule(min_nights=3, max_nights=9, closed_to_arrival=True),
    }


def test_days_of_a_season_that_only_prices_are_none():
    listing = make_listing()
    make_season(listing, START, END, price_minor=20_000)

    assert availability.days(listing.pk, START, END) == {}


def test_days_of_one_listing_are_not_anothers():
    listing, other = make_listing(), make_listing()
    make_season(other, START, END, min_nights=3)

    assert availability.days(listing.pk, START, END) == {}


@pytest.mark.parametrize("count", [1, 3])
def test_days_take_one_query_however_many_seasons(count):
    listing = make_listing()
    for index in range(count):
        make_season(
            listing, START + timedelta(days=index), START + timedelta(days=index + 1), min_nights=index + 1
        )

    with CaptureQueriesContext(connection) as queries:
        found = availability.days(listing.pk, START, END)

    assert (len(queries), len(found)) == (1, count)


def test_a_season_counts_on_the_check_in_and_the_check_out_date():
    listing = make_listing()
    make_season(listing, START, END, min_nights=3, closed_to_departure=True)
    cases = {
        "from the day before": Stay(START - timedelta(days=1), START + timedelta(days=1)),
        "out on its first date": Stay(START - timedelta(days=2), START),
        "two nights from its last date": Stay(END - timedelta(days=1), END + timedelta(days=1)),
        "three nights from its last date": Stay(END - timedelta(days=1), END + timedelta(days=2)),
        "out on the date after": Stay(END - timedelta(days=3), END),
        "from the date after": Stay(END, END + timedelta(days=1)),
    }

    codes = {
        name: [
            refusal.code
            for refusal in availability.why(listing=listing, stay=stay, guests=1, now=NOW, for_host=False)
        ]
        for name, stay in cases.items()
    }

    assert codes == {
        "from the day before": ["closed_to_departure"],
        "out on its first date": ["closed_to_departure"],
        "two nights from its last date": ["min_nights"],
        "three nights from its last date": [],
        "out on the date after": [],
        "from the date after": [],
    }


def test_read_shows_the_rules_that_hold_in_the_end():
    listing = make_listing(
        min_nights=2, max_nights=20, min_nights_by_weekday={"4": 5, "7": 6}, departure_weekdays=[1, 2, 3]
    )
    make_season(listing, START, END, min_nights=3, max_nights=7, closed_to_departure=False)
    CalendarDay.objects.create(listing=listing, date=date(2027, 7, 3), min_nights=1, closed_to_departure=True)

    shown = [
        (night.date.day, night.min_nights, night.max_nights, night.closed_to_departure)
        for night in nights(listing)
    ]

    assert shown == [
        (30, 2, 20, False),  # Wednesday
        (1, 3, 7, False),
        (2, 3, 7, False),
        (3, 1, 7, True),
        (4, 3, 7, False),
        (5, 2, 20, False),  # Monday
    ]


def test_read_prices_by_date_then_season_then_weekend_then_base():
    listing = make_listing(price_minor=10_000, weekend_price_minor=12_000)
    make_season(listing, START, date(2027, 7, 3), price_minor=20_000)
    make_season(listing, date(2027, 7, 4), END, percent=Decimal("12.5"))
    CalendarDay.objects.create(listing=listing, date=date(2027, 7, 2), price_minor=30_000)

    shown = {night.date.day: night.price_minor for night in nights(listing)}

    assert shown == {30: 10_000, 1: 20_000, 2: 30_000, 3: 12_000, 4: 11_250, 5: 10_000}


def test_read_prices_a_weekend_by_its_rule_before_the_listings_own():
    listing = make_listing(price_minor=10_000, weekend_price_minor=12_000)
    make_rule(listing, "weekend", weekdays=[6, 7], percent=Decimal(50))

    shown = {night.date.isoweekday(): night.price_minor for night in nights(listing)}

    assert shown == {3: 10_000, 4: 10_000, 5: 12_000, 6: 15_000, 7: 15_000, 1: 10_000}


def test_a_seasons_weekdays_choose_its_prices_and_not_its_rules():
    listing = make_listing(price_minor=10_000)
    make_season(listing, START, END, weekdays=[5], price_minor=20_000, min_nights=4)

    shown = {night.date.day: (night.price_minor, night.min_nights) for night in nights(listing)}

    assert shown == {
        **{30: (10_000, 1), 1: (10_000, 4), 2: (20_000, 4)},
        **{3: (10_000, 4), 4: (10_000, 4), 5: (10_000, 1)},
    }


def test_revision_changes_with_every_price_rule():
    listing = make_listing()
    seen = [calendar.revision(listing)]

    season = make_season(listing, START, END, min_nights=3)
    seen.append(calendar.revision(listing))
    season.min_nights = 4
    season.save()
    seen.append(calendar.revision(listing))
    make_rule(listing, "weekend", percent=Decimal(10))
    seen.append(calendar.revision(listing))
    PriceRule.objects.all().delete()

    assert len(set(seen)) == 4
    assert calendar.revision(listing) == seen[0]
    make_season(make_listing(), START, END, min_nights=3)
    assert calendar.revision(listing) == seen[0]
