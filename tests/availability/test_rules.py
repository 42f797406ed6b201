"""The calendar rules at their boundaries."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from backend.availability.rules import DayRule, Rules, inside_notice, needs_request, refusals
from backend.core.stay import Stay, StayError

NOW = datetime(2027, 3, 1, 9, 0, tzinfo=UTC)
MONDAY = date(2027, 3, 8)


def codes(rules: Rules, stay: Stay, *, guests: int = 1, days=None, now: datetime = NOW) -> list[str]:
    return [refusal.code for refusal in refusals(rules, days or {}, stay, guests, now)]


def nights(count: int, check_in: date = MONDAY) -> Stay:
    return Stay(check_in, check_in + timedelta(days=count))


@pytest.mark.parametrize(("count", "expected"), [(2, ["min_nights"]), (3, []), (7, []), (8, ["max_nights"])])
def test_refusals_of_nights_at_the_bounds(count, expected):
    assert codes(Rules(min_nights=3, max_nights=7), nights(count)) == expected


def test_refusals_of_min_nights_take_the_most_specific_rule():
    rules = Rules(min_nights=2, min_nights_by_weekday={1: 4})

    assert codes(rules, nights(3)) == ["min_nights"]
    assert codes(rules, nights(3), days={MONDAY: DayRule(min_nights=1)}) == []
    assert codes(rules, nights(2, MONDAY + timedelta(days=1))) == []


@pytest.mark.parametrize(
    ("date_says", "season_says", "weekday_says", "fewest"),
    [
        (2, 4, 6, 2),
        (None, 4, 6, 4),
        (None, None, 6, 6),
        (None, None, None, 3),
        (6, 2, 1, 6),
        (1, None, 6, 1),
    ],
)
def test_refusals_of_min_nights_go_by_date_then_season_then_weekday_then_listing(
    date_says, season_says, weekday_says, fewest
):
    rules = Rules(min_nights=3, min_nights_by_weekday={1: weekday_says} if weekday_says else {})
    days = {MONDAY: DayRule(min_nights=date_says).over(DayRule(min_nights=season_says))}

    assert codes(rules, nights(fewest), days=days) == []
    if fewest > 1:
        assert codes(rules, nights(fewest - 1), days=days) == ["min_nights"]


@pytest.mark.parametrize(
    ("date_says", "season_says", "most"), [(2, 4, 2), (9, 4, 9), (None, 4, 4), (None, None, 7)]
)
def test_refusals_of_max_nights_go_by_date_then_season_then_listing(date_says, season_says, most):
    days = {MONDAY: DayRule(max_nights=date_says).over(DayRule(max_nights=season_says))}

    assert codes(Rules(max_nights=7), nights(most), days=days) == []
    assert codes(Rules(max_nights=7), nights(most + 1), days=days) == ["max_nights"]


@pytest.mark.parametrize(
    ("date_says", "season_says", "weekdays", "refused"),
    [
        (False, True, {2}, False),
        (True, False, set(), True),
        (None, True, set(), True),
        (None, False, {2}, False),
        (None, None, {2}, True),
        (None, None, {1}, False),
        (None, None, set(), False),
    ],
)
def test_refusals_of_arrival_and_departure_go_by_date_then_season_then_weekday(
    date_says, season_says, weekdays, refused
):
    arrival = DayRule(closed_to_arrival=date_says).over(DayRule(closed_to_arrival=season_says))
    departure = DayRule(closed_to_departure=date_says).over(DayRule(closed_to_departure=season_says))
    last = MONDAY + timedelta(days=7)

    arrives = codes(Rules(arrival_weekdays=frozenset(weekdays)), nights(7), days={MONDAY: arrival})
    departs = codes(Rules(departure_weekdays=frozenset(weekdays)), nights(7), days={last: departure})

    assert arrives == (["closed_to_arrival"] if refused else [])
    assert departs == (["closed_to_departure"] if refused else [])


def test_refusals_look_at_the_first_and_the_last_date_alone():
    between = {
        MONDAY + timedelta(days=1): DayRule(
            min_nights=9, max_nights=1, closed_to_arrival=True, closed_to_departure=True
        )
    }
    at_the_ends = {
        MONDAY: DayRule(closed_to_departure=True),
        MONDAY + timedelta(days=3): DayRule(closed_to_arrival=True, min_nights=9, max_nights=1),
    }

    assert codes(Rules(), nights(3), days=between) == []
    assert codes(Rules(), nights(3), days=at_the_ends) == []


def test_refusals_of_a_year_and_no_longer():
    assert codes(Rules(), nights(365)) == []
    assert codes(Rules(max_nights=364), nights(365)) == ["max_nights"]
    with pytest.raises(StayError):
        nights(366)


def test_over_keeps_price_and_note_the_dates_own():
    season = DayRule(price_minor=1, min_nights=4, note="season")

    assert DayRule(price_minor=None, note="date").over(season) == DayRule(min_nights=4, note="date")


def test_refusals_of_guests():
    assert codes(Rules(max_guests=2), nights(1), guests=2) == []
    assert codes(Rules(max_guests=2), nights(1), guests=3) == ["too_many_guests"]


def test_refusals_of_arrival_and_departure_weekdays():
    rules = Rules(arrival_weekdays=frozenset({1}), departure_weekdays=frozenset({5}))

    assert codes(rules, nights(4)) == []
    assert codes(rules, nights(3)) == ["closed_to_departure"]
    assert codes(rules, Stay(date(2027, 3, 9), date(2027, 3, 12))) == ["closed_to_arrival"]


def test_refusals_of_dates_override_weekdays_both_ways():
    rules = Rules(arrival_weekdays=frozenset({2}))
    opened = {MONDAY: DayRule(closed_to_arrival=False)}
    closed = {date(2027, 3, 10): DayRule(closed_to_departure=True)}

    assert codes(rules, nights(2), days=opened) == []
    assert codes(Rules(), nights(2), days=closed) == ["closed_to_departure"]


def test_refusals_of_the_past_follow_the_listings_clock():
    just_after_midnight_in_kiritimati = datetime(2027, 2, 28, 10, 30, tzinfo=UTC)
    stay = Stay(date(2027, 2, 28), date(2027, 3, 1))

    assert codes(Rules(timezone="Pacific/Honolulu"), stay, now=just_after_midnight_in_kiritimati) == []
    assert codes(Rules(timezone="Pacific/Kiritimati"), stay, now=just_after_midnight_in_kiritimati) == [
        "check_in_past"
    ]


@pytest.mark.parametrize(("ahead", "expected"), [(90, []), (91, ["booking_window"])])
def test_refusals_of_the_booking_window(ahead, expected):
    stay = nights(1, date(2027, 3, 1) + timedelta(days=ahead))

    assert codes(Rules(booking_window_days=90), stay) == expected


@pytest.mark.parametrize(("second", "expected"), [(0, False), (1, True)])
def test_inside_notice_counts_elapsed_hours_to_the_check_in_hour(second, expected):
    rules = Rules(timezone="Europe/Lisbon", advance_notice_hours=24)
    a_day_before = datetime(2027, 3, 7, 15, 0, second, tzinfo=UTC)

    assert inside_notice(rules, MONDAY, a_day_before) is expected


@pytest.mark.parametrize(("hour", "expected"), [(17, []), (18, ["advance_notice"])])
def test_refusals_of_the_same_day_cutoff(hour, expected):
    rules = Rules(timezone="Africa/Nairobi", same_day_cutoff_hour=18)
    now = datetime(2027, 3, 8, hour - 3, 0, tzinfo=UTC)

    assert codes(rules, nights(1), now=now) == expected
    assert codes(rules, nights(1, MONDAY + timedelta(days=1)), now=now) == []


def test_needs_request_instead_of_a_refusal_where_the_host_lets_guests_ask():
    rules = Rules(advance_notice_hours=24 * 30, allow_request_inside_notice=True)

    assert codes(rules, nights(1)) == []
    assert needs_request(rules, MONDAY, NOW) is True
    assert needs_request(rules, MONDAY + timedelta(days=60), NOW) is False


def test_refusals_come_with_the_most_basic_first():
    rules = Rules(max_guests=1, min_nights=3, advance_notice_hours=1000)

    assert codes(rules, nights(1), guests=2) == ["too_many_guests", "min_nights", "advance_notice"]
