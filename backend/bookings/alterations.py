"""A confirmed stay is changed: one side asks, the other answers; until the change counts the old terms stand.

What the guest asks for must be bookable as a new stay would be (their own nights do not count against it), and needs
the host's yes unless the listing books instantly. What the host proposes always needs the guest's. A change that
costs more counts when the difference is paid; any other at once when it is accepted.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from backend.audit import services as audit
from backend.availability import feeds
from backend.availability import services as availability
from backend.bookings import alteration_rules as rules
from backend.bookings import altering, settlement, snapshots, sweeping
from backend.bookings.alteration_rules import Change, NothingChanges, Terms
from backend.bookings.announcing import announce
from backend.bookings.models import Alteration, AlterationStatus, Booking
from backend.bookings.payment import let_go
from backend.bookings.states import BookingStatus
from backend.bookings.steps import GUEST, HOST, PLATFORM, hold_still, on_record, side_of, step
from backend.core import access, platform
from backend.core.access import SYSTEM
from backend.core.db import retrying
from backend.core.errors import Conflict, Invalid, NotAllowed, NotFound, Stale, Throttled, WrongState
from backend.core.stay import Stay
from backend.payments.models import MoneyOp

__all__ = [
    "AlterationOpen",
    "Change",
    "NothingChanges",
    "Terms",
    "accept",
    "ask",
    "decline",
    "expire",
    "preview",
    "propose",
    "withdraw",
]

ANSWER_WITHIN = timedelta(hours=72)
"""How long the other side has to answer; never past the check-in."""


class AlterationOpen(Conflict):
    """An earlier change is not answered, or not paid yet."""

    code = "alteration_open"
    title = _("Another change of this booking is still open.")


class TooManyChanges(Throttled):
    """One side has asked for change after change of a booking; each of them is mailed to the other side."""

    code = "too_many_changes"
    title = _("There were many changes of this booking today. Please write to each other first.")


CHANGES_WINDOW = timedelta(days=1)


def ask(
    *,
    actor: Any,
    booking_id: int,
    change: Change,
    now: datetime,
    version: int | None = None,
    in_stead: bool = False,
    expected: str = "",
) -> Alteration:
    """The guest of a confirmed stay asks for other dates or guests.

    Where the listing books instantly and nothing speaks for asking the host, it is accepted at once: in force, or
    waiting for the payment of the difference (``accepted_payment_hours``, never past check-in). What speaks for it: the
    host's notice, another calendar that is out of date, and a later check-in once canceling would cost the guest
    something. ``version`` refuses a booking that has changed since it was read. Staff ask ``in_stead`` of the guest, with a
    reason, under the same rules; ``expected`` (the digest of ``in_stead.preview``) refuses other terms than were told.
    Raises: NotFound, NotAllowed, WrongState, Stale, EffectChanged, AlterationOpen, TooManyChanges, NothingChanges,
    NotAvailable, StayRefused, Preparation, DatesUnavailable, PriceOutOfRange, Invalid (no reason of staff).
    """
    _refresh_feeds(actor, booking_id, now, in_stead)
    return _ask(actor, booking_id, change, now, version, in_stead, expected)


@retrying
def _ask(
    actor: Any,
    booking_id: int,
    change: Change,
    now: datetime,
    version: int | None,
    in_stead: bool,
    expected: str,
) -> Alteration:
    with transaction.atomic(durable=True):
        booking = hold_still(actor, booking_id)
        _require_right(actor, "booking.alter", booking, change, in_stead)
        if version is not None and version != booking.version:
            raise Stale
        _require_none_open(booking, now)
        _require_few(booking, GUEST, now)
        terms = rules.asked(booking, change, now)
        altering.effect_of(booking, terms.cost).require(expected)
        alteration = _write(booking, GUEST, terms, change.reason, now)
        step(booking, event="alteration_proposed", by=GUEST, actor=actor, now=now, reason=change.reason)
        audit.record(
            actor=actor,
            action="booking.alter",
            subject=booking,
            now=now,
            after=_summary(alteration),
            reason=on_record(actor, change.reason),
            in_stead_of=booking.guest_id,
        )
        if terms.asks_host:
            _tell(booking, alteration, (HOST,), "booking.change_requested", now)
        else:
            settlement.settle_later(_accepted(booking, alteration, by=PLATFORM, actor=None, now=now))
    return alteration


@retrying
def propose(
    *,
    actor: Any,
    booking_id: int,
    change: Change,
    now: datetime,
    version: int | None = None,
    in_stead: bool = False,
    expected: str = "",
) -> Alteration:
    """The host of a confirmed stay proposes other dates, guests or another price to the guest.

    The listing's own rules do not bind its host, only the nights must be free and the guests find room. What gets
    cheaper comes back whole. Without ``change.total`` the new terms cost what the guest's own change would. Staff propose
    ``in_stead`` of the host as they ``ask`` for the guest.
    Raises: NotFound, NotAllowed, WrongState, Stale, EffectChanged, AlterationOpen, TooManyChanges, NothingChanges,
    StayRefused, Preparation, DatesUnavailable, PriceOutOfRange, Invalid (a total that the fees alone pass, too precise; no
    reason of staff).
    """
    with transaction.atomic(durable=True):
        booking = hold_still(actor, booking_id)
        _require_right(actor, "booking.propose", booking, change, in_stead)
        if version is not None and version != booking.version:
            raise Stale
        _require_none_open(booking, now)
        _require_few(booking, HOST, now)
        terms = rules.proposed(booking, change, now)
        altering.effect_of(booking, terms.cost).require(expected)
        alteration = _write(booking, HOST, terms, change.reason, now)
        step(booking, event="alteration_proposed", by=HOST, actor=actor, now=now, reason=change.reason)
        audit.record(
            actor=actor,
            action="booking.propose",
            subject=booking,
            now=now,
            after=_summary(alteration),
            reason=on_record(actor, change.reason),
            in_stead_of=booking.host_id,
        )
        _tell(booking, alteration, (GUEST,), "booking.change_proposed", now)
    return alteration


def preview(*, actor: Any, booking_id: int, change: Change, now: datetime) -> Terms:
    """What the change would come to if the guest asked for it, or the host proposed it, at ``now``. Writes nothing.

    Raises: as ``ask`` and ``propose``, but for an open change.
    """
    visible = Booking.objects.visible_to(actor).select_related("listing__host", "block")
    booking = visible.filter(pk=booking_id).first()
    if booking is None:
        raise NotFound
    if side_of(actor, booking) == HOST:
        return rules.proposed(booking, change, now)
    access.require(actor, "booking.alter", booking)
    return rules.asked(booking, change, now)


@retrying
def accept(*, actor: Any, booking_id: int, now: datetime) -> Alteration:
    """The other side says yes: the change is in force, or waits for the guest to pay the difference.

    Raises: NotFound, NotAllowed (one's own proposal), WrongState (none waits), DatesUnavailable, Preparation (the
    nights are gone meanwhile: the change stays open, the old terms stand).
    """
    with transaction.atomic(durable=True):
        booking, alteration, side = _waiting(actor, booking_id, now, own=False)
        stay = Stay(alteration.check_in, alteration.check_out)
        availability.require_free(listing=booking.listing, stay=stay, now=now, besides=booking.block)
        audit.record(
            actor=actor,
            action="booking.accept_alteration",
            subject=booking,
            now=now,
            after=_summary(alteration),
            in_stead_of=booking.host_id if side == HOST else None,
        )
        settlement.settle_later(_accepted(booking, alteration, by=side, actor=actor, now=now))
    return alteration


@retrying
def decline(*, actor: Any, booking_id: int, now: datetime, reason: str = "") -> Alteration:
    """The other side says no; the old terms stay. Raises: NotFound, NotAllowed, WrongState."""
    with transaction.atomic(durable=True):
        booking, alteration, side = _waiting(actor, booking_id, now, own=False)
        altering.settle(alteration, AlterationStatus.DECLINED, now=now)
        step(booking, event="alteration_declined", by=side, actor=actor, now=now, reason=reason)
        audit.record(
            actor=actor,
            action="booking.decline_alteration",
            subject=booking,
            now=now,
            reason=on_record(actor, reason),
            in_stead_of=booking.host_id if side == HOST else None,
        )
        _tell(booking, alteration, (alteration.proposed_by,), "booking.change_declined", now, reason)
    return alteration


@retrying
def withdraw(*, actor: Any, booking_id: int, now: datetime) -> Alteration:
    """Whoever proposed takes it back; the guest may also leave an accepted change unpaid by it.

    Raises: NotFound, NotAllowed (the other side's), WrongState.
    """
    with transaction.atomic(durable=True):
        booking, alteration, side = _waiting(actor, booking_id, now, own=True)
        altering.settle(alteration, AlterationStatus.WITHDRAWN, now=now)
        step(booking, event="alteration_withdrawn", by=side, actor=actor, now=now)
        settlement.settle_later(_drop_payment(booking, alteration, now))
        audit.record(
            actor=actor,
            action="booking.withdraw_alteration",
            subject=booking,
            now=now,
            in_stead_of=booking.host_id if side == HOST else None,
        )
        other = HOST if side == GUEST else GUEST
        _tell(booking, alteration, (other,), "booking.change_withdrawn", now)
    return alteration


def expire(*, now: datetime) -> dict[str, int]:
    """End every change whose time has run out by ``now`` (UTC), each in a transaction of its own."""
    due = Alteration.objects.open().filter(expires_at__lte=now).order_by("expires_at")
    return sweeping.each(
        due.values_list("booking_id", flat=True),
        "expired",
        lambda booking_id: _expire_one(booking_id, now=now),
    )


@retrying
def _expire_one(booking_id: int, *, now: datetime) -> bool:
    with transaction.atomic(durable=True):
        booking = hold_still(SYSTEM, booking_id)
        alteration = altering.open_of(booking)
        if alteration is None or alteration.expires_at > now:
            return False
        settlement.settle_later(_lapse(booking, alteration, now))
    return True


def _lapse(booking: Booking, alteration: Alteration, now: datetime) -> list[MoneyOp]:
    altering.settle(alteration, AlterationStatus.EXPIRED, now=now)
    step(booking, event="alteration_expired", by=PLATFORM, actor=None, now=now)
    _tell(booking, alteration, (GUEST, HOST), "booking.change_expired", now)
    return _drop_payment(booking, alteration, now)


def _drop_payment(booking: Booking, alteration: Alteration, now: datetime) -> list[MoneyOp]:
    """Give up a payment of the difference that has not left yet; one that is under way goes back when it arrives."""
    return let_go(booking, now=now) if alteration.payment_id is not None else []


def _require_none_open(booking: Booking, now: datetime) -> None:
    """Raises: AlterationOpen. One whose time is over and that no sweep has met yet is ended."""
    waiting = altering.open_of(booking)
    if waiting is None:
        return
    if waiting.expires_at > now:
        raise AlterationOpen
    settlement.settle_later(_lapse(booking, waiting, now))


def _require_few(booking: Booking, side: str, now: datetime) -> None:
    """Raises: TooManyChanges beyond ``limit_changes_booking`` of one side in a day. The booking is held by the caller."""
    recent = Alteration.objects.filter(
        booking=booking, proposed_by=side, created_at__gt=now - CHANGES_WINDOW
    ).order_by("-created_at")
    most = platform.get("limit_changes_booking")
    instants = list(recent.values_list("created_at", flat=True)[:most])
    if len(instants) >= most:
        left = instants[-1] + CHANGES_WINDOW - now
        raise TooManyChanges(retry_after=ceil(left.total_seconds()))


def _require_right(actor: Any, rule: str, booking: Booking, change: Change, in_stead: bool) -> None:
    """Raises: NotAllowed; Invalid where staff do not say why they act ``in_stead`` of somebody."""
    access.require(actor, "booking.stand_in" if in_stead else rule, booking)
    if in_stead and not change.reason.strip():
        raise Invalid.field("reason", "required", _("Say why."))


def _refresh_feeds(actor: Any, booking_id: int, now: datetime, in_stead: bool) -> None:
    """Look at the other calendars of the listing first, where that is long ago. Outside of any transaction."""
    about = Booking.objects.visible_to(actor) if in_stead else Booking.objects.as_guest(actor)
    mine = about.filter(pk=booking_id).values_list("listing_id", flat=True).first()
    if mine is not None:
        feeds.refresh_before_booking(listing_id=mine, now=now)


def _write(booking: Booking, by: str, terms: Terms, reason: str, now: datetime) -> Alteration:
    cost, stay = terms.cost, terms.stay
    return Alteration.objects.create(
        booking=booking,
        proposed_by=by,
        check_in=stay.check_in,
        check_out=stay.check_out,
        guests=terms.guests,
        pets=terms.pets,
        total_minor=cost.total,
        host_payout_minor=cost.host_payout,
        difference_minor=cost.difference,
        refund_minor=cost.refund,
        terms={"priced": snapshots.dump(cost.priced)},
        reason=reason[:500],
        expires_at=min(now + ANSWER_WITHIN, rules.latest(booking, stay, now)),
        created_at=now,
    )


def _accepted(
    booking: Booking, alteration: Alteration, *, by: str, actor: Any, now: datetime
) -> list[MoneyOp]:
    """What an accepted change leads to. Returns the operations to send."""
    if alteration.difference_minor <= 0:
        return altering.put_in_force(booking, alteration, by=by, actor=actor, now=now)
    stay = Stay(alteration.check_in, alteration.check_out)
    hours = timedelta(hours=platform.get("accepted_payment_hours"))
    expires_at = min(now + hours, rules.latest(booking, stay, now))
    altering.settle(alteration, AlterationStatus.ACCEPTED, now=now, expires_at=expires_at)
    step(booking, event="alteration_accepted", by=by, actor=actor, now=now)
    # Whoever has just said yes, or changed a place that books instantly, knows what is due.
    told = () if by in (GUEST, PLATFORM) else (GUEST,)
    _tell(booking, alteration, told, "booking.change_accepted", now)
    return []


def _waiting(actor: Any, booking_id: int, now: datetime, *, own: bool) -> tuple[Booking, Alteration, str]:
    """The locked booking with the change that waits, and in whose name ``actor`` acts.

    ``own``: it is taken back by whoever proposed it; an accepted one that is not paid by the guest. Otherwise it is
    answered by the other side.
    """
    booking = hold_still(actor, booking_id)
    side = side_of(actor, booking)
    access.require(actor, "booking.propose" if side == HOST else "booking.alter", booking)
    alteration = altering.open_of(booking)
    if alteration is None or alteration.expires_at <= now or booking.status != BookingStatus.CONFIRMED:
        raise WrongState(extra={"state": booking.status})
    unpaid = alteration.status == AlterationStatus.ACCEPTED
    mine = side == (GUEST if unpaid else alteration.proposed_by)
    if own != mine:
        raise NotAllowed
    if unpaid and not own:
        raise WrongState(extra={"state": alteration.status})
    return booking, alteration, side


def _tell(
    booking: Booking,
    alteration: Alteration,
    sides: Collection[str],
    kind: str,
    now: datetime,
    reason: str = "",
) -> None:
    """Tell the guest, the host or both, with what is asked for; with no side only their sockets."""
    announce(
        booking,
        now=now,
        guest=[kind] if GUEST in sides else [],
        host=[kind] if HOST in sides else [],
        reason=reason,
        key=altering.key_of(alteration),
        values=altering.values_of(alteration),
    )


def _summary(alteration: Alteration) -> dict[str, Any]:
    return {
        "alteration": alteration.pk,
        "check_in": alteration.check_in.isoformat(),
        "check_out": alteration.check_out.isoformat(),
        "guests": alteration.guests,
        "total_minor": alteration.total_minor,
    }
