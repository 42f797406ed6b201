"""The host's answer to a request."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import transaction

from backend.audit import services as audit
from backend.availability import services as availability
from backend.bookings import settlement
from backend.bookings.announcing import announce
from backend.bookings.models import Booking
from backend.bookings.payment import authorization, let_go
from backend.bookings.states import BookingStatus
from backend.bookings.steps import HOST, hold_still, on_record, step
from backend.core import access, platform
from backend.core.db import retrying
from backend.core.errors import Unavailable, WrongState
from backend.payments import services as payments
from backend.payments.models import MoneyOp

log = structlog.get_logger(__name__)


def accept(*, actor: Any, booking_id: int, now: datetime) -> None:
    """Say yes to a request. What the guest has set aside is captured and confirms it.

    Without it the booking waits for the payment: ``accepted_payment_hours``, never past check-in.
    Raises: NotFound, NotAllowed, WrongState (answered, canceled or run out).
    """
    capture = _accept(actor=actor, booking_id=booking_id, now=now)
    if capture is not None:
        try:
            settlement.settle(capture.pk, now=now)
        except Unavailable as error:
            log.warning("capture_left_open", op_id=str(capture.pk), code=error.code)


@retrying
def _accept(*, actor: Any, booking_id: int, now: datetime) -> MoneyOp | None:
    with transaction.atomic(durable=True):
        booking = _waiting_for_host(actor, booking_id, now)
        expires_at = min(now + timedelta(hours=platform.get("accepted_payment_hours")), booking.check_in_at)
        step(
            booking,
            event="accepted",
            by=HOST,
            actor=actor,
            now=now,
            pending_reason="payment",
            expires_at=expires_at,
            accepted_at=now,
        )
        availability.keep(block=booking.block, now=now, expires_at=expires_at)
        payment = authorization(booking)
        capture = payments.capture(payment=payment, now=now) if payment else None
        audit.record(
            actor=actor, action="booking.accept", subject=booking, now=now, in_stead_of=booking.host_id
        )
        # With the money set aside the confirmation follows at once, and says so.
        announce(
            booking,
            now=now,
            guest=[] if capture else ["booking.accepted"],
            said="" if capture else "booking.accepted",
        )
    return capture


@retrying
def decline(*, actor: Any, booking_id: int, now: datetime, reason: str = "") -> None:
    """Say no to a request: the nights are free again, what the guest has set aside is let go.

    Raises: NotFound, NotAllowed, WrongState.
    """
    with transaction.atomic(durable=True):
        booking = _waiting_for_host(actor, booking_id, now)
        step(
            booking,
            new=BookingStatus.DECLINED,
            event="declined",
            by=HOST,
            actor=actor,
            reason=reason,
            now=now,
            ended_at=now,
        )
        availability.release(block=booking.block, now=now)
        settlement.settle_later(let_go(booking, now=now))
        audit.record(
            actor=actor,
            action="booking.decline",
            subject=booking,
            now=now,
            reason=on_record(actor, reason),
            in_stead_of=booking.host_id,
        )
        announce(booking, now=now, guest=["booking.declined"], reason=reason, said="booking.declined")


def _waiting_for_host(actor: Any, booking_id: int, now: datetime) -> Booking:
    booking = hold_still(actor, booking_id)
    access.require(actor, "booking.answer", booking)
    if (
        booking.status != BookingStatus.PENDING
        or booking.pending_reason != HOST
        or booking.expires_at is None
        or booking.expires_at <= now
    ):
        raise WrongState(extra={"state": booking.status})
    return booking
