"""Who sees a place that is no longer offered: the guests who count on it."""

from __future__ import annotations

import pytest
import time_machine

from backend.bookings import services as bookings
from backend.listings import services as listings
from tests.api.client import ApiClient
from tests.bookings.making import book, confirmed
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture(autouse=True)
def _at_now():
    with time_machine.travel(NOW, tick=False):
        yield


def test_counts_on_shows_a_paused_place_with_its_address_to_its_coming_guest() -> None:
    listing = make_listing()
    coming, held = confirmed(listing), make_user()
    listings.update(actor=listing.host, listing=listing, changes={"availability": False}, now=NOW)
    path = f"/api/properties/{listing.pk}/"

    shown = ApiClient(coming.guest).get(path)

    assert shown.status_code == 200
    assert (shown.json()["status"], shown.json()["latitude"]) == ("paused", 38.7169)
    for other in (ApiClient(held), ApiClient()):
        assert other.get(path).status_code == 404


def test_counts_on_ends_with_the_booking() -> None:
    listing = make_listing()
    booking, pending = confirmed(listing), book(make_listing())

    assert bookings.counts_on(booking.guest, listing)
    assert not bookings.counts_on(pending.guest, pending.listing)
    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=NOW)
    assert not bookings.counts_on(booking.guest, listing)
