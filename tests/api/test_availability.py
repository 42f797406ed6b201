"""Whether a stay can be booked, over HTTP: every reason, for whom, and other dates."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.translation import override

from backend.availability import services as availability
from backend.availability.models import Block, CalendarDay, CalendarFeed
from backend.bookings.models import Booking
from backend.core.stay import Stay
from tests.api.client import ApiClient
from tests.availability.making import make_season, take
from tests.bookings.making import book
from tests.factories import NOW, make_listing, make_user

pytestmark = [pytest.mark.usefixtures("db")]

CHECK_IN, CHECK_OUT = date(2027, 6, 14), date(2027, 6, 17)  # Monday to Thursday
WISH = {"check_in": CHECK_IN.isoformat(), "check_out": CHECK_OUT.isoformat()}


@pytest.fixture(autouse=True)
def _at_now():
    with time_machine.travel(NOW, tick=False):
        yield


def path(listing):
    return f"/api/properties/{listing.pk}/availability/"


def ask(listing, client=None, **params):
    answer = (client or ApiClient()).get(path(listing), {**WISH, **params})
    assert answer.status_code == 200, answer.content
    return answer.json()


def codes(answer):
    return [reason["code"] for reason in answer["why"]]


def test_read_of_a_stay_that_can_be_booked():
    listing = make_listing()

    answer = ask(listing, guests=2)

    assert answer == {
        "check_in": "2027-06-14",
        "check_out": "2027-06-17",
        "guests": 2,
        "bookable": True,
        "requires_request": False,
        "why": [],
        "nearest": [],
    }


def test_read_gives_every_reason_at_once_in_the_order_of_a_refusal():
    listing = make_listing(
        max_guests=1,
        min_nights=5,
        arrival_weekdays=[6],
        departure_weekdays=[6],
        booking_window_days=30,
        preparation_days_before=2,
    )
    take(listing, Stay(date(2027, 6, 15), date(2027, 6, 16)))
    take(listing, Stay(date(2027, 6, 18), date(2027, 6, 20)))

    answer = ask(listing, guests=2)

    assert codes(answer) == [
        "booking_window",
        "too_many_guests",
        "min_nights",
        "closed_to_arrival",
        "closed_to_departure",
        "dates_unavailable",
        "preparation",
    ]
    assert [reason["field"] for reason in answer["why"]] == [
        *("check_in", "guests", "check_out", "check_in", "check_out", "check_in", "check_in")
    ]
    assert [(reason["message"], reason.get("limit")) for reason in answer["why"]] == [
        ("Check-in can be at most 30 days ahead.", 30),
        ("At most 1 guest can stay here.", 1),
        ("The stay must have at least 5 nights.", 5),
        ("No stay can begin on this day.", None),
        ("No stay can end on this day.", None),
        ("Some of these nights are no longer free.", None),
        ("The host needs 2 nights between two stays.", 2),
    ]
    assert (answer["bookable"], answer["nearest"]) == (False, [])


@pytest.mark.parametrize(
    ("fields", "params", "code"),
    [
        ({"min_nights": 4}, {}, "min_nights"),
        ({"min_nights_by_weekday": {"1": 4}}, {}, "min_nights"),
        ({"max_nights": 2}, {}, "max_nights"),
        ({"max_guests": 2}, {"guests": 3}, "too_many_guests"),
        ({"arrival_weekdays": [2, 3, 4, 5, 6, 7]}, {}, "closed_to_arrival"),
        ({"departure_weekdays": [1, 2, 3, 5, 6, 7]}, {}, "closed_to_departure"),
        ({"advance_notice_hours": 2526}, {}, "advance_notice"),
        ({"booking_window_days": 104}, {}, "booking_window"),
    ],
)
def test_read_and_quote_and_booking_name_the_same_rule_one_beyond_its_bound(fields, params, code):
    listing, guest = make_listing(**fields), ApiClient(make_user())

    assert codes(ask(listing, **params)) == [code]
    wish = {**WISH, **params}
    quote = guest.post(f"/api/properties/{listing.pk}/quote/", wish)
    booking = guest.post("/api/bookings/", {"property_id": listing.pk, **wish})
    assert [(answer.status_code, answer.json()["code"]) for answer in (quote, booking)] == [(422, code)] * 2
    assert (Booking.objects.count(), Block.objects.count()) == (0, 0)


@pytest.mark.parametrize(
    ("fields", "params"),
    [
        ({"min_nights": 3}, {}),
        ({"min_nights": 9, "min_nights_by_weekday": {"1": 3}}, {}),
        ({"max_nights": 3}, {}),
        ({"max_guests": 3}, {"guests": 3}),
        ({"arrival_weekdays": [1]}, {}),
        ({"departure_weekdays": [4]}, {}),
        ({"advance_notice_hours": 2525}, {}),
        ({"booking_window_days": 105}, {}),
    ],
)
def test_read_and_booking_allow_what_lies_exactly_on_the_bound(fields, params):
    listing, guest = make_listing(**fields), ApiClient(make_user())

    assert ask(listing, **params)["bookable"] is True
    booking = guest.post("/api/bookings/", {"property_id": listing.pk, **WISH, **params})
    assert booking.status_code == 201, booking.content


def test_read_follows_what_the_host_changes_through_the_api():
    listing = make_listing()
    host, calendar = ApiClient(listing.host), f"/api/properties/{listing.pk}/calendar/"
    day = {"from": "2027-06-14", "to": "2027-06-15"}
    seen = []

    for change in (
        lambda: host.patch(f"/api/properties/{listing.pk}/", {"min_nights": 4, "preparation_days_after": 2}),
        lambda: host.put(calendar, {**day, "min_nights": 3, "closed_to_arrival": True}),
        lambda: host.put(calendar, {**day, "closed_to_arrival": None, "max_nights": 3}),
        lambda: host.put(calendar, {"from": "2027-06-17", "to": "2027-06-18", "closed_to_departure": True}),
        lambda: host.put(calendar, {"from": "2027-06-16", "to": "2027-06-18", "available": False}),
    ):
        assert change().status_code == 200
        seen.append(codes(ask(listing)))

    assert seen == [
        ["min_nights"],
        ["closed_to_arrival"],
        [],
        ["closed_to_departure"],
        ["closed_to_departure", "dates_unavailable"],
    ]


@pytest.mark.parametrize(
    ("beyond", "exactly", "code"),
    [
        ({"min_nights": 4}, {"min_nights": 3}, "min_nights"),
        ({"min_nights_by_weekday": {"1": 4}}, {"min_nights_by_weekday": {"1": 3, "2": 9}}, "min_nights"),
        ({"max_nights": 2}, {"max_nights": 3}, "max_nights"),
        ({"arrival_weekdays": [2]}, {"arrival_weekdays": [1]}, "closed_to_arrival"),
        ({"departure_weekdays": [5]}, {"departure_weekdays": [4]}, "closed_to_departure"),
        ({"advance_notice_hours": 2526}, {"advance_notice_hours": 2525}, "advance_notice"),
        ({"booking_window_days": 104}, {"booking_window_days": 105}, "booking_window"),
        ({"preparation_days_before": 4}, {"preparation_days_before": 3}, "preparation"),
        ({"preparation_days_after": 4}, {"preparation_days_after": 3}, "preparation"),
        (
            {"timezone": "Pacific/Kiritimati", "advance_notice_hours": 2520},
            {"timezone": "UTC"},
            "advance_notice",
        ),
    ],
)
def test_read_follows_each_rule_of_the_listing_as_it_is_patched(beyond, exactly, code):
    listing = make_listing()
    take(listing, Stay(date(2027, 6, 20), date(2027, 6, 22)))
    host, home = ApiClient(listing.host), f"/api/properties/{listing.pk}/"

    first = host.patch(home, beyond)
    refused = codes(ask(listing))
    second = host.patch(home, exactly)

    assert [answer.status_code for answer in (first, second)] == [200, 200], (first.content, second.content)
    assert (refused, codes(ask(listing))) == ([code], [])


def test_read_of_seasons_puts_dates_above_and_weekdays_below():
    listing = make_listing(min_nights=1, arrival_weekdays=[1], departure_weekdays=[6])
    make_season(listing, CHECK_IN, CHECK_OUT, min_nights=5, closed_to_arrival=True)
    make_season(listing, CHECK_OUT, CHECK_OUT + timedelta(days=1), closed_to_departure=False)

    before = codes(ask(listing))
    CalendarDay.objects.create(listing=listing, date=CHECK_IN, min_nights=3, closed_to_arrival=False)
    after = codes(ask(listing))

    assert (before, after) == (["min_nights", "closed_to_arrival"], [])


def test_read_shows_which_nights_are_taken_and_to_the_host_alone_by_what():
    listing = make_listing(preparation_days_after=1)
    take(listing, Stay(date(2027, 6, 10), date(2027, 6, 14)))
    take(listing, Stay(date(2027, 6, 15), date(2027, 6, 16)), "host", note="painter")
    take(listing, Stay(date(2027, 6, 16), date(2027, 6, 20)), "feed")

    guest, host = ask(listing, ApiClient(make_user())), ask(listing, ApiClient(listing.host))

    assert [(reason["code"], reason["nights"]) for reason in guest["why"]] == [
        ("dates_unavailable", [{"from": "2027-06-15", "to": "2027-06-17"}]),
        ("preparation", [{"from": "2027-06-14", "to": "2027-06-15"}]),
    ]
    assert not any("reason" in reason for reason in guest["why"])
    assert [(reason["code"], reason["reason"], reason["nights"]) for reason in host["why"]] == [
        ("dates_unavailable", "feed", [{"from": "2027-06-16", "to": "2027-06-17"}]),
        ("dates_unavailable", "host", [{"from": "2027-06-15", "to": "2027-06-16"}]),
        ("preparation", "preparation", [{"from": "2027-06-14", "to": "2027-06-15"}]),
    ]
    assert "painter" not in str(guest) + str(host)


@pytest.mark.parametrize("reason", ["booking", "hold", "host", "feed"])
def test_read_tells_the_host_what_took_the_nights(reason):
    listing = make_listing()
    take(listing, Stay(CHECK_IN, CHECK_OUT), reason)

    assert [each["reason"] for each in ask(listing, ApiClient(listing.host))["why"]] == [reason]


def test_read_forgets_a_hold_the_second_it_runs_out():
    listing = make_listing()
    book(listing, stay=Stay(CHECK_IN, CHECK_OUT))
    seen = []

    for after in (timedelta(minutes=15, seconds=-1), timedelta(minutes=15)):
        with time_machine.travel(NOW + after, tick=False):
            seen.append(codes(ask(listing)))

    assert seen == [["dates_unavailable"], []]


def test_read_suggests_the_nearest_dates_that_can_be_booked():
    listing = make_listing(preparation_days_before=1)
    take(listing, Stay(date(2027, 6, 15), date(2027, 6, 16)))
    CalendarDay.objects.create(listing=listing, date=date(2027, 6, 17), closed_to_arrival=True)

    answer = ask(listing)

    assert answer["nearest"] == [
        {"check_in": "2027-06-11", "check_out": "2027-06-14"},
        {"check_in": "2027-06-18", "check_out": "2027-06-21"},
        {"check_in": "2027-06-10", "check_out": "2027-06-13"},
    ]
    for near in answer["nearest"]:
        assert ask(listing, **near)["bookable"] is True


def test_read_suggests_nothing_where_no_dates_would_help():
    listing = make_listing(max_guests=2)

    assert ask(listing, guests=3)["nearest"] == []


@pytest.mark.parametrize(
    ("fields", "asked"),
    [
        ({}, False),
        ({"instant_book": False}, True),
        ({"advance_notice_hours": 2526, "allow_request_inside_notice": True}, True),
        ({"advance_notice_hours": 2525, "allow_request_inside_notice": True}, False),
    ],
)
def test_read_tells_when_the_host_must_be_asked(fields, asked):
    listing = make_listing(**fields)

    answer = ask(listing)

    assert (answer["bookable"], answer["requires_request"]) == (True, asked)
    booked = book(listing, stay=Stay(CHECK_IN, CHECK_OUT))
    assert booked.pending_reason == ("host" if asked else "payment")


def test_read_says_that_the_host_must_be_asked_while_a_feed_is_out_of_date():
    listing = make_listing()
    feed = CalendarFeed.objects.create(
        listing=listing,
        name="Elsewhere",
        url="https://calendar.example/1.ics",
        created_at=NOW - timedelta(days=9),
        last_healthy_at=NOW - timedelta(minutes=1),
        next_poll_at=NOW,
    )
    fresh = ask(listing)

    CalendarFeed.objects.filter(pk=feed.pk).update(last_healthy_at=NOW - timedelta(days=9))

    assert [fresh["requires_request"], ask(listing)["requires_request"]] == [False, True]
    with time_machine.travel(datetime(2027, 6, 14, 14, 0, tzinfo=UTC), tick=False):
        assert codes(ask(listing)) == ["advance_notice"]


def test_read_after_the_check_in_hour_no_longer_asks_the_host():
    listing = make_listing(instant_book=False, timezone="Pacific/Honolulu")
    today = {"check_in": "2027-03-01", "check_out": "2027-03-02"}
    seen = []

    for second in (datetime(2027, 3, 2, 0, 59, 59, tzinfo=UTC), datetime(2027, 3, 2, 1, 0, tzinfo=UTC)):
        with time_machine.travel(second, tick=False):
            seen.append(codes(ask(listing, **today)))

    assert seen == [[], ["advance_notice"]]


def test_read_of_a_paused_place_says_not_available_and_of_an_unknown_one_nothing():
    paused, draft = make_listing(status="paused"), make_listing(status="draft", published_at=None)

    assert codes(ask(paused)) == ["not_available"]
    assert ask(paused)["why"][0]["field"] is None
    assert codes(ask(draft, ApiClient(draft.host))) == ["not_available"]
    for client in (ApiClient(), ApiClient(make_user())):
        assert client.get(path(draft), WISH).status_code == 404
        assert client.get("/api/properties/999999/availability/", WISH).status_code == 404


def test_read_of_a_suspended_hosts_place_says_not_available_and_so_does_a_booking():
    listing, guest = make_listing(), ApiClient(make_user())
    listing.host.suspended_at = NOW
    listing.host.save()

    assert codes(ask(listing)) == ["not_available"]
    quote = guest.post(f"/api/properties/{listing.pk}/quote/", WISH)
    booking = guest.post("/api/bookings/", {"property_id": listing.pk, **WISH})
    assert [answer.json()["code"] for answer in (quote, booking)] == ["not_available"] * 2
    assert Booking.objects.count() == 0


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"check_out": "2027-06-14"}, "invalid_dates"),
        ({"check_out": "2027-06-13"}, "invalid_dates"),
        ({"check_out": "2028-06-14"}, "max_nights"),
        ({"guests": 0}, None),
        ({"pets": -1}, None),
        ({"check_in": "14.06.2027"}, None),
        ({"colour": "red"}, "unknown_parameter"),
    ],
)
def test_read_refuses_what_makes_no_stay(params, code):
    answer = ApiClient().get(path(make_listing()), {**WISH, **params})

    assert answer.status_code == 422
    if code:
        assert code in {error["code"] for error in answer.json()["errors"]}


def test_read_of_the_longest_stay():
    listing = make_listing()

    assert ask(listing, check_out="2028-06-13")["bookable"] is True


def test_read_speaks_the_readers_language():
    listing = make_listing(max_guests=2)
    (refusal,) = availability.why(listing=listing, stay=Stay(CHECK_IN, CHECK_OUT), guests=3, now=NOW)
    messages = {}

    for language in ("en", "fr"):
        with override(language):
            expected = str(refusal.message)
        answer = ApiClient().get(path(listing), {**WISH, "guests": 3}, accept_language=language)
        assert answer.json()["why"][0]["message"] == expected
        messages[language] = expected

    assert messages["en"] == "At most 2 guests can stay here."


def test_read_with_its_own_etag_is_304_until_something_changes():
    listing = make_listing()
    tag = ApiClient().get(path(listing), WISH)["ETag"]

    assert ApiClient().get(path(listing), WISH, if_none_match=tag).status_code == 304
    take(listing, Stay(CHECK_IN, CHECK_OUT))
    assert ApiClient().get(path(listing), WISH, if_none_match=tag).status_code == 200


@pytest.mark.parametrize("stays", [1, 3])
def test_read_asks_four_questions_however_many_stays_there_are(stays):
    listing = make_listing()
    for index in range(stays):
        take(listing, Stay(CHECK_IN + timedelta(days=index), CHECK_IN + timedelta(days=index + 1)))
    ask(listing)

    with CaptureQueriesContext(connection) as queries:
        ask(listing)

    assert len(queries) == 4, [query["sql"] for query in queries]
