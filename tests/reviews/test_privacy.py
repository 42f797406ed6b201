"""What stays of reviews when somebody leaves, and what people take along."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError

from backend.accounts.models import User
from backend.privacy import cleaning, erasure, export
from backend.reviews import services as reviews
from backend.reviews.models import Review
from tests.bookings.making import wrong_books
from tests.factories import NOW, make_listing, make_user
from tests.reviews.making import review, stayed

pytestmark = pytest.mark.usefixtures("db")

AFTER = NOW + timedelta(days=200)


def taken_along(user: User) -> dict[str, list[dict[str, Any]]]:
    """The parts of an export about reviews."""
    parts = {}
    for section, rows in export.export(actor=user, user=user, now=AFTER):
        if section.name.startswith("reviews_"):
            parts[section.name] = list(rows)
    return parts


def erase(user: User) -> None:
    admin = make_user("admin", is_staff=True)
    erasure.erase(actor=admin, user=user, reason="Asked for it", now=AFTER)
    assert cleaning.resume(now=AFTER)["left"] == 0


def test_guest_who_leaves_leaves_the_review_without_name_note_and_appeal() -> None:
    listing = make_listing()
    booking = stayed(listing)
    made = review(booking, rating=2, private_note="ZEBRANOTE", subratings={"value": 1})
    review(booking, booking.host, private_note="NOTE-OF-HOST")
    judge = make_user("moderator", is_staff=True)
    reviews.hide(actor=judge, review_id=made.pk, reason="Why", now=AFTER)
    reviews.appeal(actor=booking.guest, review_id=made.pk, text="ZEBRAAPPEAL", now=AFTER)
    reviews.unhide(actor=judge, review_id=made.pk, reason="Right", now=AFTER)

    erase(booking.guest)

    made.refresh_from_db()
    assert (made.comment, made.rating, made.value) == ("We would come again.", 2, 1)
    assert (made.private_note, made.appeal, made.status) == ("", "", "published")
    assert Review.objects.get(about="guest").private_note == "NOTE-OF-HOST"
    assert made.author.first_name == f"Erased user {booking.guest_id}"
    assert wrong_books() == {}


def test_sealed_review_of_somebody_who_left_is_published_in_time() -> None:
    booking = stayed()
    made = review(booking, rating=3)

    erase(booking.guest)
    reviews.publish_due(now=AFTER)

    made.refresh_from_db()
    assert made.status == "published"


def test_nobody_who_left_reviews_any_more() -> None:
    booking = stayed()
    erase(booking.guest)

    with pytest.raises(IntegrityError, match="was erased"):
        review(booking)

    assert not Review.objects.exists()


def test_export_holds_what_one_wrote_and_what_one_may_read() -> None:
    booking = stayed()
    review(booking, private_note="The tap drips", comment="Bright")
    assert [row["comment"] for row in taken_along(booking.guest)["reviews_written"]] == ["Bright"]
    # What is sealed is its author's, also here.
    assert taken_along(booking.host) == {
        "reviews_written": [],
        "reviews_received": [],
        "reviews_answered": [],
    }

    review(booking, booking.host, comment="Neat")
    made = Review.objects.get(about="property")
    reviews.respond(actor=booking.host, review_id=made.pk, comment="Come again", now=AFTER)

    hosts = taken_along(booking.host)
    assert [(row["about"], row["private_note"]) for row in hosts["reviews_received"]] == [
        ("property", "The tap drips")
    ]
    assert [row["comment"] for row in hosts["reviews_written"]] == ["Neat"]
    assert [row["response"] for row in hosts["reviews_answered"]] == ["Come again"]
