"""Promotion codes that hold for all of one's listings, for the host alone."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Router

from api.conditional import etag_response
from api.pagination import Page, whole
from api.price_types import PromoCodeIn, PromoCodeOut, PromoCodePatch, payload
from api.prices import revisions_of, tag_of
from api.problems import responses
from api.rendering import dumps
from backend.bookings import promotions
from backend.core import access, platform
from backend.core.errors import NotAllowed, NotFound, Stale
from backend.core.fx import UnknownCurrency
from backend.rates import services as rates
from backend.rates.models import PromoCode
from backend.rates.services import PromoCodeExists, PromoCodeUsed, TooManyRates

router = Router(tags=["Prices"])


@router.get(
    "/host/promo-codes/", response=responses(Page[PromoCodeOut], NotAllowed), summary="My promotion codes"
)
def list_codes(request: HttpRequest) -> Any:
    """The codes for all of one's listings with their uses, whole, the newest first. Those of one listing stand there."""
    actor = request.auth  # type: ignore[attr-defined]
    access.require(actor, "listing.create")
    codes = promotions.with_uses(PromoCode.objects.filter(host_id=actor.pk), timezone.now())
    return whole([{**payload(code, code.currency), "uses": code.uses} for code in codes])


@router.post(
    "/host/promo-codes/",
    response=responses(PromoCodeOut, NotAllowed, UnknownCurrency, PromoCodeExists, TooManyRates, status=201),
    summary="Add a promotion code for all my listings",
)
def add_code(request: HttpRequest, body: PromoCodeIn) -> Any:
    """An amount is exchanged into a listing's currency when the code is used; without ``currency`` it is the platform's."""
    actor = request.auth  # type: ignore[attr-defined]
    code = rates.add_code(
        actor=actor,
        host=actor,
        values=body.model_dump(exclude_unset=True, by_alias=True),
        currency=body.currency or platform.get("currency"),
        now=timezone.now(),
    )
    return _shown(code)


@router.get(
    "/host/promo-codes/{int:code_id}/",
    response=responses(PromoCodeOut, NotFound),
    summary="See a promotion code of mine",
)
def read_code(request: HttpRequest, code_id: int) -> HttpResponse:
    """With the number of bookings that use it."""
    code = _own(request, code_id)
    shown = _shown(code)
    return etag_response(request, tag_of(code, shown), shown)


@router.patch(
    "/host/promo-codes/{int:code_id}/",
    response=responses(PromoCodeOut, NotFound, NotAllowed, PromoCodeExists, Stale),
    summary="Change a promotion code of mine",
)
def change_code(request: HttpRequest, code_id: int, body: PromoCodePatch) -> HttpResponse:
    """What is not sent stays, null clears a field. ``active: false`` switches it off; quotes made with it stand."""
    code = rates.change_code(
        actor=request.auth,  # type: ignore[attr-defined]
        code_id=_own(request, code_id).pk,
        changes=body.model_dump(exclude_unset=True, by_alias=True),
        now=timezone.now(),
        revisions=revisions_of(request),
    )
    shown = _shown(code)
    response = HttpResponse(dumps(shown), content_type="application/json; charset=utf-8")
    response["ETag"] = tag_of(code, shown)
    return response


@router.delete(
    "/host/promo-codes/{int:code_id}/",
    response=responses(None, NotFound, NotAllowed, PromoCodeUsed, Stale, status=204),
    summary="Remove a promotion code of mine",
)
def remove_code(request: HttpRequest, code_id: int) -> HttpResponse:
    """One that bookings were made with can only be switched off."""
    rates.remove_code(
        actor=request.auth,  # type: ignore[attr-defined]
        code_id=_own(request, code_id).pk,
        now=timezone.now(),
        revisions=revisions_of(request),
    )
    return HttpResponse(status=204)


def _own(request: HttpRequest, code_id: int) -> PromoCode:
    code = PromoCode.objects.filter(host_id=request.auth.pk, pk=code_id).first()  # type: ignore[attr-defined]
    if code is None:
        raise NotFound
    return code


def _shown(code: PromoCode) -> dict[str, Any]:
    return {**payload(code, code.currency), "uses": promotions.uses(code, timezone.now())}
