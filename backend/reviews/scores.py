"""What reviews come to for a place: the figures on the listing, which searches read, and the summary beside a list.

The four parts of a listing's rating (``listings.ratings``) are worked out anew from the rows whenever a review of the
place is published, hidden or shown again, in the same transaction and under the listing's lock; nothing is added to or
taken from a number. ``rebuild`` does the same for all, and ``check_books`` proves that it would change nothing.
``scores.md`` says how a rating becomes a place in the search.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import connection, transaction
from django.db.models import Avg, Count, Q, Sum

from backend.core.db import lock, retrying
from backend.listings import ratings
from backend.listings.models import Listing
from backend.reviews.models import SUBRATINGS, Review

STARS = (1, 2, 3, 4, 5)

WRONG = """
    SELECT p.id AS listing, p.rating, p.review_count, p.own_stars, p.own_review_count,
        truth.stars AS stars_are, truth.reviews AS reviews_are
    FROM properties p
    LEFT JOIN (
        SELECT listing_id, sum(rating) AS stars, count(*) AS reviews FROM reviews
        WHERE about = 'property' AND status = 'published' GROUP BY listing_id
    ) AS given ON given.listing_id = p.id
    CROSS JOIN LATERAL (
        SELECT coalesce(given.stars, 0) AS stars, coalesce(given.reviews, 0) AS reviews
    ) AS truth
    CROSS JOIN LATERAL (
        SELECT truth.reviews + CASE WHEN p.imported_rating IS NULL THEN 0 ELSE p.imported_review_count END AS count,
            truth.stars + coalesce(p.imported_rating * p.imported_review_count, 0) AS points
    ) AS rated
    WHERE (p.own_stars, p.own_review_count, p.review_count, p.rating) IS DISTINCT FROM (
        truth.stars, truth.reviews, p.imported_review_count + truth.reviews,
        CASE WHEN rated.count = 0 THEN p.imported_rating ELSE trunc(rated.points / rated.count, 2) END)
"""
"""The listings whose figures are not what their rows come to. Said in SQL, apart from what writes them."""


@dataclass(frozen=True, slots=True)
class Summary:
    """Of a place: rating (1–5, cut to two decimals) and number of reviews with what was imported; how many of those given
    here have which stars; and the means of what was rated beside the whole, None where nobody did."""

    rating: Decimal | None
    review_count: int
    histogram: dict[int, int]
    means: dict[str, Decimal | None]


def settle(listing_id: int) -> None:
    """Work out the figures of a listing anew. Its lock is held by the caller."""
    own = Review.objects.of_property(listing_id).aggregate(stars=Sum("rating"), count=Count("pk"))
    listing = Listing.objects.only("imported_rating", "imported_review_count").get(pk=listing_id)
    listing.own_stars, listing.own_review_count = own["stars"] or 0, own["count"]
    ratings.settle(listing)
    listing.save(update_fields=["own_stars", "own_review_count", "rating", "review_count"])


def differences() -> list[dict[str, Any]]:
    """The listings whose figures are not what their rows come to, with both."""
    with transaction.atomic(), connection.cursor() as cursor:
        # Reading everything may take longer than a request ever may.
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute(WRONG)
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def rebuild() -> dict[str, int]:
    """Work out the figures of every listing whose rows come to something else; how many these were."""
    wrong = differences()
    for row in wrong:
        _rebuild_one(row["listing"])
    return {"mended": len(wrong)}


@retrying
def _rebuild_one(listing_id: int) -> None:
    with transaction.atomic():
        settle(lock(Listing.objects.all(), pk=listing_id).pk)


def summary(listing: Any) -> Summary:
    """What the published reviews of ``listing`` come to. One query."""
    counts: dict[str, Any] = {f"stars_{star}": Count("pk", filter=Q(rating=star)) for star in STARS}
    means: dict[str, Any] = {f"mean_{name}": Avg(name) for name in SUBRATINGS}
    found = Review.objects.of_property(listing.pk).aggregate(**counts, **means)
    return Summary(
        rating=listing.rating,
        review_count=listing.review_count,
        histogram={star: found[f"stars_{star}"] for star in STARS},
        means={
            name: ratings.cut(found[f"mean_{name}"], 1) if found[f"mean_{name}"] is not None else None
            for name in SUBRATINGS
        },
    )
