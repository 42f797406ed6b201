"""When a stay may be reviewed, to the second on the clock of the place, and what the sweeps do about it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from backend.bookings import services as bookings
from backend.core import platform
from backend.core.stay import Stay
from backend.jobs import sweeps
from backend.notifications.models import Notification
from backend.reviews import services as reviews
from backend.reviews import windows
from backend.reviews.models import Review, ReviewWindow
from backend.reviews.services import AlreadyReviewed, NotCompleted, WindowClosed
from tests.bookings.making import confirmed, wrong_books
from tests.factories import NOW, make_listing
from tests.reviews.making import SECOND, review, stayed

pytestmark = pytest.mark.usefixtures("db")


def told(kind: str) -> list[int]:
    return list(Notification.objects.filter(kind=kind).order_by("user_id").values_list("user_id", flat=True))


@pytest.mark.parametrize(
    ("ended", "zone", "closes"),
    [
        ("2027-05-07T10:00:00", "Europe/Lisbon", "2027-05-21T10:00:00"),
        # The clocks go forward on 28 March: the window is an hour shorter; back on 31 October: longer.
        ("2027-03-20T11:00:00", "Europe/Lisbon", "2027-04-03T10:00:00"),
        ("2027-10-25T10:00:00", "Europe/Lisbon", "2027-11-08T11:00:00"),
        ("2027-05-07T08:00:00", "Africa/Nairobi", "2027-05-21T08:00:00"),
        # Late in the evening far in the west it is the next day in UTC already.
        ("2027-05-08T02:30:15", "America/Los_Angeles", "2027-05-22T02:30:15"),
        # 02:30 does not exist on the day that the clocks go forward in New York; 01:30 comes twice when they go back.
        ("2027-02-28T07:30:00", "America/New_York", "2027-03-14T07:30:00"),
        ("2027-10-24T05:30:00", "America/New_York", "2027-11-07T05:30:00"),
    ],
)
def test_window_ends_fourteen_days_later_on_the_clock_of_the_place(
    ended: str, zone: str, closes: str
) -> None:
    at = datetime.fromisoformat(ended).replace(tzinfo=UTC)

    assert windows.closes_at(at, zone) == datetime.fromisoformat(closes).replace(tzinfo=UTC)


def test_stay_may_be_reviewed_from_its_completion_to_the_last_second() -> None:
    booking = confirmed(make_listing())
    with pytest.raises(NotCompleted):
        review(booking, now=booking.check_out_at - SECOND)
    # The check-out has passed and the sweep has not come yet: the state decides.
    with pytest.raises(NotCompleted):
        review(booking, now=booking.check_out_at)
    assert not Review.objects.exists()
    bookings.complete(now=booking.check_out_at)
    closes = windows.closes_at(booking.check_out_at, "Europe/Lisbon")

    with pytest.raises(WindowClosed):
        review(booking, now=closes)
    assert not Review.objects.exists()
    made = review(booking, now=closes - SECOND)

    assert (made.status, ReviewWindow.objects.get().closes_at) == ("sealed", closes)


def test_window_of_a_stay_over_a_change_of_clocks() -> None:
    listing = make_listing()
    stay = Stay(date(2027, 3, 17), date(2027, 3, 20))
    booking = stayed(listing, stay=stay)
    last = datetime(2027, 4, 3, 9, 59, 59, tzinfo=UTC)
    assert booking.check_out_at == datetime(2027, 3, 20, 11, tzinfo=UTC)

    review(booking, now=last)
    with pytest.raises(WindowClosed):
        review(booking, booking.host, now=last + SECOND)

    assert reviews.publish_due(now=last) == {"closed": 0, "left": 0}
    assert reviews.publish_due(now=last + SECOND) == {"closed": 1, "left": 0}
    assert Review.objects.get().published_at == last + SECOND


@pytest.mark.parametrize("by", ["guest", "host"])
def test_canceled_before_check_in_is_no_stay(by: str) -> None:
    booking = confirmed(make_listing())
    actor = booking.guest if by == "guest" else booking.host
    at = booking.check_in_at - SECOND
    bookings.cancel(actor=actor, booking_id=booking.pk, now=at)

    for side in (booking.guest, booking.host):
        with pytest.raises(NotCompleted):
            review(booking, side, now=at)

    assert not ReviewWindow.objects.exists()
    assert not Review.objects.exists()


@pytest.mark.parametrize("by", ["guest", "host"])
def test_stay_cut_short_may_be_reviewed(by: str) -> None:
    booking = confirmed(make_listing())
    actor = booking.guest if by == "guest" else booking.host
    at = booking.check_in_at + timedelta(hours=30)
    bookings.cancel(actor=actor, booking_id=booking.pk, now=at)

    review(booking, now=at + SECOND)

    assert ReviewWindow.objects.get().closes_at == at + timedelta(days=14)
    assert wrong_books() == {}


def test_sweep_closes_the_window_and_publishes_what_one_side_has_written() -> None:
    booking = stayed()
    review(booking, rating=4)
    closes = windows.closes_at(booking.check_out_at, "Europe/Lisbon")

    assert reviews.publish_due(now=closes - SECOND) == {"closed": 0, "left": 0}
    assert Review.objects.get().status == "sealed"
    assert reviews.publish_due(now=closes) == {"closed": 1, "left": 0}
    assert reviews.publish_due(now=closes) == {"closed": 0, "left": 0}

    made = Review.objects.get()
    booking.listing.refresh_from_db()
    assert (made.status, made.published_at, made.version) == ("published", closes, 2)
    assert (booking.listing.rating, booking.listing.review_count) == (4, 1)
    assert told("review.published") == [booking.host_id]
    # The real clock may stand before the one that the sweep used: what it has closed stays closed.
    with pytest.raises(WindowClosed):
        review(booking, booking.host)
    with pytest.raises(AlreadyReviewed):
        review(booking)
    assert wrong_books() == {}


def test_window_without_reviews_closes_silently() -> None:
    booking = stayed()
    reviews.invite_due(now=booking.check_out_at)

    assert reviews.publish_due(now=booking.check_out_at + timedelta(days=14))["closed"] == 1

    assert told("review.published") == []
    with pytest.raises(WindowClosed):
        review(booking)


def test_who_has_not_written_is_told_that_the_other_side_has() -> None:
    booking = stayed()

    review(booking)
    assert told("review.received") == [booking.host_id]

    review(booking, booking.host)
    assert told("review.received") == [booking.host_id]
    assert told("review.published") == sorted([booking.guest_id, booking.host_id])


def test_both_sides_are_invited_once_and_reminded_once() -> None:
    booking = stayed()
    out = booking.check_out_at
    both = sorted([booking.guest_id, booking.host_id])

    assert reviews.invite_due(now=out) == {"invited": 1, "left": 0}
    assert reviews.invite_due(now=out) == {"invited": 0, "left": 0}
    assert told("review.invited") == both
    assert reviews.remind_due(now=out + timedelta(days=12) - SECOND) == {"reminded": 0, "left": 0}
    assert reviews.remind_due(now=out + timedelta(days=12)) == {"reminded": 1, "left": 0}
    assert reviews.remind_due(now=out + timedelta(days=13)) == {"reminded": 0, "left": 0}

    assert told("review.reminder") == both
    notice = Notification.objects.filter(kind="review.reminder").first()
    assert notice is not None
    assert notice.params["until"] == "2027-05-21"
    assert notice.data == {"booking_id": booking.pk, "property_id": booking.listing_id}


def test_who_has_written_is_neither_invited_nor_reminded() -> None:
    booking = stayed()
    review(booking)

    reviews.invite_due(now=booking.check_out_at + SECOND)
    reviews.remind_due(now=booking.check_out_at + timedelta(days=12))

    assert told("review.invited") == [booking.host_id]
    assert told("review.reminder") == [booking.host_id]


def test_reminder_follows_its_setting() -> None:
    booking = stayed()
    out = booking.check_out_at
    reviews.invite_due(now=out)
    platform.put("review_reminder_days", 0)
    assert reviews.remind_due(now=out + timedelta(days=13)) == {"reminded": 0, "left": 0}

    platform.put("review_reminder_days", 5)

    assert reviews.remind_due(now=out + timedelta(days=9))["reminded"] == 1


def test_late_invitation_comes_without_a_reminder() -> None:
    booking = stayed()
    late = booking.check_out_at + timedelta(days=13)

    reviews.invite_due(now=late)
    reviews.remind_due(now=late)

    assert len(told("review.invited")) == 2
    assert told("review.reminder") == []


def test_run_due_completes_invites_and_publishes_in_its_rounds() -> None:
    booking = confirmed(make_listing())
    late = booking.check_out_at + timedelta(days=30)

    # Completed a month too late: nobody is invited any more, and until the next round who comes by themselves may write.
    first = sweeps.run_due(now=late)
    assert (first["complete_stays"]["completed"], first["publish_reviews"]["closed"]) == (1, 0)
    assert told("review.invited") == []
    review(booking, now=NOW)
    second = sweeps.run_due(now=late)

    assert second["publish_reviews"] == {"closed": 1, "left": 0}
    assert Review.objects.get().status == "published"
    assert [name for name, done in second.items() if "error" in done] == []


def test_stay_that_ends_opens_its_window_by_itself() -> None:
    booking = confirmed(make_listing())
    assert not ReviewWindow.objects.exists()

    bookings.complete(now=booking.check_out_at)

    window = ReviewWindow.objects.get()
    assert (window.booking_id, window.closes_at, window.closed_at) == (booking.pk, None, None)
