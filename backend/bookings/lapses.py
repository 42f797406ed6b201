"""What time does to bookings: holds and requests run out, stays end."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction

from backend.availability import services as availability
from backend.bookings import earnings, settlement, sweeping
from backend.bookings.announcing import announce
from backend.bookings.models import Booking
from backend.bookings.payment import let_go
from backend.bookings.states import BookingStatus
from backend.bookings.steps import HOST, PLATFORM, hold_still, step
from backend.core.access import SYSTEM
from backend.core.db import retrying
from backend.payments.models import MoneyOp

UNKNOWN_GRACE = timedelta(minutes=5)
"""How much longer nights stay held, each time, while nobody knows whether they were paid."""

UNKNOWN_AT_MOST = timedelta(hours=23)
"""Until when an unknown payment can be cleared up: as long as providers remember a key."""


def expire(*, now: datetime) -> dict[str, int]:
    """End every hold and request whose time has run out by ``now`` (UTC), each in a transaction of its own."""
    due = Booking.objects.filter(status=BookingStatus.PENDING, expires_at__lte=now).order_by("expires_at")
    return sweeping.each(
        due.values_list("pk", flat=True), "expired", lambda booking_id: _expire_one(booking_id, now=now)
    )


def complete(*, now: datetime) -> dict[str, int]:
    """Complete every confirmed stay whose check-out has passed by ``now`` (UTC), and book what was earned."""
    due = Booking.objects.filter(status=BookingStatus.CONFIRMED, check_out_at__lte=now).order_by(
        "check_out_at"
    )
    return sweeping.each(
        due.values_list("pk", flat=True), "completed", lambda booking_id: _complete_one(booking_id, now=now)
    )


@retrying
def _expire_one(booking_id: int, *, now: datetime) -> bool:
    with transaction.atomic(durable=True):
        booking = hold_still(SYSTEM, booking_id)
        if booking.status != BookingStatus.PENDING or booking.expires_at is None or booking.expires_at > now:
            return False
        if _payment_unknown(booking, now) and _hold_on(booking, now):
            return False
        asked_host = booking.pending_reason == HOST
        step(booking, new=BookingStatus.EXPIRED, event="expired", by=PLATFORM, now=now, ended_at=now)
        availability.release(block=booking.block, now=now)
        settlement.settle_later(let_go(booking, now=now))
        announce(
            booking,
            now=now,
            guest=["booking.expired"],
            host=["booking.expired"] if asked_host else [],
            said="booking.expired",
        )
    return True


def _payment_unknown(booking: Booking, now: datetime) -> bool:
    """Whether money may have been taken without our knowing: the provider never answered at all."""
    return MoneyOp.objects.filter(
        payment__folio_id=booking.folio_id,
        kind__in=(MoneyOp.Kind.CHARGE, MoneyOp.Kind.CAPTURE),
        state=MoneyOp.State.UNKNOWN,
        provider_ref="",
        created_at__gt=now - UNKNOWN_AT_MOST,
    ).exists()


def _hold_on(booking: Booking, now: datetime) -> bool:
    """Give the hold a little longer; False when its nights are gone already or the stay would have begun."""
    expires_at = now + UNKNOWN_GRACE
    if expires_at > booking.check_in_at:
        return False
    try:
        availability.keep(block=booking.block, now=now, expires_at=expires_at)
    except availability.DatesUnavailable:
        return False
    step(booking, event="held_on", by=PLATFORM, now=now, expires_at=expires_at)
    return True


@retrying
def _complete_one(booking_id: int, *, now: datetime) -> bool:
    with transaction.atomic(durable=True):
        booking = hold_still(SYSTEM, booking_id)
        if booking.status != BookingStatus.CONFIRMED or booking.check_out_at > now:
            return False
        step(booking, new=BookingStatus.COMPLETED, event="completed", by=PLATFORM, now=now, ended_at=now)
        earnings.completed(booking, now=now)
        completed = ["booking.completed"]
        announce(booking, now=now, guest=completed, host=completed, said="booking.completed")
    return True
