"""The places of wishlists as they are shown, a few facts each, however many lists there are by one query."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Case, Count, F, OuterRef, Q, Subquery, When, Window
from django.db.models.functions import Coalesce, JSONObject, RowNumber

from backend.listings.models import ListingText, Photo
from backend.listings.states import ListingStatus
from backend.wishlists.models import WishlistPlace

FACTS = (
    *("title", "city", "country", "property_type", "room_type", "max_guests", "bedrooms"),
    *("price_minor", "currency", "rating", "review_count", "status"),
)


@dataclass(frozen=True, slots=True)
class Place:
    """A place as a card shows it. ``price_minor`` is a night's, in minor units of ``currency``.

    ``photo`` is the stored name of the cover's thumbnail, else of the cover; "" without pictures.
    """

    listing_id: int
    title: str
    city: str
    country: str
    property_type: str
    room_type: str
    max_guests: int
    bedrooms: int
    price_minor: int
    currency: str
    rating: Decimal | None
    review_count: int
    is_available: bool
    photo: str
    added_at: datetime


@dataclass(frozen=True, slots=True)
class Places:
    """The newest ``shown`` of ``count`` places."""

    shown: tuple[Place, ...] = ()
    count: int = 0


def places(
    wishlist_ids: Collection[int], *, for_owner: bool, most: int | None = None, language: str = ""
) -> dict[int, Places]:
    """What stands on each of the lists, the newest first, at most ``most`` of each. One query.

    Titles are in ``language`` where the listing has one in it, else in its own; "" is its own. Its owner also sees what is paused at the moment; what the moderators hide, or what was withdrawn, nobody sees.
    """
    statuses = [ListingStatus.PUBLISHED, *([ListingStatus.PAUSED] if for_owner else [])]
    cover = Photo.objects.filter(listing=OuterRef("listing")).order_by("-is_cover", "position", "id")
    rows = (
        WishlistPlace.objects.filter(wishlist__in=wishlist_ids, listing__status__in=statuses)
        .annotate(
            rank=Window(RowNumber(), partition_by="wishlist", order_by="-id"),
            count=Window(Count("id"), partition_by="wishlist"),
            photo=Subquery(cover.values(names=JSONObject(file="file", sizes="sizes"))[:1]),
            **{name: F(f"listing__{name}") for name in FACTS if name != "title"},
            title=_title(language),
        )
        .order_by("wishlist", "-id")
    )
    if most is not None:
        rows = rows.filter(rank__lte=most)
    found: dict[int, list[Place]] = {}
    counts: dict[int, int] = {}
    for row in rows.values("wishlist_id", "listing_id", "created_at", "count", "photo", *FACTS):
        counts[row["wishlist_id"]] = row["count"]
        found.setdefault(row["wishlist_id"], []).append(_place(row))
    return {key: Places(tuple(found.get(key, ())), counts.get(key, 0)) for key in wishlist_ids}


def _title(language: str) -> Any:
    """The title in ``language``; the table of texts is looked into for another than the listing's own only."""
    own = F("listing__title")
    if not language:
        return own
    said = ListingText.objects.filter(listing=OuterRef("listing"), language=language).values("title")
    spoken = When(~Q(listing__language=language), then=Coalesce(Subquery(said), own))
    return Case(spoken, default=own)


def _place(row: dict[str, Any]) -> Place:
    photo = row["photo"] or {}
    sizes = photo.get("sizes") or {}
    small = sizes[min(sizes, key=int)] if sizes else ""
    return Place(
        listing_id=row["listing_id"],
        is_available=row["status"] == ListingStatus.PUBLISHED,
        photo=small or photo.get("file", ""),
        added_at=row["created_at"],
        **{name: row[name] for name in FACTS if name != "status"},
    )
