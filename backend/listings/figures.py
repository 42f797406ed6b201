"""What a host's places come to together."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal

from django.db.models import Count, DecimalField, ExpressionWrapper, F, Q, Sum

from backend.listings.models import Listing
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
    its reviews. This is the one place that says so: host standing and public profile read it here.
    """
    rated = Q(rating__isnull=False, review_count__gt=0)
    points = ExpressionWrapper(
        F("rating") * F("review_count"), output_field=DecimalField(max_digits=14, decimal_places=2)
    )
    found = (
        Listing.objects.filter(host_id__in=host_ids)
        .values("host_id")
        .annotate(
            published=Count("pk", filter=Q(status=ListingStatus.PUBLISHED)),
            points=Sum(points, filter=rated),
            reviews=Sum("review_count", filter=rated),
        )
    )
    figures = {
        row["host_id"]: HostFigures(
            row["published"], _cut(row["points"], row["reviews"]), row["reviews"] or 0
        )
        for row in found.order_by()
    }
    return {host_id: figures.get(host_id, HostFigures()) for host_id in host_ids}


def _cut(points: Decimal | None, reviews: int | None) -> Decimal | None:
    """The mean with two decimals; never rounded up to a bar that it does not reach."""
    if points is None or not reviews:
        return None
    return (points / reviews).quantize(Decimal("0.01"), ROUND_DOWN)
