"""What hosts and moderators do with listings. Withdrawing one looks at its bookings and stands above, in ``bookings``."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection, transaction
from django.db.models import F, Max
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import Profile, User
from backend.audit import services as audit
from backend.core import access, fx, platform
from backend.core.db import lock, retrying
from backend.core.errors import Conflict, Invalid, NotFound, Stale, WrongState
from backend.identity import budgets
from backend.listings import access as listing_access
from backend.listings import fields, placing
from backend.listings.correcting import tell_host
from backend.listings.models import Listing, ListingTransition
from backend.listings.states import TRANSITIONS, ListingStatus
from backend.notifications import services as notifications

REASON_LONGEST = 500

_UNAUDITED = frozenset(
    {"description", "house_rules", "line1", "line2", "postal_code", "latitude", "longitude"}
)
"""Long texts, and what says where somebody lives: the audit log notes that they changed, not to what."""


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

    Raises: NotAllowed, Invalid (see ``fields.fill``), Throttled over the day's budget of the host.
    """
    access.require(actor, "listing.create")
    listing = Listing(host=actor, created_at=now, updated_at=now)
    said = {
        "title": title,
        "description": description,
        "price_per_night": price,
        "location": location,
        "currency": optional.pop("currency", None) or _own_currency(actor),
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
            listing=listing, seq=1, new=listing.status, actor=_person(actor), at=now
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

    Raises: NotAllowed, NotFound (withdrawn), Stale, Invalid, CalendarPrices, RatesInCurrency, WrongState (offering a flagged one).
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

    Raises: NotAllowed, NotFound, WrongState (flagged).
    """
    access.require(actor, "listing.edit", listing)
    with transaction.atomic():
        return _offer(_living(listing), True, actor, now)


@retrying
def pause(*, actor: Any, listing: Listing, now: datetime) -> Listing:
    """Take a published listing out of the search; its bookings stand. Raises: NotAllowed, NotFound, WrongState."""
    access.require(actor, "listing.edit", listing)
    with transaction.atomic():
        return _move(_living(listing), ListingStatus.PAUSED, actor, now)


@retrying
def archive(*, actor: Any, listing: Listing, now: datetime, reason: str = "") -> Listing:
    """Withdraw a listing for good; its record stays. Whether bookings stand in the way is asked in ``bookings``.

    Raises: NotAllowed, NotFound (already withdrawn).
    """
    access.require(actor, "listing.withdraw", listing)
    with transaction.atomic():
        current = _living(listing)
        before = {"status": str(current.status)}
        withdrawn = _move(current, ListingStatus.ARCHIVED, actor, now, reason[:REASON_LONGEST])
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


def approve(*, actor: Any, listing: Listing, now: datetime, reason: str = "") -> Listing:
    """Publish a listing that waits for review, was flagged or was rejected. Raises: NotAllowed, NotFound, WrongState."""
    judged = {ListingStatus.PENDING_REVIEW, ListingStatus.FLAGGED, ListingStatus.REJECTED}
    return _judge(actor, listing, ListingStatus.PUBLISHED, now, reason, judged)


def flag(*, actor: Any, listing: Listing, now: datetime, reason: str) -> Listing:
    """Hide a listing while it is looked at; only a moderator can bring it back.

    Raises: NotAllowed, NotFound, WrongState, Invalid (``reason_required``).
    """
    return _judge(actor, listing, ListingStatus.FLAGGED, now, _required(reason))


def reject(*, actor: Any, listing: Listing, now: datetime, reason: str) -> Listing:
    """Refuse a listing; its host may change it and offer it again, which asks the moderators.

    Raises: NotAllowed, NotFound, WrongState, Invalid (``reason_required``).
    """
    return _judge(actor, listing, ListingStatus.REJECTED, now, _required(reason))


_NOTICES: dict[str, str] = {
    ListingStatus.PUBLISHED: "listing.approved",
    ListingStatus.FLAGGED: "listing.flagged",
    ListingStatus.REJECTED: "listing.rejected",
}


@retrying
def _judge(
    actor: Any,
    listing: Listing,
    status: ListingStatus,
    now: datetime,
    reason: str,
    sources: Collection[str] | None = None,
) -> Listing:
    access.require(actor, "listing.moderate", listing)
    with transaction.atomic():
        current = _living(listing)
        old = current.status
        if sources is not None and old not in sources:
            raise WrongState(extra={"state": old})
        step = _move(current, status, actor, now, reason.strip()[:REASON_LONGEST])
        kind = _NOTICES[status]
        audit.record(
            actor=actor,
            action=kind,
            subject=step,
            now=now,
            before={"status": str(old)},
            after={"status": str(status)},
            reason=reason,
        )
        notifications.notify(
            user=User.objects.get(pk=step.host_id),
            kind=kind,
            object_key=f"listing:{step.pk}:{_steps(step)}",
            now=now,
            params={"listing": step.title, "reason": step.status_reason},
            data={"property_id": step.pk},
            url=f"/api/properties/{step.pk}/",
        )
    return step


def _required(reason: str) -> str:
    if not reason.strip():
        raise Invalid.field("reason", "reason_required", _("Say why."))
    if len(reason) > REASON_LONGEST:
        raise Invalid.field("reason", "too_long", _("The reason is too long."))
    return reason


def _living(listing: Listing) -> Listing:
    """The locked row of a listing that is not withdrawn. Raises: NotFound, Unavailable."""
    current = lock(Listing.objects.all(), pk=listing.pk)
    if current.status == ListingStatus.ARCHIVED:
        raise NotFound
    return current


def _offer(listing: Listing, wanted: bool, actor: Any, now: datetime) -> Listing:
    """Bring a locked listing to where the host wants it: offered or not. Raises: WrongState."""
    if not wanted:
        return (
            _move(listing, ListingStatus.PAUSED, actor, now)
            if listing.status == ListingStatus.PUBLISHED
            else listing
        )
    if listing.status in (ListingStatus.PUBLISHED, ListingStatus.PENDING_REVIEW):
        return listing
    if listing.status == ListingStatus.FLAGGED:
        raise WrongState(_("It is hidden while the moderators look at it."), extra={"state": listing.status})
    return _move(listing, _when_offered(listing), actor, now)


def _when_offered(listing: Listing) -> ListingStatus:
    """What offering it leads to: the moderators see rejected ones, and new ones where the platform demands it."""
    unseen = listing.published_at is None and platform.get("listing_approval")
    if listing.status == ListingStatus.REJECTED or unseen:
        return ListingStatus.PENDING_REVIEW
    return ListingStatus.PUBLISHED


def _move(listing: Listing, new: ListingStatus, actor: Any, now: datetime, reason: str = "") -> Listing:
    """Take a locked listing along one edge, by compare-and-set, and note the step. Raises: WrongState."""
    old = listing.status
    TRANSITIONS.require(old, new)
    values: dict[str, Any] = {
        "status": new,
        "status_reason": reason,
        "version": F("version") + 1,
        "updated_at": now,
    }
    if new == ListingStatus.PUBLISHED:
        values["published_at"] = Coalesce(F("published_at"), now)
    if not Listing.objects.filter(pk=listing.pk, status=old).update(**values):
        raise WrongState(extra={"state": old})
    ListingTransition.objects.create(
        listing=listing,
        seq=_steps(listing) + 1,
        old=old,
        new=new,
        actor=_person(actor),
        reason=reason,
        at=now,
    )
    listing.refresh_from_db(fields=[*values])
    return listing


def _steps(listing: Listing) -> int:
    found = ListingTransition.objects.filter(listing_id=listing.pk).aggregate(last=Max("seq"))
    return int(found["last"] or 0)


def _next_id() -> int:
    # The public point is made of the id, so the id must be known before the row is written.
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence('properties', 'id'))")
        return int(cursor.fetchone()[0])


def _own_currency(actor: Any) -> str:
    own = Profile.objects.filter(pk=actor.pk).values_list("currency", flat=True).first()
    return own if own and own in fx.rates() else platform.get("currency")


def _person(actor: Any) -> User | None:
    return actor if isinstance(actor, User) else None


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
