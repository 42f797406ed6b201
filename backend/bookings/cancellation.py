"""Canceling a booking, and what that gives back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, time
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from backend.audit import services as audit
from backend.availability import services as availability
from backend.bookings import policies, pricing, quotes, settlement
from backend.bookings.announcing import announce
from backend.bookings.models import Booking
from backend.bookings.payment import let_go, taken_minor
from backend.bookings.policies import Decision, Terms, Tier
from backend.bookings.states import BookingStatus
from backend.bookings.steps import GUEST, PLATFORM, hold_still, side_of, step
from backend.core import access
from backend.core.db import retrying
from backend.core.errors import Invalid, Stale, WrongState
from backend.payments import services as payments
from backend.payments.models import Payment


@dataclass(frozen=True, slots=True)
class Preview:
    """What a cancellation by the guest would give back now and later; ``now`` looks at what is really paid."""

    terms: Terms
    now: Decision
    timeline: list[Tier]


def terms_of(booking: Booking) -> Terms:
    """The terms that were agreed when ``booking`` was made, paid in full."""
    price = pricing.price(quotes.load(booking.terms["priced"], booking.stay))
    kept = booking.terms
    return policies.terms_for(
        price,
        policies.load(kept["policy"]),
        stay=booking.stay,
        zone=kept["zone"],
        check_in_time=time.fromisoformat(kept["check_in_time"]),
        check_out_time=time.fromisoformat(kept["check_out_time"]),
        # Not confirmed yet: as if it had been when it was made, so that what is shown does not move with the clock.
        confirmed_at=booking.confirmed_at or booking.created_at,
        agreed_minor=booking.total_minor,
    )


def preview(booking: Booking, *, paid_minor: int, now: datetime) -> Preview:
    """What canceling ``booking`` at ``now`` would mean, of which ``paid_minor`` is paid. Reads nothing."""
    terms = terms_of(booking)
    is_open = booking.status in (BookingStatus.PENDING, BookingStatus.CONFIRMED)
    decision = policies.decide(replace(terms, paid_minor=paid_minor), at=now) if is_open else Decision(0, 0)
    return Preview(terms, decision, policies.timeline(terms, now))


@retrying
def cancel(
    *, actor: Any, booking_id: int, now: datetime, reason: str = "", version: int | None = None
) -> None:
    """Cancel a booking and give back what its policy owes.

    The guest gets what ``policies.decide`` says at ``now`` (UTC); when the host or the platform cancels, everything.
    Nights are free on commit; the refund is written now and asked of the provider after it. Staff must say why.
    ``version`` refuses a booking that has changed since it was read.
    Raises: NotFound, NotAllowed, WrongState (canceled before, over, or checked out), Stale, Invalid (reason).
    """
    with transaction.atomic(durable=True):
        booking = hold_still(actor, booking_id)
        access.require(actor, "booking.cancel", booking)
        side = side_of(actor, booking)
        if version is not None and version != booking.version:
            raise Stale
        if booking.status == BookingStatus.CONFIRMED and now >= booking.check_out_at:
            raise WrongState(extra={"state": booking.status})
        if side == PLATFORM and not reason:
            raise Invalid.field("reason", "reason_required", _("Say why."))
        paid = Payment.objects.filter(folio_id=booking.folio_id, kind=Payment.Kind.PAYMENT)
        terms = replace(terms_of(booking), paid_minor=taken_minor(paid))
        decision = policies.decide(terms, at=now) if side == GUEST else policies.give_back(terms)
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
            ended_at=now,
        )
        availability.release(block=booking.block, now=now)
        ops = let_go(booking, now=now)
        if decision.refund_minor:
            ops += payments.refund(
                folio=booking.folio, amount_minor=decision.refund_minor, cause=f"canceled_by_{side}", now=now
            )
        settlement.settle_later(ops)
        audit.record(
            actor=actor,
            action="booking.cancel",
            subject=booking,
            now=now,
            after={"canceled_by": side, "refund_minor": decision.refund_minor},
            reason=reason,
        )
        announce(booking, now=now, guest=["booking.canceled"], host=["booking.canceled"], reason=reason)
