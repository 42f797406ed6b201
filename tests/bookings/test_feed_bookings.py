"""Bookings of places that import other calendars: asked again before a stay is sold, and not sold at once on old news."""

from __future__ import annotations

from datetime import timedelta

import pytest

from backend.availability import feeds
from backend.availability.models import Block, CalendarFeed, Decision, FeedConflict
from backend.availability.services import DatesUnavailable
from backend.bookings import feed_conflicts
from backend.bookings.models import Booking
from backend.core.errors import NotAllowed, NotFound, WrongState
from tests.availability.calendars import calendar, taken
from tests.bookings.making import STAY, book, confirmed
from tests.factories import NOW, make_listing, make_user
from tests.far_end import far_end
from tests.racing import race

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def end(settings):
    settings.ALLOW_LOOPBACK_FETCH = True
    with far_end() as server:
        server.serve(calendar())
        yield server


def importing(end, **fields):
    listing = make_listing(**fields)
    feeds.add(actor=listing.host, listing=listing, name="Far", url=end.url, now=NOW)
    return listing


def sold_elsewhere(end) -> None:
    end.serve(calendar(taken(STAY.check_in, STAY.check_out)))


def test_create_asks_a_feed_again_that_is_older_than_five_minutes(end):
    listing = importing(end)
    sold_elsewhere(end)

    with pytest.raises(DatesUnavailable):
        book(listing, now=NOW + timedelta(minutes=6))

    assert (Booking.objects.count(), len(end.requests)) == (0, 2)


def test_create_trusts_a_feed_that_has_just_answered(end):
    listing = importing(end)
    sold_elsewhere(end)

    booking = book(listing, now=NOW + timedelta(minutes=4))

    assert (booking.pending_reason, len(end.requests)) == ("payment", 1)


def test_create_goes_on_when_a_feed_fails_and_is_not_yet_out_of_date(end):
    listing = importing(end)
    end.fail()

    booking = book(listing, now=NOW + timedelta(hours=5))

    assert booking.pending_reason == "payment"


def test_create_asks_the_host_while_a_feed_is_out_of_date(end):
    listing = importing(end)
    end.fail()

    late = NOW + timedelta(hours=6, minutes=1)
    asked = book(listing, now=late)
    end.serve(calendar())
    later = late + timedelta(minutes=1)
    at_once = book(listing, now=later, stay=type(STAY)(STAY.check_out, STAY.check_out + timedelta(days=2)))

    assert (asked.pending_reason, at_once.pending_reason) == ("host", "payment")
    assert CalendarFeed.objects.get().status == "ok"


def test_create_and_poll_at_once_give_the_nights_to_one(end):
    for _ in range(5):
        listing = importing(end)
        feed = CalendarFeed.objects.get(listing=listing)
        sold_elsewhere(end)
        guests = [make_user() for _ in range(3)]

        results = race(
            lambda feed=feed: feeds.poll(feed_id=feed.pk, now=NOW),
            *(lambda listing=listing, guest=guest: book(listing, guest) for guest in guests),
        )

        won = [each for each in results[1:] if isinstance(each, Booking)]
        assert [type(each) for each in results[1:] if not isinstance(each, Booking)] == [DatesUnavailable] * (
            3 - len(won)
        )
        closed = Block.objects.filter(listing=listing, active=True)
        assert [row.reason for row in closed] == (["hold"] if won else ["feed"])
        assert FeedConflict.objects.filter(event__feed=feed, closed_at=None).count() == len(won)
        end.serve(calendar())


def conflict_of(end):
    listing = make_listing()
    booking = confirmed(listing)
    sold_elsewhere(end)
    feed = feeds.add(actor=listing.host, listing=listing, name="Far", url=end.url, now=NOW)
    return listing, booking, feed, FeedConflict.objects.get()


def decide(listing, feed, conflict, decision, actor=None):
    return feed_conflicts.decide(
        actor=actor or listing.host,
        listing=listing,
        feed_id=feed.pk,
        conflict_id=conflict.pk,
        decision=decision,
        now=NOW,
    )


def test_decide_is_for_the_host_of_the_place_alone(end):
    listing, booking, feed, conflict = conflict_of(end)
    other = make_listing()

    with pytest.raises(NotAllowed):
        decide(listing, feed, conflict, Decision.CANCEL, actor=booking.guest)
    with pytest.raises(NotFound):
        decide(other, feed, conflict, Decision.CANCEL)

    booking.refresh_from_db()
    conflict.refresh_from_db()
    assert (booking.status, conflict.decision) == ("confirmed", "")


def test_decide_cancel_gives_everything_back_and_the_nights_stay_closed(end):
    listing, booking, feed, conflict = conflict_of(end)

    decided = decide(listing, feed, conflict, Decision.CANCEL)

    booking.refresh_from_db()
    assert (decided.decision, decided.decided_by, decided.decided_at) == ("cancel", listing.host, NOW)
    assert (booking.status, booking.canceled_by, booking.refund_minor) == (
        "canceled",
        "host",
        booking.total_minor,
    )
    with pytest.raises(DatesUnavailable):
        book(listing)
    with pytest.raises(WrongState):
        decide(listing, feed, conflict, Decision.KEEP)


def test_decide_about_a_stay_that_was_canceled_meanwhile_is_too_late(end):
    from backend.bookings import services as bookings

    listing, booking, feed, conflict = conflict_of(end)
    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=NOW)

    with pytest.raises(WrongState):
        decide(listing, feed, conflict, Decision.CANCEL)

    feeds.poll(feed_id=feed.pk, now=NOW)
    assert [row.reason for row in Block.objects.filter(listing=listing, active=True)] == ["feed"]
