"""A confirmed stay is changed: one side asks, the other answers; until the change counts the old terms stand.

What the guest asks for must be bookable as a new stay would be (their own nights do not count against it), and needs
the host's yes unless the listing books instantly. What the host proposes always needs the guest's. A change that
costs more counts when the difference is paid; any other at once when it is accepted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from backend.audit import services as audit
from backend.availability import feeds
from backend.availability import rules as calendar_rules
from backend.availability import services as availability
from backend.availability.rules import NO_RULE, Refusal, StayRefused
from backend.bookings import altering, policies, repricing, settlement, snapshots, sweeping
from backend.bookings.altering import Cost
from backend.bookings.announcing import announce
from backend.bookings.cancellation import terms_of
from backend.bookings.models import Alteration, AlterationStatus, Booking
from backend.bookings.payment import let_go
from backend.bookings.states import BookingStatus
from backend.bookings.steps import GUEST, HOST, PLATFORM, hold_still, side_of, step
from backend.core import access, platform
from backend.core.access import SYSTEM
from backend.core.db import retrying
from backend.core.errors import Conflict, Invalid, NotAllowed, Stale, WrongState
from backend.core.stay import MAX_NIGHTS, Stay
from backend.payments.models import MoneyOp

ANSWER_WITHIN = timedelta(hours=72)
"""How long the other side has to answer; never past the check-in."""


class NothingChanges(Invalid):
    """What is asked for is what is agreed already."""

    code = "nothing_changes"
    title = _("This is what is agreed already.")


class AlterationOpen(Conflict):
    """An earlier change is not answered, or not paid yet."""

    code = "alteration_open"
    title = _("Another change of this booking is still open.")


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be different; None leaves it as it is. ``total`` (the host's) is in major units of the booking's currency."""

    check_in: date | None = None
    check_out: date | None = None
    guests: int | None = None
    pets: int | None = None
    total: Decimal | None = None
    reason: str = ""


def ask(
    *, actor: Any, booking_id: int, change: Change, now: datetime, version: int | None = None
) -> Alteration:
    """The guest of a confirmed stay asks for other dates or guests.

    Where the listing books instantly and nothing speaks for asking the host, it is accepted at once: in force, or
    waiting for the payment of the difference (``accepted_payment_hours``, never past check-in). ``version`` refuses a
    booking that has changed since it was read.
    Raises: NotFound, NotAllowed, WrongState, Stale, AlterationOpen, NothingChanges, NotAvailable, StayRefused,
    Preparation, DatesUnavailable, PriceOutOfRange.
    """
    _refresh_feeds(actor, booking_id, now)
    return _ask(actor=actor, booking_id=booking_id, change=change, now=now, version=version)


@retrying
def _ask(*, actor: Any, booking_id: int, change: Change, now: datetime, version: int | None) -> Alteration:
    with transaction.atomic(durable=True):
        booking = hold_still(actor, booking_id)
        access.require(actor, "booking.alter", booking)
        if version is not None and version != booking.version:
            raise Stale
        stay, guests, pets = _wanted(booking, change, now)
        days = availability.days(booking.listing_id, stay.check_in, stay.check_out)
        _require_bookable(booking, stay, guests, days, now)
        availability.require_free(listing=booking.listing, stay=stay, now=now, besides=booking.block)
        cost = _cost_of(booking, repricing.changed(booking, stay, guests, pets, days, now), now)
        alteration = _write(booking, GUEST, stay, guests, pets, cost, change.reason, now)
        asks_host = _needs_host(booking, stay, now)
        step(booking, event="alteration_proposed", by=GUEST, actor=actor, now=now, reason=change.reason)
        audit.record(
            actor=actor, action="booking.alter", subject=booking, now=now, after=_summary(alteration)
        )
        if asks_host:
            announce(
                booking,
                now=now,
                host=["booking.change_requested"],
                key=altering.key_of(alteration),
                values=altering.values_of(alteration),
            )
        else:
            settlement.settle_later(_accepted(booking, alteration, by=PLATFORM, actor=None, now=now))
    return alteration


@retrying
def propose(
    *, actor: Any, booking_id: int, change: Change, now: datetime, version: int | None = None
) -> Alteration:
    """The host of a confirmed stay proposes other dates, guests or another price to the guest.

    The listing's own rules do not bind its host, only the nights must be free and the guests find room. What gets
    cheaper comes back whole. Without ``change.total`` the new terms cost what the guest's own change would.
    Raises: NotFound, NotAllowed, WrongState, Stale, AlterationOpen, NothingChanges, StayRefused, Preparation,
    DatesUnavailable, PriceOutOfRange, Invalid (a total that the fees alone pass, too precise).
    """
    with transaction.atomic(durable=True):
        booking = hold_still(actor, booking_id)
        access.require(actor, "booking.propose", booking)
        if version is not None and version != booking.version:
            raise Stale
        stay, guests, pets = _wanted(booking, change, now)
        days = availability.days(booking.listing_id, stay.check_in, stay.check_out)
        _require_possible(booking, stay, guests, now)
        availability.require_free(listing=booking.listing, stay=stay, now=now, besides=booking.block)
        priced = repricing.changed(booking, stay, guests, pets, days, now)
        kept = altering.kept_of(booking)
        if change.total is not None:
            minor = repricing.total_minor(change.total, booking.currency)
            priced = repricing.to_total(priced, minor - kept)
        price = altering.price_of(priced)
        difference = price.total_minor + kept - booking.total_minor
        cost = Cost(priced, price, difference, refund=max(0, -difference), kept=kept)
        if _same(booking, stay, guests, pets) and not difference:
            raise NothingChanges
        alteration = _write(booking, HOST, stay, guests, pets, cost, change.reason, now)
        step(booking, event="alteration_proposed", by=HOST, actor=actor, now=now, reason=change.reason)
        audit.record(
            actor=actor, action="booking.propose", subject=booking, now=now, after=_summary(alteration)
        )
        announce(
            booking,
            now=now,
            guest=["booking.change_proposed"],
            key=altering.key_of(alteration),
            values=altering.values_of(alteration),
        )
    return alteration


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
            actor=actor, action="booking.decline_alteration", subject=booking, now=now, reason=reason
        )
        _tell(booking, alteration, alteration.proposed_by, "booking.change_declined", now, reason)
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
        audit.record(actor=actor, action="booking.withdraw_alteration", subject=booking, now=now)
        other = HOST if side == GUEST else GUEST
        _tell(booking, alteration, other, "booking.change_withdrawn", now)
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
    for side in (GUEST, HOST):
        _tell(booking, alteration, side, "booking.change_expired", now)
    return _drop_payment(booking, alteration, now)


def _drop_payment(booking: Booking, alteration: Alteration, now: datetime) -> list[MoneyOp]:
    """Give up a payment of the difference that has not left yet; one that is under way goes back when it arrives."""
    return let_go(booking, now=now) if alteration.payment_id is not None else []


def _wanted(booking: Booking, change: Change, now: datetime) -> tuple[Stay, int, int]:
    """The stay, guests and pets that a change of a confirmed stay asks for."""
    if booking.status != BookingStatus.CONFIRMED or now >= booking.check_out_at:
        raise WrongState(extra={"state": booking.status})
    waiting = altering.open_of(booking)
    if waiting is not None:
        if waiting.expires_at > now:
            raise AlterationOpen
        settlement.settle_later(_lapse(booking, waiting, now))
    check_in = change.check_in or booking.check_in
    check_out = change.check_out or booking.check_out
    if check_out <= check_in:
        raise _refused("invalid_dates", "check_out", _("Check-out must be after check-in."))
    if (check_out - check_in).days > MAX_NIGHTS:
        raise _refused("max_nights", "check_out", _("The stay has too many nights."))
    today = availability.rules_of(booking.listing).today(now)
    if now >= booking.check_in_at and check_in != booking.check_in:
        raise _refused("stay_begun", "check_in", _("The stay has begun; its check-in cannot be changed."))
    if now >= booking.check_in_at and check_out <= today and check_out != booking.check_out:
        raise _refused("check_out_past", "check_out", _("The stay can end tomorrow at the earliest."))
    stay = Stay(check_in, check_out)
    guests = booking.guests if change.guests is None else change.guests
    pets = booking.pets if change.pets is None else change.pets
    if change.total is None and _same(booking, stay, guests, pets):
        raise NothingChanges
    return stay, guests, pets


def _same(booking: Booking, stay: Stay, guests: int, pets: int) -> bool:
    return (stay, guests, pets) == (booking.stay, booking.guests, booking.pets)


def _refused(code: str, field: str, message: Any) -> StayRefused:
    return StayRefused([Refusal(code, field, message)])


def _require_bookable(booking: Booking, stay: Stay, guests: int, days: Any, now: datetime) -> None:
    """As for a new booking; a rule that speaks only of what stays as it is was kept or waived when it was agreed."""
    listing = booking.listing
    if not availability.is_sold(listing):
        raise availability.NotAvailable
    found = calendar_rules.refusals(availability.rules_of(listing), days, stay, guests, now)
    unchanged = set()
    if stay.check_in == booking.check_in:
        unchanged |= {refusal.code for refusal in found if refusal.field == "check_in"}
    if stay.check_out == booking.check_out:
        unchanged.add("closed_to_departure")
    if stay.nights == booking.stay.nights:
        unchanged |= {"min_nights", "max_nights"}
    if guests <= booking.guests:
        unchanged.add("too_many_guests")
    if left := [refusal for refusal in found if refusal.code not in unchanged]:
        raise StayRefused(left)


def _require_possible(booking: Booking, stay: Stay, guests: int, now: datetime) -> None:
    """What binds the host too: the past, the furthest date that is sold, and how many find room."""
    rules = availability.rules_of(booking.listing)
    binding = {"check_in_past", "booking_window", "too_many_guests"}
    found = calendar_rules.refusals(rules, {stay.check_in: NO_RULE}, stay, guests, now)
    if stay.check_in == booking.check_in:
        binding = {"too_many_guests"}
    if left := [refusal for refusal in found if refusal.code in binding]:
        raise StayRefused(left)


def _needs_host(booking: Booking, stay: Stay, now: datetime) -> bool:
    listing = booking.listing
    if not listing.instant_book or feeds.is_stale(listing.pk, now):
        return True
    moved = stay.check_in != booking.check_in
    return moved and calendar_rules.needs_request(availability.rules_of(listing), stay.check_in, now)


def _refresh_feeds(actor: Any, booking_id: int, now: datetime) -> None:
    """Look at the other calendars of the listing first, where that is long ago. Outside of any transaction."""
    mine = Booking.objects.as_guest(actor).filter(pk=booking_id).values_list("listing_id", flat=True).first()
    if mine is not None:
        feeds.refresh_before_booking(listing_id=mine, now=now)


def _cost_of(booking: Booking, priced: Any, now: datetime) -> Cost:
    """What the guest's change comes to: more is paid in full, less comes back as far as the policy says now."""
    price = altering.price_of(priced)
    kept = altering.kept_of(booking)
    difference = price.total_minor + kept - booking.total_minor
    if difference >= 0:
        return Cost(priced, price, difference, 0, kept)
    refund = policies.share_back(terms_of(booking), -difference, at=now)
    return Cost(priced, price, difference, refund, kept - difference - refund)


def _write(
    booking: Booking, by: str, stay: Stay, guests: int, pets: int, cost: Cost, reason: str, now: datetime
) -> Alteration:
    return Alteration.objects.create(
        booking=booking,
        proposed_by=by,
        check_in=stay.check_in,
        check_out=stay.check_out,
        guests=guests,
        pets=pets,
        total_minor=cost.total,
        host_payout_minor=cost.host_payout,
        difference_minor=cost.difference,
        refund_minor=cost.refund,
        terms={"priced": snapshots.dump(cost.priced)},
        reason=reason[:500],
        expires_at=min(now + ANSWER_WITHIN, _latest(booking, stay, now)),
        created_at=now,
    )


def _latest(booking: Booking, stay: Stay, now: datetime) -> datetime:
    """Until when a change can wait at all: the nearer check-in that lies ahead, in the stay the nearer check-out."""
    arrivals = (booking.check_in_at, altering.arrival_at(booking, stay.check_in))
    departures = (booking.check_out_at, altering.departure_at(booking, stay.check_out))
    return min([at for at in arrivals if at > now] or [at for at in departures if at > now])


def _accepted(
    booking: Booking, alteration: Alteration, *, by: str, actor: Any, now: datetime
) -> list[MoneyOp]:
    """What an accepted change leads to. Returns the operations to send."""
    if alteration.difference_minor <= 0:
        return altering.put_in_force(booking, alteration, by=by, actor=actor, now=now)
    stay = Stay(alteration.check_in, alteration.check_out)
    hours = timedelta(hours=platform.get("accepted_payment_hours"))
    expires_at = min(now + hours, _latest(booking, stay, now))
    altering.settle(alteration, AlterationStatus.ACCEPTED, now=now, expires_at=expires_at)
    step(booking, event="alteration_accepted", by=by, actor=actor, now=now)
    # Whoever has just said yes, or changed a place that books instantly, knows what is due.
    told = [] if by in (GUEST, PLATFORM) else ["booking.change_accepted"]
    announce(
        booking,
        now=now,
        guest=told,
        key=altering.key_of(alteration),
        values=altering.values_of(alteration),
    )
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
    booking: Booking, alteration: Alteration, side: str, kind: str, now: datetime, reason: str = ""
) -> None:
    announce(
        booking,
        now=now,
        guest=[kind] if side == GUEST else [],
        host=[kind] if side == HOST else [],
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
