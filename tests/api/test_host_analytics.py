"""A host's figures over HTTP, held against sums made by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backend.accounts.models import User
from backend.analytics import visits
from backend.analytics.visits import Visitor, notebook
from backend.availability import calendar
from backend.bookings import services as bookings
from backend.core.stay import Stay
from backend.listings import cohosts
from backend.listings.models import Listing
from tests.api.client import ApiClient
from tests.bookings.making import confirmed
from tests.factories import make_listing, make_user
from tests.reviews.making import review

pytestmark = pytest.mark.usefixtures("db")

PATH = "/api/host/analytics/"
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def blank() -> None:
    notebook.forget()


def today() -> date:
    return timezone.now().astimezone(UTC).date()


def stay(days: int, nights: int) -> Stay:
    return Stay(today() + days * DAY, today() + (days + nights) * DAY)


def place(host: User | None = None, **fields: Any) -> Listing:
    """A listing that has been there for a year."""
    ago = timezone.now() - 365 * DAY
    return make_listing(host, created_at=ago, updated_at=ago, published_at=ago, **fields)


def look(listing: Listing, times: int, *, days_ago: int = 0) -> None:
    for _ in range(times):
        visits.viewed(listing, Visitor(make_user(), "", ""), now=timezone.now() - days_ago * DAY)


def asked(host: User | None, status: int = 200, **params: Any) -> Any:
    answer = ApiClient(host).get(PATH, {name.rstrip("_"): value for name, value in params.items()})
    assert answer.status_code == status, answer.content
    return answer.json()


def test_a_booking_shows_at_once_in_all_that_it_changes() -> None:
    now = timezone.now()
    listing = place()
    look(listing, 8)
    confirmed(listing, stay=stay(10, 4), now=now)
    bookings.cancel(actor=listing.host, booking_id=confirmed(listing, stay=stay(20, 3), now=now).pk, now=now)
    host = listing.host
    calendar.change(
        actor=host,
        listing=listing,
        start=today() + 30 * DAY,
        end=today() + 40 * DAY,
        changes={"available": False},
        now=now,
    )

    shown = asked(host, property_id=listing.pk, from_=today(), to=today() + 50 * DAY)

    # 50 nights less 10 that the host closed and 3 that stay closed after the host's cancellation.
    assert {name: shown[name] for name in ("views", "bookings", "booking_conversion", "nights", "nights_available")} == {
        **{"views": 8, "bookings": 1, "booking_conversion": 25.0, "nights": 4, "nights_available": 37}
    }  # fmt: skip
    assert (shown["occupancy"], shown["adr"], shown["revpar"]) == (10.81, 100, 10.81)
    assert (shown["lead_time"], shown["cancellation_rate"]) == (10.0, 50.0)
    assert (shown["earnings"], shown["currency"], shown["properties"]) == (338, "EUR", 1)
    assert sum(month["amount"] for month in shown["earnings_by_month"]) == pytest.approx(338)
    assert shown["currencies"] == [
        {
            **{"currency": "EUR", "nights": 4, "nights_available": 37, "room_revenue": 400},
            **{"adr": 100, "revpar": 10.81, "earnings": 338},
        }
    ]


def test_the_period_before_is_compared() -> None:
    listing = place()
    look(listing, 2)
    look(listing, 5, days_ago=7)
    visits.flush()
    booked = confirmed(listing, stay=stay(1, 2), now=timezone.now() - 8 * DAY)

    shown = asked(booked.host, from_=today() - 6 * DAY, to=today() + DAY)

    assert (shown["views"], shown["bookings"], shown["lead_time"]) == (2, 0, None)
    before = shown["before"]
    assert (before["from"], before["to"]) == (
        (today() - 13 * DAY).isoformat(),
        (today() - 6 * DAY).isoformat(),
    )
    assert (before["views"], before["bookings"], before["booking_conversion"]) == (5, 1, 20.0)
    assert (before["nights_available"], shown["nights_available"]) == (7, 7)


def test_months_sum_to_the_period() -> None:
    listing = place(price_minor=3_333)
    begin = datetime(2027, 4, 28).date()
    confirmed(listing, stay=Stay(begin, begin + 7 * DAY), now=timezone.now())

    shown = asked(listing.host, from_="2027-04-30", to="2027-06-02")

    # 30 April to 5 May: five of the seven nights, of the 197.15 that the stay brings.
    assert [(row["month"], row["nights"], row["amount"]) for row in shown["earnings_by_month"]] == [
        ("2027-04", 1, 28.17),
        ("2027-05", 4, 112.66),
        ("2027-06", 0, 0),
    ]
    assert shown["earnings"] == 140.83
    assert [row["month"] for row in shown["rating_trend"]] == ["2027-04", "2027-05", "2027-06"]


def test_ratings_by_month() -> None:
    listing = place()
    past = timezone.now() - 30 * DAY
    check_in = past.date() + 2 * DAY
    done = confirmed(listing, stay=Stay(check_in, check_in + DAY), now=past)
    bookings.complete(now=past + 4 * DAY)
    done.refresh_from_db()
    review(done, rating=4, now=past + 5 * DAY)
    review(done, done.host, now=past + 6 * DAY)

    shown = asked(listing.host, from_=past.date(), to=today() + DAY)

    month = (past + 6 * DAY).strftime("%Y-%m")
    rated = {
        row["month"]: (row["rating"], row["review_count"]) for row in shown["rating_trend"] if row["rating"]
    }
    assert rated == {month: (4.0, 1)}
    assert (shown["rating"], shown["review_count"]) == (4.0, 1)


def test_currencies_stay_apart() -> None:
    host = make_user()
    now = timezone.now()
    confirmed(place(host), stay=stay(3, 1), now=now)
    confirmed(place(host, currency="JPY", price_minor=9_000), stay=stay(3, 2), now=now)

    shown = asked(host, from_=today(), to=today() + 10 * DAY)

    assert (shown["currency"], shown["adr"], shown["nights"], shown["properties"]) == ("JPY", 9000, 3, 2)
    assert [
        (row["currency"], row["nights"], row["adr"], row["nights_available"]) for row in shown["currencies"]
    ] == [
        ("EUR", 1, 100, 10),
        ("JPY", 2, 9000, 10),
    ]
    assert {(row["currency"], row["amount"]) for row in shown["earnings_by_month"] if row["amount"]} == {
        ("JPY", 15_210),
        ("EUR", 84.5),
    }


def test_by_default_the_last_30_days_are_shown_with_today() -> None:
    listing = place()
    look(listing, 1)

    shown = asked(listing.host)

    assert (shown["from"], shown["to"]) == ((today() - 29 * DAY).isoformat(), (today() + DAY).isoformat())
    assert (shown["views"], shown["nights_available"], shown["occupancy"], shown["adr"]) == (1, 30, 0.0, None)
    later = asked(listing.host, from_=today() + 5 * DAY)
    assert later["to"] == (today() + 35 * DAY).isoformat()


def test_who_hosts_nothing_has_nothing() -> None:
    shown = asked(make_user("guest"))

    assert (shown["properties"], shown["views"], shown["occupancy"], shown["currencies"]) == (0, 0, None, [])
    assert (shown["currency"], shown["earnings"], shown["before"]["earnings"]) == ("EUR", 0, 0)
    assert ApiClient().get(PATH).status_code == 401


def test_others_listings_are_not_there() -> None:
    listing = place()
    confirmed(listing, stay=stay(1, 1), now=timezone.now())
    calendar_only, paid, other = make_user(), make_user(), make_user()
    cohosts.add(
        actor=listing.host, listing=listing, user_id=calendar_only.pk, grants=["calendar", "bookings"], now=timezone.now()
    )  # fmt: skip
    cohosts.add(actor=listing.host, listing=listing, user_id=paid.pk, grants=["payouts"], now=timezone.now())

    for user in (other, calendar_only, make_user("admin", is_staff=True)):
        assert asked(user, 404, property_id=listing.pk)["code"] == "not_found"
        assert asked(user, 404, property_id=listing.pk + 1)["code"] == "not_found"
        assert asked(user)["properties"] == 0
    window = {"from_": today(), "to": today() + 5 * DAY}
    assert asked(paid, property_id=listing.pk, **window) == asked(
        listing.host, property_id=listing.pk, **window
    )


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"from": "2027-03-02", "to": "2027-03-02"}, "invalid_range"),
        ({"from": "2027-03-02", "to": "2027-03-01"}, "invalid_range"),
        ({"from": "2025-01-01", "to": "2027-01-02"}, "range_too_long"),
    ],
)
def test_impossible_ranges_are_refused(params: dict[str, str], code: str) -> None:
    answer = ApiClient(make_user()).get(PATH, params)

    assert (answer.status_code, [error["code"] for error in answer.json()["errors"]]) == (422, [code])


def test_unknown_parameters_are_refused() -> None:
    client = ApiClient(make_user())

    for query in ("?month=2027-01", "?property_id=x", "?from=2027-13-01", "?to=1999-01-01"):
        assert client.get(f"{PATH}{query}").status_code == 422, query
    assert client.get(f"{PATH}?from=2025-01-01&to=2027-01-01").status_code == 200


def test_the_same_figures_are_not_sent_twice() -> None:
    listing = place()
    client = ApiClient(listing.host)
    first = client.get(PATH)

    assert client.get(PATH, if_none_match=first["ETag"]).status_code == 304
    look(listing, 1)
    assert client.get(PATH, if_none_match=first["ETag"]).status_code == 200


def test_figures_are_explained_in_the_readers_language() -> None:
    shown = asked(place().host)

    assert set(shown["definitions"]) == {
        *("views", "booking_conversion", "occupancy", "adr", "revpar", "lead_time"),
        *("cancellation_rate", "earnings", "rating"),
    }


def test_one_listing_costs_as_many_statements_as_three() -> None:
    host = make_user()
    client = ApiClient(host)
    counts = []
    for _ in range(3):
        confirmed(place(host), stay=stay(1, 1), now=timezone.now())
        client.get(PATH)
        with CaptureQueriesContext(connection) as queries:
            client.get(PATH)
        counts.append(len(queries))

    assert counts == 3 * [counts[0]]
    assert counts[0] <= 4
