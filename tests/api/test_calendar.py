"""The calendar over HTTP."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
import time_machine

from backend.availability.models import Block, CalendarDay
from backend.core.stay import Stay
from tests.api.client import ApiClient
from tests.availability.making import make_season, take
from tests.factories import NOW, make_listing, make_user

pytestmark = [pytest.mark.usefixtures("db")]

RANGE = "?from=2027-06-10&to=2027-06-13"
BODY = {"from": "2027-06-10", "to": "2027-06-13"}


@pytest.fixture(autouse=True)
def _at_now():
    with time_machine.travel(NOW, tick=False):
        yield


def test_read_gives_a_row_a_night_to_anyone():
    listing = make_listing(weekend_price_minor=12_550)

    answer = ApiClient().get(f"/api/properties/{listing.pk}/calendar/{RANGE}")

    assert answer.status_code == 200
    body = answer.json()
    assert (body["count"], body["next"]) == (3, None)
    assert body["results"][1] == {
        "date": "2027-06-11",
        "available": True,
        "price": 125.5,
        "currency": "EUR",
        "min_nights": 1,
        "max_nights": 365,
        "closed_to_arrival": False,
        "closed_to_departure": False,
    }


def test_read_shows_reason_and_note_to_the_host_alone():
    listing = make_listing()
    host = ApiClient(listing.host)
    host.put(f"/api/properties/{listing.pk}/calendar/", {**BODY, "available": False, "note": "painter"})

    mine = host.get(f"/api/properties/{listing.pk}/calendar/{RANGE}").json()["results"][0]
    theirs = ApiClient(make_user()).get(f"/api/properties/{listing.pk}/calendar/{RANGE}").json()["results"][0]

    assert (mine["available"], mine["reason"], mine["note"]) == (False, "host", "painter")
    assert theirs["available"] is False
    assert {"reason", "note"}.isdisjoint(theirs)


def test_read_names_every_reason_to_the_host_and_none_to_anybody_else():
    today = NOW.date()

    def on(day, length=1):
        return Stay(today + timedelta(days=day), today + timedelta(days=day + length))

    listing = make_listing(preparation_days_after=1, advance_notice_hours=31, booking_window_days=20)
    for stay, reason in ((on(4), "booking"), (on(7), "hold"), (on(10), "host"), (on(12), "feed")):
        take(listing, stay, reason)
    path = f"/api/properties/{listing.pk}/calendar/"
    params = {
        "from": (today - timedelta(days=1)).isoformat(),
        "to": (today + timedelta(days=22)).isoformat(),
    }

    mine = ApiClient(listing.host).get(path, params).json()["results"]
    others = [client.get(path, params).json()["results"] for client in (ApiClient(), ApiClient(make_user()))]

    assert {index - 1: row["reason"] for index, row in enumerate(mine) if row["reason"]} == {
        **{-1: "window", 0: "notice", 1: "notice", 3: "preparation", 4: "booking", 5: "preparation"},
        **{6: "preparation", 7: "hold", 8: "preparation", 10: "host", 12: "feed", 21: "window"},
    }
    assert [row["available"] for row in mine] == [row["reason"] is None for row in mine]
    for rows in others:
        assert rows == [
            {key: value for key, value in row.items() if key not in ("reason", "note")} for row in mine
        ]


def test_read_shows_what_a_season_sets_and_changes_its_etag_with_it():
    listing = make_listing()
    path = f"/api/properties/{listing.pk}/calendar/{RANGE}"
    before = ApiClient().get(path)["ETag"]

    make_season(
        listing,
        date(2027, 6, 11),
        date(2027, 6, 12),
        price_minor=19_950,
        min_nights=3,
        closed_to_arrival=True,
    )

    answer = ApiClient().get(path, if_none_match=before)
    assert answer.status_code == 200
    assert [
        (row["price"], row["min_nights"], row["closed_to_arrival"]) for row in answer.json()["results"]
    ] == [(100, 1, False), (199.5, 3, True), (100, 1, False)]


def test_change_with_if_match_is_refused_after_a_season_was_set():
    listing = make_listing()
    host, path = ApiClient(listing.host), f"/api/properties/{listing.pk}/calendar/"
    seen = host.get(path + RANGE)["ETag"]
    make_season(listing, date(2027, 6, 11), date(2027, 6, 12), min_nights=3)

    answer = host.put(path, {**BODY, "price": 90}, if_match=seen)

    assert (answer.status_code, answer.json()["code"]) == (412, "precondition_failed")
    assert CalendarDay.objects.count() == 0


def test_change_of_two_years_at_once_and_no_day_more():
    listing = make_listing()
    host, path = ApiClient(listing.host), f"/api/properties/{listing.pk}/calendar/"
    first, last = NOW.date(), NOW.date() + timedelta(days=730)

    longest = host.put(path, {"from": first.isoformat(), "to": last.isoformat(), "price": 90})
    longer = host.put(
        path, {"from": first.isoformat(), "to": (last + timedelta(days=1)).isoformat(), "price": 80}
    )

    assert (longest.status_code, len(longest.json()["results"])) == (200, 730)
    assert (longer.status_code, longer.json()["errors"][0]["code"]) == (422, "range_too_long")
    assert set(CalendarDay.objects.values_list("price_minor", flat=True)) == {9_000}


def test_read_without_a_range_begins_today_and_shows_a_year():
    listing = make_listing()

    rows = ApiClient().get(f"/api/properties/{listing.pk}/calendar/").json()["results"]

    assert (rows[0]["date"], len(rows)) == (NOW.date().isoformat(), 365)


def test_read_of_a_listing_that_is_not_published_is_not_found_for_others():
    listing = make_listing(status="draft")

    assert ApiClient().get(f"/api/properties/{listing.pk}/calendar/").status_code == 404
    assert ApiClient(listing.host).get(f"/api/properties/{listing.pk}/calendar/").status_code == 200


def test_change_prices_a_range_and_answers_with_its_rows():
    listing = make_listing()

    answer = ApiClient(listing.host).put(
        f"/api/properties/{listing.pk}/calendar/",
        {**BODY, "price": 99.95, "min_nights": 2, "available": None},
    )

    assert answer.status_code == 200
    assert [(row["price"], row["min_nights"]) for row in answer.json()["results"]] == [(99.95, 2)] * 3


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"price": 99.999}, "too_precise"),
        ({"price": 0}, "invalid_price"),
        ({"min_nights": 0}, None),
        ({"colour": "red"}, "unknown_field"),
        ({"from": "2027-06-13", "to": "2027-06-10"}, "invalid_range"),
        ({"to": "2029-06-13"}, "range_too_long"),
    ],
)
def test_change_refuses_what_makes_no_sense_and_changes_nothing(change, code):
    listing = make_listing()

    answer = ApiClient(listing.host).put(f"/api/properties/{listing.pk}/calendar/", {**BODY, **change})

    assert answer.status_code == 422
    if code:
        assert code in {error["code"] for error in answer.json()["errors"]}
    assert (Block.objects.count(), CalendarDay.objects.count()) == (0, 0)


def test_change_is_403_for_other_users_and_401_for_nobody():
    listing = make_listing()
    body = {**BODY, "available": False}

    assert ApiClient(make_user()).put(f"/api/properties/{listing.pk}/calendar/", body).status_code == 403
    assert ApiClient().put(f"/api/properties/{listing.pk}/calendar/", body).status_code == 401
    assert Block.objects.count() == 0


def test_change_over_a_booked_night_is_409():
    listing = make_listing()
    Block.objects.create(
        listing=listing,
        nights=(date(2027, 6, 11), date(2027, 6, 12)),
        reason="booking",
        created_at=NOW - timedelta(days=1),
    )

    answer = ApiClient(listing.host).put(
        f"/api/properties/{listing.pk}/calendar/", {**BODY, "available": False}
    )

    assert (answer.status_code, answer.json()["code"]) == (409, "dates_unavailable")
    assert Block.objects.count() == 1


def test_change_with_if_match_refuses_a_lost_update_and_changes_nothing():
    listing = make_listing()
    path = f"/api/properties/{listing.pk}/calendar/"
    host = ApiClient(listing.host)
    seen = host.get(f"{path}?from=2027-06-01&to=2027-07-01")["ETag"]

    first = host.put(path, {**BODY, "price": 90}, if_match=seen)
    second = host.put(path, {**BODY, "price": 80}, if_match=seen)
    foreign = host.put(path, {**BODY, "price": 80}, if_match='"something"')
    again = host.put(path, {**BODY, "price": 70}, if_match=host.get(path)["ETag"])

    assert [answer.status_code for answer in (first, second, foreign, again)] == [200, 412, 412, 200]
    assert second.json()["code"] == "precondition_failed"
    assert {day.price_minor for day in CalendarDay.objects.all()} == {7000}


def test_read_with_its_own_etag_is_304_until_something_changes():
    listing = make_listing()
    path = f"/api/properties/{listing.pk}/calendar/{RANGE}"
    tag = ApiClient().get(path)["ETag"]

    assert ApiClient().get(path, if_none_match=tag).status_code == 304
    ApiClient(listing.host).put(f"/api/properties/{listing.pk}/calendar/", {**BODY, "available": False})
    assert ApiClient().get(path, if_none_match=tag).status_code == 200
