"""One's own wishlists, and those that others have shared by a link."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Path, Query, Router, Status
from pydantic import Field

from api import files, languages, pagination
from api.auth import optional_bearer
from api.conditional import etag, etag_response, require_match
from api.pagination import Page, PageQuery
from api.problems import responses
from api.rendering import dumps
from api.types import Id, In, MoneyOut, Out, Text
from backend.core.errors import NotFound, Stale
from backend.core.money import number
from backend.wishlists import reading
from backend.wishlists import services as wishlists
from backend.wishlists.models import NAME_LONGEST, Wishlist
from backend.wishlists.reading import Place, Places

router = Router(tags=["Wishlists"])

SHOWN_IN_LISTS = 20
"""Of each list so many places, the newest, are shown where several lists are; all where one is."""

Name = Annotated[str, Text(NAME_LONGEST, min=1), Field(examples=["Summer by the sea"])]


class WishlistIn(In):
    """A new list."""

    name: Name | None = Field(
        default=None,
        description="Left out: as such lists are usually called.",
        examples=["Summer by the sea"],
    )


class WishlistPatch(In):
    """What should change of a list."""

    name: Name | None = Field(default=None, examples=["Summer by the sea"])


class PlaceIn(In):
    """A place to be remembered."""

    property_id: Id


class WishedPlace(Out):
    """A place on a list. One that is paused is not ``available``; then nothing but its name and city is shown."""

    id: Id
    title: str
    city: str
    country: str
    available: bool
    property_type: str | None
    room_type: str | None
    max_guests: int | None
    bedrooms: int | None
    price_per_night: MoneyOut | None = Field(examples=[75.5])
    currency: str | None
    rating: float | None = Field(examples=[4.8])
    review_count: int | None
    photo_url: str | None = Field(examples=["http://127.0.0.1:8000/media/listings/42-480.webp"])


class OwnPlace(WishedPlace):
    """A place on a list of one's own."""

    added_at: datetime


class WishlistOut(Out):
    """A list of the caller's, the newest places first. ``property_count`` is of all its places."""

    id: Id
    name: str = Field(examples=["Summer by the sea"])
    property_count: int = Field(examples=[1])
    properties: list[OwnPlace]
    share_url: str | None = Field(
        description="Where anybody may read it; null while it is one's own alone.",
        examples=["http://127.0.0.1:8000/api/shared-wishlists/Zm9vYmFyYmF6cXV4cXV1eGNvcmdlZ3JhdWx0Z2Fy/"],
    )
    created_at: datetime
    updated_at: datetime


class SharedBy(Out):
    """Whose list it is."""

    first_name: str


class SharedWishlistOut(Out):
    """A list as whoever has its link sees it: what can be booked at the moment."""

    name: str = Field(examples=["Summer by the sea"])
    owner: SharedBy
    property_count: int = Field(examples=[1])
    properties: list[WishedPlace]


@router.get("/wishlists/", response=responses(Page[WishlistOut]), summary="My wishlists")
def list_wishlists(request: HttpRequest, params: Query[PageQuery]) -> dict[str, Any]:
    """The newest first, each with its 20 newest places; all of them are on the list's own page."""
    mine = Wishlist.objects.filter(user=request.auth)  # type: ignore[attr-defined]
    listed = pagination.page(request, mine, params, lambda wishlist: wishlist)
    listed["results"] = _payloads(request, listed["results"], most=SHOWN_IN_LISTS)
    return listed


@router.post(
    "/wishlists/",
    response=responses(WishlistOut, wishlists.TooManyWishlists, status=201),
    summary="Make a wishlist",
)
def create(request: HttpRequest, body: WishlistIn) -> HttpResponse:
    """At most 100 a user, each with up to 500 places."""
    made = wishlists.create(user=request.auth, name=body.name, now=timezone.now())  # type: ignore[attr-defined]
    response = _answer(request, made, status=201)
    response["Location"] = request.build_absolute_uri(f"/api/wishlists/{made.pk}/")
    return response


@router.get(
    "/wishlists/{int:wishlist_id}/", response=responses(WishlistOut, NotFound), summary="A wishlist of mine"
)
def read(request: HttpRequest, wishlist_id: Path[Id]) -> HttpResponse:
    """With all its places, the newest first. What the moderators hide or its host has withdrawn is left out."""
    payload = _payload(request, wishlists.of(request.auth, wishlist_id))  # type: ignore[attr-defined]
    return etag_response(request, etag(payload), payload)


@router.patch(
    "/wishlists/{int:wishlist_id}/",
    response=responses(WishlistOut, NotFound, Stale),
    summary="Rename a wishlist",
)
def rename(request: HttpRequest, wishlist_id: Path[Id], body: WishlistPatch) -> HttpResponse:
    """Call it something else."""
    renamed = wishlists.rename(
        user=request.auth,  # type: ignore[attr-defined]
        wishlist_id=wishlist_id,
        name=body.name,
        now=timezone.now(),
        unchanged=_as_seen(request),
    )
    return _answer(request, renamed)


@router.delete(
    "/wishlists/{int:wishlist_id}/",
    response=responses(None, NotFound, Stale, status=204),
    summary="Delete a wishlist",
)
def remove(request: HttpRequest, wishlist_id: Path[Id]) -> HttpResponse:
    """Its link, if it has one, leads nowhere from then on."""
    wishlists.remove(
        user=request.auth,  # type: ignore[attr-defined]
        wishlist_id=wishlist_id,
        unchanged=_as_seen(request),
    )
    return HttpResponse(status=204)


@router.post(
    "/wishlists/{int:wishlist_id}/properties/",
    response=responses(WishlistOut, NotFound, wishlists.WishlistFull, status=201, also={200: WishlistOut}),
    summary="Put a place on a wishlist",
)
def add_place(request: HttpRequest, wishlist_id: Path[Id], body: PlaceIn) -> HttpResponse:
    """201; a place that is there already stays where it is: 200."""
    wishlist, added = wishlists.add(
        user=request.auth,  # type: ignore[attr-defined]
        wishlist_id=wishlist_id,
        listing_id=body.property_id,
        now=timezone.now(),
    )
    return _answer(request, wishlist, status=201 if added else 200)


@router.delete(
    "/wishlists/{int:wishlist_id}/properties/{int:property_id}/",
    response=responses(None, NotFound, status=204),
    summary="Take a place off a wishlist",
)
def remove_place(request: HttpRequest, wishlist_id: Path[Id], property_id: Path[Id]) -> Status[None]:
    """404 for a place that is not on it."""
    wishlists.take_out(
        user=request.auth,  # type: ignore[attr-defined]
        wishlist_id=wishlist_id,
        listing_id=property_id,
        now=timezone.now(),
    )
    return Status(204, None)


@router.post(
    "/wishlists/{int:wishlist_id}/share/",
    response=responses(WishlistOut, NotFound),
    summary="Make a link to a wishlist",
)
def share(request: HttpRequest, wishlist_id: Path[Id]) -> HttpResponse:
    """Whoever has `share_url` may read the list without signing in. A list that has a link keeps it."""
    shared = wishlists.share(user=request.auth, wishlist_id=wishlist_id, now=timezone.now())  # type: ignore[attr-defined]
    return _answer(request, shared)


@router.delete(
    "/wishlists/{int:wishlist_id}/share/",
    response=responses(None, NotFound, status=204),
    summary="Revoke the link to a wishlist",
)
def unshare(request: HttpRequest, wishlist_id: Path[Id]) -> Status[None]:
    """The link is dead at once and for good; sharing again makes another one."""
    wishlists.unshare(user=request.auth, wishlist_id=wishlist_id, now=timezone.now())  # type: ignore[attr-defined]
    return Status(204, None)


@router.get(
    "/shared-wishlists/{token}/",
    response=responses(SharedWishlistOut, NotFound),
    auth=optional_bearer,
    summary="A wishlist that was shared",
)
def read_shared(request: HttpRequest, token: str) -> HttpResponse:
    """For whoever has the link; its owner may revoke it at any time. No search engine is to keep it."""
    wishlist = wishlists.by_token(token)
    places = reading.places([wishlist.pk], for_owner=False, language=languages.code(request))[wishlist.pk]
    payload = {
        "name": wishlist.name,
        "owner": {"first_name": wishlist.user.first_name},
        "property_count": places.count,
        "properties": [_place(each) for each in places.shown],
    }
    response = etag_response(request, etag(payload), payload)
    response["X-Robots-Tag"] = "noindex, nofollow"
    # The address is the secret: no page that is opened from here learns it.
    response["Referrer-Policy"] = "no-referrer"
    return response


def _as_seen(request: HttpRequest) -> wishlists.Unchanged:
    return lambda wishlist: require_match(request, etag(_payload(request, wishlist)))


def _answer(request: HttpRequest, wishlist: Wishlist, *, status: int = 200) -> HttpResponse:
    payload = _payload(request, wishlist)
    response = HttpResponse(dumps(payload), status=status, content_type="application/json; charset=utf-8")
    response["ETag"] = etag(payload)
    return response


def _payload(request: HttpRequest, wishlist: Wishlist) -> dict[str, Any]:
    return _payloads(request, [wishlist])[0]


def _payloads(
    request: HttpRequest, rows: Sequence[Wishlist], *, most: int | None = None
) -> list[dict[str, Any]]:
    """The lists as their owner sees them, with the titles of places in their language."""
    if not rows:
        return []
    language = languages.code(request)
    places = reading.places([row.pk for row in rows], for_owner=True, most=most, language=language)
    return [_shown(row, places[row.pk]) for row in rows]


def _shown(wishlist: Wishlist, places: Places) -> dict[str, Any]:
    return {
        "id": wishlist.pk,
        "name": wishlist.name,
        "property_count": places.count,
        "properties": [{**_place(each), "added_at": each.added_at} for each in places.shown],
        "share_url": wishlists.share_url(wishlist),
        "created_at": wishlist.created_at,
        "updated_at": wishlist.updated_at,
    }


def _place(place: Place) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": place.listing_id,
        "title": place.title,
        "city": place.city,
        "country": place.country,
        "available": place.is_available,
        "property_type": place.property_type,
        "room_type": place.room_type,
        "max_guests": place.max_guests,
        "bedrooms": place.bedrooms,
        "price_per_night": number(place.price_minor, place.currency),
        "currency": place.currency,
        "rating": None if place.rating is None else float(place.rating),
        "review_count": place.review_count,
        "photo_url": files.url(place.photo),
    }
    if not place.is_available:
        known = ("id", "title", "city", "country", "available")
        shown = {name: value if name in known else None for name, value in shown.items()}
    return shown
