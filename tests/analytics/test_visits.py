"""Looks at listings and prices asked for: whose count, and that none is lost or written twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import Error, connection
from django.test.utils import CaptureQueriesContext

from backend.analytics import visits
from backend.analytics.models import ListingVisits, MarketChange
from backend.analytics.visits import Notebook, Visitor, notebook
from backend.listings import cohosts
from backend.listings.models import Listing
from backend.privacy import retention
from tests.api.client import ApiClient
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db", "blank")

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"


@pytest.fixture
def blank() -> Iterator[None]:
    """Nothing is noted, before and after."""
    notebook.forget()
    yield
    notebook.forget()


def written() -> dict[int, tuple[int, int]]:
    """Listing → views and quotes as they stand in the table, over all days."""
    visits.flush()
    return {row.listing_id: (row.views, row.quotes) for row in ListingVisits.objects.all()}


def waiting(listing: Listing) -> tuple[int, int]:
    """Views and quotes that are noted."""
    rows = notebook.waiting([listing.pk])
    return sum(row[2] for row in rows), sum(row[3] for row in rows)


def test_a_look_and_a_price_over_http_are_counted() -> None:
    listing = make_listing()
    dates = {"check_in": "2027-05-03", "check_out": "2027-05-07"}
    anonymous, guest = ApiClient(), ApiClient(make_user())

    answer = anonymous.get(f"/api/properties/{listing.pk}/", user_agent=BROWSER)
    again = anonymous.get(f"/api/properties/{listing.pk}/", if_none_match=answer["ETag"], user_agent="curl/8")
    guest.get(f"/api/properties/{listing.pk}/")
    priced = guest.post(f"/api/properties/{listing.pk}/quote/", dates)
    refused = guest.post(f"/api/properties/{listing.pk}/quote/", {**dates, "guests": 40})

    assert (again.status_code, priced.status_code, refused.status_code) == (304, 200, 422)
    assert written() == {listing.pk: (3, 1)}


def test_looking_sends_no_statement_of_its_own() -> None:
    listing = make_listing()
    client = ApiClient()
    client.get(f"/api/properties/{listing.pk}/", user_agent="warm")
    with CaptureQueriesContext(connection) as queries:
        client.get(f"/api/properties/{listing.pk}/", user_agent=BROWSER)

    assert [query["sql"] for query in queries if "listing_visits" in query["sql"]] == []
    assert waiting(listing) == (2, 0)


def test_hosts_cohosts_staff_and_robots_do_not_count() -> None:
    listing, cohost = make_listing(), make_user()
    cohosts.add(actor=listing.host, listing=listing, user_id=cohost.pk, grants=["messages"], now=NOW)
    path = f"/api/properties/{listing.pk}/"

    for user in (listing.host, cohost, *(make_user(role) for role in ("support", "moderator", "admin"))):
        assert ApiClient(user).get(path).status_code == 200
    for agent in (
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "facebookexternalhit/1.1",
        "Mozilla/5.0 (compatible; AhrefsBot/7.0)",
        "some-crawler",
    ):
        assert ApiClient().get(path, user_agent=agent).status_code == 200

    assert waiting(listing) == (0, 0)


@pytest.mark.parametrize("agent", [BROWSER, "curl/8.5.0", "python-httpx/0.28.1", "CUBOT_X18 Build", ""])
def test_people_are_no_robots(agent: str) -> None:
    assert not visits.is_robot(agent)


def test_what_is_not_offered_does_not_count() -> None:
    listing = make_listing(status="paused")

    counted = visits.viewed(listing, Visitor(make_user(), "", ""), now=NOW)
    missing = ApiClient().get(f"/api/properties/{listing.pk}/")

    assert (counted, missing.status_code, waiting(listing)) == (False, 404, (0, 0))


def test_the_same_person_counts_once_in_half_an_hour() -> None:
    listing, other, guest = make_listing(), make_listing(), make_user()
    first, second = Visitor(guest, "192.0.2.1", "a"), Visitor(guest, "192.0.2.2", "b")

    counted = [
        visits.viewed(listing, first, now=NOW),
        visits.viewed(listing, second, now=NOW + timedelta(minutes=29)),
        visits.quoted(listing, first, now=NOW),
        visits.viewed(other, first, now=NOW),
        visits.viewed(listing, first, now=NOW + timedelta(minutes=30)),
    ]

    assert counted == [True, False, True, True, True]


def test_nobody_in_particular_is_known_by_address_and_browser() -> None:
    listing, anonymous = make_listing(), ApiClient()
    seen = [
        anonymous.get(f"/api/properties/{listing.pk}/", user_agent=agent).status_code
        for agent in ("one", "two", "one")
    ]

    assert (seen, waiting(listing)) == ([200, 200, 200], (2, 0))


def test_days_are_those_of_utc() -> None:
    listing = make_listing()
    late = NOW.replace(hour=23, minute=59)

    visits.viewed(listing, Visitor(make_user(), "", ""), now=late)
    visits.viewed(listing, Visitor(make_user(), "", ""), now=late + timedelta(minutes=1))
    visits.flush()

    days = ListingVisits.objects.order_by("day").values_list("day", "views")
    assert list(days) == [(NOW.date(), 1), (NOW.date() + timedelta(days=1), 1)]
    assert {change.first for change in MarketChange.objects.filter(after__isnull=False)} >= {NOW.date()}


def test_what_cannot_be_written_is_kept() -> None:
    listing = make_listing()
    visits.viewed(listing, Visitor(make_user(), "", ""), now=NOW)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE listing_visits RENAME TO away")
    try:
        with pytest.raises(Error):
            visits.flush()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE away RENAME TO listing_visits")
    visits.viewed(listing, Visitor(make_user(), "", ""), now=NOW)

    assert written() == {listing.pk: (2, 0)}


def test_a_listing_that_is_gone_takes_nothing_else_along() -> None:
    listing = make_listing()
    notebook.note(visits.VIEW, listing.pk + 1, "somebody", NOW.date(), 0.0)
    notebook.note(visits.VIEW, listing.pk, "somebody", NOW.date(), 0.0)

    assert written() == {listing.pk: (1, 0)}


def test_processes_that_write_at_once_add_up() -> None:
    places = [make_listing().pk for _ in range(20)]
    barrier = threading.Barrier(4)

    def work(number: int) -> None:
        mine = Notebook()
        try:
            for turn in range(10):
                for place in places:
                    mine.note(visits.VIEW, place, f"{number} {turn}", NOW.date(), 0.0)
                barrier.wait(20)
                visits.flush(mine)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {row.listing_id: row.views for row in ListingVisits.objects.all()} == dict.fromkeys(places, 40)


def test_the_thread_writes_what_is_left_when_it_ends() -> None:
    listing = make_listing()
    writer = visits.Writer()
    writer.start()
    visits.viewed(listing, Visitor(make_user(), "", ""), now=NOW)

    writer.stop()

    assert {row.listing_id: row.views for row in ListingVisits.objects.all()} == {listing.pk: 1}
    assert waiting(listing) == (0, 0)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visits, "MOST", 3)
    mine = Notebook()

    counted = [mine.note(visits.VIEW, place, "somebody", NOW.date(), 0.0) for place in range(5)]

    assert counted == [True, True, True, False, False]
    assert len(mine._lately) == 3


def test_visits_are_dropped_after_three_years() -> None:
    listing = make_listing()
    rule = next(rule for rule in retention.RULES if rule.name == "visits")
    old = NOW.date() - visits.KEPT
    for day in (old - timedelta(days=1), old, NOW.date()):
        ListingVisits.objects.create(listing=listing, day=day, views=1)

    dropped = rule.run(NOW)

    assert (dropped, rule.days) == (1, visits.KEPT)
    assert set(ListingVisits.objects.values_list("day", flat=True)) == {old, NOW.date()}
