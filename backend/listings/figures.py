"""What a host's places come to together."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Count, DecimalField, ExpressionWrapper, F, Q, Sum

from backend.listings.models import Listing
from backend.listings.ratings import cut
from backend.listings.states import ListingStatus


@dataclass(frozen=True, slots=True)
class HostFigures:
    """``listings`` are published; ``rating`` (1–5, two decimals, cut) is of ``review_count`` reviews, None without any."""

    listings: int = 0
    rating: Decimal | None = None
    review_count: int = 0


def of_hosts(host_ids: Collection[int]) -> dict[int, HostFigures]:
    """The figures of each of these users. One query.

    The rating of a host is that of all their listings, also of those that are no longer offered, each by the number of
    its rated reviews, imported ones with those given here. This is the one place that says so: host standing and public
    profile read it here.
    """
    rated = Q(imported_rating__isnull=False)
    stars = ExpressionWrapper(
        F("imported_rating") * F("imported_review_count"),
        output_field=DecimalField(max_digits=14, decimal_places=2),
    )
    found = (
        Listing.objects.filter(host_id__in=host_ids)
        .values("host_id")
        .annotate(
            published=Count("pk", filter=Q(status=ListingStatus.PUBLISHED)),
            imported=Sum(stars, filter=rated),
            imported_reviews=Sum("imported_review_count", filter=rated),
            own=Sum("own_stars"),
            own_reviews=Sum("own_review_count"),
        )
    )
    figures = {}
    for row in found.order_by():
        reviews = (row["imported_reviews"] or 0) + row["own_reviews"]
        points = (row["imported"] or 0) + row["own"]
        figures[row["host_id"]] = HostFigures(row["published"], cut(points, reviews), reviews)
    return {host_id: figures.get(host_id, HostFigures()) for host_id in host_ids}
