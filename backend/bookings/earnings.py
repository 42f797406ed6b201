"""When a stay is divided, and so when its host is paid: at its end, or in parts before it.

By default a stay is divided when it is completed. Where the platform pays a day after check-in
(``payout_when``), all of a short stay is divided then. A stay of 28 nights and more is divided in periods of 30 nights: at
the end of each, or a day after it began. Dates are elapsed time from the check-in instant.

================== ======================== ==============================
paid               stay of 4 nights         stay of 70 nights
================== ======================== ==============================
completed          4/4 at check-out         30/70 after 30 days, 60/70
                                            after 60, the rest at check-out
day_after_check_in 4/4 after a day          30/70 after 1 day, 60/70 after
                                            31, the rest after 61
================== ======================== ==============================
"""

from __future__ import annotations

from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from django.db import transaction
from django.db.models import F

from backend.bookings import sweeping
from backend.bookings.models import Booking
from backend.bookings.policies import LONG_STAY_NIGHTS
from backend.bookings.states import BookingStatus
from backend.bookings.steps import hold_still
from backend.core import platform
from backend.core.access import SYSTEM
from backend.core.db import retrying
from backend.payments import dividing, intents, ledger, payout_splits, payouts
from backend.payments.models import LedgerTransaction

PERIOD = 30
"""The nights that a long stay is paid by."""

EARLY, DAY = "day_after_check_in", timedelta(days=1)


def completed(booking: Booking, *, now: datetime) -> None:
    """Divide the stay of a locked booking that has just been completed, and write its payouts down."""
    share(booking, dividing.earned(folio=booking.folio, now=now), due_at=booking.check_out_at, now=now)


def share(booking: Booking, division: LedgerTransaction | None, *, due_at: datetime, now: datetime) -> None:
    """Pass ``division`` of a locked booking's stay on to those who share its listing's earnings, and pay them all.

    ``due_at`` is when it was earned; the platform's delay comes on top.
    """
    if division is not None:
        payout_splits.divide(folio=booking.folio, listing_id=booking.listing_id, division=division, now=now)
    delay = timedelta(hours=platform.get("payout_delay_hours"))
    payouts.schedule(folio=booking.folio, due_at=due_at + delay, now=now)


def earn_parts(*, now: datetime) -> dict[str, int]:
    """Divide the parts of stays under way that are earned by ``now`` (UTC), each in a transaction of its own."""
    return sweeping.each(_under_way(now), "divided", lambda booking_id: _earn_one(booking_id, now=now))


def pay_out(*, now: datetime) -> dict[str, int]:
    """Write down what is due to hosts at ``now`` (UTC) and have it sent."""
    prepared = payouts.prepare_due(now=now)
    intents.settle_later(prepared.ops)
    return {
        "sent": len(prepared.ops),
        "netted": prepared.netted,
        "held": prepared.held,
        "left": prepared.left,
    }


def parts_of(booking: Booking, *, early: bool) -> list[tuple[datetime, Fraction]]:
    """When the parts of a stay are earned before its end, each with how much of the stay is earned by then."""
    nights = booking.stay.nights
    is_long = nights >= LONG_STAY_NIGHTS
    if not early and not is_long:
        return []
    last_nights = range(PERIOD, nights, PERIOD) if is_long else range(0)
    ends = [*last_nights, nights] if early else [*last_nights]
    return [
        (
            booking.check_in_at + (timedelta(days=number * PERIOD) + DAY if early else timedelta(days=end)),
            Fraction(end, nights),
        )
        for number, end in enumerate(ends)
    ]


def _under_way(now: datetime) -> Any:
    """The stays that may have a part to divide."""
    begun = Booking.objects.filter(
        status=BookingStatus.CONFIRMED, check_in_at__lte=now - DAY, check_out_at__gt=now, total_minor__gt=0
    )
    if platform.get("payout_when") != EARLY:
        begun = begun.filter(check_out__gte=F("check_in") + timedelta(days=LONG_STAY_NIGHTS))
    return [
        booking.pk
        for booking in begun.select_related("folio").order_by("check_in_at")
        if _next_parts(booking, now)
    ]


def _next_parts(booking: Booking, now: datetime) -> list[tuple[datetime, Fraction]]:
    """The parts that are earned by ``now`` and not divided yet."""
    divided = LedgerTransaction.objects.filter(folio=booking.folio, cause=ledger.EARNED_PART).count()
    parts = parts_of(booking, early=platform.get("payout_when") == EARLY)
    return [part for part in parts if part[0] <= now][divided:]


@retrying
def _earn_one(booking_id: int, *, now: datetime) -> bool:
    with transaction.atomic(durable=True):
        booking = hold_still(SYSTEM, booking_id)
        if booking.status != BookingStatus.CONFIRMED:
            return False
        parts = _next_parts(booking, now)
        for earned_at, part in parts:
            division = dividing.earned_part(folio=booking.folio, part=part, now=now)
            share(booking, division, due_at=earned_at, now=now)
    return bool(parts)
