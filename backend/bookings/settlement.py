"""What becomes of a booking when money moves, or does not.

An intent is written first (``payments``), then sent without a transaction, then its outcome is recorded together with
everything that follows from it: confirm, give late money back, release what was only set aside. Whoever dies in
between leaves an open operation; ``reconcile`` sends it again under the same key.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction

from backend.availability import services as availability
from backend.availability.models import Reason
from backend.bookings import altering, disputing, papers
from backend.bookings.announcing import announce
from backend.bookings.models import Alteration, AlterationStatus, Booking
from backend.bookings.states import BookingStatus
from backend.bookings.steps import GUEST, PLATFORM, hold, step
from backend.core.db import prepared, retrying
from backend.core.errors import Conflict, DomainError, Invalid
from backend.listings.models import ListingStatus
from backend.payments import inbox, payout_accounts, payout_results, payout_reversals, sending
from backend.payments import services as payments
from backend.payments.intents import SETTLE_JOB as SETTLE_JOB
from backend.payments.intents import settle_later as settle_later
from backend.payments.models import MoneyOp, Payment, ProviderEvent, ReconciliationDifference
from backend.payments.providers import registry
from backend.payments.providers.base import (
    ABANDONED,
    KeyReused,
    OpensAccounts,
    PaysOut,
    ProviderUnavailable,
    Result,
    TellsDisputes,
)
from backend.payments.states import OpState

NOT_OURS = "nothing of ours"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Settled:
    """A money operation after an attempt, and what the provider said (None: it was not ours to send)."""

    op: MoneyOp
    result: Result | None


def settle(op_id: UUID, *, now: datetime, is_left: bool = False) -> Settled:
    """Send a money operation, record what came of it, and do what follows, sending that too.

    Never inside a transaction. Does nothing to an operation that is settled or that another process is sending, unless
    that one is known to be dead (``is_left``).
    Raises: Unavailable when the outcome could not be written; it stays open and is settled later.
    """
    result = sending.send(op_id, now=now, is_left=is_left)
    if result is None:
        return Settled(MoneyOp.objects.select_related("payment").get(pk=op_id), None)
    return Settled(_apply(op_id, result, now=now), result)


def look_again(op: MoneyOp, *, now: datetime) -> Settled:
    """What the provider says now of an operation that it has taken on; an outcome is recorded with all that follows.

    It asks nothing of the provider but this, so that nobody's turn is taken. Never inside a transaction.
    """
    try:
        result = sending.look_up(op, at=now)
    except ProviderUnavailable:
        return Settled(op, None)
    if result is None or result.status not in ("succeeded", "failed"):
        return Settled(op, result)
    return Settled(_apply(op.pk, result, now=now), result)


def apply_events(*, now: datetime) -> dict[str, int]:
    """Apply what the inbox of provider events holds: how many are dealt with, how many are left for later.

    An event whose provider does not answer, or that cannot be applied, is put off and holds no other one up.
    """
    counts = {"applied": 0, "left": 0}
    for event in inbox.waiting(now=now):
        if not inbox.take(event, now=now):
            continue
        try:
            outcome = _hear(event, now)
        except (DomainError, ProviderUnavailable) as error:
            log.warning("event_put_off", event_id=event.pk, attempts=event.attempts, error=str(error))
            outcome = ""
        except Exception:
            # A defect of ours, for this one event: it waits for whoever mends it, and the others go on.
            log.exception("event_failed", event_id=event.pk, attempts=event.attempts)
            outcome = ""
        if outcome:
            inbox.mark(event, outcome=outcome, now=now)
        else:
            inbox.put_off(event, now=now)
        counts["applied" if outcome else "left"] += 1
    return counts


def reconcile(*, now: datetime, older_than: timedelta = timedelta(0)) -> dict[str, int]:
    """Send what is open: never sent, of unknown outcome, or left behind by a process that died.

    ``older_than`` leaves the youngest operations to those who have just written them down.
    """
    counts = {"settled": 0, "open": 0, "errors": 0}
    for op_id in payments.open_ops(now, older_than=older_than):
        try:
            settled = settle(op_id, now=now)
        except (DomainError, ProviderUnavailable, KeyReused) as error:
            code = getattr(error, "code", type(error).__name__)
            log.error("settling_failed", op_id=str(op_id), code=code, error=str(error))
            counts["errors"] += 1
            continue
        counts["settled" if settled.op.state in ("succeeded", "failed") else "open"] += 1
    return counts


def take_back(*, now: datetime) -> dict[str, int]:
    """Ask once more about refunds that succeeded and that the provider's list calls failed: they have come back.

    The webhook about them was lost. How many were ``asked`` about, and how many of these had come ``back``. Never
    inside a transaction.
    """
    told = ReconciliationDifference.objects.filter(settled_at=None, what="outcome", theirs=OpState.FAILED)
    keys = _keys(told.values_list("key", flat=True))
    refunds = MoneyOp.objects.filter(kind=MoneyOp.Kind.REFUND, state=OpState.SUCCEEDED, pk__in=keys)
    unheard = refunds.exclude(payment__status=Payment.Status.FAILED).select_related("payment", "payout")
    settled = [look_again(op, now=now).op.of_payment.status for op in unheard]
    return {"asked": len(settled), "back": settled.count(Payment.Status.FAILED)}


def _keys(given: Iterable[str]) -> list[UUID]:
    keys = []
    for key in given:
        with suppress(ValueError):  # an order that is none of ours has a key of another form
            keys.append(UUID(key))
    return keys


def _hear(event: ProviderEvent, now: datetime) -> str:
    """Apply one event by asking the provider about what it names; what came of it, or empty when nobody answered."""
    adapter = registry.get(event.provider)
    if event.topic == "dispute" and isinstance(adapter, TellsDisputes):
        return disputing.hear(adapter, event.object_ref, now=now)
    if event.topic == "account" and isinstance(adapter, OpensAccounts):
        state = adapter.account(event.account or event.object_ref)
        account = payout_accounts.learn(provider=event.provider, state=state, now=now)
        return f"account {account.status}" if account else NOT_OURS
    if event.topic == "delivery" and isinstance(adapter, PaysOut):
        keys = adapter.delivered(event.object_ref, event.account)
        arrived = [payout_results.arrived(op_id=UUID(key), now=now) for key in keys]
        return f"{sum(arrived)} of {len(arrived)} arrived"
    if event.topic != "order":
        return "not acted on"
    found = inbox.resolve(event)
    if found is None:
        return NOT_OURS
    if found[1].status == "unknown":
        return ""
    op = _apply(*found, now=now)
    return f"{op.kind} {op.state}"


def _apply(op_id: UUID, result: Result, *, now: datetime) -> MoneyOp:
    op, following = _record(op_id, result, now=now)
    for next_op in following:
        settle(next_op.pk, now=now)
    if following:
        op = MoneyOp.objects.select_related("payment").get(pk=op_id)
    return op


@retrying
def _record(op_id: UUID, result: Result, *, now: datetime) -> tuple[MoneyOp, list[MoneyOp]]:
    with transaction.atomic(durable=True):
        booking = _hold(op_id)
        recorded = payments.record(op_id=op_id, result=result, now=now)
        if booking is None or not recorded.changed:
            return recorded.op, []
        if recorded.came_back:
            _came_back(booking, recorded.op, now)
            return recorded.op, []
        following = _react(booking, recorded.op, now)
    return recorded.op, following


def _hold(op_id: UUID) -> Booking | None:
    """The booking that an operation is about, held; None when it is about a payout."""
    with prepared() as cursor:
        cursor.execute(_ABOUT, [op_id])
        found = cursor.fetchone()
    return None if found is None else hold(*found)


_ABOUT = """
    SELECT b.id, b.listing_id FROM money_ops o JOIN payments p ON p.id = o.payment_id
    JOIN bookings b ON b.folio_id = p.folio_id WHERE o.id = %s
"""


def _react(booking: Booking, op: MoneyOp, now: datetime) -> list[MoneyOp]:
    """What follows from a settled operation; returns the operations that must be sent next."""
    kind, state = op.kind, op.state
    if state == MoneyOp.State.SUCCEEDED:
        if kind == MoneyOp.Kind.AUTHORIZE:
            return _authorized(booking, op.of_payment, now)
        if kind in (MoneyOp.Kind.CHARGE, MoneyOp.Kind.CAPTURE):
            return _paid(booking, op.of_payment, now)
        if kind == MoneyOp.Kind.REFUND:
            return _refunded(booking, op, now)
        if kind == MoneyOp.Kind.VOID:
            announce(booking, now=now, payment=op.of_payment)
    elif state == MoneyOp.State.FAILED:
        if kind in (MoneyOp.Kind.AUTHORIZE, MoneyOp.Kind.CHARGE, MoneyOp.Kind.CAPTURE):
            _refused(booking, op, now)
        elif kind == MoneyOp.Kind.REFUND:
            _not_refunded(booking, op, "refund_failed", now)
    return []


def _authorized(booking: Booking, payment: Payment, now: datetime) -> list[MoneyOp]:
    if booking.status != BookingStatus.PENDING:
        return [payments.void(payment=payment, now=now)]
    step(booking, event="authorized", by=GUEST, actor=booking.guest, now=now)
    announce(booking, now=now, payment=payment)
    if booking.pending_reason == "payment":
        return [payments.capture(payment=payment, now=now)]
    return []


def _paid(booking: Booking, payment: Payment, now: datetime) -> list[MoneyOp]:
    """Money is in: confirm, or give it back when there is nothing left to be paid for."""
    is_first = booking.status in (BookingStatus.PENDING, BookingStatus.EXPIRED)
    # Only what was agreed can be changed.
    alteration = None if is_first else Alteration.objects.filter(payment=payment).first()
    if alteration is not None:
        return _difference_paid(booking, alteration, payment, now)
    if is_first and _secure_nights(booking, now):
        step(
            booking,
            new=BookingStatus.CONFIRMED,
            event="confirmed",
            by=GUEST,
            actor=booking.guest,
            now=now,
            block=booking.block,
            confirmed_at=now,
            ended_at=None,
        )
        announce(
            booking,
            now=now,
            guest=["booking.confirmed", "payment.completed"],
            host=["booking.confirmed"],
            payment=payment,
            papers=papers.paid(booking, payment, now=now),
            said="booking.confirmed",
        )
        return []
    if booking.status == BookingStatus.PENDING:
        step(booking, new=BookingStatus.EXPIRED, event="expired", by=PLATFORM, now=now, ended_at=now)
        announce(booking, now=now, guest=["booking.expired"], said="booking.expired")
    step(
        booking,
        event="late_payment",
        by=GUEST,
        actor=booking.guest,
        now=now,
        refund_minor=(booking.refund_minor or 0) + payment.amount_minor,
    )
    papers.paid(booking, payment, sold=False, now=now)
    announce(booking, now=now, payment=payment)
    return payments.refund(
        folio=booking.folio, amount_minor=payment.amount_minor, cause="late_payment", now=now
    )


def _difference_paid(
    booking: Booking, alteration: Alteration, payment: Payment, now: datetime
) -> list[MoneyOp]:
    """The difference of a change is in: put it in force, or give the money back when it came too late.

    Too late is also when somebody else has the new nights meanwhile: the old terms stand.
    """
    is_waiting = alteration.status == AlterationStatus.ACCEPTED and alteration.settled_at is None
    if is_waiting and booking.status == BookingStatus.CONFIRMED:
        try:
            with transaction.atomic():
                following = altering.put_in_force(booking, alteration, by=GUEST, actor=booking.guest, now=now)
        except (Conflict, Invalid):
            # The nights are asked for before anything is written, so that the booking in hand is as it was.
            altering.settle(alteration, AlterationStatus.EXPIRED, now=now)
            expired = ["booking.change_expired"]
            key, values = altering.key_of(alteration), altering.values_of(alteration)
            announce(booking, now=now, guest=expired, host=expired, key=key, values=values)
        else:
            _tell_paid(booking, payment, now)
            return following
    back: dict[str, Any] = {}
    if booking.status == BookingStatus.CANCELED:
        back["refund_minor"] = (booking.refund_minor or 0) + payment.amount_minor
    step(booking, event="late_payment", by=GUEST, actor=booking.guest, now=now, **back)
    papers.paid(booking, payment, sold=False, now=now)
    announce(booking, now=now, payment=payment)
    return payments.refund(
        folio=booking.folio, amount_minor=payment.amount_minor, cause="late_payment", now=now
    )


def _tell_paid(booking: Booking, payment: Payment, now: datetime) -> None:
    key = f"payment:{payment.pk}"
    announce(
        booking,
        now=now,
        guest=["payment.completed"],
        amount_minor=payment.amount_minor,
        key=key,
        payment=payment,
        papers=papers.paid(booking, payment, now=now),
    )


def _secure_nights(booking: Booking, now: datetime) -> bool:
    """Make the hold a booking; where it is gone, claim the nights again if they are still free and ahead."""
    try:
        availability.keep(block=booking.block, now=now)
    except availability.DatesUnavailable:
        if now >= booking.check_in_at or booking.listing.status not in (
            ListingStatus.PUBLISHED,
            ListingStatus.PAUSED,
        ):
            return False
        try:
            booking.block = availability.claim(
                listing=booking.listing, stay=booking.stay, reason=Reason.BOOKING, now=now
            )
        except (Conflict, Invalid):
            return False
    return True


def _refunded(booking: Booking, op: MoneyOp, now: datetime) -> list[MoneyOp]:
    """The guest has it: tell both who did not know, and take back what hosts were paid of it."""
    refund = op.of_payment
    step(booking, event="refunded", by=PLATFORM, now=now)
    announce(
        booking,
        now=now,
        guest=["payment.refunded"],
        # Of what a cancellation or a change gives back the host was told then.
        host=["payment.refunded"] if refund.refund_request else [],
        amount_minor=refund.amount_minor,
        key=f"payment:{refund.pk}",
        payment=refund,
        papers=papers.refunded(booking, op, now=now),
    )
    return payout_reversals.take_back(refund=refund, now=now)


def _not_refunded(booking: Booking, op: MoneyOp, event: str, now: datetime) -> None:
    """The guest does not have it, and is told so; staff see it among what needs attention."""
    step(booking, event=event, by=PLATFORM, reason=op.error_code, now=now)
    announce(
        booking,
        now=now,
        guest=["payment.refund_failed"],
        amount_minor=op.of_payment.amount_minor,
        key=f"payment:{op.payment_id}",
        payment=op.of_payment,
    )


def _came_back(booking: Booking, op: MoneyOp, now: datetime) -> None:
    _not_refunded(booking, op, "refund_returned", now)


def _refused(booking: Booking, op: MoneyOp, now: datetime) -> None:
    if op.error_code == ABANDONED:
        # We gave it up ourselves: nobody was refused anything.
        announce(booking, now=now, payment=op.of_payment)
        return
    step(booking, event="payment_failed", by=PLATFORM, reason=op.error_code, now=now)
    announce(
        booking,
        now=now,
        guest=["payment.failed"],
        amount_minor=op.of_payment.amount_minor,
        key=f"payment:{op.payment_id}",
        payment=op.of_payment,
    )
