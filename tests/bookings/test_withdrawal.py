from __future__ import annotations

from datetime import timedelta

import pytest

from api.auth import ANONYMOUS
from backend.bookings import services as bookings
from backend.bookings.services import ActiveBookings
from backend.core.errors import NotAllowed, NotFound
from backend.listings.models import Listing
from tests.bookings.making import book, confirmed
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")


def _status(listing: Listing) -> str:
    return Listing.objects.get(pk=listing.pk).status


def test_withdraw_listing_takes_it_off_for_good() -> None:
    listing = make_listing()

    bookings.withdraw_listing(actor=listing.host, listing=listing, now=NOW)

    assert _status(listing) == "archived"
    with pytest.raises(NotFound):
        bookings.withdraw_listing(actor=listing.host, listing=listing, now=NOW)


@pytest.mark.parametrize("kind", ["held", "asked", "confirmed"])
def test_withdraw_listing_is_refused_while_somebody_counts_on_it(kind: str) -> None:
    listing = make_listing(instant_book=kind != "asked")
    booking = confirmed(listing) if kind == "confirmed" else book(listing)

    with pytest.raises(ActiveBookings):
        bookings.withdraw_listing(actor=listing.host, listing=listing, now=NOW)

    assert _status(listing) == "published"
    booking.refresh_from_db()
    assert booking.status in ("pending", "confirmed")


def test_withdraw_listing_keeps_the_record_of_past_stays() -> None:
    listing = make_listing()
    past = confirmed(listing)
    lapsed = book(make_listing(listing.host))
    bookings.complete(now=past.check_out_at)

    bookings.withdraw_listing(actor=listing.host, listing=listing, now=past.check_out_at)
    bookings.withdraw_listing(actor=listing.host, listing=lapsed.listing, now=NOW + timedelta(minutes=15))

    assert (_status(listing), _status(lapsed.listing)) == ("archived", "archived")
    past.refresh_from_db()
    assert past.status == "completed"


def test_withdraw_listing_is_its_hosts_alone() -> None:
    listing = make_listing()

    with pytest.raises(NotAllowed):
        bookings.withdraw_listing(actor=make_user(), listing=listing, now=NOW)
    draft = make_listing(status="draft")
    with pytest.raises(NotFound):
        bookings.withdraw_listing(actor=make_user(), listing=draft, now=NOW)

    assert (_status(listing), _status(draft)) == ("published", "draft")


def test_withdraw_listing_tells_nobody_else_of_its_bookings() -> None:
    listing = make_listing()
    booking = confirmed(listing)

    for actor in (make_user(), booking.guest, make_user("finance")):
        with pytest.raises(NotAllowed):
            bookings.withdraw_listing(actor=actor, listing=listing, now=NOW)

    assert _status(listing) == "published"


def test_knows_address_after_a_confirmed_booking_only() -> None:
    listing = make_listing()
    held, other = book(listing), make_listing()
    guest = confirmed(make_listing(), make_user()).guest
    stay = confirmed(other)

    assert bookings.knows_address(stay.guest, other)
    assert bookings.knows_address(listing.host, listing)
    assert bookings.knows_address(make_user("support"), listing)
    assert not bookings.knows_address(held.guest, listing)
    assert not bookings.knows_address(guest, listing)
    assert not bookings.knows_address(ANONYMOUS, listing)
    bookings.cancel(actor=stay.guest, booking_id=stay.pk, now=NOW)
    assert not bookings.knows_address(stay.guest, other)
    completed = confirmed(listing, now=NOW + timedelta(hours=1))
    bookings.complete(now=completed.check_out_at)
    assert bookings.knows_address(completed.guest, listing)
