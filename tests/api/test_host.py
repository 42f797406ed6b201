"""A host's day over HTTP."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backend.bookings import alterations, inquiries
from backend.bookings import services as bookings
from backend.bookings.alterations import Change
from backend.core.stay import Stay
from tests.api.client import ApiClient
from tests.bookings.making import book, confirmed, pay
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

KINDS = ("arrivals", "departures", "staying", "waiting_requests", "alterations", "inquiries")


def _today(host, at):
    with time_machine.travel(at, tick=False):
        answer = ApiClient(host).get("/api/host/today/")
    assert answer.status_code == 200, answer.content
    return answer.json()


def _ids(body):
    return {kind: [row["id"] for row in body[kind]] for kind in KINDS}


def test_today_needs_a_user():
    assert ApiClient().get("/api/host/today/").status_code == 401


def test_today_of_nobodys_host_is_empty():
    confirmed(make_listing())

    body = _today(make_user(), NOW)

    assert (body["date"], body["timezone"]) == ("2027-03-01", "UTC")
    assert _ids(body) == {kind: [] for kind in KINDS}


def test_today_tells_who_comes_goes_and_stays():
    host = make_user()
    coming = confirmed(make_listing(host), stay=Stay(date(2027, 5, 5), date(2027, 5, 8)))
    going = confirmed(make_listing(host), stay=Stay(date(2027, 5, 3), date(2027, 5, 5)))
    staying = confirmed(make_listing(host), stay=Stay(date(2027, 5, 3), date(2027, 5, 8)))
    confirmed(make_listing(host), stay=Stay(date(2027, 5, 6), date(2027, 5, 8)))
    book(make_listing(host), stay=Stay(date(2027, 5, 5), date(2027, 5, 8)))

    body = _today(host, datetime(2027, 5, 5, 9, tzinfo=UTC))

    assert _ids(body) == {
        **{kind: [] for kind in KINDS},
        "arrivals": [coming.pk],
        "departures": [going.pk],
        "staying": [staying.pk],
    }
    # Whoever has left today still stands there.
    left_at = datetime(2027, 5, 5, 12, tzinfo=UTC)
    bookings.complete(now=left_at)
    assert _ids(_today(host, left_at))["departures"] == [going.pk]


@pytest.mark.parametrize(
    ("zone", "at", "kind"),
    [
        ("Pacific/Kiritimati", datetime(2027, 5, 2, 9, 59, tzinfo=UTC), None),
        ("Pacific/Kiritimati", datetime(2027, 5, 2, 10, 0, tzinfo=UTC), "arrivals"),
        ("Pacific/Kiritimati", datetime(2027, 5, 3, 10, 0, tzinfo=UTC), "departures"),
        ("Pacific/Honolulu", datetime(2027, 5, 3, 9, 59, tzinfo=UTC), None),
        ("Pacific/Honolulu", datetime(2027, 5, 3, 10, 0, tzinfo=UTC), "arrivals"),
        ("Pacific/Honolulu", datetime(2027, 5, 5, 9, 59, tzinfo=UTC), "departures"),
    ],
)
def test_today_is_read_on_each_listings_clock(zone, at, kind):
    host = make_user()
    booking = confirmed(make_listing(host, timezone=zone), stay=Stay(date(2027, 5, 3), date(2027, 5, 4)))

    found = _ids(_today(host, at))

    assert [name for name, ids in found.items() if ids] == ([kind] if kind else [])
    assert [booking.pk] == [pk for ids in found.values() for pk in ids] or kind is None


def test_today_tells_what_waits_for_an_answer():
    host, guest = make_user(), make_user()
    request = book(make_listing(host, instant_book=False), guest)
    changing = book(make_listing(host, instant_book=False), guest)
    pay(changing)
    bookings.accept(actor=host, booking_id=changing.pk, now=NOW)
    alterations.ask(actor=guest, booking_id=changing.pk, change=Change(guests=2), now=NOW)
    inquiry = inquiries.ask(
        guest=guest,
        listing_id=make_listing(host).pk,
        stay=Stay(date(2027, 5, 3), date(2027, 5, 4)),
        guests=1,
        message="Is it quiet?",
        now=NOW,
    )

    body = _today(host, NOW)

    assert _ids(body) == {
        **{kind: [] for kind in KINDS},
        "waiting_requests": [request.pk],
        "alterations": [changing.pk],
        "inquiries": [inquiry.pk],
    }
    assert body["alterations"][0]["alteration"]["guests"] == 2
    assert body["inquiries"][0]["message"] == "Is it quiet?"
    assert _ids(_today(guest, NOW)) == {kind: [] for kind in KINDS}


def test_today_asks_the_same_number_of_queries_for_one_and_for_three():
    host, counts = make_user(), []
    for _ in range(3):
        confirmed(make_listing(host), stay=Stay(date(2027, 3, 1), date(2027, 3, 3)))
        book(make_listing(host, instant_book=False))
        with time_machine.travel(NOW, tick=False):
            client = ApiClient(host)
            with CaptureQueriesContext(connection) as queries:
                body = client.get("/api/host/today/").json()
        counts.append((len(body["arrivals"]), len(body["waiting_requests"]), len(queries)))

    assert [counted[:2] for counted in counts] == [(1, 1), (2, 2), (3, 3)]
    assert len({queries for *_counted, queries in counts}) == 1
