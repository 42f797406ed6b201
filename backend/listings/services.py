"""What hosts and moderators do with listings. Withdrawing one looks at its bookings and stands above, in ``bookings``."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import Profile
from backend.audit import services as audit
from backend.core import access, fx, platform
from backend.core.db import lock, retrying
from backend.core.errors import Conflict, NotFound, Stale, WrongState
from backend.identity import budgets
from backend.listings import access as listing_access
from backend.listings import fields, placing, texts
from backend.listings.correcting import tell_host
from backend.listings.judging import approve, flag, reject, request_changes, suspend
from backend.listings.models import Listing, ListingTransition
from backend.listings.states import ListingStatus
from backend.listings.stepping import REASON_LONGEST, living, move, person

__all__ = [
    "CalendarPrices",
    "RatesInCurrency",
    "approve",
    "archive",
    "create",
    "flag",
    "is_to_be_changed",
    "pause",
    "publish",
    "reject",
    "request_changes",
    "suspend",
    "update",
]

_UNAUDITED = frozenset(
    {"description", "house_rules", "line1", "line2", "postal_code", "latitude", "longitude"}
)
"""Long texts, and what says where somebody lives: the audit log notes that they changed, not to what."""


MAY_OFFER: list[Callable[[int, datetime], None]] = []
"""What else a host must be allowed to offer a place (their id, now): each raises when not. Packages above fill it."""


class CalendarPrices(Conflict):
    """The calendar holds prices in the old currency."""

    code = "calendar_prices"
    title = _("The calendar has prices in the old currency. Clear them first.")


class RatesInCurrency(Conflict):
    """Price rules, fees, taxes or promotion codes name amounts in the old currency."""

    code = "rates_in_currency"
    title = _("Price rules, fees, taxes or codes have amounts in the old currency. Remove them first.")


def create(
    *,
    actor: Any,
    now: datetime,
    title: str,
    description: str,
    price: Decimal,
    location: str,
    availability: bool,
    **optional: Any,
) -> Listing:
    """Make a listing of ``actor``'s. ``price`` is a night's, in major units; ``optional`` are ``fields.SETTABLE``.

    ``availability`` publishes it at once, or sends it to the moderators where the platform demands approval;
    without it a draft is kept. The currency is the host's own, else the platform's.

    Raises: NotAllowed, FeatureOff, Invalid (see ``fields.fill``), Throttled over the day's budget of the host, and what
    ``MAY_OFFER`` raises.
    """
    access.require(actor, "listing.create")
    platform.require("listings")
    _require_may_offer(actor.pk, now)
    listing = Listing(host=actor, created_at=now, updated_at=now)
    said = {
        "title": title,
        "description": description,
        "price_per_night": price,
        "location": location,
        "currency": optional.pop("currency", None) or _own_currency(actor),
        "language": optional.pop("language", None) or texts.own_language(actor),
        **optional,
    }
    fields.fill(listing, said)
    budgets.spend(budgets.LISTINGS, actor, now=now)
    return _insert(actor, listing, _named(said), availability, now)


@retrying
def _insert(
    actor: Any, listing: Listing, said: Collection[str], availability: bool, now: datetime
) -> Listing:
    with transaction.atomic():
        listing.pk = _next_id()
        placing.settle(listing, said)
        listing.status = _when_offered(listing) if availability else ListingStatus.DRAFT
        if listing.status == ListingStatus.PUBLISHED:
            listing.published_at = now
        listing.save(force_insert=True)
        ListingTransition.objects.create(
            listing=listing, seq=1, new=listing.status, actor=person(actor), at=now
        )
        audit.record(
            actor=actor,
            action="listing.create",
            subject=listing,
            now=now,
            after={"status": str(listing.status)},
        )
    return listing


@retrying
def update(
    *,
    actor: Any,
    listing: Listing,
    changes: dict[str, Any],
    now: datetime,
    versions: Collection[int] | None = None,
    reason: str = "",
) -> Listing:
    """Change what the host may set (``fields.SETTABLE``) and with ``availability`` whether it is offered.

    ``versions`` are the ones that the caller has seen; any other refuses. A change of nothing changes nothing. Staff who
    act in the host's stead say why in ``reason``.

    Raises: NotAllowed, NotFound (withdrawn), Stale, Invalid, CalendarPrices, RatesInCurrency, WrongState (offering a flagged one),
    TextExists (a new language of its own in which it has a translation).
    """
    listing_access.require_change(actor, "listing.edit", listing, reason)
    with transaction.atomic():
        current = lock(Listing.objects.all(), pk=listing.pk)
        if current.status == ListingStatus.ARCHIVED:
            raise NotFound
        if versions is not None and current.version not in versions:
            raise Stale
        changes = dict(changes)
        offered = changes.pop("availability", None)
        before = _settable(current)
        texts.require_free(current, changes.get("language", current.language))
        currency = current.currency
        fields.fill(current, changes)
        if current.currency != currency and _has_calendar_prices(current):
            raise CalendarPrices
        if current.currency != currency and _has_rates(current):
            raise RatesInCurrency
        same = {
            name for name in ("location", "latitude", "longitude") if getattr(current, name) == before[name]
        }
        placing.settle(current, _named(changes) - same)
        after = _settable(current)
        changed = [name for name in after if after[name] != before[name]]
        if changed:
            current.version += 1
            current.updated_at = now
            current.save(update_fields=[*changed, "version", "updated_at"])
            audit.record(
                actor=actor,
                action="listing.update",
                subject=current,
                now=now,
                before=_audited(before, changed),
                after=_audited(after, changed),
                reason=reason.strip()[:REASON_LONGEST],
                in_stead_of=current.host_id,
            )
            tell_host(actor=actor, listing=current, action="listing.update", reason=reason, now=now)
        if offered is not None:
            _offer(current, offered, actor, now)
    return current


@retrying
def publish(*, actor: Any, listing: Listing, now: datetime) -> Listing:
    """Offer a draft, paused or rejected listing; one that waits for the moderators goes on waiting.

    Raises: NotAllowed, NotFound, WrongState (flagged), and what ``MAY_OFFER`` raises.
    """
    access.require(actor, "listing.edit", listing)
    with transaction.atomic():
        return _offer(living(listing), True, actor, now)


@retrying
def pause(*, actor: Any, listing: Listing, now: datetime) -> Listing:
    """Take a published listing out of the search; its bookings stand. Raises: NotAllowed, NotFound, WrongState."""
    access.require(actor, "listing.edit", listing)
    with transaction.atomic():
        return move(living(listing), ListingStatus.PAUSED, actor, now)


@retrying
def archive(*, actor: Any, listing: Listing, now: datetime, reason: str = "") -> Listing:
    """Withdraw a listing for good; its record stays. Whether bookings stand in the way is asked in ``bookings``.

    Raises: NotAllowed, NotFound (already withdrawn).
    """
    access.require(actor, "listing.withdraw", listing)
    with transaction.atomic():
        current = living(listing)
        before = {"status": str(current.status)}
        withdrawn = move(current, ListingStatus.ARCHIVED, actor, now, reason[:REASON_LONGEST])
        audit.record(
            actor=actor,
            action="listing.archive",
            subject=withdrawn,
            now=now,
            before=before,
            after={"status": str(withdrawn.status)},
            reason=reason[:REASON_LONGEST],
            in_stead_of=withdrawn.host_id,
        )
        return withdrawn


def _offer(listing: Listing, wanted: bool, actor: Any, now: datetime) -> Listing:
    """Bring a locked listing to where the host wants it: offered or not. Raises: WrongState."""
    if not wanted:
        return (
            move(listing, ListingStatus.PAUSED, actor, now)
            if listing.status == ListingStatus.PUBLISHED
            else listing
        )
    if listing.status in (ListingStatus.PUBLISHED, ListingStatus.PENDING_REVIEW):
        return listing
    if listing.status == ListingStatus.FLAGGED:
        raise WrongState(_("It is hidden while the moderators look at it."), extra={"state": listing.status})
    _require_may_offer(listing.host_id, now)
    return move(listing, _when_offered(listing), actor, now)


def _when_offered(listing: Listing) -> ListingStatus:
    """What offering it leads to: the moderators see what they rejected or wanted changed, and new ones where they must."""
    unseen = listing.published_at is None and platform.get("listing_approval")
    if listing.status == ListingStatus.REJECTED or is_to_be_changed(listing) or unseen:
        return ListingStatus.PENDING_REVIEW
    return ListingStatus.PUBLISHED


def is_to_be_changed(listing: Listing) -> bool:
    """Whether moderators have asked for changes: no host gives a reason for a draft."""
    return listing.status == ListingStatus.DRAFT and bool(listing.status_reason)


def _require_may_offer(host_id: int, now: datetime) -> None:
    for require in MAY_OFFER:
        require(host_id, now)


def _next_id() -> int:
    # The public point is made of the id, so the id must be known before the row is written.
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence('properties', 'id'))")
        return int(cursor.fetchone()[0])


def _own_currency(actor: Any) -> str:
    own = Profile.objects.filter(pk=actor.pk).values_list("currency", flat=True).first()
    return own if own and own in fx.offered() else platform.get("currency")


def _has_calendar_prices(listing: Listing) -> bool:
    return listing.calendar_days.exclude(price_minor=None).exists()


def _has_rates(listing: Listing) -> bool:
    """Whether a price rule, fee, tax or promotion code names an amount."""
    return (
        listing.price_rules.exclude(price_minor=None).exists()
        or listing.fees.exclude(amount_minor=None).exists()
        or listing.taxes.exclude(amount_minor=None).exists()
        or listing.promo_codes.exclude(amount_minor=None).exists()
    )


def _named(changes: dict[str, Any]) -> set[str]:
    """The names of ``changes``, with the parts of an address as ``address.city``."""
    address = changes.get("address") or {}
    return {*changes, *(f"address.{part}" for part in address)}


_COLUMNS = tuple(
    field.attname
    for field in Listing._meta.concrete_fields
    if field.attname
    not in {
        *("id", "host_id", "status", "status_reason", "rating", "review_count", "source", "source_id"),
        *("imported_rating", "imported_review_count", "own_stars", "own_review_count"),
        *("version", "created_at", "updated_at", "published_at"),
    }
)


def _settable(listing: Listing) -> dict[str, Any]:
    return {name: getattr(listing, name) for name in _COLUMNS}


def _audited(values: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    plain = (bool, int, str, list, dict, type(None))
    return {
        name: "…"
        if name in _UNAUDITED
        else values[name]
        if isinstance(values[name], plain)
        else str(values[name])
        for name in names
    }
