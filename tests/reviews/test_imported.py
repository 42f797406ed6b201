"""Places that came with a rating from elsewhere: an import brings that up to date and leaves what was given here."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from backend.jobs.imports import loading, reading
from backend.jobs.imports.loading import Numbered, Summary, Target
from backend.listings.models import Listing
from tests.bookings.making import wrong_books
from tests.factories import NOW
from tests.jobs.test_import_reading import ROW
from tests.reviews.making import published

pytestmark = pytest.mark.usefixtures("db")


def imported(**changes: Any) -> tuple[Listing, Summary]:
    """The listing of one row of a file, after the file was imported."""
    summary, row = Summary(), reading.listing({**ROW, "instant_bookable": "t", **changes})
    loading.write([Numbered(1, row)], Target("EUR", "Antwerp", None), summary, NOW)
    return Listing.objects.get(source_id=row.source_id), summary


def shown(listing: Listing) -> tuple[Decimal | None, int]:
    listing.refresh_from_db()
    return listing.rating, listing.review_count


def test_own_reviews_add_to_what_was_imported_and_outlive_the_next_import() -> None:
    listing, _summary = imported()
    assert shown(listing) == (Decimal("4.83"), 12)

    published(listing, 1)

    assert shown(listing) == (Decimal("4.53"), 13)
    again, unchanged = imported()
    assert (shown(again), unchanged.unchanged) == ((Decimal("4.53"), 13), 1)
    newer, updated = imported(review_scores_rating="5.0", number_of_reviews="19")
    assert (shown(newer), updated.updated) == ((Decimal("4.80"), 20), 1)
    without, _summary = imported(review_scores_rating="", number_of_reviews="0")
    assert shown(without) == (Decimal("1.00"), 1)
    assert wrong_books() == {}
