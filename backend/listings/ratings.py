"""What a place is rated: what it came with from elsewhere and the reviews that were given here, together. Pure.

A listing keeps both parts beside what they come to, so that either can change without the other being forgotten:
``imported_rating`` of ``imported_review_count`` reviews, and ``own_stars`` (the sum) of ``own_review_count`` reviews.
``rating`` and ``review_count`` follow from these four and are what searches read.
"""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from typing import Any

CENT = Decimal("0.01")


def of_parts(
    imported_rating: Decimal | None, imported_count: int, own_stars: int, own_count: int
) -> tuple[Decimal | None, int]:
    """Rating (1–5, two decimals, None without any) and number of reviews of a place.

    Imported reviews without a rating are counted and move nothing; an imported rating of nobody knows how many stands
    until there are reviews.
    """
    rated = own_count + (imported_count if imported_rating is not None else 0)
    if not rated:
        return imported_rating, imported_count
    points = own_stars + (imported_rating or Decimal(0)) * imported_count
    return cut(points, rated), imported_count + own_count


def cut(points: Decimal | int | None, reviews: int | None) -> Decimal | None:
    """The mean with two decimals; never rounded up to a bar that it does not reach. None without reviews."""
    if points is None or not reviews:
        return None
    return (Decimal(points) / reviews).quantize(CENT, ROUND_DOWN)


def settle(listing: Any) -> None:
    """Set ``rating`` and ``review_count`` of a listing by its parts; it is not saved."""
    listing.rating, listing.review_count = of_parts(
        listing.imported_rating, listing.imported_review_count, listing.own_stars, listing.own_review_count
    )
