"""The rules that look at a clock, to the minute, on clocks from Honolulu to Kiritimati and over their changes."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from backend.availability.rules import Rules, inside_notice, notice_refusal, refusals
from backend.core.stay import Stay

KIRITIMATI, HONOLULU, LISBON = "Pacific/Kiritimati", "Pacific/Honolulu", "Europe/Lisbon"
LORD_HOWE, NEW_YORK = "Australia/Lord_Howe", "America/New_York"

ZONES = [KIRITIMATI, HONOLULU, LISBON, LORD_HOWE, NEW_YORK, "Asia/Kathmandu"]


def at(zone: str, *when: int, fold: int = 0) -> datetime:
    """An instant by the clock of ``zone``, in UTC."""
    return datetime(*when, tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)


def codes(rules: Rules, check_in: date, now: datetime, nights: int = 1) -> list[str]:
    stay = Stay(check_in, check_in + timedelta(days=nights))
    return [refusal.code for refusal in refusals(rules, {}, stay, 1, now)]


@pytest.mark.parametrize("zone", ZONES)
def test_check_in_is_past_from_midnight_at_the_listing(zone):
    rules, day = Rules(timezone=zone), date(2027, 3, 8)

    assert codes(rules, day, at(zone, 2027, 3, 8, 23, 59, 59)) == []
    assert codes(rules, day, at(zone, 2027, 3, 9, 0, 0, 0)) == ["check_in_past"]


def test_one_instant_is_two_dates_at_two_listings():
    now = datetime(
        2027, 3, 1, 9, 30, tzinfo=UTC
    )  # 23:30 on 28 February in Honolulu, 23:30 on 1 March in Kiritimati

    assert codes(Rules(timezone=HONOLULU), date(2027, 2, 28), now) == []
    assert codes(Rules(timezone=KIRITIMATI), date(2027, 2, 28), now) == ["check_in_past"]
    assert codes(Rules(timezone=KIRITIMATI, booking_window_days=1), date(2027, 3, 2), now) == []
    assert codes(Rules(timezone=HONOLULU, booking_window_days=1), date(2027, 3, 2), now) == ["booking_window"]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(("window", "furthest"), [(0, 0), (1, 1), (90, 90), (730, 730), (900, 730)])
def test_booking_window_ends_with_its_last_day_at_the_listing(zone, window, furthest):
    rules, last_second = Rules(timezone=zone, booking_window_days=window), at(zone, 2027, 3, 1, 23, 59, 59)
    last = date(2027, 3, 1) + timedelta(days=furthest)

    assert codes(rules, last, last_second) == []
    assert codes(rules, last + timedelta(days=1), last_second) == ["booking_window"]
    assert codes(rules, last + timedelta(days=1), last_second + timedelta(seconds=1)) == []


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("hours", [1, 24, 31, 24 * 7])
def test_notice_is_kept_to_the_second(zone, hours):
    rules = Rules(timezone=zone, check_in_time=time(15), advance_notice_hours=hours)
    latest = at(zone, 2027, 6, 20, 15) - timedelta(hours=hours)

    assert codes(rules, date(2027, 6, 20), latest) == []
    assert codes(rules, date(2027, 6, 20), latest + timedelta(seconds=1)) == ["advance_notice"]


@pytest.mark.parametrize(
    ("zone", "day", "latest"),
    [
        # 28 March 2027, 01:00 in Lisbon: the clock goes on by an hour, the day has 23.
        (LISBON, date(2027, 3, 28), (2027, 3, 27, 14)),
        # 31 October 2027: it goes back, the day has 25.
        (LISBON, date(2027, 10, 31), (2027, 10, 30, 16)),
        # 14 March and 7 November 2027 in New York.
        (NEW_YORK, date(2027, 3, 14), (2027, 3, 13, 14)),
        (NEW_YORK, date(2027, 11, 7), (2027, 11, 6, 16)),
        # Lord Howe changes by half an hour: 4 April and 3 October 2027.
        (LORD_HOWE, date(2027, 4, 4), (2027, 4, 3, 15, 30)),
        (LORD_HOWE, date(2027, 10, 3), (2027, 10, 2, 14, 30)),
        # Kiritimati and Honolulu know no summer time.
        (KIRITIMATI, date(2027, 3, 28), (2027, 3, 27, 15)),
        (HONOLULU, date(2027, 3, 14), (2027, 3, 13, 15)),
        # A leap day.
        (LISBON, date(2028, 3, 1), (2028, 2, 29, 15)),
    ],
)
def test_a_day_of_notice_is_24_elapsed_hours_over_a_clock_change(zone, day, latest):
    rules, now = Rules(timezone=zone, check_in_time=time(15), advance_notice_hours=24), at(zone, *latest)

    assert inside_notice(rules, day, now) is False
    assert inside_notice(rules, day, now + timedelta(seconds=1)) is True


def test_notice_to_a_check_in_hour_that_the_clock_skips_or_shows_twice():
    skipped = Rules(timezone=LISBON, check_in_time=time(1, 30), advance_notice_hours=1)
    begins = at(LISBON, 2027, 3, 28, 2, 30)
    assert inside_notice(skipped, date(2027, 3, 28), begins - timedelta(hours=1)) is False
    assert inside_notice(skipped, date(2027, 3, 28), begins - timedelta(minutes=59, seconds=59)) is True

    twice = Rules(timezone=LISBON, check_in_time=time(1, 30), advance_notice_hours=1)
    first = at(LISBON, 2027, 10, 31, 1, 30, fold=0)
    assert inside_notice(twice, date(2027, 10, 31), first - timedelta(hours=1)) is False
    assert inside_notice(twice, date(2027, 10, 31), first - timedelta(minutes=59, seconds=59)) is True


@pytest.mark.parametrize("zone", ZONES)
def test_same_day_cutoff_begins_with_its_hour_at_the_listing(zone):
    rules, day = Rules(timezone=zone, same_day_cutoff_hour=18), date(2027, 3, 8)

    assert codes(rules, day, at(zone, 2027, 3, 8, 17, 59, 59)) == []
    assert codes(rules, day, at(zone, 2027, 3, 8, 18)) == ["advance_notice"]
    assert codes(rules, day + timedelta(days=1), at(zone, 2027, 3, 8, 23, 59, 59)) == []


def test_same_day_cutoff_at_hour_zero_sells_no_same_day_at_all():
    rules = Rules(timezone=HONOLULU, same_day_cutoff_hour=0)

    assert codes(rules, date(2027, 3, 8), at(HONOLULU, 2027, 3, 8, 0, 0, 0)) == ["advance_notice"]
    assert codes(rules, date(2027, 3, 8), at(HONOLULU, 2027, 3, 7, 23, 59, 59)) == []


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(
    "rules",
    [{"instant_book": False}, {"allow_request_inside_notice": True, "advance_notice_hours": 48}],
    ids=["by request", "inside the notice"],
)
def test_a_host_can_be_asked_until_the_check_in_hour(zone, rules):
    asked = Rules(timezone=zone, check_in_time=time(15), **rules)

    assert codes(asked, date(2027, 3, 8), at(zone, 2027, 3, 8, 14, 59, 59)) == []
    assert codes(asked, date(2027, 3, 8), at(zone, 2027, 3, 8, 15)) == ["advance_notice"]
    assert codes(Rules(timezone=zone), date(2027, 3, 8), at(zone, 2027, 3, 8, 15)) == []


def test_notice_says_what_the_host_asks_for():
    now, day = at(LISBON, 2027, 3, 8, 20), date(2027, 3, 8)
    cases = {
        "hours": Rules(timezone=LISBON, advance_notice_hours=24, same_day_cutoff_hour=18),
        "cut-off": Rules(timezone=LISBON, same_day_cutoff_hour=18),
        "asked": Rules(timezone=LISBON, instant_book=False),
        "asked inside": Rules(timezone=LISBON, advance_notice_hours=24, allow_request_inside_notice=True),
    }

    said = {}
    for name, rules in cases.items():
        refusal = notice_refusal(rules, day, now)
        assert refusal is not None
        said[name] = (str(refusal.message), refusal.limit)

    assert said == {
        "hours": ("The host needs at least 24 hours before check-in.", 24),
        "cut-off": ("A stay from the same day on can be booked until 18:00 only.", None),
        "asked": ("It is too late to ask the host for this day.", None),
        "asked inside": ("It is too late to ask the host for this day.", None),
    }


def test_a_check_in_that_is_past_is_not_also_too_near():
    rules = Rules(timezone=LISBON, advance_notice_hours=24, instant_book=False)

    assert codes(rules, date(2027, 3, 7), at(LISBON, 2027, 3, 8, 9)) == ["check_in_past"]
