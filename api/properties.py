"""Listings over HTTP, where they are called properties: make, see, change, withdraw.

Search hangs its GET on the same router, since one path belongs to one router (``api/search.py``).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from ninja import Body, Query, Router
from pydantic import Field

from api import decisions, languages, pagination
from api.auth import optional_bearer
from api.conditional import etag_response, version_tag, versions_of
from api.pagination import Page, PageQuery
from api.problems import responses
from api.property_types import (
    READ_ONLY,
    PropertyIn,
    PropertyOut,
    PropertyPatch,
    PropertyPut,
    property_payload,
)
from api.rendering import dumps
from api.types import Params
from api.visiting import visitor
from backend.analytics import visits
from backend.availability import subscribers
from backend.bookings import services as bookings
from backend.core import access
from backend.core.errors import FieldError, Invalid, NotFound, Stale, WrongState
from backend.listings import reading
from backend.listings import services as listings
from backend.listings.cohosts import stands_in
from backend.listings.models import Listing, hosted_by
from backend.listings.states import ListingStatus

router = Router(tags=["Properties"])

Status = Literal["draft", "pending_review", "published", "paused", "flagged", "rejected"]

PLACE = ("city", "country", "timezone")
"""What follows from the location unless the host says otherwise: sent back as it was shown it says nothing."""


class ReadOnly(Invalid):
    """What may be shown but not changed was changed."""

    code = "read_only"
    title = _("Some of what was sent cannot be changed.")


class MineQuery(PageQuery):
    """One's own listings, newest first."""

    status: Status | None = Field(default=None, description="Only those in this state.")


class OneQuery(Params):
    """How a listing is shown."""

    language: Literal["en", "fr", "es", "sw", "ar"] | None = Field(
        default=None, description="Its texts in this language; else in the one of the answer."
    )


@router.post("/properties/", response=responses(PropertyOut, 403, status=201), summary="Offer a place")
def create_property(request: HttpRequest, body: Body[PropertyIn]) -> HttpResponse:
    """Make a listing. Title, description, price, location and availability are enough."""
    sent = _domain(body)
    named = {name: sent.pop(name) for name in ("title", "description", "location", "availability")}
    listing = listings.create(
        actor=request.auth,  # type: ignore[attr-defined]
        now=timezone.now(),
        price=sent.pop("price_per_night"),
        **named,
        **sent,
    )
    response = _answer(request, listing.pk, status=201)
    response["Location"] = request.build_absolute_uri(f"/api/properties/{listing.pk}/")
    return response


@router.get("/host/properties/", response=responses(Page[PropertyOut]), summary="My listings")
def list_own_properties(request: HttpRequest, params: Query[MineQuery]) -> dict[str, Any]:
    """One's own listings in every state but withdrawn, newest first."""
    user = request.auth  # type: ignore[attr-defined]
    found = _whole().filter(hosted_by(user, listing="pk")).exclude(status=ListingStatus.ARCHIVED)
    if params.status is not None:
        found = found.filter(status=params.status)
    listed = pagination.page(
        request, found, params, lambda listing: property_payload(listing, user, exact=True)
    )
    urls = subscribers.default_urls([row["id"] for row in listed["results"]], now=timezone.now())
    for row in listed["results"]:
        row["calendar_url"] = urls[row["id"]]
    return listed


@router.get(
    "/properties/{int:property_id}/",
    response=responses(PropertyOut, 404),
    auth=optional_bearer,
    summary="A listing",
)
def get_property(request: HttpRequest, property_id: int, params: Query[OneQuery]) -> HttpResponse:
    """A listing with its pictures, its host, its rules and its rating.

    The exact address is shown to its host and to guests with a confirmed booking. Title, description and house rules
    are in the reader's language where the listing has them in it (`text_language` says which it is); who keeps the
    listing sees what they wrote themselves, unless `language` asks for another.
    """
    return _answer(request, property_id, language=params.language)


@router.put(
    "/properties/{int:property_id}/",
    response=responses(
        PropertyOut, 403, 404, WrongState, listings.CalendarPrices, listings.RatesInCurrency, 412
    ),
    summary="Change a listing",
)
def put_property(request: HttpRequest, property_id: int, body: Body[PropertyPut]) -> HttpResponse:  # type: ignore[valid-type]
    """Change a listing as a whole: the five fields are needed, what is not sent stays."""
    return _change(request, property_id, body)


@router.patch(
    "/properties/{int:property_id}/",
    response=responses(
        PropertyOut, 403, 404, WrongState, listings.CalendarPrices, listings.RatesInCurrency, 412
    ),
    summary="Change parts of a listing",
)
def patch_property(request: HttpRequest, property_id: int, body: Body[PropertyPatch]) -> HttpResponse:  # type: ignore[valid-type]
    """Change what is sent. ``availability`` publishes or pauses."""
    return _change(request, property_id, body)


@router.delete(
    "/properties/{int:property_id}/",
    response=responses(None, 403, 404, bookings.ActiveBookings, 412, status=204),
    summary="Withdraw a listing",
)
def delete_property(request: HttpRequest, property_id: int) -> HttpResponse:
    """Take a listing off for good. Refused while there are coming bookings; past ones keep their record."""
    user = request.auth  # type: ignore[attr-defined]
    listing = _visible(user, property_id)
    access.require(user, "listing.withdraw", listing)
    versions = versions_of(request)
    if versions is not None and listing.version not in versions:
        raise Stale
    bookings.withdraw_listing(actor=user, listing=listing, now=timezone.now())
    return HttpResponse(status=204)


def _change(request: HttpRequest, property_id: int, body: PropertyIn) -> HttpResponse:
    user = request.auth  # type: ignore[attr-defined]
    listing = _visible(user, property_id)
    access.require(user, "listing.edit", listing)
    shown = {"calendar_url": None, "moderation": None, **_payload(listing, user, exact=True)}
    listings.update(
        actor=user,
        listing=listing,
        changes=_without_echoes(_domain(body), shown),
        now=timezone.now(),
        versions=versions_of(request),
    )
    return _answer(request, property_id)


def _whole() -> Any:
    return Listing.objects.select_related("host__profile").prefetch_related("photos")


def _visible(viewer: Any, property_id: int) -> Listing:
    """Raises: NotFound."""
    found: Listing | None = _whole().visible_to(viewer).filter(pk=property_id).first()
    if found is None:
        raise NotFound
    return found


def _answer(
    request: HttpRequest, property_id: int, *, status: int = 200, language: str | None = None
) -> HttpResponse:
    """The listing as the caller may see it, with its ETag: the version, which ``If-Match`` asks for, and the content."""
    viewer = request.auth  # type: ignore[attr-defined]
    spoken, own = language or languages.code(request), None if language else viewer
    listing: Any = reading.by_ids([property_id], spoken, sources_for=own).get(property_id)
    if listing is None or not (reading.may_know(viewer, listing) or bookings.counts_on(viewer, listing)):
        raise NotFound
    exact = viewer.is_authenticated and bookings.knows_address(viewer, listing)
    body = dumps(_payload(listing, viewer, exact))
    tag = version_tag(listing.version, body)
    if status == 200 and request.method == "GET":
        visits.viewed(listing, visitor(request), now=timezone.now())
        return etag_response(request, tag, body)
    response = HttpResponse(body, status=status, content_type="application/json; charset=utf-8")
    response["ETag"] = tag
    return response


def _payload(listing: Any, viewer: Any, exact: bool) -> dict[str, Any]:
    """A listing as the caller may see it; for its host with the address of its calendar and what moderators decided."""
    payload = property_payload(listing, viewer, exact)
    if viewer.is_authenticated and viewer.pk == listing.host_id:
        payload["moderation"] = decisions.of_listing(listing.pk)
    if viewer.is_authenticated and stands_in(viewer, listing):
        payload["calendar_url"] = subscribers.default_urls([listing.pk], now=timezone.now())[listing.pk]
    return payload


def _domain(body: PropertyIn) -> dict[str, Any]:
    """What was sent, in the types of the operations."""
    sent = body.model_dump(exclude_unset=True)
    if sent.get("address", ...) is None:
        del sent["address"]
    return sent


def _without_echoes(sent: dict[str, Any], shown: dict[str, Any]) -> dict[str, Any]:
    """What of a sent listing is a change against what was shown. Raises: ReadOnly."""
    changed = [name for name in READ_ONLY if name in sent and not _same(sent[name], shown[name])]
    if changed:
        message = _("This cannot be changed.")
        raise ReadOnly(errors=[FieldError(name, "read_only", message) for name in changed])
    changes = {name: value for name, value in sent.items() if name not in READ_ONLY}
    for name in PLACE:
        if name in changes and (changes[name] or "") == shown[name]:
            del changes[name]
    if "address" in changes:
        parts = {part: value or "" for part, value in changes.pop("address").items()}
        different = {part: value for part, value in parts.items() if value != shown["address"][part]}
        if different:
            changes["address"] = different
    point = {name: shown[name] for name in ("latitude", "longitude")}
    if point.keys() <= changes.keys() and all(changes[name] == value for name, value in point.items()):
        changes = {name: value for name, value in changes.items() if name not in point}
    return changes


def _same(sent: Any, shown: Any) -> bool:
    """Whether a read-only value came back as it was shown. Addresses of files may be signed anew at any time."""
    if isinstance(sent, dict):
        return isinstance(shown, dict) and all(
            name.endswith("url") or (name in shown and _same(value, shown[name]))
            for name, value in sent.items()
        )
    if isinstance(sent, list):
        return (
            isinstance(shown, list)
            and len(sent) == len(shown)
            and all(_same(one, other) for one, other in zip(sent, shown, strict=True))
        )
    if isinstance(sent, Decimal):
        sent = float(sent)
    return bool(dumps(sent) == dumps(shown))
