"""Writing, changing and answering reviews, and what is decided about them."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from backend.accounts.models import User
from backend.audit.models import AuditEntry
from backend.core.access import SYSTEM
from backend.core.errors import DomainError, Invalid, NotAllowed, NotFound, Stale, WrongState
from backend.listings import cohosts
from backend.notifications.models import Notification
from backend.reviews import scores
from backend.reviews import services as reviews
from backend.reviews.models import SUBRATINGS, Review
from backend.reviews.services import AlreadyAppealed, AlreadyResponded, AlreadyReviewed, WindowClosed
from tests.bookings.making import wrong_books
from tests.factories import NOW, make_listing, make_user
from tests.racing import race
from tests.reviews.making import SECOND, published, review, stayed

pytestmark = pytest.mark.usefixtures("db")

LATER = NOW + timedelta(days=70)


def rows() -> list[dict[str, Any]]:
    return list(Review.objects.order_by("pk").values())


def notices() -> list[tuple[int, str]]:
    found = Notification.objects.filter(kind__startswith="review.").order_by("pk")
    return list(found.values_list("user_id", "kind"))


def refused(error: type[DomainError], operation: Any, **arguments: Any) -> None:
    before, told = rows(), notices()
    with pytest.raises(error):
        operation(now=LATER, **arguments)
    assert (rows(), notices()) == (before, told)


def moderator() -> User:
    return make_user("moderator", is_staff=True)


def test_submit_seals_what_the_guest_says_of_the_place() -> None:
    booking = stayed()
    stars = dict(zip(SUBRATINGS, (5, 4, 3, 2, 1, None), strict=True))

    made = review(booking, rating=4, subratings=stars, private_note="The tap drips.", comment=" Bright. ")

    made.refresh_from_db()
    assert (made.about, made.author, made.subject, made.listing) == (
        "property",
        booking.guest,
        booking.host,
        booking.listing,
    )
    assert (made.rating, made.comment, made.private_note) == (4, "Bright.", "The tap drips.")
    assert {name: getattr(made, name) for name in SUBRATINGS} == stars
    assert (made.status, made.published_at, made.response, made.hidden_at) == ("sealed", None, "", None)
    assert notices() == [(booking.host_id, "review.received")]
    entry = AuditEntry.objects.get(action="review.submit")
    assert (entry.actor, entry.after, entry.before, entry.reason) == (
        booking.guest,
        {"about": "property"},
        {},
        "",
    )
    booking.listing.refresh_from_db()
    assert (booking.listing.rating, booking.listing.review_count) == (None, 0)


def test_second_review_publishes_both_at_once() -> None:
    booking = stayed()
    first = review(booking, rating=3)
    at = booking.check_out_at + timedelta(days=2)

    second = review(booking, booking.host, 5, now=at)

    first.refresh_from_db()
    assert (second.about, second.author, second.subject) == ("guest", booking.host, booking.guest)
    assert [(row["status"], row["published_at"]) for row in rows()] == [("published", at)] * 2
    assert notices() == [
        (booking.host_id, "review.received"),
        (booking.host_id, "review.published"),
        (booking.guest_id, "review.published"),
    ]
    booking.listing.refresh_from_db()
    assert (booking.listing.rating, booking.listing.review_count) == (3, 1)
    assert wrong_books() == {}


def test_reviews_one_a_side() -> None:
    booking = stayed()
    review(booking)
    refused(AlreadyReviewed, reviews.submit, actor=booking.guest, booking_id=booking.pk, given=_given())
    review(booking, booking.host)

    refused(AlreadyReviewed, reviews.submit, actor=booking.host, booking_id=booking.pk, given=_given())


def _given(**values: Any) -> reviews.Given:
    return reviews.Given(**{"rating": 5, "comment": "Fine", **values})


def test_nobody_else_reviews_a_stay() -> None:
    booking = stayed()
    support = make_user("support", is_staff=True)

    refused(NotFound, reviews.submit, actor=make_user(), booking_id=booking.pk, given=_given())
    refused(NotFound, reviews.submit, actor=booking.guest, booking_id=booking.pk + 1, given=_given())
    refused(NotAllowed, reviews.submit, actor=support, booking_id=booking.pk, given=_given())


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ({"rating": 0}, [("rating", "out_of_range")]),
        ({"rating": 6}, [("rating", "out_of_range")]),
        ({"rating": True}, [("rating", "out_of_range")]),
        ({"comment": " \n"}, [("comment", "required")]),
        ({"comment": "x" * 5001}, [("comment", "too_long")]),
        ({"private_note": "x" * 2001}, [("private_note", "too_long")]),
        ({"rating": 9, "subratings": {"value": 0}}, [("value", "out_of_range"), ("rating", "out_of_range")]),
    ],
)
def test_submit_refuses_what_makes_no_sense(values: dict[str, Any], fields: list[tuple[str, str]]) -> None:
    booking = stayed()

    with pytest.raises(Invalid) as refusal:
        reviews.submit(actor=booking.guest, booking_id=booking.pk, given=_given(**values), now=LATER)

    assert [(error.field, error.code) for error in refusal.value.errors] == fields
    assert rows() == []


def test_single_things_of_a_guest_are_rated_too_and_count_for_no_place() -> None:
    booking = stayed()

    review(booking, booking.host, subratings={"cleanliness": 2, "communication": 5})
    review(booking, subratings={"cleanliness": 5})

    about_guest = Review.objects.get(about="guest")
    assert (about_guest.cleanliness, about_guest.communication, about_guest.value) == (2, 5, None)
    found = scores.summary(booking.listing)
    assert found.means["cleanliness"] == 5


def test_cohost_with_the_grant_writes_and_answers_in_the_hosts_place() -> None:
    listing = make_listing()
    keeper, other = make_user(), make_user()
    for user, grant in ((keeper, "bookings"), (other, "calendar")):
        cohosts.add(actor=listing.host, listing=listing, user_id=user.pk, grants=[grant], now=NOW)
    booking = stayed(listing)
    made = review(booking)
    refused(NotFound, reviews.submit, actor=other, booking_id=booking.pk, given=_given())

    of_guest = review(booking, keeper)
    reviews.respond(actor=keeper, review_id=made.pk, comment="Thank you", now=LATER)

    assert (of_guest.author, of_guest.subject) == (keeper, booking.guest)
    refused(AlreadyReviewed, reviews.submit, actor=booking.host, booking_id=booking.pk, given=_given())
    entries = AuditEntry.objects.filter(actor=keeper).order_by("pk")
    assert list(entries.values_list("action", "in_stead_of_id")) == [
        ("review.submit", listing.host_id),
        ("review.respond", listing.host_id),
    ]
    assert sorted(user for user, kind in notices() if kind == "review.published") == sorted(
        [booking.guest_id, listing.host_id, keeper.pk]
    )


def test_edit_changes_what_is_sealed_and_says_what() -> None:
    booking = stayed()
    made = review(booking, subratings={"value": 2}, private_note="Hm")

    reviews.edit(
        actor=booking.guest,
        review_id=made.pk,
        changes={"rating": 2, "value": None, "private_note": "", "comment": "We would come again."},
        now=LATER,
        version=1,
    )

    made.refresh_from_db()
    assert (made.rating, made.value, made.private_note, made.version) == (2, None, "", 2)
    assert (made.status, made.updated_at) == ("sealed", LATER)
    entry = AuditEntry.objects.get(action="review.edit")
    assert entry.after == {"changed": ["rating", "value", "private_note"]}


def test_edit_is_for_its_side_while_it_is_sealed() -> None:
    booking = stayed()
    made = review(booking)
    change: dict[str, Any] = {"review_id": made.pk, "changes": {"rating": 1}}

    refused(NotFound, reviews.edit, actor=booking.host, **change)
    refused(NotFound, reviews.edit, actor=moderator(), **change)
    refused(Stale, reviews.edit, actor=booking.guest, version=2, **change)
    refused(Invalid, reviews.edit, actor=booking.guest, review_id=made.pk, changes={"rating": None})
    refused(Invalid, reviews.edit, actor=booking.guest, review_id=made.pk, changes={"comment": None})
    with pytest.raises(WindowClosed):
        reviews.edit(actor=booking.guest, now=booking.check_out_at + timedelta(days=14), **change)
    review(booking, booking.host)

    refused(WrongState, reviews.edit, actor=booking.guest, **change)
    refused(NotAllowed, reviews.edit, actor=booking.host, **change)
    assert wrong_books() == {}


def test_database_keeps_what_was_published_as_it_was() -> None:
    made = published(make_listing(), 4)
    Review.objects.filter(pk=made.pk).update(private_note="")

    for values in (
        {"rating": 5},
        {"value": 1},
        {"comment": "Bad"},
        {"private_note": "Psst"},
        {"published_at": LATER},
        {"author": made.subject_id},
        {"status": "sealed", "published_at": None},
        {"rating": 9},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            Review.objects.filter(pk=made.pk).update(**values)


def test_respond_once_on_the_side_of_the_host() -> None:
    listing = make_listing()
    made = published(listing, 4)
    of_guest = Review.objects.get(about="guest")
    answer: dict[str, Any] = {"review_id": made.pk, "comment": "Come again"}
    refused(NotAllowed, reviews.respond, actor=made.author, **answer)
    refused(NotAllowed, reviews.respond, actor=make_user(), **answer)
    refused(NotAllowed, reviews.respond, actor=of_guest.subject, review_id=of_guest.pk, comment="Thanks")
    refused(Invalid, reviews.respond, actor=listing.host, review_id=made.pk, comment=" ")

    reviews.respond(actor=listing.host, now=LATER, **answer)

    made.refresh_from_db()
    assert (made.response, made.responded_by, made.responded_at) == ("Come again", listing.host, LATER)
    assert notices()[-1] == (made.author_id, "review.response")
    refused(AlreadyResponded, reviews.respond, actor=listing.host, **answer)


def test_sealed_review_has_no_response() -> None:
    booking = stayed()
    made = review(booking)

    refused(NotFound, reviews.respond, actor=booking.host, review_id=made.pk, comment="But")


def test_hide_takes_a_review_out_of_sight_and_out_of_the_rating() -> None:
    listing, judge = make_listing(rating="4.00", review_count=1), moderator()
    made = published(listing, 1)
    listing.refresh_from_db()
    assert (listing.rating, listing.review_count) == (2.5, 2)
    refused(Invalid, reviews.hide, actor=judge, review_id=made.pk, reason=" ")
    refused(NotAllowed, reviews.hide, actor=listing.host, review_id=made.pk, reason="I do not like it")
    refused(
        NotAllowed, reviews.hide, actor=make_user("support", is_staff=True), review_id=made.pk, reason="Rude"
    )

    reviews.hide(actor=judge, review_id=made.pk, reason="It names a neighbour", now=LATER)

    made.refresh_from_db()
    listing.refresh_from_db()
    assert (made.status, made.hidden_at, made.hidden_reason) == ("hidden", LATER, "It names a neighbour")
    assert (listing.rating, listing.review_count) == (4, 1)
    assert notices()[-1] == (made.author_id, "review.hidden")
    entry = AuditEntry.objects.get(action="review.hide")
    assert (entry.actor, entry.reason) == (judge, "It names a neighbour")
    refused(WrongState, reviews.hide, actor=judge, review_id=made.pk, reason="Twice")
    refused(NotFound, reviews.respond, actor=listing.host, review_id=made.pk, comment="Ha")
    assert wrong_books() == {}


def test_nobody_judges_what_they_have_a_part_in() -> None:
    judge = moderator()
    made = published(make_listing(judge), 1)

    refused(NotAllowed, reviews.hide, actor=judge, review_id=made.pk, reason="Mine")
    reviews.hide(actor=SYSTEM, review_id=made.pk, reason="Reported by many", now=LATER)

    made.refresh_from_db()
    assert made.status == "hidden"


def test_sealed_reviews_are_not_hidden() -> None:
    made = review(stayed())

    refused(NotFound, reviews.hide, actor=moderator(), review_id=made.pk, reason="Early")
    with pytest.raises(NotFound):
        reviews.hide(actor=SYSTEM, review_id=made.pk, reason="Early", now=LATER)


def test_unhide_shows_it_as_it_was() -> None:
    listing, judge = make_listing(), moderator()
    made = published(listing, 2)
    was = made.published_at
    reviews.hide(actor=judge, review_id=made.pk, reason="Why", now=LATER)
    refused(NotAllowed, reviews.unhide, actor=made.author, review_id=made.pk, reason="Mine")

    reviews.unhide(actor=judge, review_id=made.pk, reason="A mistake", now=LATER + SECOND)

    made.refresh_from_db()
    listing.refresh_from_db()
    assert (made.status, made.published_at, made.hidden_at, made.hidden_reason) == (
        "published",
        was,
        None,
        "",
    )
    assert (listing.rating, listing.review_count) == (2, 1)
    assert notices()[-1] == (made.author_id, "review.restored")
    refused(WrongState, reviews.unhide, actor=judge, review_id=made.pk, reason="Again")


@pytest.mark.parametrize(("granted", "status", "count"), [(True, "published", 1), (False, "hidden", 0)])
def test_appeal_is_decided_once(granted: bool, status: str, count: int) -> None:
    listing, judge = make_listing(), moderator()
    made = published(listing, 2)
    refused(WrongState, reviews.appeal, actor=made.author, review_id=made.pk, text="Why not")
    reviews.hide(actor=judge, review_id=made.pk, reason="Why", now=LATER)
    refused(
        WrongState, reviews.decide_appeal, actor=judge, review_id=made.pk, granted=True, reason="No appeal"
    )
    refused(NotFound, reviews.appeal, actor=listing.host, review_id=made.pk, text="For my guest")
    refused(Invalid, reviews.appeal, actor=made.author, review_id=made.pk, text=" ")

    reviews.appeal(actor=made.author, review_id=made.pk, text="I named nobody", now=LATER)
    refused(AlreadyAppealed, reviews.appeal, actor=made.author, review_id=made.pk, text="Really")
    refused(
        NotAllowed, reviews.decide_appeal, actor=made.author, review_id=made.pk, granted=True, reason="Mine"
    )
    reviews.decide_appeal(
        actor=judge, review_id=made.pk, granted=granted, reason="Looked at again", now=LATER + SECOND
    )

    made.refresh_from_db()
    listing.refresh_from_db()
    assert (made.status, listing.review_count) == (status, count)
    assert (made.appeal, made.appeal_outcome, made.appeal_reason) == (
        "I named nobody",
        "granted" if granted else "upheld",
        "Looked at again",
    )
    assert notices()[-1] == (made.author_id, "review.appeal_decided")
    refused(WrongState, reviews.decide_appeal, actor=judge, review_id=made.pk, granted=True, reason="Again")
    assert wrong_books() == {}


def test_showing_a_review_again_decides_its_appeal_and_hiding_it_again_gives_another() -> None:
    listing, judge = make_listing(), moderator()
    made = published(listing, 2)
    reviews.hide(actor=judge, review_id=made.pk, reason="Why", now=LATER)
    reviews.appeal(actor=made.author, review_id=made.pk, text="I named nobody", now=LATER)
    reviews.unhide(actor=judge, review_id=made.pk, reason="Right", now=LATER + SECOND)
    made.refresh_from_db()
    assert (made.appeal_outcome, notices()[-1]) == ("granted", (made.author_id, "review.appeal_decided"))

    reviews.hide(actor=judge, review_id=made.pk, reason="And yet", now=LATER + 2 * SECOND)
    reviews.appeal(actor=made.author, review_id=made.pk, text="Once more", now=LATER + 3 * SECOND)

    made.refresh_from_db()
    assert (made.appeal, made.appeal_outcome, made.status) == ("Once more", "", "hidden")


@pytest.mark.parametrize("number", range(5))
def test_both_sides_at_the_same_moment_publish_both(number: int) -> None:
    booking = stayed()

    made = race(lambda: review(booking), lambda: review(booking, booking.host))

    assert [type(each) for each in made] == [Review, Review]
    assert [row["status"] for row in rows()] == ["published", "published"]
    assert wrong_books() == {}


def test_one_side_ten_times_at_once_writes_one() -> None:
    booking = stayed()

    made = race(*[lambda: review(booking)] * 10)

    assert sorted(type(each).__name__ for each in made) == ["AlreadyReviewed"] * 9 + ["Review"]
    assert len(rows()) == 1


def test_edit_and_the_other_sides_review_at_once_never_change_what_is_published() -> None:
    booking = stayed()
    made = review(booking, rating=5)

    edited, _other = race(
        lambda: reviews.edit(actor=booking.guest, review_id=made.pk, changes={"rating": 1}, now=LATER),
        lambda: review(booking, booking.host),
    )

    made.refresh_from_db()
    assert (made.status, made.rating) == ("published", 5 if isinstance(edited, WrongState) else 1)
    booking.listing.refresh_from_db()
    assert booking.listing.rating == made.rating
    assert wrong_books() == {}


def test_without_the_lock_both_sides_could_stay_sealed() -> None:
    """The control: who only looks whether the other side is there sees nothing while both write."""
    booking, barrier = stayed(), threading.Barrier(2)

    def unguarded(by: User, about: str) -> int:
        with transaction.atomic():
            Review.objects.create(
                booking=booking,
                listing=booking.listing,
                about=about,
                author=by,
                subject=booking.host if by == booking.guest else booking.guest,
                rating=5,
                comment="Fine",
                created_at=LATER,
                updated_at=LATER,
            )
            barrier.wait(20)
            found = Review.objects.filter(booking=booking).count()
            # Whoever looks first must not be done before the other one looks.
            barrier.wait(20)
            return found

    seen = race(lambda: unguarded(booking.guest, "property"), lambda: unguarded(booking.host, "guest"))

    assert seen == [1, 1]
