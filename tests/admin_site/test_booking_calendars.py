"""Calendars as pictures: whose nights they are, night by night, for a listing and for all of a host."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from admin_site.bookings.calendar_pictures import PER_PAGE, Run, runs
from backend.availability import services as availability
from backend.availability.models import Reason
from backend.bookings import occupancy
from backend.bookings.occupancy import Span
from backend.core.stay import Stay
from backend.listings.models import Listing
from tests.admin_site.world import coming_stay, make_booking, signed_in, staff
from tests.factories import make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

MAY = date(2027, 5, 1)


def day(number: int) -> date:
    return MAY + timedelta(days=number - 1)


def of_listing(listing_id: int, query: str = "") -> str:
    return reverse("admin:page_listing_calendar", args=(listing_id,)) + query


def of_host(host_id: int, query: str = "") -> str:
    return reverse("admin:page_host_calendar", args=(host_id,)) + query


def lengths(found: list[Run]) -> list[tuple[int, str, bool, bool]]:
    return [(run.nights, run.span.kind if run.span else "", run.begins, run.ends) for run in found]


def test_runs_cover_each_night_once_and_say_where_a_stay_goes_on() -> None:
    spans = [
        Span(1, day(1) - timedelta(days=2), day(3), "feed"),
        Span(1, day(5), day(7), "host"),
        Span(1, day(7), day(9), "preparation"),
        Span(1, day(8), day(12), "host"),
    ]

    found = runs(spans, day(1), day(11), today=day(4), may_open=True)

    assert lengths(found) == [
        (2, "feed", False, True),
        (1, "", True, True),
        (1, "", True, True),
        (2, "host", True, True),
        (2, "preparation", True, True),
        (2, "host", True, False),
    ]
    assert sum(run.nights for run in found) == 10
    assert [run.has_today for run in found] == [False, False, True, False, False, False]


def test_spans_are_what_takes_nights_with_whose_they_are() -> None:
    booking = make_booking(preparation_days_after=1)
    listing, now = booking.listing, timezone.now()
    later = Stay(booking.check_out + timedelta(days=3), booking.check_out + timedelta(days=5))
    availability.claim(listing=listing, stay=later, reason=Reason.HOST, now=now, note="Painting")

    found = occupancy.spans([listing.pk], booking.check_in, later.check_out)

    assert [(span.first, span.last, span.kind, span.words) for span in found] == [
        (booking.check_in, booking.check_out, "booking", ""),
        (booking.check_out, booking.check_out + timedelta(days=1), "preparation", ""),
        (later.check_in, later.check_out, "host", "Painting"),
    ]
    assert found[0].booking == booking
    assert occupancy.spans([listing.pk], later.check_out, later.check_out + timedelta(days=9)) == []


def test_listing_shows_three_months_with_links_to_its_stays() -> None:
    booking = make_booking()
    month = f"?month={booking.check_in:%Y-%m}"

    text = signed_in(staff("support")).get(of_listing(booking.listing_id, month)).content.decode()

    assert text.count("<caption>") == 3
    link = reverse("admin:bookings_booking_change", args=(booking.pk,))
    assert f'href="{link}"' in text
    assert booking.reference in text
    assert (
        'aria-current="date"'
        in signed_in(staff("support")).get(of_listing(booking.listing_id)).content.decode()
    )


def test_listing_links_no_booking_for_whoever_sees_none() -> None:
    booking = make_booking()
    month = f"?month={booking.check_in:%Y-%m}"

    text = signed_in(staff("moderator")).get(of_listing(booking.listing_id, month)).content.decode()

    assert booking.reference in text
    assert reverse("admin:bookings_booking_change", args=(booking.pk,)) not in text


def test_host_shows_a_page_of_listings_and_the_way_to_the_next() -> None:
    host = make_user("host")
    first = make_listing(host)
    rest = [make_listing(host) for _number in range(PER_PAGE)]
    client = signed_in(staff("support"))

    one = client.get(of_host(host.pk)).content.decode()
    two = client.get(of_host(host.pk, "?page=2")).content.decode()

    assert (one.count('scope="row"'), two.count('scope="row"')) == (PER_PAGE, 1)
    assert of_listing(first.pk) in one
    assert of_listing(rest[-1].pk) in two
    assert "page=2" in one
    assert "page=1" in two


@pytest.mark.parametrize(
    "query", ["?month=nonsense", "?month=9999-12", "?from=x&page=-1", "?page=99999999", "?from=0001-01-01"]
)
def test_nonsense_in_the_address_shows_today(query: str) -> None:
    booking = make_booking()
    client = signed_in(staff("admin"))

    assert client.get(of_listing(booking.listing_id, query)).status_code == 200
    assert client.get(of_host(booking.host_id, query)).status_code == 200


@pytest.mark.parametrize(("role", "status"), [("finance", 403), ("support", 200), ("moderator", 200)])
def test_calendars_are_for_those_who_see_listings(role: str, status: int) -> None:
    booking = make_booking()
    client = signed_in(staff(role))

    assert client.get(of_listing(booking.listing_id)).status_code == status
    assert client.get(of_host(booking.host_id)).status_code == status


def test_calendars_of_nothing_are_not_there() -> None:
    client = signed_in(staff("admin"))

    assert [client.get(of_listing(999)).status_code, client.get(of_host(999)).status_code] == [404, 404]


def cost(client: Client, address: str) -> int:
    client.get(address)
    with CaptureQueriesContext(connection) as queries:
        client.get(address)
    return len(queries)


def test_pictures_cost_the_same_however_much_is_taken() -> None:
    booking = make_booking()
    host, client = booking.host, signed_in(staff("support"))
    month = f"?month={booking.check_in:%Y-%m}"
    addresses = [of_listing(booking.listing_id, month), of_host(host.pk, f"?from={booking.check_in}")]

    one = [cost(client, address) for address in addresses]
    for in_days in (25, 30):
        stay = coming_stay(in_days=in_days)
        availability.claim(listing=booking.listing, stay=stay, reason=Reason.HOST, now=timezone.now())
    make_listing(host), make_listing(host)

    assert Listing.objects.filter(host=host).count() == 3
    assert [cost(client, address) for address in addresses] == one


def test_stored_markup_is_text_in_a_picture() -> None:
    booking = make_booking(title="<img src=x>")
    month = f"?month={booking.check_in:%Y-%m}"

    for address in (of_listing(booking.listing_id, month), of_host(booking.host_id)):
        text = signed_in(staff("admin")).get(address).content.decode()
        assert "<img src=x" not in text
        assert "&lt;img src=x" in text
