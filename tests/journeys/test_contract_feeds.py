"""Calendars in and out, and the doors to everything about a listing's stays, as clients are promised them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import httpx
import pytest
from icalendar import Calendar

from backend.availability.models import CalendarFeed
from tests.api.client import ApiClient
from tests.availability.calendars import AIRBNB, calendar, taken
from tests.conftest import Server
from tests.far_end import FarEnd, far_end
from tests.journeys.contract import (
    assert_instants,
    body,
    book,
    check_books,
    confirmed,
    list_a_place,
    path_of,
    refused,
    register,
    rows,
    stay,
    today,
)

pytestmark = pytest.mark.usefixtures("db")

FEED = {"id", "name", "url", "kind", "last_polled_at", "last_healthy_at", "status", "error", "conflicts"}
CONFLICT = {"id", "from", "to", "summary", "booking_id", "decision"}


@pytest.fixture
def end(settings: Any) -> Iterator[FarEnd]:
    settings.ALLOW_LOOPBACK_FETCH = True
    with far_end() as server:
        server.serve(calendar(taken(day(60), day(63)), prodid=AIRBNB))
        yield server


def day(ahead: int) -> date:
    return today() + timedelta(days=ahead)


def home(place: dict[str, Any], rest: str = "") -> str:
    return f"/api/properties/{place['id']}/{rest}"


def free(client: ApiClient, place: dict[str, Any], first: int = 58, last: int = 70) -> list[int]:
    """The nights, in days from today, that can be had."""
    span = {"from": day(first).isoformat(), "to": day(last).isoformat()}
    found = rows(client.get(home(place, "calendar/"), span))
    return [ahead for ahead, row in zip(range(first, last), found, strict=True) if row["available"]]


def test_feeds_are_added_shown_polled_and_removed(end: FarEnd) -> None:
    host = register()
    place = list_a_place(host)
    path = home(place, "calendar-feeds/")

    feed = body(host.post(path, {"name": "Airbnb", "url": end.url}), 201)

    assert set(feed) >= FEED
    assert (feed["name"], feed["url"], feed["status"], feed["conflicts"]) == ("Airbnb", end.url, "ok", [])
    assert_instants(feed)
    assert rows(host.get(path)) == [feed]
    one = f"{path}{feed['id']}/"
    answer = host.get(one)
    assert body(answer) == feed
    assert host.get(one, if_none_match=answer["ETag"]).status_code == 304
    assert free(host, place) == [58, 59, *range(63, 70)]
    span = {"from": day(60).isoformat(), "to": day(61).isoformat()}
    assert rows(host.get(home(place, "calendar/"), span))[0]["reason"] == "feed"
    guest = register()
    refused(
        guest.post("/api/bookings/", {"property_id": place["id"], **stay(61, 2)}), 409, "dates_unavailable"
    )

    end.fail(500)
    broken = body(host.post(f"{one}poll/"))
    assert (broken["status"], bool(broken["error"])) == ("failing", True)
    assert free(host, place) == [58, 59, *range(63, 70)]
    for damaged in (b"", b"<html>", calendar(taken(day(60), day(61))).encode()[:-20], b"\xff\xfe\x00"):
        end.serve(damaged)
        assert body(host.post(f"{one}poll/"))["status"] == "failing"
        assert free(host, place) == [58, 59, *range(63, 70)]
    end.serve(calendar(taken(day(60), day(61)), prodid=AIRBNB))
    assert body(host.post(f"{one}poll"))["status"] == "ok"
    assert free(host, place) == [58, 59, *range(61, 70)]

    assert host.delete(one).status_code == 204
    refused(host.delete(one), 404, "not_found")
    assert free(host, place) == list(range(58, 70))
    assert check_books()[1] == 0


def test_an_event_over_a_booking_leaves_it_and_closes_the_other_nights(end: FarEnd) -> None:
    host, guest = register(), register()
    place = list_a_place(host)
    booking = confirmed(guest, place, **stay(61, 1))

    feed = body(host.post(home(place, "calendar-feeds/"), {"name": "Airbnb", "url": end.url}), 201)

    assert [set(each) >= CONFLICT for each in feed["conflicts"]] == [True]
    conflict = feed["conflicts"][0]
    assert (conflict["booking_id"], conflict["decision"]) == (booking["id"], None)
    assert (conflict["from"], conflict["to"]) == (day(60).isoformat(), day(63).isoformat())
    assert body(guest.get(f"/api/bookings/{booking['id']}/"))["status"] == "confirmed"
    assert free(host, place) == [58, 59, *range(63, 70)]
    url = home(place, f"calendar-feeds/{feed['id']}/conflicts/{conflict['id']}/")
    refused(host.post(url, {"decision": "maybe"}), 422)
    refused(host.post(url, {"decision": "keep", "no_such": 1}), 422)
    assert body(host.post(url, {"decision": "keep"}))["decision"] == "keep"
    assert body(guest.get(f"/api/bookings/{booking['id']}/"))["status"] == "confirmed"
    assert check_books()[1] == 0


def test_feeds_and_subscribers_are_the_hosts_alone(end: FarEnd) -> None:
    host, other, nobody = register(), register("host"), ApiClient()
    place, elsewhere = list_a_place(host), list_a_place(other)
    feed = body(host.post(home(place, "calendar-feeds/"), {"name": "A", "url": end.url}), 201)
    reader = body(host.post(home(place, "calendar-subscribers/"), {"name": "B"}), 201)
    sent = {"name": "A", "url": end.url}
    one = f"calendar-feeds/{feed['id']}/"
    asked: list[tuple[str, str, Any]] = [
        ("GET", "calendar-feeds/", None),
        ("POST", "calendar-feeds/", sent),
        ("GET", one, None),
        ("DELETE", one, None),
        ("POST", f"{one}poll/", None),
        ("POST", f"{one}conflicts/1/", {"decision": "keep"}),
        ("GET", "calendar-subscribers/", None),
        ("POST", "calendar-subscribers/", {"name": "C"}),
        ("DELETE", f"calendar-subscribers/{reader['id']}/", None),
    ]
    for method, rest, said in asked:
        refused(nobody.request(method, home(place, rest), said), 401)
        refused(other.request(method, home(place, rest), said), 403)
        refused(host.request(method, f"/api/properties/99999/{rest}", said), 404, "not_found")
        if "/" in rest[:-1]:
            refused(other.request(method, home(elsewhere, rest), said), 404, "not_found")
    for bad in (
        "http://example.com/a.ics",
        "https://127.0.0.1/a",
        "x",
        "file:///etc/passwd",
        "https://[::1]/",
        "",
    ):
        answer = host.post(home(place, "calendar-feeds/"), {"name": "A", "url": bad})
        assert answer.status_code in (201, 422), (bad, answer.content)
    for field in ("name", "url"):
        for value in (None, True, [], {}, "a\x00b", "x" * 50_000, "\ud800", 10**30, "https://\u202e.com/"):
            answer = host.post(home(place, "calendar-feeds/"), {**sent, field: value})
            assert answer.status_code in (201, 422), (field, value, answer.content)
    refused(host.post(home(place, "calendar-feeds/"), {**sent, "no_such": 1}), 422, field="no_such")
    refused(host.get(home(place, "calendar-feeds/"), {"no_such": 1}), 422)
    assert CalendarFeed.objects.filter(listing_id=elsewhere["id"]).count() == 0


def test_the_calendar_is_exported_to_whoever_has_the_address(server: Server) -> None:
    host, guest = register(), register()
    place = list_a_place(host)
    confirmed(guest, place, **stay(60, 2))
    shown = body(host.get(home(place)))
    assert not body(guest.get(home(place))).get("calendar_url")
    address = path_of(shown["calendar_url"])

    answer = httpx.get(f"{server.url}{address}")

    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, "text/calendar")
    events = [each for each in Calendar.from_ical(answer.content).walk("VEVENT")]
    assert [(each.decoded("DTSTART"), each.decoded("DTEND")) for each in events] == [(day(60), day(62))]
    again = httpx.get(f"{server.url}{address}", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304
    bare = address.split("?")[0]
    for wrong in (bare, f"{bare}?token=", f"{bare}?token=x", f"{bare}?token=%00", f"{address}x"):
        found = httpx.get(f"{server.url}{wrong}")
        assert (found.status_code, found.headers["content-type"]) in (
            (404, "application/problem+json"),
            (422, "application/problem+json"),
        ), (wrong, found.content)
    assert httpx.get(f"{server.url}{address}&no_such=1").status_code == 422
    reader = body(host.post(home(place, "calendar-subscribers/"), {"name": "Other"}), 201)
    own = path_of(reader["url"])
    assert httpx.get(f"{server.url}{own}").status_code == 200
    assert host.delete(home(place, f"calendar-subscribers/{reader['id']}/")).status_code == 204
    assert httpx.get(f"{server.url}{own}").status_code == 404
    assert httpx.get(f"{server.url}{address}").status_code == 200


@pytest.mark.parametrize(
    ("method", "rest", "sent"),
    [
        ("GET", "calendar/", None),
        ("GET", "availability/", None),
        ("GET", "cancellation/", None),
        ("POST", "quote/", {**stay()}),
    ],
)
def test_public_doors_answer_anyone_with_and_without_the_slash(method: str, rest: str, sent: Any) -> None:
    host, nobody = register(), ApiClient()
    place = list_a_place(host)
    paused = list_a_place(host)
    body(host.patch(home(paused), {"availability": False}))
    query = (
        ""
        if rest in ("calendar/", "quote/")
        else f"?check_in={stay()['check_in']}&check_out={stay()['check_out']}"
    )

    with_slash = body(nobody.request(method, f"{home(place, rest)}{query}", sent))
    without = body(nobody.request(method, f"{home(place, rest)[:-1]}{query}", sent))

    volatile = {"quote_token", "expires_at", "cancellation"}
    assert {k: v for k, v in with_slash.items() if k not in volatile} == {
        k: v for k, v in without.items() if k not in volatile
    }
    for wrong in ("?no_such=1", f"{query}&no_such=1" if query else "?x=1"):
        refused(nobody.request(method, f"{home(place, rest)}{wrong}", sent), 422)
    refused(nobody.request(method, f"/api/properties/99999/{rest}{query}", sent), 404, "not_found")
    refused(nobody.request("PATCH", home(place, rest), {}), 405)
    for name in ("check_in", "check_out", "from", "to", "guests", "pets"):
        for value in ("", "9999-12-31", "0001-01-01", "%00", "NaN", "99999999999999999999", "-1"):
            answer = nobody.request(method, f"{home(place, rest)}?{name}={value}", sent)
            assert answer.status_code in (200, 409, 422), (name, value, answer.content)
            if answer.status_code != 200:
                refused(answer, answer.status_code)


def test_calendar_takes_no_nonsense_and_changes_nothing_then() -> None:
    host = register()
    place = list_a_place(host)
    span = {"from": day(60).isoformat(), "to": day(62).isoformat()}
    url = home(place, "calendar/")
    before = rows(host.get(url, span))
    refused(host.put(url, {**span, "no_such": 1}), 422, field="no_such")
    for field in (
        "from",
        "to",
        "available",
        "price",
        "min_nights",
        "max_nights",
        "closed_to_arrival",
        "note",
    ):
        for value in ([], {}, "a\x00b", "9999-12-31", 10**30, -1, 1e300, 1.001, "NaN", 2**31, "\ud800"):
            answer = host.put(url, {**span, field: value})
            assert answer.status_code in (200, 422), (field, value, answer.content)
            if answer.status_code != 200:
                refused(answer, 422)
            else:
                assert (field, value) in (("note", "9999-12-31"), ("note", "NaN"), ("price", 2**31)), (
                    field,
                    value,
                )
                body(host.put(url, {**span, field: None}))
    assert rows(host.get(url, span)) == before
    answer = host.get(url, span)
    body(host.put(url, {**span, "price": 120.5, "note": "Fair"}, if_match=answer["ETag"]))
    refused(host.put(url, {**span, "price": 130}, if_match=answer["ETag"]), 412)
    assert [row["price"] for row in rows(host.get(url, span))] == [120.5, 120.5]
    body(host.put(url, {**span, "price": None, "note": None}))
    assert rows(host.get(url, span)) == before


def test_a_booking_takes_no_nonsense() -> None:
    guest = register()
    place = list_a_place(register())
    wish = {"property_id": place["id"], **stay()}
    names = ("property_id", "check_in", "check_out", "guests", "pets", "promo_code", "quote_token")
    for field in (*names, "expected_total_price", "inquiry_id", "message"):
        for value in (
            None,
            True,
            [],
            {},
            "a\x00b",
            "9999-12-31",
            10**30,
            -1,
            1e300,
            2**63,
            "NaN",
            "\ud800",
            0,
        ):
            answer = guest.post("/api/bookings/", {**wish, field: value})
            assert answer.status_code < 500, (field, value, answer.content)
            if answer.status_code == 201:
                guest.delete(f"/api/bookings/{json.loads(answer.content)['id']}/")
            else:
                refused(answer, answer.status_code)
    assert book(guest, place)["status"] == "pending"
    assert check_books()[1] == 0
