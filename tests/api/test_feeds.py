"""Imported and exported calendars over HTTP."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from icalendar import Calendar

from backend.availability.models import Block, CalendarFeed, CalendarSubscriber, FeedConflict
from backend.bookings.models import Booking
from tests.api.client import ApiClient
from tests.availability.calendars import AIRBNB, BOOKING_COM, calendar, taken
from tests.bookings.making import STAY, confirmed
from tests.factories import NOW, make_listing, make_user
from tests.far_end import far_end

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture(autouse=True)
def _at_now(settings):
    settings.ALLOW_LOOPBACK_FETCH = True
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def end():
    with far_end() as server:
        server.serve(calendar(taken(date(2027, 6, 10), date(2027, 6, 14)), prodid=AIRBNB))
        yield server


def path(listing, rest: str = "calendar-feeds/") -> str:
    return f"/api/properties/{listing.pk}/{rest}"


def nights(listing) -> list[str]:
    rows = ApiClient(listing.host).get(path(listing, "calendar/?from=2027-06-01&to=2027-07-01")).json()
    return [row["date"] for row in rows["results"] if not row["available"]]


def add(listing, end, client=None):
    return (client or ApiClient(listing.host)).post(path(listing), {"name": "Airbnb", "url": end.url})


def test_add_answers_with_the_feed_as_it_was_asked(end):
    listing = make_listing()

    answer = add(listing, end)

    assert answer.status_code == 201
    assert answer.json() == {
        "id": CalendarFeed.objects.get().pk,
        "name": "Airbnb",
        "url": end.url,
        "kind": "airbnb",
        "last_polled_at": "2027-03-01T09:00:00Z",
        "last_healthy_at": "2027-03-01T09:00:00Z",
        "status": "ok",
        "error": None,
        "error_code": None,
        "refused_events": 0,
        "conflicts": [],
        "created_at": "2027-03-01T09:00:00Z",
    }
    assert nights(listing) == ["2027-06-10", "2027-06-11", "2027-06-12", "2027-06-13"]


def test_calendar_says_to_the_host_that_a_feed_closed_the_night(end):
    listing = make_listing()
    add(listing, end)

    row = (
        ApiClient(listing.host)
        .get(path(listing, "calendar/?from=2027-06-10&to=2027-06-11"))
        .json()["results"][0]
    )

    assert (row["available"], row["reason"], row["note"]) == (False, "feed", "Reserved")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"name": "x", "url": "http://1.1.1.1/x.ics"}, "not_https"),
        ({"name": "x", "url": "https://169.254.169.254/"}, "address_not_public"),
        ({"name": "x", "url": "x"}, "invalid_url"),
        ({"name": "", "url": "https://1.1.1.1/x.ics"}, "blank"),
        ({"name": "x"}, "required"),
        ({"name": "x", "url": "https://1.1.1.1/x.ics", "kind": "airbnb"}, "unknown_field"),
    ],
)
def test_add_refuses_what_makes_no_sense(body, code):
    listing = make_listing()

    answer = ApiClient(listing.host).post(path(listing), body)

    assert answer.status_code == 422
    assert code in {error["code"] for error in answer.json()["errors"]}
    assert CalendarFeed.objects.count() == 0


def test_poll_of_a_broken_feed_is_200_and_opens_nothing(end):
    listing = make_listing()
    feed_id = add(listing, end).json()["id"]
    end.fail(500)

    answer = ApiClient(listing.host).post(path(listing, f"calendar-feeds/{feed_id}/poll/"))

    assert answer.status_code == 200
    body = answer.json()
    assert (body["status"], body["error_code"]) == ("failing", "http_500")
    assert body["error"] == "The server answered with an error (500)."
    assert len(nights(listing)) == 4


def test_poll_believes_an_empty_calendar_when_it_is_told_to(end):
    listing = make_listing()
    feed_id = add(listing, end).json()["id"]
    end.serve(calendar())
    url = path(listing, f"calendar-feeds/{feed_id}/poll/")
    host = ApiClient(listing.host)

    assert (host.post(url).json()["error_code"], len(nights(listing))) == ("empty", 4)
    assert (host.post(url, {"accept_empty": True}).json()["status"], nights(listing)) == ("ok", [])


def test_remove_opens_the_nights(end):
    listing = make_listing()
    feed_id = add(listing, end).json()["id"]
    host = ApiClient(listing.host)

    assert host.delete(path(listing, f"calendar-feeds/{feed_id}/")).status_code == 204
    assert host.delete(path(listing, f"calendar-feeds/{feed_id}/")).status_code == 404
    assert host.get(path(listing, f"calendar-feeds/{feed_id}/")).status_code == 404
    assert nights(listing) == []


def test_remove_of_a_feed_that_has_changed_since_is_refused(end):
    listing = make_listing()
    feed = add(listing, end).json()
    client = ApiClient(listing.host)
    seen = client.get(path(listing, f"calendar-feeds/{feed['id']}/"))["ETag"]
    CalendarFeed.objects.update(status="failing")

    lost = client.delete(path(listing, f"calendar-feeds/{feed['id']}/"), if_match=seen)

    assert (lost.status_code, lost.json()["code"]) == (412, "precondition_failed")
    assert CalendarFeed.objects.count() == 1
    now = client.get(path(listing, f"calendar-feeds/{feed['id']}/"))["ETag"]
    assert client.delete(path(listing, f"calendar-feeds/{feed['id']}/"), if_match=now).status_code == 204


def test_feeds_are_for_the_host_alone(end):
    listing, elsewhere = make_listing(), make_listing()
    feed_id = add(listing, end).json()["id"]
    host, other, nobody = ApiClient(listing.host), ApiClient(elsewhere.host), ApiClient()
    calls = [
        ("GET", "calendar-feeds/", None),
        ("POST", "calendar-feeds/", {"name": "x", "url": end.url}),
        ("GET", f"calendar-feeds/{feed_id}/", None),
        ("DELETE", f"calendar-feeds/{feed_id}/", None),
        ("POST", f"calendar-feeds/{feed_id}/poll/", None),
        ("POST", f"calendar-feeds/{feed_id}/conflicts/1/", {"decision": "keep"}),
        ("GET", "calendar-subscribers/", None),
        ("POST", "calendar-subscribers/", {"name": "x"}),
        ("DELETE", "calendar-subscribers/1/", None),
    ]
    before = len(end.requests)

    for method, rest, body in calls:
        assert other.request(method, path(listing, rest), body).status_code == 403, rest
        assert nobody.request(method, path(listing, rest), body).status_code == 401, rest
        if "feeds/" in rest and rest != "calendar-feeds/":
            # A feed of another listing is none of this one.
            assert other.request(method, path(elsewhere, rest), body).status_code == 404, rest
    listing.status = "paused"
    listing.save(update_fields=["status"])
    for method, rest, body in calls:
        assert other.request(method, path(listing, rest), body).status_code == 404, rest

    assert (len(end.requests), CalendarFeed.objects.count(), CalendarSubscriber.objects.count()) == (
        before,
        1,
        0,
    )
    assert host.get(path(listing)).json()["count"] == 1


def test_list_asks_as_often_for_three_feeds_as_for_one(
    end, django_assert_num_queries, django_assert_max_num_queries
):
    counts = []
    for number in (1, 3):
        listing = make_listing()
        confirmed(listing)
        end.serve(calendar(taken(STAY.check_in, STAY.check_out)))
        for _ in range(number):
            add(listing, end)
        host = ApiClient(listing.host)
        with CaptureQueriesContext(
            connection,
        ) as seen:
            answer = host.get(path(listing)).json()
        assert (answer["count"], answer["next"]) == (number, None)
        assert [len(row["conflicts"]) for row in answer["results"]] == [1] * number
        counts.append(len(seen))
    assert counts[0] == counts[1]


def test_list_gives_304_until_something_changes(end):
    listing = make_listing()
    add(listing, end)
    host = ApiClient(listing.host)
    tag = host.get(path(listing))["ETag"]

    assert host.get(path(listing), if_none_match=tag).status_code == 304
    end.fail()
    host.post(path(listing, f"calendar-feeds/{CalendarFeed.objects.get().pk}/poll/"))
    assert host.get(path(listing), if_none_match=tag).status_code == 200


def in_conflict(end):
    """A confirmed booking from 3 to 7 May under an entry from 1 to 10 May."""
    listing = make_listing()
    booking = confirmed(listing)
    end.serve(calendar(taken(date(2027, 5, 1), date(2027, 5, 10)), prodid=BOOKING_COM))
    feed = add(listing, end).json()
    return listing, booking, feed, path(listing, f"calendar-feeds/{feed['id']}/conflicts/")


def may(listing) -> list[tuple[str, str]]:
    rows = (
        ApiClient(listing.host)
        .get(path(listing, "calendar/?from=2027-05-01&to=2027-05-10"))
        .json()["results"]
    )
    return [(row["date"][-2:], row["reason"]) for row in rows if row["reason"]]


def test_an_entry_over_a_booking_is_a_conflict_that_names_it(end):
    listing, booking, feed, _ = in_conflict(end)

    assert feed["conflicts"] == [
        {
            "id": FeedConflict.objects.get().pk,
            "from": "2027-05-01",
            "to": "2027-05-10",
            "summary": "Reserved",
            "booking_id": booking.pk,
            "decision": None,
        }
    ]
    feeds, ours = ["01", "02", "07", "08", "09"], ["03", "04", "05", "06"]
    assert may(listing) == sorted([(each, "feed") for each in feeds] + [(each, "booking") for each in ours])


def test_decide_keep_leaves_everything_and_may_be_thought_over(end):
    listing, booking, feed, conflicts = in_conflict(end)
    before = may(listing)

    answer = ApiClient(listing.host).post(f"{conflicts}{feed['conflicts'][0]['id']}/", {"decision": "keep"})

    assert (answer.status_code, answer.json()["decision"], answer.json()["booking_id"]) == (
        200,
        "keep",
        booking.pk,
    )
    assert may(listing) == before
    again = ApiClient(listing.host).post(f"{conflicts}{feed['conflicts'][0]['id']}/", {"decision": "skip"})
    assert (again.status_code, again.json()["decision"]) == (200, "skip")


def test_decide_skip_opens_what_the_entry_closed(end):
    listing, booking, feed, conflicts = in_conflict(end)
    url = f"{conflicts}{feed['conflicts'][0]['id']}/"

    answer = ApiClient(listing.host).post(url, {"decision": "skip"})

    assert (answer.status_code, answer.json()["decision"]) == (200, "skip")
    assert {reason for _, reason in may(listing)} == {"booking"}
    again = ApiClient(listing.host).post(url, {"decision": "cancel"})
    assert (again.status_code, again.json()["code"]) == (409, "wrong_state")
    assert Booking.objects.get(pk=booking.pk).status == "confirmed"


def test_decide_cancel_cancels_in_the_name_of_the_host_and_leaves_no_night_open(end):
    listing, booking, feed, conflicts = in_conflict(end)
    url = f"{conflicts}{feed['conflicts'][0]['id']}/"

    answer = ApiClient(listing.host).post(url, {"decision": "cancel", "reason": "Sold twice"})

    assert (answer.status_code, answer.json()["decision"]) == (200, "cancel")
    booking.refresh_from_db()
    assert (booking.status, booking.canceled_by, booking.refund_minor) == (
        "canceled",
        "host",
        booking.total_minor,
    )
    assert [each for each, _ in may(listing)] == [f"{number:02}" for number in range(1, 10)]
    assert ApiClient(listing.host).post(url, {"decision": "keep"}).status_code == 409


@pytest.mark.parametrize("decision", ["", "maybe", None])
def test_decide_refuses_another_word(end, decision):
    listing, _, feed, conflicts = in_conflict(end)

    answer = ApiClient(listing.host).post(f"{conflicts}{feed['conflicts'][0]['id']}/", {"decision": decision})

    assert answer.status_code == 422
    assert FeedConflict.objects.get().decision == ""


def test_decide_of_a_conflict_that_is_not_there_is_404(end):
    listing, _, _, conflicts = in_conflict(end)

    assert ApiClient(listing.host).post(f"{conflicts}999/", {"decision": "keep"}).status_code == 404


def exported(url: str):
    return ApiClient().get(url.partition("/api/")[1] + url.partition("/api/")[2])


def calendar_url(listing) -> str:
    return ApiClient(listing.host).get(path(listing, "")).json()["calendar_url"]


def test_calendar_url_is_shown_to_the_host_alone_and_stays_the_same():
    listing = make_listing()

    mine = calendar_url(listing)

    assert mine.endswith(exported(mine).wsgi_request.get_full_path())
    assert calendar_url(listing) == mine
    assert ApiClient(listing.host).get("/api/host/properties/").json()["results"][0]["calendar_url"] == mine
    for other in (ApiClient(), ApiClient(make_user()), ApiClient(make_user("admin"))):
        assert "calendar_url" not in other.get(path(listing, "")).json()
    assert CalendarSubscriber.objects.count() == 1


def test_calendar_url_may_come_back_unchanged_but_not_changed():
    listing = make_listing()
    host = ApiClient(listing.host)
    mine = calendar_url(listing)

    assert host.patch(path(listing, ""), {"calendar_url": mine}).status_code == 200
    answer = host.patch(path(listing, ""), {"calendar_url": "https://elsewhere.example/"})

    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "read_only")


def test_own_listings_ask_as_often_for_three_as_for_one():
    counts = []
    for number in (1, 3):
        host = make_user()
        for _ in range(number):
            make_listing(host)
        client = ApiClient(host)
        client.get("/api/host/properties/")
        with CaptureQueriesContext(connection) as seen:
            assert len(client.get("/api/host/properties/").json()["results"]) == number
        counts.append(len(seen))
    assert counts[0] == counts[1]


def test_export_tells_of_stays_and_closed_nights_and_no_guest():
    listing = make_listing()
    booking = confirmed(listing)
    ApiClient(listing.host).put(
        path(listing, "calendar/"),
        {"from": "2027-06-01", "to": "2027-06-03", "available": False, "note": "painter"},
    )

    answer = exported(calendar_url(listing))

    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/calendar; charset=utf-8"
    text = answer.content.decode()
    assert booking.guest.first_name not in text
    assert "painter" not in text
    assert [
        (str(each["SUMMARY"]), each["DTSTART"].dt, each["DTEND"].dt)
        for each in Calendar.from_ical(text).events
    ] == [
        ("Reserved", STAY.check_in, STAY.check_out),
        ("Not available", date(2027, 6, 1), date(2027, 6, 3)),
    ]
    with time_machine.travel(NOW + timedelta(minutes=5), tick=False):
        assert exported(calendar_url(listing)).content == answer.content


def test_export_is_304_until_the_nights_change():
    listing = make_listing()
    url = calendar_url(listing).partition("/api/")[2]
    tag = ApiClient().get(f"/api/{url}")["ETag"]

    assert ApiClient().get(f"/api/{url}", if_none_match=tag).status_code == 304
    confirmed(listing)
    assert ApiClient().get(f"/api/{url}", if_none_match=tag).status_code == 200


def test_export_passes_on_stays_for_sure_and_no_closed_nights_that_were_imported(end):
    listing = make_listing()
    end.serve(
        calendar(
            taken(date(2027, 6, 10), date(2027, 6, 14), summary="Reserved"),
            taken(date(2027, 6, 20), date(2027, 6, 22), summary="Airbnb (Not available)", uid="two"),
            taken(date(2027, 12, 1), date(2028, 9, 1), summary="Airbnb (Not available)", uid="three"),
            prodid=AIRBNB,
        )
    )
    add(listing, end)

    events = Calendar.from_ical(exported(calendar_url(listing)).content).events

    assert [each["DTSTART"].dt for each in events] == [date(2027, 6, 10)]
    assert Block.objects.filter(active=True).count() == 3


def test_export_without_its_own_living_token_is_404():
    listing, other = make_listing(), make_listing()
    url = calendar_url(listing)
    token = url.partition("token=")[2]

    for given in ("", "x", "1", "-", token[:-1], token + "0", "zz-" + token, "f" * 90, "٣-x"):
        assert ApiClient().get(path(listing, "calendar.ics"), {"token": given}).status_code == 404, given
    assert ApiClient().get(path(other, "calendar.ics"), {"token": token}).status_code == 404
    assert ApiClient().get(path(listing, "calendar.ics")).status_code == 404
    assert exported(url).status_code == 200


def test_subscribers_have_addresses_that_are_revoked_by_themselves():
    listing = make_listing()
    host = ApiClient(listing.host)
    default = calendar_url(listing)
    made = host.post(path(listing, "calendar-subscribers/"), {"name": "Vrbo"})
    assert made.status_code == 201
    assert made.json()["last_used_at"] is None
    assert exported(made.json()["url"]).status_code == 200

    rows = host.get(path(listing, "calendar-subscribers/")).json()["results"]
    assert [(row["name"], row["is_default"], row["last_used_at"]) for row in rows] == [
        ("calendar_url", True, None),
        ("Vrbo", False, "2027-03-01T09:00:00Z"),
    ]
    assert host.delete(path(listing, f"calendar-subscribers/{made.json()['id']}/")).status_code == 204
    assert host.delete(path(listing, f"calendar-subscribers/{made.json()['id']}/")).status_code == 404

    assert exported(made.json()["url"]).status_code == 404
    assert exported(default).status_code == 200
    host.delete(path(listing, f"calendar-subscribers/{rows[0]['id']}/"))
    assert exported(default).status_code == 404
    assert exported(calendar_url(listing)).status_code == 200


def test_what_one_place_exports_another_can_import(end):
    first, second = make_listing(), make_listing()
    confirmed(first)
    end.serve(exported(calendar_url(first)).content)

    assert add(second, end).json()["status"] == "ok"

    assert [(row.nights.lower, row.nights.upper) for row in Block.objects.filter(listing=second)] == [
        (STAY.check_in, STAY.check_out)
    ]
