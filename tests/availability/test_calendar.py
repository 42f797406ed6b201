"""The calendar that guests read and hosts change."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from backend.audit.models import AuditEntry
from backend.availability import calendar
from backend.availability import services as availability
from backend.availability.calendar import NightsOutOfOrder, RangeRefused
from backend.availability.models import Block, CalendarDay, Reason
from backend.availability.services import DatesUnavailable
from backend.core.errors import NotAllowed
from backend.core.stay import Stay
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

START, END = date(2027, 6, 10), date(2027, 6, 16)


def change(listing, changes, start=START, end=END, actor=None):
    calendar.change(
        actor=actor or listing.host, listing=listing, start=start, end=end, changes=changes, now=NOW
    )


def reasons(listing, start=START, end=END) -> list[str | None]:
    return [night.reason for night in calendar.read(listing=listing, start=start, end=end, now=NOW)]


def book(listing, stay, reason=Reason.BOOKING, **kwargs):
    with transaction.atomic():
        return availability.claim(listing=listing, stay=stay, reason=reason, now=NOW, **kwargs)


def test_read_prices_nights_by_date_then_weekend_then_base():
    listing = make_listing(price_minor=10_000, weekend_price_minor=15_000)
    change(listing, {"price_minor": 20_000}, date(2027, 6, 12), date(2027, 6, 13))

    nights = calendar.read(listing=listing, start=START, end=END, now=NOW)

    assert [(night.date.day, night.price_minor) for night in nights] == [
        (10, 10_000),
        (11, 15_000),
        (12, 20_000),
        (13, 10_000),
        (14, 10_000),
        (15, 10_000),
    ]
    assert all(night.available for night in nights)


def test_read_tells_why_a_night_is_closed():
    listing = make_listing(preparation_days_after=1)
    book(listing, Stay(date(2027, 6, 11), date(2027, 6, 12)))
    book(listing, Stay(date(2027, 6, 14), date(2027, 6, 15)), Reason.HOST, note="painter")

    nights = calendar.read(listing=listing, start=START, end=END, now=NOW)

    assert [night.reason for night in nights] == ["preparation", "booking", "preparation", None, "host", None]
    assert [night.available for night in nights] == [False, False, False, True, False, True]
    assert nights[4].note == "painter"


def test_read_of_past_window_and_notice_on_the_listings_clock():
    today = NOW.date()
    listing = make_listing(advance_notice_hours=31, booking_window_days=4)

    assert reasons(listing, today - timedelta(days=1), today + timedelta(days=6)) == [
        "window",
        "notice",
        "notice",
        None,
        None,
        None,
        "window",
    ]


def test_read_does_not_count_a_hold_that_ran_out():
    listing = make_listing()
    book(listing, Stay(START, date(2027, 6, 11)), Reason.HOLD, expires_at=NOW)

    assert reasons(listing) == [None] * 6


@pytest.mark.parametrize("stays", [1, 3])
def test_read_takes_three_queries(stays):
    listing = make_listing()
    for index in range(stays):
        book(listing, Stay(START + timedelta(days=index), START + timedelta(days=index + 1)))

    calendar.read(listing=listing, start=START, end=END, now=NOW)  # the platform settings are remembered

    with CaptureQueriesContext(connection) as queries:
        calendar.read(listing=listing, start=START, end=END, now=NOW)

    assert len(queries) == 3


def test_change_closes_and_opens_part_of_a_range():
    listing = make_listing()

    change(listing, {"available": False, "note": "family"})
    change(listing, {"available": True}, date(2027, 6, 12), date(2027, 6, 14))

    assert reasons(listing) == ["host", "host", None, None, "host", "host"]
    assert Block.objects.filter(active=True).count() == 2
    assert AuditEntry.objects.filter(action="listing.calendar", actor=listing.host).count() == 2


def test_change_closing_twice_is_no_conflict():
    listing = make_listing()
    change(listing, {"available": False}, START, date(2027, 6, 13))

    change(listing, {"available": False})

    assert reasons(listing) == ["host"] * 6


@pytest.mark.parametrize("reason", [Reason.BOOKING, Reason.FEED])
def test_change_refuses_to_close_where_a_stay_stands_and_changes_nothing(reason):
    listing = make_listing()
    change(listing, {"available": False}, START, date(2027, 6, 11))
    book(listing, Stay(date(2027, 6, 13), date(2027, 6, 14)), reason)
    before = reasons(listing)

    with pytest.raises(DatesUnavailable):
        change(listing, {"available": False, "price_minor": 9_900})

    assert reasons(listing) == before
    assert CalendarDay.objects.count() == 0


def test_change_leaves_nights_that_the_platform_keeps_closed():
    listing = make_listing()
    kept = book(listing, Stay(date(2027, 6, 12), date(2027, 6, 14)), Reason.HOST, pinned=True)

    change(listing, {"available": False, "note": "family"})
    closed = reasons(listing, START - timedelta(days=1), END + timedelta(days=1))
    change(listing, {"available": True})

    assert closed == [None, *["host"] * 6, None]
    assert reasons(listing) == [None, None, "host", "host", None, None]
    assert list(Block.objects.filter(active=True)) == [kept]


def test_change_closes_nights_whose_hold_has_run_out_and_not_a_second_before():
    listing = make_listing()
    until = NOW + timedelta(seconds=1)
    book(listing, Stay(START, date(2027, 6, 12)), Reason.HOLD, expires_at=until)

    with pytest.raises(DatesUnavailable):
        change(listing, {"available": False})
    assert reasons(listing) == ["hold", "hold", None, None, None, None]

    calendar.change(
        actor=listing.host, listing=listing, start=START, end=END, changes={"available": False}, now=until
    )
    assert reasons(listing) == ["host"] * 6


def test_change_opening_leaves_bookings_and_imports_alone():
    listing = make_listing()
    book(listing, Stay(START, date(2027, 6, 12)))
    book(listing, Stay(date(2027, 6, 12), date(2027, 6, 13)), Reason.FEED)

    change(listing, {"available": True})

    assert reasons(listing) == ["booking", "booking", "feed", None, None, None]


def test_change_with_null_clears_a_dates_own_value():
    listing = make_listing()
    change(listing, {"price_minor": 5_000, "min_nights": 3})

    change(listing, {"price_minor": None})
    assert {day.price_minor for day in CalendarDay.objects.all()} == {None}
    assert {day.min_nights for day in CalendarDay.objects.all()} == {3}

    change(listing, {"min_nights": None})
    assert CalendarDay.objects.count() == 0


def test_change_is_the_hosts_alone():
    listing = make_listing()

    with pytest.raises(NotAllowed):
        change(listing, {"available": False}, actor=make_user())

    assert reasons(listing) == [None] * 6


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (END, START),
        (START, START),
        (date(2027, 2, 27), START),
        (START, START + timedelta(days=731)),
        (date(2031, 1, 1), date(2031, 1, 2)),
    ],
    ids=["backwards", "empty", "past", "too long", "too far"],
)
def test_change_refuses_a_range_that_makes_no_sense(start, end):
    listing = make_listing()

    with pytest.raises(RangeRefused):
        change(listing, {"available": False}, start, end)

    assert Block.objects.count() == 0


def test_change_of_a_whole_calendar_closes_two_years():
    listing = make_listing()

    change(listing, {"available": False}, NOW.date(), NOW.date() + timedelta(days=730))

    assert set(reasons(listing, NOW.date(), NOW.date() + timedelta(days=730))) == {"host"}


def test_change_refuses_fewest_nights_above_the_most_and_changes_nothing():
    listing = make_listing()
    change(listing, {"min_nights": 5})

    with pytest.raises(NightsOutOfOrder):
        change(listing, {"available": False, "max_nights": 3})

    assert {(day.min_nights, day.max_nights) for day in CalendarDay.objects.all()} == {(5, None)}
    assert Block.objects.count() == 0
