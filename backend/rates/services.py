"""What hosts ask for beside the night: set price rules, fees, taxes and promotion codes of a listing; the service fee's terms.

All four kinds of rows are handled alike: ``add(Fee, …)``, ``change(Tax, …)``, ``remove(PriceRule, …)``. Whoever changes
one holds the listing, so that its currency and its rates never part.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from datetime import date, datetime
from decimal import Decimal
from hashlib import blake2b
from typing import Any, TypeVar

from django.db import transaction
from django.db.models import ProtectedError
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import User
from backend.audit import services as audit
from backend.core import access, fx, platform
from backend.core.db import constraint_errors, lock, retrying
from backend.core.errors import Conflict, DomainError, NotFound, Stale
from backend.listings import access as listing_access
from backend.listings.cohosts import CALENDAR, stands_in
from backend.listings.correcting import tell_host
from backend.listings.models import Listing, ListingStatus
from backend.rates import fields
from backend.rates.models import Fee, PriceRule, PromoCode, Tax
from backend.rates.reading import service_fee_in_force
from backend.rates.service_fees import TermsExist, set_service_fee_terms

__all__ = ["TermsExist", "add", "add_code", "change", "change_code", "remove", "remove_code"]
__all__ += ["service_fee_in_force", "set_service_fee_terms"]

R = TypeVar("R", PriceRule, Fee, Tax, PromoCode)

MOST: dict[type[Any], int] = {PriceRule: 200, Fee: 20, Tax: 20, PromoCode: 200}
"""How many rows of a kind a listing may have: lists are given whole, and a quote holds all fees and taxes."""

REASON_LONGEST = 500


@access.rule("listing.rates")
def may_set_rates(actor: Any, listing: Listing) -> bool:
    """The host of the listing."""
    return stands_in(actor, listing, CALENDAR)


class SeasonOverlap(Conflict):
    """Two seasons of a listing would share a date."""

    code = "season_overlap"
    title = _("Another season covers some of these dates.")


class RuleExists(Conflict):
    """There is a rule of this kind, or with this threshold, already."""

    code = "rule_exists"
    title = _("There is such a rule already. Change that one.")


class FeeExists(Conflict):
    """There is a fee of this kind already."""

    code = "fee_exists"
    title = _("There is a fee of this kind already. Change that one.")


class PromoCodeExists(Conflict):
    """The code is in use already."""

    code = "promo_code_exists"
    title = _("There is such a promotion code already.")


class PromoCodeUsed(Conflict):
    """Bookings were made with the code."""

    code = "promo_code_used"
    title = _("Bookings were made with this promotion code. Switch it off instead.")


class TooManyRates(Conflict):
    """The listing has as many rows of this kind as it may have."""

    code = "too_many_rates"
    title = _("There are too many of these. Remove some first.")


_CONSTRAINTS: dict[str, Callable[[], DomainError]] = {
    "price_rules_no_overlapping_seasons": SeasonOverlap,
    "price_rules_once_per_listing": RuleExists,
    "price_rules_one_per_length": RuleExists,
    "price_rules_one_per_lead": RuleExists,
    "fees_once_per_kind": FeeExists,
    "promo_codes_once": PromoCodeExists,
}


def revision(row: fields.Row) -> str:
    """A word that changes with everything that a row says."""
    values = [row.pk, _audited(row), row.updated_at.timestamp()]
    return blake2b(json.dumps(values).encode(), digest_size=8).hexdigest()


@retrying
def add(
    kind: type[R],
    *,
    actor: Any,
    listing: Listing,
    values: Mapping[str, Any],
    now: datetime,
    reason: str = "",
) -> R:
    """Give ``listing`` another row of ``kind``. ``values`` are as ``fields.COLUMNS`` names them, amounts in major units.

    Staff who act in the host's stead say why in ``reason``, here and below.

    Raises: NotAllowed, NotFound (withdrawn), Invalid (see ``fields.fill``), TooManyRates, SeasonOverlap, RuleExists,
    FeeExists, PromoCodeExists.
    """
    listing_access.require_change(actor, "listing.rates", listing, reason)
    with transaction.atomic():
        current = _held(listing)
        if kind._default_manager.filter(listing=current).count() >= MOST[kind]:
            raise TooManyRates
        row = kind(listing=current, created_at=now, updated_at=now)
        fields.fill(row, values, currency=current.currency)
        with constraint_errors(_CONSTRAINTS):
            row.save(force_insert=True)
        audit.record(
            actor=actor,
            action=f"{_name(kind)}.add",
            subject=row,
            now=now,
            after=_audited(row),
            reason=_cut(reason),
            in_stead_of=listing.host_id,
        )
        tell_host(actor=actor, listing=current, action=f"{_name(kind)}.add", reason=reason, now=now)
    return row


@retrying
def change(
    kind: type[R],
    *,
    actor: Any,
    listing: Listing,
    row_id: int,
    changes: Mapping[str, Any],
    now: datetime,
    revisions: Collection[str] | None = None,
    reason: str = "",
) -> R:
    """Change a row of ``listing``. ``revisions`` are the ones that the caller has seen; any other refuses.

    What was quoted or booked keeps its price. A change of nothing changes nothing.
    Raises: NotAllowed, NotFound, Stale, and what ``add`` raises.
    """
    listing_access.require_change(actor, "listing.rates", listing, reason)
    with transaction.atomic():
        current = _held(listing)
        row = _row(kind, current, row_id, revisions)
        before = _audited(row)
        fields.fill(row, changes, currency=current.currency)
        after = _audited(row)
        changed = [name for name in after if after[name] != before[name]]
        if changed:
            row.updated_at = now
            with constraint_errors(_CONSTRAINTS):
                row.save()
            audit.record(
                actor=actor,
                action=f"{_name(kind)}.change",
                subject=row,
                now=now,
                before={name: before[name] for name in changed},
                after={name: after[name] for name in changed},
                reason=_cut(reason),
                in_stead_of=listing.host_id,
            )
            tell_host(actor=actor, listing=current, action=f"{_name(kind)}.change", reason=reason, now=now)
    return row


@retrying
def remove(
    kind: type[R],
    *,
    actor: Any,
    listing: Listing,
    row_id: int,
    now: datetime,
    revisions: Collection[str] | None = None,
    reason: str = "",
) -> None:
    """Take a row off ``listing``. What was quoted or booked keeps its price.

    Raises: NotAllowed, NotFound, Stale, PromoCodeUsed.
    """
    listing_access.require_change(actor, "listing.rates", listing, reason)
    with transaction.atomic():
        current = _held(listing)
        row = _row(kind, current, row_id, revisions)
        audit.record(
            actor=actor,
            action=f"{_name(kind)}.remove",
            subject=row,
            now=now,
            before=_audited(row),
            reason=_cut(reason),
            in_stead_of=listing.host_id,
        )
        tell_host(actor=actor, listing=current, action=f"{_name(kind)}.remove", reason=reason, now=now)
        try:
            row.delete()
        except ProtectedError as error:
            raise PromoCodeUsed from error


@retrying
def add_code(
    *,
    actor: Any,
    values: Mapping[str, Any],
    currency: str,
    now: datetime,
    host: User | None = None,
    reason: str = "",
) -> PromoCode:
    """Make a promotion code for all listings of ``host``, or (without) for every listing of the platform.

    Amounts are in ``currency`` and exchanged when they are used.
    Raises: NotAllowed, UnknownCurrency, Invalid, TooManyRates, PromoCodeExists.
    """
    _require_codes(actor, host.pk if host else None)
    if currency not in fx.rates():
        raise fx.UnknownCurrency.field("currency", fx.UnknownCurrency.code, fx.UnknownCurrency.title)
    if host is not None and PromoCode.objects.filter(host=host).count() >= MOST[PromoCode]:
        raise TooManyRates
    row = PromoCode(host=host, created_at=now, updated_at=now)
    fields.fill(row, values, currency=currency)
    with transaction.atomic():
        with constraint_errors(_CONSTRAINTS):
            row.save(force_insert=True)
        audit.record(
            actor=actor,
            action="promo_code.add",
            subject=row,
            now=now,
            after=_audited(row),
            reason=reason.strip()[:REASON_LONGEST],
        )
    return row


@retrying
def change_code(
    *,
    actor: Any,
    code_id: int,
    changes: Mapping[str, Any],
    now: datetime,
    reason: str = "",
    revisions: Collection[str] | None = None,
) -> PromoCode:
    """Change a promotion code of a host or of the platform, or switch it off; those of a listing change with it.

    What was quoted or booked keeps its price. Raises: NotAllowed, NotFound, Stale, Invalid, PromoCodeExists.
    """
    with transaction.atomic():
        row = lock(PromoCode.objects.all(), pk=code_id, listing=None)
        _require_codes(actor, row.host_id)
        if revisions is not None and revision(row) not in revisions:
            raise Stale
        before = _audited(row)
        fields.fill(row, changes, currency=row.currency or platform.get("currency"))
        after = _audited(row)
        changed = [name for name in after if after[name] != before[name]]
        if changed:
            row.updated_at = now
            with constraint_errors(_CONSTRAINTS):
                row.save()
            audit.record(
                actor=actor,
                action="promo_code.change",
                subject=row,
                now=now,
                before={name: before[name] for name in changed},
                after={name: after[name] for name in changed},
                reason=_cut(reason),
            )
    return row


@retrying
def remove_code(
    *, actor: Any, code_id: int, now: datetime, reason: str = "", revisions: Collection[str] | None = None
) -> None:
    """Remove a promotion code of a host or of the platform. Raises: NotAllowed, NotFound, Stale, PromoCodeUsed."""
    with transaction.atomic():
        row = lock(PromoCode.objects.all(), pk=code_id, listing=None)
        _require_codes(actor, row.host_id)
        if revisions is not None and revision(row) not in revisions:
            raise Stale
        audit.record(
            actor=actor,
            action="promo_code.remove",
            subject=row,
            now=now,
            before=_audited(row),
            reason=_cut(reason),
        )
        try:
            row.delete()
        except ProtectedError as error:
            raise PromoCodeUsed from error


def _require_codes(actor: Any, host_id: int | None) -> None:
    """Hosts set codes for their own places, staff for everybody's. Raises: NotAllowed."""
    if host_id is not None and actor.pk == host_id:
        access.require(actor, "listing.create")
    else:
        access.require(actor, "platform.service_fee")


def _cut(reason: str) -> str:
    return reason.strip()[:REASON_LONGEST]


def _held(listing: Listing) -> Listing:
    current = lock(Listing.objects.all(), pk=listing.pk)
    if current.status == ListingStatus.ARCHIVED:
        raise NotFound
    return current


def _row(kind: type[R], listing: Listing, row_id: int, revisions: Collection[str] | None) -> R:
    # A promotion code's row is also held by whoever books with it.
    row: R = lock(kind._default_manager.all(), pk=row_id, listing_id=listing.pk)
    if revisions is not None and revision(row) not in revisions:
        raise Stale
    return row


def _name(kind: type[Any]) -> str:
    return {PriceRule: "price_rule", Fee: "fee", Tax: "tax", PromoCode: "promo_code"}[kind]


def _audited(row: fields.Row) -> dict[str, Any]:
    """What a row says, as JSON values; amounts in minor units."""
    plain: dict[str, Any] = {"listing": row.listing_id}
    if isinstance(row, PromoCode):
        plain["host"] = row.host_id
    for name, value in fields.said(row).items():
        if isinstance(value, Decimal):
            value = f"{value.normalize():f}"
        plain[name] = value.isoformat() if isinstance(value, date) else value
    return plain
