"""What reviews come to: equal to their rows whatever happens, in whatever order and at the same moment."""

from __future__ import annotations

import random
from datetime import date, timedelta
from decimal import Decimal
from io import StringIO
from threading import Barrier
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from backend.bookings.models import Booking
from backend.core.stay import Stay
from backend.listings import figures, ratings
from backend.listings.models import Listing
from backend.reviews import scores
from backend.reviews import services as reviews
from backend.reviews.models import PROPERTY, Review, ReviewWindow
from backend.search.find import every
from backend.search.models import SearchRow
from backend.search.query import SearchQuery
from tests.bookings.making import wrong_books
from tests.damage import plant
from tests.factories import NOW, make_listing, make_user
from tests.racing import race
from tests.reviews.making import published, review, stayed

COUNTS = st.integers(0, 5000)
RATINGS = st.none() | st.decimals(1, 5, places=2)
FIRST = date(2027, 5, 3)
LATER = NOW + timedelta(days=400)


def weeks(number: int) -> Stay:
    first = FIRST + timedelta(days=7 * number)
    return Stay(first, first + timedelta(days=2))


def figures_of(listing: Listing) -> tuple[Decimal | None, int, int, int]:
    listing.refresh_from_db()
    return listing.rating, listing.review_count, listing.own_stars, listing.own_review_count


def by_hand(listing: Listing) -> tuple[Decimal | None, int]:
    """Worked out another way: every star in a list, imported ones as often as they were counted."""
    stars = [Decimal(row.rating) for row in Review.objects.of_property(listing.pk)]
    imported = listing.imported_review_count if listing.imported_rating is not None else 0
    stars += [listing.imported_rating or Decimal(0)] * imported
    if not stars:
        return listing.imported_rating, listing.imported_review_count
    hundredths = int(sum(stars) * 100 / len(stars))
    return Decimal(hundredths) / 100, listing.own_review_count + listing.imported_review_count


@given(RATINGS, COUNTS, st.lists(st.integers(1, 5), max_size=60))
def test_parts_come_to_a_mean_that_never_exceeds_the_truth(
    imported: Decimal | None, count: int, own: list[int]
) -> None:
    rating, reviews_ = ratings.of_parts(imported, count, sum(own), len(own))

    assert reviews_ == count + len(own)
    rated = len(own) + (count if imported is not None else 0)
    if not rated:
        assert rating == imported
        return
    assert rating is not None
    mean = (sum(own) + (imported or 0) * count) / Decimal(rated)
    assert rating <= mean + Decimal("1e-20")
    assert mean - rating < Decimal("0.01") + Decimal("1e-20")
    assert 1 <= rating <= 5


@pytest.mark.parametrize(
    ("parts", "rating", "count"),
    [
        ((None, 0, 0, 0), None, 0),
        ((Decimal("4.83"), 12, 0, 0), "4.83", 12),
        ((Decimal("4.83"), 0, 0, 0), "4.83", 0),
        ((None, 7, 0, 0), None, 7),
        ((None, 7, 9, 2), "4.50", 9),
        ((Decimal("4.00"), 1, 1, 1), "2.50", 2),
        ((None, 0, 14, 3), "4.66", 3),
        ((None, 0, 24, 5), "4.80", 5),
        ((Decimal("5.00"), 3, 19, 4), "4.85", 7),
    ],
)
def test_parts_of_a_rating(parts: Any, rating: str | None, count: int) -> None:
    assert ratings.of_parts(*parts) == (None if rating is None else Decimal(rating), count)


@pytest.mark.usefixtures("db")
def test_random_operations_leave_what_the_rows_come_to() -> None:
    chance, judge = random.Random(7), make_user("moderator", is_staff=True)
    listings = [make_listing(), make_listing(rating="4.37", review_count=3), make_listing(review_count=4)]
    stays = [stayed(listing, stay=weeks(number)) for listing in listings for number in range(6)]
    seen: set[str] = set()
    for _ in range(160):
        booking = chance.choice(stays)
        made = Review.objects.filter(booking=booking, about=PROPERTY).first()
        act = chance.choice(["guest", "host", "close", "hide", "unhide", "edit"])
        if act == "guest" and made is None and not _is_closed(booking):
            review(booking, rating=chance.randint(1, 5))
        elif act == "host" and not booking.reviews.filter(about="guest").exists() and not _is_closed(booking):
            review(booking, booking.host, chance.randint(1, 5))
        elif act == "close" and chance.random() < 0.2:
            reviews.publish_due(now=booking.check_out_at + timedelta(days=14))
        elif act == "hide" and made is not None and made.status == "published":
            reviews.hide(actor=judge, review_id=made.pk, reason="Why", now=LATER)
        elif act == "unhide" and made is not None and made.status == "hidden":
            reviews.unhide(actor=judge, review_id=made.pk, reason="Why not", now=LATER)
        elif act == "edit" and made is not None and made.status == "sealed":
            reviews.edit(
                actor=booking.guest,
                review_id=made.pk,
                changes={"rating": chance.randint(1, 5)},
                now=booking.check_out_at,
            )
        seen |= set(Review.objects.values_list("status", flat=True))
        booking.listing.refresh_from_db()
        assert (booking.listing.rating, booking.listing.review_count) == by_hand(booking.listing)

    assert seen == {"sealed", "published", "hidden"}
    assert scores.differences() == []
    assert wrong_books() == {}
    for row in SearchRow.objects.all():
        listing = Listing.objects.get(pk=row.listing_id)
        assert (row.rating, row.reviews) == (int((listing.rating or 0) * 100), listing.review_count)


def _is_closed(booking: Booking) -> bool:
    return ReviewWindow.objects.filter(booking=booking).exclude(closed_at=None).exists()


@pytest.mark.usefixtures("db")
def test_twenty_at_once_leave_what_the_rows_come_to() -> None:
    """Ten stays are published while ten published reviews of the same place are hidden."""
    listing, judge = make_listing(rating="4.50", review_count=2), make_user("moderator", is_staff=True)
    shown = [published(listing, 1, stay=weeks(number)) for number in range(10)]
    waiting = [stayed(listing, stay=weeks(number)) for number in range(10, 20)]
    for booking in waiting:
        review(booking, rating=5)
    assert figures_of(listing)[1:] == (12, 10, 10)

    done = race(
        *[lambda booking=booking: review(booking, booking.host) for booking in waiting],
        *[
            lambda made=made: reviews.hide(actor=judge, review_id=made.pk, reason="Why", now=LATER)
            for made in shown
        ],
    )

    assert [type(each) for each in done] == [Review] * 20
    assert figures_of(listing) == (Decimal("4.91"), 12, 50, 10)
    assert scores.differences() == []
    assert wrong_books() == {}


@pytest.mark.usefixtures("db")
def test_adding_to_a_number_read_before_would_lose_reviews() -> None:
    """The control: without the lock, five who add one to what they have read leave one."""
    listing, barrier = make_listing(), Barrier(5)

    def unguarded() -> None:
        count = Listing.objects.get(pk=listing.pk).own_review_count
        barrier.wait(20)
        Listing.objects.filter(pk=listing.pk).update(own_review_count=count + 1)

    race(*[unguarded] * 5)

    assert figures_of(listing)[3] == 1


@pytest.mark.usefixtures("db")
def test_damage_is_found_and_mended() -> None:
    listing = make_listing()
    published(listing, 4)
    plant("UPDATE properties SET rating = 5, own_stars = 9")
    # The search row followed what it was told; triggers rested.
    assert set(wrong_books()) == {"ratings_are_what_reviews_come_to", "search_rows_follow_listings"}
    with pytest.raises(CommandError, match="1 ratings are not"):
        call_command("rebuild_ratings", "--verify", stdout=StringIO(), stderr=StringIO())
    said = StringIO()

    call_command("rebuild_ratings", stdout=said)

    assert said.getvalue() == "1 ratings mended\nevery rating is what its reviews come to\n"
    assert figures_of(listing) == (Decimal(4), 1, 4, 1)
    assert wrong_books() == {}


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize(
    ("statement", "check"),
    [
        ("UPDATE reviews SET status = 'sealed', published_at = NULL WHERE about = 'guest'", "reviews_are_published_together"),
        ("UPDATE reviews SET subject_id = author_id", "reviews_are_of_stays"),
        ("UPDATE bookings SET status = 'declined'", "reviews_are_of_stays"),
        ("DELETE FROM review_windows", "ended_stays_can_be_reviewed"),
        ("UPDATE review_windows SET closed_at = NULL, closes_at = '2020-01-01', invited_at = '2020-01-01'", "seals_are_broken_in_time"),
        ("UPDATE properties SET own_review_count = 3", "ratings_are_what_reviews_come_to"),
    ],
)  # fmt: skip
def test_each_invariant_sees_its_damage(statement: str, check: str) -> None:
    published(make_listing(), 4)
    assert wrong_books() == {}

    plant(statement)

    assert check in wrong_books()


@pytest.mark.usefixtures("db")
def test_a_host_is_rated_exactly_by_all_reviews() -> None:
    host = make_user()
    ratings_ = [(Decimal("4.00"), 2, 29, 6), (None, 5, 43, 9)]
    for imported, count, stars, own in ratings_:
        listing = make_listing(host, imported_rating=imported, imported_review_count=count)
        listing.own_stars, listing.own_review_count = stars, own
        ratings.settle(listing)
        listing.save()

    # 80 stars of 17 rated reviews; the ratings of the places alone (4.62, 4.77) would say 4.69.
    assert figures.of_hosts([host.pk])[host.pk] == figures.HostFigures(2, Decimal("4.70"), 17)


@pytest.mark.usefixtures("db")
def test_summary_counts_stars_and_means_of_what_is_published() -> None:
    listing = make_listing(rating="5.00", review_count=2)
    for number, (rating, value) in enumerate(((5, 5), (4, None), (2, 2), (2, 3))):
        booking = stayed(listing, stay=weeks(number))
        review(booking, rating=rating, subratings={"value": value})
        if number < 3:
            review(booking, booking.host)
    listing.refresh_from_db()

    found = scores.summary(listing)

    assert (found.rating, found.review_count) == (Decimal("4.20"), 5)
    assert found.histogram == {1: 0, 2: 1, 3: 0, 4: 1, 5: 1}
    assert (found.means["value"], found.means["location"]) == (Decimal("3.50"), None)


def score(rating: float | None, reviews_: int, superhost: bool = False, instant: bool = False) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT search_score(%s::numeric, %s, %s, %s)", [rating, reviews_, superhost, instant])
        return int(cursor.fetchone()[0])


@pytest.mark.usefixtures("db")
def test_one_five_star_review_does_not_overtake_many_good_ones() -> None:
    assert score(5, 1) < score(4.8, 2) < score(4.8, 100)
    assert score(5, 1) < score(4.6, 30)
    assert score(1, 1) < score(None, 0) < score(5, 1)
    assert score(3, 50) < score(None, 0)


@pytest.mark.usefixtures("db")
def test_imported_reviews_without_a_rating_say_nothing_in_the_search() -> None:
    unrated, none, known = (
        make_listing(review_count=50),
        make_listing(),
        make_listing(rating="4.8", review_count=50),
    )
    scores_ = dict(SearchRow.objects.values_list("listing_id", "score"))
    assert scores_[unrated.pk] == scores_[none.pk] < scores_[known.pk]

    published(unrated, 5)

    row = SearchRow.objects.get(pk=unrated.pk)
    assert (row.rating, row.reviews, row.score) == (500, 51, score(5, 1, instant=True))
    assert wrong_books() == {}


@pytest.mark.usefixtures("db")
def test_published_review_moves_the_place_in_the_search_at_once() -> None:
    known, new = make_listing(rating="4.80", review_count=40), make_listing()
    assert every(SearchQuery(ordering="recommended"), NOW) == [known.pk, new.pk]

    published(new, 5)

    assert every(SearchQuery(ordering="recommended"), NOW) == [known.pk, new.pk]
    assert every(SearchQuery(ordering="rating"), NOW) == [new.pk, known.pk]
    assert every(SearchQuery(rating_min=Decimal("4.9")), NOW) == [new.pk]
