"""Selling nights that another site sells too: ask it first, and ask the host while it does not answer."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from backend.availability import feeds
from backend.availability.models import CalendarFeed
from backend.availability.services import DatesUnavailable
from backend.bookings import alterations, quotes
from backend.bookings.alterations import Change
from backend.bookings.models import Booking
from backend.core import platform
from backend.core.stay import Stay
from tests.availability.calendars import calendar, taken
from tests.bookings.making import book, confirmed, state
from tests.factories import NOW, make_listing
from tests.far_end import far_end

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def end(settings: Any) -> Iterator[Any]:
    settings.ALLOW_LOOPBACK_FETCH = True
    with far_end() as server:
        server.serve(calendar())
        yield server


def _fed(end: Any, **fields: Any) -> Any:
    listing = make_listing(**fields)
    feeds.add(actor=listing.host, listing=listing, name="Far", url=end.url, now=NOW)
    return listing


LATER = NOW + timedelta(minutes=6)


def test_create_asks_the_other_calendar_first_when_the_last_answer_is_old(end: Any) -> None:
    listing = _fed(end)
    end.serve(calendar(taken(date(2027, 5, 5), date(2027, 5, 6))))

    assert state(book(listing, stay=Stay(date(2027, 6, 1), date(2027, 6, 2))))[0] == "pending"
    with pytest.raises(DatesUnavailable):
        book(listing, now=LATER)

    assert Booking.objects.count() == 1


def test_alteration_asks_the_other_calendar_first(end: Any) -> None:
    listing = _fed(end)
    booking = confirmed(listing)
    end.serve(calendar(taken(date(2027, 5, 8), date(2027, 5, 9))))

    with pytest.raises(DatesUnavailable):
        alterations.ask(
            actor=booking.guest, booking_id=booking.pk, change=Change(check_out=date(2027, 5, 9)), now=LATER
        )

    assert Booking.objects.get().stay == booking.stay


def test_create_and_change_ask_the_host_while_a_calendar_is_stale(end: Any) -> None:
    listing = _fed(end)
    booking = confirmed(listing)
    end.fail()
    stale_at = NOW + timedelta(hours=platform.get("feed_stale_hours"), seconds=1)
    assert CalendarFeed.objects.get().last_healthy_at == NOW

    asked = book(listing, stay=Stay(date(2027, 6, 1), date(2027, 6, 3)), now=stale_at)
    change = alterations.ask(
        actor=booking.guest, booking_id=booking.pk, change=Change(check_out=date(2027, 5, 6)), now=stale_at
    )

    assert state(asked)[:3] == ("pending", "host", ["requested"])
    assert (change.status, change.settled_at) == ("proposed", None)


def test_a_stale_calendar_makes_every_stay_a_request(end: Any) -> None:
    listing = _fed(end)
    stay = Stay(date(2027, 6, 1), date(2027, 6, 2))
    stale_at = NOW + timedelta(hours=platform.get("feed_stale_hours"), seconds=1)

    assert not quotes.needs_request(listing, stay, NOW)
    assert quotes.needs_request(listing, stay, stale_at)
    assert quotes.needs_request(make_listing(instant_book=False), stay, NOW)
