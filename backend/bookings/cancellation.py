"""Canceling a booking: what it gives back, to whom the rest goes, and which nights are free again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from backend.audit import services as audit
from backend.availability import services as availability
from backend.availability.models import Block, Reason
from backend.bookings import earnings, penalties, policies, pricing, quotes, settlement
from backend.bookings.announcing import announce
from backend.bookings.models import Booking
from backend.bookings.payment import let_go
from backend.bookings.penalties import Cost, local_date
from backend.bookings.policies import Decision, Terms, Tier
from backend.bookings.states import BookingStatus
from backend.bookings.steps import GUEST, HOST, PLATFORM, hold_still, on_record, side_of, step
from backend.core import access
from backend.core.db import lock, retrying
from backend.core.errors import Invalid, NotAllowed, Stale, WrongState
from backend.core.money import Money, MoneyError
from backend.core.stay import Stay
from backend.payments import bearing, effects, refund_requests
from backend.payments import services as payments
from backend.payments.effects import Effect
from backend.payments.models import Folio

CLOSED = "Closed after a cancellation by the host"
"""The note of the nights that stay closed."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What a cancellation would give back now and later; ``now`` looks at what is really paid.

    ``penalty`` is what it costs the host, where he would be the one to cancel a confirmed stay. Of a booking that is
    canceled (``is_done``) it is what was decided.
    """

    terms: Terms
    now: Decision
    timeline: list[Tier]
    penalty: Cost | None = None
    is_done: bool = False


def terms_of(booking: Booking) -> Terms:
    """The terms that are agreed for ``booking``, paid in full."""
    price = pricing.price(quotes.load(booking.terms["priced"], booking.stay))
    agreed = booking.terms
    return policies.terms_for(
        price,
        policies.load(agreed["policy"]),
        stay=booking.stay,
        zone=agreed["zone"],
        check_in_time=time.fromisoformat(agreed["check_in_time"]),
        check_out_time=time.fromisoformat(agreed["check_out_time"]),
        # Not confirmed yet: as if it had been when it was made, so that what is shown does not move with the clock.
        confirmed_at=booking.confirmed_at or booking.created_at,
        agreed_minor=booking.total_minor,
    )


def preview(booking: Booking, *, paid_minor: int, now: datetime, side: str = GUEST) -> Preview:
    """What it would mean if ``side`` canceled ``booking`` at ``now``, of which ``paid_minor`` is paid. Reads nothing."""
    terms = terms_of(booking)
    if booking.status == BookingStatus.CANCELED:
        done = Decision(
            booking.refund_minor or 0, booking.host_keeps_minor or 0, booking.taxes_kept_minor or 0
        )
        return Preview(terms, done, [Tier(None, done)], is_done=True)
    paid = replace(terms, paid_minor=paid_minor)
    is_open = booking.status in (BookingStatus.PENDING, BookingStatus.CONFIRMED)
    if side == GUEST:
        decision = policies.decide(paid, now) if is_open else Decision(0, 0)
        return Preview(terms, decision, policies.timeline(terms, now))
    everything = policies.give_back(terms)
    is_dear = side == HOST and booking.status == BookingStatus.CONFIRMED
    return Preview(
        terms,
        policies.give_back(paid) if is_open else Decision(0, 0),
        [Tier(None, everything)],
        penalties.cost(terms, currency=booking.currency, at=now) if is_dear else None,
    )


@retrying
def cancel(
    *,
    actor: Any,
    booking_id: int,
    now: datetime,
    reason: str = "",
    version: int | None = None,
    refund: Decimal | None = None,
    side: str | None = None,
    expected: str = "",
) -> None:
    """Cancel a booking and give back what its policy owes.

    The guest gets what ``policies.decide`` says at ``now`` (UTC); when the host or the platform cancels, everything.
    What is kept is divided at once, the refund is written now and asked of the provider after it. Nights are free on
    commit, except those up to and including tonight of a stay that has begun; those of a confirmed stay that its host
    cancels stay closed, and he owes a penalty.

    Staff must say why. They cancel in the platform's name, or for whoever asked them to (``side``: guest or host),
    which then counts as theirs. In the platform's name they may set ``refund`` (in major units) between what the policy
    gives back and everything; what is more than the policy gives, and above the limit of refunds by hand, waits for a
    second person. ``version`` refuses a booking that has changed since it was read, ``expected`` (the digest of
    ``rehearse``) a cancellation that moves other money than what was told.

    Raises: NotFound, NotAllowed, WrongState (canceled before, over, or checked out), Stale, EffectChanged, Invalid
    (reason, refund).
    """
    with transaction.atomic(durable=True):
        effect = _cancel(
            actor, booking_id, now, reason, side, refund, version=version, measures=bool(expected)
        )
        if effect is not None:
            effect.require(expected)


@retrying
def rehearse(
    *,
    actor: Any,
    booking_id: int,
    now: datetime,
    refund: Decimal | None = None,
    side: str | None = None,
) -> Effect:
    """What ``cancel`` would do to the money at ``now``, found by doing it and taking it back. Raises: as ``cancel``."""
    with transaction.atomic(durable=True):
        effect = _cancel(actor, booking_id, now, "rehearsed", side, refund, measures=True)
        transaction.set_rollback(True)
    assert effect is not None, "it was measured"  # noqa: S101
    return effect


def _cancel(
    actor: Any,
    booking_id: int,
    now: datetime,
    reason: str,
    wanted_side: str | None,
    refund: Decimal | None,
    *,
    version: int | None = None,
    measures: bool = False,
) -> Effect | None:
    """Cancel within the transaction around; with ``measures`` say what that does to the money."""
    booking = hold_still(actor, booking_id)
    access.require(actor, "booking.cancel", booking)
    own_side = side_of(actor, booking)
    side = wanted_side or own_side
    if side != own_side and (own_side != PLATFORM or side not in (GUEST, HOST)):
        raise NotAllowed
    if version is not None and version != booking.version:
        raise Stale
    was_confirmed = booking.status == BookingStatus.CONFIRMED
    if was_confirmed and now >= booking.check_out_at:
        raise WrongState(extra={"state": booking.status})
    if own_side == PLATFORM and not reason:
        raise Invalid.field("reason", "reason_required", _("Say why."))
    if refund is not None and side != PLATFORM:
        raise NotAllowed
    # Staff refund under the account's lock alone: what is left to split must not change while it is split.
    folio = lock(Folio.objects.all(), pk=booking.folio_id)
    before = effects.standing(folio) if measures else None
    terms = replace(terms_of(booking), paid_minor=payments.paid(folio))
    decision = _decided(terms, side, refund, booking.currency, now)
    decision, waiting_minor = _for_one_person(actor, side, terms, decision, folio, now)
    step(
        booking,
        new=BookingStatus.CANCELED,
        event="canceled",
        by=side,
        actor=actor,
        reason=reason,
        now=now,
        canceled_by=side,
        refund_minor=decision.refund_minor,
        host_keeps_minor=decision.host_keeps_minor,
        taxes_kept_minor=decision.taxes_kept_minor,
        ended_at=now,
    )
    closed = _let_nights_go(booking, terms, closes=was_confirmed and side == HOST, now=now)
    settlement.settle_later(_move_money(booking, decision, side, now))
    if waiting_minor:
        refund_requests.put_forward(
            actor=actor, folio=folio, amount_minor=waiting_minor, reason=reason, now=now
        )
    audit.record(
        actor=actor,
        action="booking.cancel",
        subject=booking,
        now=now,
        after={
            "canceled_by": side,
            "refund_minor": decision.refund_minor,
            "host_keeps_minor": decision.host_keeps_minor,
            "taxes_kept_minor": decision.taxes_kept_minor,
        },
        reason=on_record(actor, reason),
        in_stead_of={GUEST: booking.guest_id, HOST: booking.host_id}.get(side),
    )
    canceled = ["booking.canceled"]
    announce(booking, now=now, guest=canceled, host=canceled, reason=reason, said="booking.canceled")
    if was_confirmed and side == HOST:
        penalties.impose(booking, terms, block=closed, now=now)
    return Effect(booking.currency, before, effects.standing(folio)) if before is not None else None


def _for_one_person(
    actor: Any, side: str, terms: Terms, decision: Decision, folio: Folio, now: datetime
) -> tuple[Decision, int]:
    """What one person may decide alone of ``decision``, and how much more waits for a second one, in minor units.

    What the policy owes is nobody's generosity; neither is what the platform itself does.
    """
    if side != PLATFORM or actor.pk is None:
        return decision, 0
    owed = policies.decide(terms, now)
    more = decision.refund_minor - owed.refund_minor
    if more <= 0 or not refund_requests.needs_second(folio, more):
        return decision, 0
    return owed, min(more, payments.refundable(folio) - owed.refund_minor)


def _decided(terms: Terms, side: str, refund: Decimal | None, currency: str, now: datetime) -> Decision:
    if side == GUEST:
        return policies.decide(terms, now)
    if refund is None:
        return policies.give_back(terms)
    owed = policies.decide(terms, now)
    try:
        return policies.give_more(owed, Money.from_major(refund, currency).minor)
    except MoneyError:
        raise Invalid.field("refund", "invalid_amount", _("This is no amount of the currency.")) from None
    except ValueError:
        low, high = Money(owed.refund_minor, currency), Money(terms.paid, currency)
        raise Invalid.field(
            "refund",
            "refund_out_of_range",
            _("The refund lies between %(low)s and %(high)s.") % {"low": low, "high": high},
        ) from None


def _let_nights_go(booking: Booking, terms: Terms, *, closes: bool, now: datetime) -> Block | None:
    """Free the nights that are not used any more, or (``closes``) keep them from being sold: the block that does."""
    today = local_date(terms, now)
    has_begun = booking.confirmed_at is not None and now >= booking.check_in_at
    # A guest who leaves has tonight to do so; one who is sent away by the host has not.
    used_until = min(today if closes else today + timedelta(days=1), booking.check_out)
    if has_begun and used_until > booking.check_in:
        availability.shorten(block=booking.block, until=used_until)
        free_from = used_until
    else:
        availability.release(block=booking.block, now=now)
        free_from = max(booking.check_in, today)
    if not closes or free_from >= booking.check_out:
        return None
    nights = Stay(free_from, booking.check_out)
    return availability.claim(
        listing=booking.listing, stay=nights, reason=Reason.HOST, now=now, note=CLOSED, pinned=True
    )


def _move_money(booking: Booking, decision: Decision, side: str, now: datetime) -> list[Any]:
    """Give up what is open, divide what is kept, write the refund down; returns the operations to send."""
    ops = let_go(booking, now=now)
    division = payments.kept(
        folio=booking.folio,
        host_minor=decision.host_keeps_minor - decision.service_fee_kept_minor,
        service_fee_minor=decision.service_fee_kept_minor,
        tax_minor=decision.taxes_kept_minor,
        now=now,
    )
    # What the guest's bank has taken meanwhile is given back when it is ours again (``disputing``).
    refund_minor = min(decision.refund_minor, payments.refundable(booking.folio))
    if refund_minor:
        ops += payments.refund(
            folio=booking.folio, amount_minor=refund_minor, cause=f"canceled_by_{side}", now=now
        )
    bearing.release(
        folio=booking.folio,
        refund_minor=decision.refund_minor,
        waiting_minor=decision.refund_minor - refund_minor,
        now=now,
    )
    earnings.share(booking, division, due_at=now, now=now)
    return ops
