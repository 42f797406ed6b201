"""What is said about a stay is what happens to it: reasons, quotes, calendars, searches and bookings agree."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, timedelta
from random import Random

import pytest

from backend.availability import calendar
from backend.availability import services as availability
from backend.bookings import quotes
from backend.bookings import services as bookings
from backend.bookings.models import Booking
from backend.bookings.services import Wish
from backend.core.errors import DomainError
from backend.core.stay import Stay
from backend.listings.models import Listing
from backend.search.find import every
from backend.search.query import SearchQuery
from tests.availability.making import some_listing
from tests.factories import NOW, make_user

pytestmark = pytest.mark.usefixtures("db")


def tried(listing: Listing, stay: Stay, guests: int, now: datetime) -> str | None:
    """The code with which a booking is refused; None when it was made."""
    wish = Wish(listing_id=listing.pk, stay=stay, guests=guests)
    try:
        bookings.create(guest=make_user("guest"), wish=wish, now=now)
    except DomainError as refusal:
        return refusal.code
    return None


def quoted(listing: Listing, stay: Stay, guests: int, now: datetime) -> str | None:
    """The code with which a quote is refused; None when it was made."""
    try:
        quotes.make(listing=listing, stay=stay, guests=guests, now=now)
    except DomainError as refusal:
        return refusal.code
    return None


def found(stay: Stay, guests: int, now: datetime) -> set[int] | None:
    """What a dated search shows; None for dates that lie in the past everywhere."""
    try:
        query = SearchQuery(check_in=stay.check_in, check_out=stay.check_out, guests=guests)
        return set(every(query, now))
    except DomainError:
        return None


def some_wish(random: Random, today: date) -> tuple[Stay, int]:
    check_in = today + timedelta(days=random.choice([-1, 0, 0, 1, 2, random.randint(0, 40)]))
    return Stay(check_in, check_in + timedelta(days=random.choice([1, 1, 2, 3, 4, 6]))), random.randint(1, 3)


@pytest.mark.parametrize("seed", range(3))
def test_why_is_empty_exactly_where_a_booking_is_made(seed: int) -> None:
    random = Random(seed)
    now = NOW + timedelta(hours=random.randint(0, 23), minutes=random.choice([0, 30, 59]))
    listings = [some_listing(random, now) for _ in range(40)]
    outcomes: Counter[str | None] = Counter()

    for _ in range(200):
        listing = random.choice(listings)
        stay, guests = some_wish(random, now.date())
        if random.random() < 0.4:
            near = availability.explain(listing=listing, stay=stay, guests=guests, now=now).nearest
            stay = random.choice(near) if near else stay
        why = availability.why(listing=listing, stay=stay, guests=guests, now=now)
        said = why[0].code if why else None
        offered, shown = quoted(listing, stay, guests, now), found(stay, guests, now)
        happened = tried(listing, stay, guests, now)

        case = (listing.pk, stay, guests, [refusal.code for refusal in why])
        assert happened == said, case
        assert offered == said, case
        assert (shown is not None and listing.pk in shown) == (said is None), case
        outcomes[happened] += 1
    assert outcomes[None] >= 25
    assert len(outcomes) >= 8
    assert Booking.objects.count() == outcomes[None]


@pytest.mark.parametrize("seed", range(3))
def test_nearest_can_be_booked_and_nothing_nearer_could(seed: int) -> None:
    random = Random(100 + seed)
    listings = [some_listing(random, NOW) for _ in range(30)]
    suggested = 0

    for listing in listings:
        stay, guests = some_wish(random, NOW.date())
        answer = availability.explain(listing=listing, stay=stay, guests=guests, now=NOW)
        free = [
            moved
            for step in range(-14, 15)
            if (moved := Stay(stay.check_in + timedelta(days=step), stay.check_out + timedelta(days=step)))
            and not availability.why(listing=listing, stay=moved, guests=guests, now=NOW)
        ]
        free.sort(
            key=lambda moved: (abs((moved.check_in - stay.check_in).days), moved.check_in < stay.check_in)
        )
        assert answer.nearest == (free[:3] if answer.why else [])
        suggested += len(answer.nearest)
        for near in answer.nearest:
            assert quoted(listing, near, guests, NOW) is None
    assert suggested >= 15


@pytest.mark.parametrize("seed", range(3))
def test_a_calendar_shows_a_night_as_open_exactly_where_nothing_stands_against_it(seed: int) -> None:
    random = Random(200 + seed)
    closing = {"check_in_past", "booking_window", "advance_notice", "dates_unavailable"}
    open_nights = closed_nights = 0

    for listing in [some_listing(random, NOW) for _ in range(8)]:
        first = NOW.date() - timedelta(days=2)
        for night in calendar.read(listing=listing, start=first, end=first + timedelta(days=45), now=NOW):
            why = availability.why(
                listing=listing, stay=Stay(night.date, night.date + timedelta(days=1)), guests=1, now=NOW
            )
            codes = {refusal.code for refusal in why}
            if night.reason == "preparation":
                assert "preparation" in codes
            else:
                assert night.available == (not codes & closing), (listing.pk, night, codes)
            rules = {"min_nights": night.min_nights > 1, "closed_to_arrival": night.closed_to_arrival}
            assert {code: code in codes for code in rules} == rules
            open_nights, closed_nights = open_nights + night.available, closed_nights + (not night.available)
    assert open_nights > 50
    assert closed_nights > 50
