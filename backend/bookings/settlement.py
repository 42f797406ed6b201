"""What becomes of a booking when money moves, or does not.

An intent is written first (``payments``), then sent without a transaction, then its outcome is recorded together with
everything that follows from it: confirm, give late money back, release what was only set aside. Whoever dies in
between leaves an open operation; ``reconcile`` sends it again under the same key.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction

from backend.availability import services as availability
from backend.availability.models import Reason
from backend.bookings import altering
from backend.bookings.announcing import announce
from backend.bookings.models import Alteration, AlterationStatus, Booking
from backend.bookings.states import BookingStatus
from backend.bookings.steps import GUEST, PLATFORM, hold_still, step
from backend.core.access import SYSTEM
from backend.core.db import retrying
from backend.core.errors import Conflict, DomainError, Invalid
from backend.listings.models import ListingStatus
from backend.payments import inbox, sending
from backend.payments import services as payments
from backend.payments.intents import SETTLE_JOB as SETTLE_JOB
from backend.payments.intents import settle_later as settle_later
from backend.payments.models import MoneyOp, Payment
from backend.payments.providers.base import Result

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Settled:
    """A money operation after an attempt, and what the provider said (None: it was not ours to send)."""

    op: MoneyOp
    result: Result | None


def settle(op_id: UUID, *, now: datetime) -> Settled:
    """Send a money operation, record what came of it, and do what follows, sending that too.

    Never inside a transaction. Does nothing to an operation that is settled or that another process is sending.
    Raises: Unavailable when the outcome could not be written; it stays open and is settled later.
    """
    result = sending.send(op_id, now=now)
    if result is None:
        return Settled(MoneyOp.objects.select_related("payment").get(pk=op_id), None)
    return Settled(_apply(op_id, result, now=now), result)


def apply_events(*, now: datetime) -> dict[str, int]:
    """Apply what the inbox of provider events holds. Events of a provider that does not answer wait for the next time."""
    done = 0
    for event in inbox.waiting():
        found = inbox.resolve(event)
        if found is None:
            inbox.mark(event, outcome="nothing of ours", now=now)
        elif found[1].status == "unknown":
            continue
        else:
            op = _apply(*found, now=now)
            inbox.mark(event, outcome=f"{op.kind} {op.state}", now=now)
        done += 1
    return {"applied": done}


def reconcile(*, now: datetime, older_than: timedelta = timedelta(0)) -> dict[str, int]:
    """Send what is open: never sent, of unknown outcome, or left behind by a process that died.

    ``older_than`` leaves the youngest operations to those who have just written them down.
    """
    counts = {"settled": 0, "open": 0, "errors": 0}
    for op_id in payments.open_ops(now, older_than=older_than):
        try:
            settled = settle(op_id, now=now)
        except DomainError as error:
            log.warning("settling_failed", op_id=str(op_id), code=error.code)
            counts["errors"] += 1
            continue
        counts["settled" if settled.op.state in ("succeeded", "failed") else "open"] += 1
    return counts


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
        booking_id = Booking.objects.filter(folio__payments__ops=op_id).values_list("pk", flat=True).first()
        booking = None if booking_id is None else hold_still(SYSTEM, booking_id)
        recorded = payments.record(op_id=op_id, result=result, now=now)
        if booking is None or not recorded.changed:
            return recorded.op, []
        following = _react(booking, recorded.op, now)
    return recorded.op, following


def _react(booking: Booking, op: MoneyOp, now: datetime) -> list[MoneyOp]:
    """What follows from a settled operation; returns the operations that must be sent next."""
    kind, state = op.kind, op.state
    if state == MoneyOp.State.SUCCEEDED:
        if kind == MoneyOp.Kind.AUTHORIZE:
            return _authorized(booking, op.of_payment, now)
        if kind in (MoneyOp.Kind.CHARGE, MoneyOp.Kind.CAPTURE):
            return _paid(booking, op.of_payment, now)
        if kind == MoneyOp.Kind.REFUND:
            _refunded(booking, op, now)
    elif state == MoneyOp.State.FAILED:
        if kind in (MoneyOp.Kind.AUTHORIZE, MoneyOp.Kind.CHARGE, MoneyOp.Kind.CAPTURE):
            _refused(booking, op, now)
        elif kind == MoneyOp.Kind.REFUND:
            step(booking, event="refund_failed", by=PLATFORM, reason=op.error_code, now=now)
    return []


def _authorized(booking: Booking, payment: Payment, now: datetime) -> list[MoneyOp]:
    if booking.status != BookingStatus.PENDING:
        return [payments.void(payment=payment, now=now)]
    step(booking, event="authorized", by=GUEST, actor=booking.guest, now=now)
    if booking.pending_reason == "payment":
        return [payments.capture(payment=payment, now=now)]
    return []


def _paid(booking: Booking, payment: Payment, now: datetime) -> list[MoneyOp]:
    """Money is in: confirm, or give it back when there is nothing left to be paid for."""
    alteration = Alteration.objects.filter(payment=payment).first()
    if alteration is not None:
        return _difference_paid(booking, alteration, payment, now)
    if booking.status in (BookingStatus.PENDING, BookingStatus.EXPIRED) and _secure_nights(booking, now):
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
            booking, now=now, guest=["booking.confirmed", "payment.completed"], host=["booking.confirmed"]
        )
        return []
    if booking.status == BookingStatus.PENDING:
        step(booking, new=BookingStatus.EXPIRED, event="expired", by=PLATFORM, now=now, ended_at=now)
        announce(booking, now=now, guest=["booking.expired"])
    step(
        booking,
        event="late_payment",
        by=GUEST,
        actor=booking.guest,
        now=now,
        refund_minor=(booking.refund_minor or 0) + payment.amount_minor,
    )
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
    return payments.refund(
        folio=booking.folio, amount_minor=payment.amount_minor, cause="late_payment", now=now
    )


def _tell_paid(booking: Booking, payment: Payment, now: datetime) -> None:
    key = f"payment:{payment.pk}"
    announce(booking, now=now, guest=["payment.completed"], amount_minor=payment.amount_minor, key=key)


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


def _refunded(booking: Booking, op: MoneyOp, now: datetime) -> None:
    step(booking, event="refunded", by=PLATFORM, now=now)
    announce(
        booking,
        now=now,
        guest=["payment.refunded"],
        amount_minor=op.of_payment.amount_minor,
        key=f"payment:{op.payment_id}",
    )


def _refused(booking: Booking, op: MoneyOp, now: datetime) -> None:
    step(booking, event="payment_failed", by=PLATFORM, reason=op.error_code, now=now)
    announce(
        booking,
        now=now,
        guest=["payment.failed"],
        amount_minor=op.of_payment.amount_minor,
        key=f"payment:{op.payment_id}",
    )
