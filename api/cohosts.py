"""Co-hosts of a listing: who keeps it together with its host, and what of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from django.utils import timezone
from ninja import Path, Router, Status
from pydantic import Field

from api.account_types import Email
from api.pagination import Page, whole
from api.problems import responses
from api.types import Id, In, Out, Text
from backend.core.errors import NotAllowed, NotFound
from backend.listings import cohosts
from backend.listings.models import CoHost, Listing

router = Router(tags=["Properties"])

Grants = Annotated[
    list[Annotated[str, Text(40)]],
    Field(
        max_length=20,
        description="Any of `calendar`, `bookings`, `messages`, `payouts`.",
        examples=[["calendar", "bookings"]],
    ),
]


class CoHostIn(In):
    """Who, by `user_id` or by `email`, and what they may do."""

    user_id: Id | None = Field(default=None, examples=[17])
    email: Email | None = Field(default=None, examples=[None])
    grants: Grants


class GrantsIn(In):
    """All that they may do from now on."""

    grants: Grants


class CoHostOut(Out):
    """Somebody who keeps the listing too."""

    id: Id
    user_id: Id
    first_name: str
    username: str
    grants: list[Literal["calendar", "bookings", "messages", "payouts"]] = Field(
        examples=[["calendar", "bookings"]]
    )
    created_at: datetime


@router.get(
    "/properties/{int:property_id}/cohosts/",
    response=responses(Page[CoHostOut], NotFound, NotAllowed),
    summary="List co-hosts",
)
def list_cohosts(request: HttpRequest, property_id: Path[Id]) -> Any:
    """For the host of the listing and its co-hosts; the whole list."""
    listing = _listing(request, property_id)
    if not cohosts.stands_in(request.auth, listing):  # type: ignore[attr-defined]
        raise NotAllowed
    return whole(_payloads(listing.cohosts.select_related("user").order_by("id")))


@router.post(
    "/properties/{int:property_id}/cohosts/",
    response=responses(
        CoHostOut, NotFound, NotAllowed, cohosts.CoHostExists, cohosts.TooManyCoHosts, status=201
    ),
    summary="Name a co-host",
)
def add(request: HttpRequest, property_id: Path[Id], body: CoHostIn) -> Any:
    """For the host. They need an account; it counts at once, and they are told."""
    row = cohosts.add(
        actor=request.auth,  # type: ignore[attr-defined]
        listing=_listing(request, property_id),
        user_id=body.user_id,
        email=body.email,
        grants=body.grants,
        now=timezone.now(),
    )
    return Status(201, _payloads([row])[0])


@router.patch(
    "/properties/{int:property_id}/cohosts/{int:cohost_id}/",
    response=responses(CoHostOut, NotFound, NotAllowed),
    summary="Change what a co-host may do",
)
def change(request: HttpRequest, property_id: Path[Id], cohost_id: Path[Id], body: GrantsIn) -> Any:
    """For the host. What is sent is all that they may do; it counts from their next request."""
    row = cohosts.change(
        actor=request.auth,  # type: ignore[attr-defined]
        listing=_listing(request, property_id),
        cohost_id=cohost_id,
        grants=body.grants,
        now=timezone.now(),
    )
    return _payloads([row])[0]


@router.delete(
    "/properties/{int:property_id}/cohosts/{int:cohost_id}/",
    response=responses(None, NotFound, NotAllowed, status=204),
    summary="End a co-hosting",
)
def end(request: HttpRequest, property_id: Path[Id], cohost_id: Path[Id]) -> None:
    """For the host, and for the co-host themselves."""
    listing = _listing(request, property_id)
    cohosts.end(actor=request.auth, listing=listing, cohost_id=cohost_id, now=timezone.now())  # type: ignore[attr-defined]


def _listing(request: HttpRequest, property_id: int) -> Listing:
    """Raises: NotFound for one that the caller may not know of; co-hosts are nobody else's business."""
    listing = Listing.objects.visible_to(request.auth).filter(pk=property_id).first()  # type: ignore[attr-defined]
    if listing is None:
        raise NotFound
    return listing


def _payloads(rows: Sequence[CoHost] | Any) -> list[dict[str, Any]]:
    found = list(rows)
    grants = cohosts.grants_of(found)
    return [
        {
            "id": row.pk,
            "user_id": row.user_id,
            "first_name": row.user.first_name,
            "username": row.user.username,
            "grants": grants[row.pk],
            "created_at": row.created_at,
        }
        for row in found
    ]
