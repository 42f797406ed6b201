"""What a host asks for beside the night: price rules, fees, taxes and promotion codes of a listing, for the host alone."""

from __future__ import annotations

import re
from typing import Any, TypeVar

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Router

from api.conditional import etag, etag_response
from api.pagination import Page, whole
from api.price_types import (
    FeeIn,
    FeeOut,
    FeePatch,
    PriceRuleIn,
    PriceRuleOut,
    PriceRulePatch,
    PromoCodeIn,
    PromoCodeOut,
    PromoCodePatch,
    TaxIn,
    TaxOut,
    TaxPatch,
    payload,
)
from api.problems import responses
from api.rendering import dumps
from api.types import In
from backend.bookings import promotions
from backend.core import access
from backend.core.errors import NotAllowed, NotFound, Stale
from backend.listings.models import Listing
from backend.rates import services as rates
from backend.rates.fields import Row
from backend.rates.models import Fee, PriceRule, PromoCode, Tax
from backend.rates.services import (
    FeeExists,
    PromoCodeExists,
    PromoCodeUsed,
    RuleExists,
    SeasonOverlap,
    TooManyRates,
)

router = Router(tags=["Prices"])

R = TypeVar("R", PriceRule, Fee, Tax, PromoCode)

HOST_ONLY = (NotFound, NotAllowed)
RULE = (*HOST_ONLY, SeasonOverlap, RuleExists)
_REVISION = re.compile(r'(?<!W/)"([0-9a-f]{16})-[0-9a-f]{24}"')


@router.get(
    "/properties/{int:property_id}/price-rules/",
    response=responses(Page[PriceRuleOut], *HOST_ONLY),
    by_alias=True,
    summary="List price rules",
)
def list_price_rules(request: HttpRequest, property_id: int) -> Any:
    """Seasons, weekends and discounts of a listing, whole."""
    return _list(request, property_id, PriceRule)


@router.post(
    "/properties/{int:property_id}/price-rules/",
    response=responses(PriceRuleOut, *RULE, TooManyRates, status=201),
    by_alias=True,
    summary="Add a price rule",
)
def add_price_rule(request: HttpRequest, property_id: int, body: PriceRuleIn) -> Any:
    """Quotes from now on follow it; what was quoted or booked keeps its price. Seasons may not overlap."""
    return _add(request, property_id, PriceRule, body)


@router.get(
    "/properties/{int:property_id}/price-rules/{int:rule_id}/",
    response=responses(PriceRuleOut, *HOST_ONLY),
    summary="See a price rule",
)
def read_price_rule(request: HttpRequest, property_id: int, rule_id: int) -> Any:
    """For the host."""
    return _read(request, property_id, PriceRule, rule_id)


@router.patch(
    "/properties/{int:property_id}/price-rules/{int:rule_id}/",
    response=responses(PriceRuleOut, *RULE, Stale),
    summary="Change a price rule",
)
def change_price_rule(request: HttpRequest, property_id: int, rule_id: int, body: PriceRulePatch) -> Any:
    """What is not sent stays, null clears a field."""
    return _change(request, property_id, PriceRule, rule_id, body)


@router.delete(
    "/properties/{int:property_id}/price-rules/{int:rule_id}/",
    response=responses(None, *HOST_ONLY, Stale, status=204),
    summary="Remove a price rule",
)
def remove_price_rule(request: HttpRequest, property_id: int, rule_id: int) -> Any:
    """What was quoted or booked keeps its price."""
    return _remove(request, property_id, PriceRule, rule_id)


@router.get(
    "/properties/{int:property_id}/fees/", response=responses(Page[FeeOut], *HOST_ONLY), summary="List fees"
)
def list_fees(request: HttpRequest, property_id: int) -> Any:
    """The fees of a listing beside its ``cleaning_fee``, whole."""
    return _list(request, property_id, Fee)


@router.post(
    "/properties/{int:property_id}/fees/",
    response=responses(FeeOut, *HOST_ONLY, FeeExists, TooManyRates, status=201),
    summary="Add a fee",
)
def add_fee(request: HttpRequest, property_id: int, body: FeeIn) -> Any:
    """An amount per booking, night, person or pet, or a percentage of the nights after the discounts."""
    return _add(request, property_id, Fee, body)


@router.get(
    "/properties/{int:property_id}/fees/{int:fee_id}/",
    response=responses(FeeOut, *HOST_ONLY),
    summary="See a fee",
)
def read_fee(request: HttpRequest, property_id: int, fee_id: int) -> Any:
    """For the host; guests see it in a quote."""
    return _read(request, property_id, Fee, fee_id)


@router.patch(
    "/properties/{int:property_id}/fees/{int:fee_id}/",
    response=responses(FeeOut, *HOST_ONLY, FeeExists, Stale),
    summary="Change a fee",
)
def change_fee(request: HttpRequest, property_id: int, fee_id: int, body: FeePatch) -> Any:
    """What is not sent stays, null clears a field."""
    return _change(request, property_id, Fee, fee_id, body)


@router.delete(
    "/properties/{int:property_id}/fees/{int:fee_id}/",
    response=responses(None, *HOST_ONLY, Stale, status=204),
    summary="Remove a fee",
)
def remove_fee(request: HttpRequest, property_id: int, fee_id: int) -> Any:
    """What was quoted or booked keeps its price."""
    return _remove(request, property_id, Fee, fee_id)


@router.get(
    "/properties/{int:property_id}/taxes/",
    response=responses(Page[TaxOut], *HOST_ONLY),
    summary="List taxes",
)
def list_taxes(request: HttpRequest, property_id: int) -> Any:
    """The taxes that are collected with stays at a listing, whole."""
    return _list(request, property_id, Tax)


@router.post(
    "/properties/{int:property_id}/taxes/",
    response=responses(TaxOut, *HOST_ONLY, TooManyRates, status=201),
    summary="Add a tax",
)
def add_tax(request: HttpRequest, property_id: int, body: TaxIn) -> Any:
    """A percentage of what is named in ``bases``, or an amount per booking, night, guest or guest and night."""
    return _add(request, property_id, Tax, body)


@router.get(
    "/properties/{int:property_id}/taxes/{int:tax_id}/",
    response=responses(TaxOut, *HOST_ONLY),
    summary="See a tax",
)
def read_tax(request: HttpRequest, property_id: int, tax_id: int) -> Any:
    """For the host; guests see it in a quote."""
    return _read(request, property_id, Tax, tax_id)


@router.patch(
    "/properties/{int:property_id}/taxes/{int:tax_id}/",
    response=responses(TaxOut, *HOST_ONLY, Stale),
    summary="Change a tax",
)
def change_tax(request: HttpRequest, property_id: int, tax_id: int, body: TaxPatch) -> Any:
    """What is not sent stays, null clears a field."""
    return _change(request, property_id, Tax, tax_id, body)


@router.delete(
    "/properties/{int:property_id}/taxes/{int:tax_id}/",
    response=responses(None, *HOST_ONLY, Stale, status=204),
    summary="Remove a tax",
)
def remove_tax(request: HttpRequest, property_id: int, tax_id: int) -> Any:
    """What was quoted or booked keeps its price."""
    return _remove(request, property_id, Tax, tax_id)


@router.get(
    "/properties/{int:property_id}/promo-codes/",
    response=responses(Page[PromoCodeOut], *HOST_ONLY),
    summary="List promotion codes",
)
def list_promo_codes(request: HttpRequest, property_id: int) -> Any:
    """The codes of a listing with their uses, whole, the newest first."""
    return _list(request, property_id, PromoCode)


@router.post(
    "/properties/{int:property_id}/promo-codes/",
    response=responses(PromoCodeOut, *HOST_ONLY, PromoCodeExists, TooManyRates, status=201),
    summary="Add a promotion code",
)
def add_promo_code(request: HttpRequest, property_id: int, body: PromoCodeIn) -> Any:
    """A percentage or an amount off the nights. It goes before every other discount."""
    return _add(request, property_id, PromoCode, body)


@router.get(
    "/properties/{int:property_id}/promo-codes/{int:code_id}/",
    response=responses(PromoCodeOut, *HOST_ONLY),
    summary="See a promotion code",
)
def read_promo_code(request: HttpRequest, property_id: int, code_id: int) -> Any:
    """With the number of bookings that use it."""
    return _read(request, property_id, PromoCode, code_id)


@router.patch(
    "/properties/{int:property_id}/promo-codes/{int:code_id}/",
    response=responses(PromoCodeOut, *HOST_ONLY, PromoCodeExists, Stale),
    summary="Change a promotion code",
)
def change_promo_code(request: HttpRequest, property_id: int, code_id: int, body: PromoCodePatch) -> Any:
    """What is not sent stays, null clears a field. ``active: false`` switches it off; quotes made with it stand."""
    return _change(request, property_id, PromoCode, code_id, body)


@router.delete(
    "/properties/{int:property_id}/promo-codes/{int:code_id}/",
    response=responses(None, *HOST_ONLY, PromoCodeUsed, Stale, status=204),
    summary="Remove a promotion code",
)
def remove_promo_code(request: HttpRequest, property_id: int, code_id: int) -> Any:
    """One that bookings were made with can only be switched off."""
    return _remove(request, property_id, PromoCode, code_id)


def _listing(request: HttpRequest, property_id: int) -> Listing:
    """The listing for its host. Raises: NotFound for one that the caller may not know of, NotAllowed for another's."""
    actor = request.auth  # type: ignore[attr-defined]
    listing = Listing.objects.visible_to(actor).filter(pk=property_id).first()
    if listing is None:
        raise NotFound
    access.require(actor, "listing.rates", listing)
    return listing


def _shown(row: Row, listing: Listing) -> dict[str, Any]:
    shown = payload(row, listing.currency)
    if isinstance(row, PromoCode):
        shown["uses"] = promotions.uses(row, timezone.now())
    return shown


def _list(request: HttpRequest, property_id: int, kind: type[R]) -> Any:
    listing = _listing(request, property_id)
    if kind is PromoCode:
        codes = promotions.with_uses(PromoCode.objects.filter(listing=listing), timezone.now())
        return whole([{**payload(code, listing.currency), "uses": code.uses} for code in codes])
    return whole([payload(row, listing.currency) for row in kind._default_manager.filter(listing=listing)])


def _read(request: HttpRequest, property_id: int, kind: type[R], row_id: int) -> HttpResponse:
    listing = _listing(request, property_id)
    row = kind._default_manager.filter(listing=listing, pk=row_id).first()
    if row is None:
        raise NotFound
    shown = _shown(row, listing)
    return etag_response(request, tag_of(row, shown), shown)


def tag_of(row: Row, shown: dict[str, Any]) -> str:
    """The ETag of a row as it is shown; its first half is the row's revision."""
    return f'"{rates.revision(row)}-{etag(shown)[1:]}'


def _add(request: HttpRequest, property_id: int, kind: type[R], body: In) -> dict[str, Any]:
    listing = _listing(request, property_id)
    row = rates.add(
        kind,
        actor=request.auth,  # type: ignore[attr-defined]
        listing=listing,
        values=body.model_dump(exclude_unset=True, by_alias=True),
        now=timezone.now(),
    )
    return _shown(row, listing)


def _change(request: HttpRequest, property_id: int, kind: type[R], row_id: int, body: In) -> HttpResponse:
    listing = _listing(request, property_id)
    row = rates.change(
        kind,
        actor=request.auth,  # type: ignore[attr-defined]
        listing=listing,
        row_id=row_id,
        changes=body.model_dump(exclude_unset=True, by_alias=True),
        now=timezone.now(),
        revisions=revisions_of(request),
    )
    shown = _shown(row, listing)
    response = HttpResponse(dumps(shown), content_type="application/json; charset=utf-8")
    response["ETag"] = tag_of(row, shown)
    return response


def _remove(request: HttpRequest, property_id: int, kind: type[R], row_id: int) -> HttpResponse:
    rates.remove(
        kind,
        actor=request.auth,  # type: ignore[attr-defined]
        listing=_listing(request, property_id),
        row_id=row_id,
        now=timezone.now(),
        revisions=revisions_of(request),
    )
    return HttpResponse(status=204)


def revisions_of(request: HttpRequest) -> set[str] | None:
    """The revisions of the row that ``If-Match`` names; None when it names none or any."""
    header = request.headers.get("If-Match", "").strip()
    return None if not header or header == "*" else set(_REVISION.findall(header))
