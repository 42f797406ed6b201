"""Sharing what a listing earns with others than its host."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from ninja import Path, Router
from pydantic import Field, WithJsonSchema

from api.conditional import etag, etag_response, require_match
from api.pagination import Page, whole
from api.problems import responses
from api.rendering import dumps
from api.types import Id, In, Out, Text
from backend.core import access
from backend.core.errors import Invalid, NotAllowed, NotFound, Stale
from backend.listings.models import Listing
from backend.payments import payout_splits
from backend.payments.models import PayoutSplit
from backend.payments.payout_splits import Part

router = Router(tags=["Payouts"])

PATH = "/properties/{int:property_id}/payout-splits/"

Percent = Annotated[
    Decimal,
    Field(gt=0, le=100, max_digits=5, decimal_places=2),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "maximum": 100, "examples": [12.5]}),
]


class PayoutSplitIn(In):
    """Somebody who shares: a host of the platform, by id or by email address."""

    user_id: Annotated[Id | None, Field(examples=[3])] = None
    email: Annotated[str, Text(254)] | None = Field(default=None, examples=[None])
    percent: Percent


class PayoutSplitsIn(In):
    """Who shares from now on; an empty list leaves everything to the host."""

    parts: list[PayoutSplitIn]


class PayoutSplitOut(Out):
    """``percent`` of the host's share of a listing's earnings, after the platform's fee."""

    id: Id
    user_id: Id
    first_name: str
    percent: Annotated[float, Field(examples=[12.5])]


@router.get(
    PATH, response=responses(Page[PayoutSplitOut], NotFound), summary="Who shares a listing's earnings"
)
def list_splits(request: HttpRequest, property_id: Path[Id]) -> HttpResponse:
    """Whole; for the listing's host."""
    answer = _shown(payout_splits.of(_listing(request, property_id).pk))
    return etag_response(request, etag(answer), answer)


@router.put(
    PATH,
    response=responses(Page[PayoutSplitOut], NotFound, NotAllowed, Invalid, Stale),
    summary="Share a listing's earnings",
)
def put_splits(request: HttpRequest, property_id: Path[Id], body: PayoutSplitsIn) -> HttpResponse:
    """All of it at once, at most 100 % together. It counts for what is earned from now on."""
    listing = _listing(request, property_id)
    require_match(request, etag(_shown(payout_splits.of(listing.pk))))
    splits = payout_splits.put(
        actor=request.auth,  # type: ignore[attr-defined]
        listing_id=listing.pk,
        parts=[Part(_user_id(part), part.percent) for part in body.parts],
        now=timezone.now(),
    )
    answer = _shown(splits)
    response = HttpResponse(dumps(answer), content_type="application/json; charset=utf-8")
    response["ETag"] = etag(answer)
    return response


@router.delete(
    PATH,
    response=responses(None, NotFound, NotAllowed, Stale, status=204),
    summary="Share a listing's earnings no more",
)
def remove_splits(request: HttpRequest, property_id: Path[Id]) -> HttpResponse:
    """From now on everything is the host's."""
    listing = _listing(request, property_id)
    require_match(request, etag(_shown(payout_splits.of(listing.pk))))
    payout_splits.put(actor=request.auth, listing_id=listing.pk, parts=[], now=timezone.now())  # type: ignore[attr-defined]
    return HttpResponse(status=204)


def _listing(request: HttpRequest, property_id: int) -> Listing:
    """The listing whose money the caller may see. Raises: NotFound."""
    listing = Listing.objects.filter(pk=property_id).first()
    if listing is None or not access.can(request.auth, "payout_split.view", listing):  # type: ignore[attr-defined]
        raise NotFound
    return listing


def _user_id(part: PayoutSplitIn) -> int:
    if (part.user_id is None) == (part.email is None):
        raise Invalid.field("parts", "id_or_email", _("Say either user_id or email."))
    if part.email is not None:
        return payout_splits.receiver(email=part.email).pk
    return part.user_id or 0


def _shown(splits: list[PayoutSplit]) -> dict[str, Any]:
    return whole(
        [
            {
                "id": split.pk,
                "user_id": split.user_id,
                "first_name": split.user.get_short_name(),
                "percent": float(split.percent),
            }
            for split in splits
        ]
    )
