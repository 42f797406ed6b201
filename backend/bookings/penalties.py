"""What a host owes who cancels a confirmed stay, and how staff let him off.

The share grows towards check-in and is taken of the nights that were not stayed, after discounts, at their price
without fees and taxes. It is at least 50 and at most 1,000 US dollars at the day's rate. It lowers coming payouts, and
the nights stay closed:

===================================== ======
canceled                              share
===================================== ======
more than 30 days before check-in     10 %
30 days to more than 48 hours before  25 %
48 hours before and later             50 %
===================================== ======

The cut-offs are the check-in hour on the listing's clock, 30 and 2 days earlier; their second is in the dearer row.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import ADMIN, FINANCE
from backend.audit import services as audit
from backend.availability import services as availability
from backend.availability.models import Block
from backend.bookings.announcing import params
from backend.bookings.models import Booking, HostPenalty
from backend.bookings.policies import Terms, days_before
from backend.bookings.steps import hold_still
from backend.core import access, fx
from backend.core.db import lock, retrying
from backend.core.errors import Invalid, NotFound, WrongState
from backend.core.money import Money, share
from backend.notifications import services as notifications
from backend.payments import effects, payouts
from backend.payments import services as payments
from backend.payments.effects import Effect

AT_LEAST, AT_MOST = Money(50_00, "USD"), Money(1_000_00, "USD")
SHARES = ((2, Decimal(50)), (30, Decimal(25)))
"""From so many days before check-in on, so many percent; the nearest first."""

FARTHEST = Decimal(10)


@dataclass(frozen=True, slots=True)
class Cost:
    """What canceling costs the host, in minor units: ``percent`` (10 = 10 %) of ``base_minor``, within the bounds."""

    percent: Decimal
    base_minor: int
    amount_minor: int


@access.rule("penalty.waive")
def may_waive(actor: Any, penalty: HostPenalty) -> bool:
    """Money that the platform gives up: finance and administrators."""
    return bool(actor.has_role(FINANCE, ADMIN))


def local_date(terms: Terms, at: datetime) -> date:
    """The date at the listing at ``at`` (UTC)."""
    return at.astimezone(ZoneInfo(terms.zone)).date()


def percent_of(terms: Terms, at: datetime) -> Decimal:
    """The host's share (10 = 10 %) for canceling at ``at`` (UTC)."""
    second = at.replace(microsecond=0)
    return next((percent for days, percent in SHARES if second >= days_before(terms, days)), FARTHEST)


def cost(terms: Terms, *, currency: str, at: datetime) -> Cost:
    """What it costs the host of a confirmed stay to cancel at ``at`` (UTC), in minor units of ``currency``.

    Raises: UnknownCurrency.
    """
    stayed = min(max((local_date(terms, at) - terms.check_in).days, 0), terms.nights)
    base = sum(terms.night_amounts[stayed:])
    percent = percent_of(terms, at)
    low, high = (fx.exchange(bound, currency).minor for bound in (AT_LEAST, AT_MOST))
    return Cost(percent, base, min(max(share(base, percent), low), high))


def impose(booking: Booking, terms: Terms, *, block: Block | None, now: datetime) -> HostPenalty:
    """Write down what the host of ``booking`` (locked, just canceled by him) owes, book it, and tell him.

    ``block`` keeps the nights closed until the penalty is waived with them.
    """
    owed = cost(terms, currency=booking.currency, at=now)
    penalty = HostPenalty.objects.create(
        booking=booking,
        host=booking.host,
        percent=owed.percent,
        base_minor=owed.base_minor,
        amount_minor=owed.amount_minor,
        currency=booking.currency,
        block=block,
        created_at=now,
    )
    payments.penalize(folio=booking.folio, amount_minor=penalty.amount_minor, now=now)
    _tell(penalty, booking, "host.penalty", now)
    return penalty


@retrying
def waive(
    *,
    actor: Any,
    penalty_id: int,
    reason: str,
    now: datetime,
    free_nights: bool = False,
    expected: str = "",
) -> None:
    """Let a host off a penalty, and open the nights again where ``free_nights``. The books are reversed, not erased.

    ``expected`` (the digest of ``rehearse``) refuses to move other money than what was told.
    Raises: NotFound, NotAllowed, WrongState (waived before), EffectChanged, Invalid (no reason).
    """
    with transaction.atomic(durable=True):
        _waive(actor, penalty_id, reason, now, free_nights).require(expected)


@retrying
def rehearse(*, actor: Any, penalty_id: int, now: datetime) -> Effect:
    """What ``waive`` would do to the money at ``now``, found by doing it and taking it back. Raises: as ``waive``."""
    with transaction.atomic(durable=True):
        effect = _waive(actor, penalty_id, "rehearsed", now, free_nights=False)
        transaction.set_rollback(True)
    return effect


def _waive(actor: Any, penalty_id: int, reason: str, now: datetime, free_nights: bool) -> Effect:
    booking_id = HostPenalty.objects.filter(pk=penalty_id).values_list("booking_id", flat=True).first()
    if booking_id is None:
        raise NotFound
    booking = hold_still(actor, booking_id)
    penalty = lock(HostPenalty.objects.select_related("block", "host"), pk=penalty_id)
    access.require(actor, "penalty.waive", penalty)
    if not reason.strip():
        raise Invalid.field("reason", "required", _("Say why."))
    if penalty.waived_at is not None:
        raise WrongState(extra={"state": "waived"})
    before = effects.standing(booking.folio)
    penalty.waived_at, penalty.waived_by, penalty.waiver_reason = now, actor, reason.strip()[:500]
    penalty.save(update_fields=["waived_at", "waived_by", "waiver_reason"])
    payments.forgive(folio=booking.folio, amount_minor=penalty.amount_minor, now=now)
    # Where it had been taken from a payout already, it is owed to the host again.
    payouts.schedule(folio=booking.folio, due_at=now, now=now)
    if free_nights and penalty.block is not None:
        availability.release(block=penalty.block, now=now)
    audit.record(
        actor=actor,
        action="penalty.waive",
        subject=penalty,
        now=now,
        after={"amount_minor": penalty.amount_minor, "free_nights": free_nights},
        reason=penalty.waiver_reason,
    )
    _tell(penalty, booking, "host.penalty_waived", now)
    return Effect(booking.currency, before, effects.standing(booking.folio))


def _tell(penalty: HostPenalty, booking: Booking, kind: str, now: datetime) -> None:
    notifications.notify(
        user=booking.host,
        kind=kind,
        object_key=f"booking:{booking.pk}",
        now=now,
        params=params(booking, amount_minor=penalty.amount_minor),
        data={"booking_id": booking.pk, "property_id": booking.listing_id},
        url=f"/bookings/{booking.pk}",
    )
