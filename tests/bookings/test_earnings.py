"""When a stay is divided and its host is paid."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from backend.accounts.models import User
from backend.bookings import cancellation, earnings, penalties, settlement
from backend.bookings import services as bookings
from backend.bookings.models import Booking, HostPenalty
from backend.core import platform
from backend.core.stay import Stay
from backend.jobs import sweeps
from backend.payments import payout_splits
from backend.payments.models import LedgerEntry, Payout
from backend.payments.payout_splits import Part
from tests.bookings.making import confirmed, wrong_books
from tests.factories import NOW, make_listing, make_user
from tests.payments.hosts import account, owes

pytestmark = pytest.mark.usefixtures("db")

LONG = Stay(date(2027, 5, 3), date(2027, 7, 12))
"""70 nights."""


def _round(now: datetime) -> None:
    sweeps.run_due(now=now)


def _payouts(user: User) -> list[tuple[int, str, int, int]]:
    rows = Payout.objects.filter(receiver=user).order_by("id")
    return list(rows.values_list("part", "status", "gross_minor", "amount_minor"))


def _long_booking(**listing: object) -> Booking:
    place = make_listing(max_nights=365, **listing)
    account(place.host)
    return confirmed(place, stay=LONG)


def test_completed_stay_is_paid_at_once_and_after_the_delay_of_the_platform() -> None:
    platform.put("payout_delay_hours", 48)
    booking = confirmed(make_listing())
    account(booking.host)

    _round(booking.check_out_at + timedelta(minutes=1))
    payout = Payout.objects.get()
    assert (payout.status, payout.due_at) == ("scheduled", booking.check_out_at + timedelta(hours=48))
    _round(booking.check_out_at + timedelta(hours=48))

    assert _payouts(booking.host) == [(1, "paid", 33_800, 33_800)]
    assert wrong_books() == {}


def test_day_after_check_in_pays_a_short_stay_once() -> None:
    platform.put("payout_when", "day_after_check_in")
    booking = confirmed(make_listing())
    account(booking.host)

    _round(booking.check_in_at + timedelta(hours=23))
    assert _payouts(booking.host) == []
    _round(booking.check_in_at + timedelta(hours=24))
    assert _payouts(booking.host) == [(1, "paid", 33_800, 33_800)]
    _round(booking.check_out_at + timedelta(minutes=1))

    booking.refresh_from_db()
    assert booking.status == "completed"
    assert _payouts(booking.host) == [(1, "paid", 33_800, 33_800)]
    assert owes(booking.folio) == 0
    assert wrong_books() == {}


def test_long_stay_is_paid_by_thirty_nights_and_loses_nothing_to_rounding() -> None:
    booking = _long_booking(price_minor=10_001)
    host = booking.host

    _round(booking.check_in_at + timedelta(days=29))
    assert _payouts(host) == []
    for days in (30, 31, 60):
        _round(booking.check_in_at + timedelta(days=days))
    assert [row[:2] for row in _payouts(host)] == [(1, "paid"), (2, "paid")]
    _round(booking.check_out_at + timedelta(minutes=1))

    whole = booking.host_payout_minor
    first = _payouts(host)[0][2]
    assert abs(first - whole * 30 / 70) <= 1
    assert [row[:2] for row in _payouts(host)] == [(1, "paid"), (2, "paid"), (3, "paid")]
    assert sum(row[2] for row in _payouts(host)) == whole
    held = LedgerEntry.objects.filter(folio=booking.folio, account="guest_funds")
    assert sum(held.values_list("amount_minor", flat=True)) == 0
    assert wrong_books() == {}


def test_long_stay_is_paid_in_advance_where_the_platform_pays_early() -> None:
    platform.put("payout_when", "day_after_check_in")
    booking = _long_booking()

    parts = earnings.parts_of(booking, early=True)

    begins = [booking.check_in_at + timedelta(days=days) for days in (1, 31, 61)]
    assert [part[0] for part in parts] == begins
    assert [float(part[1]) for part in parts] == pytest.approx([30 / 70, 60 / 70, 1])
    _round(begins[2])
    assert [row[:2] for row in _payouts(booking.host)] == [(1, "paid"), (2, "paid"), (3, "paid")]
    assert sum(row[2] for row in _payouts(booking.host)) == booking.host_payout_minor
    assert wrong_books() == {}


def test_early_paid_stay_that_is_canceled_leaves_a_debt_that_is_netted() -> None:
    platform.put("payout_when", "day_after_check_in")
    booking = confirmed(make_listing(cancellation_policy="flexible"))
    account(booking.host, "spent")
    _round(booking.check_in_at + timedelta(hours=24))
    at = booking.check_in_at + timedelta(hours=25)

    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=at)
    settlement.reconcile(now=at)

    booking.refresh_from_db()
    assert 0 < (booking.host_keeps_minor or 0) < booking.total_minor
    assert owes(booking.folio) < 0
    assert wrong_books() == {}
    other = confirmed(make_listing(booking.host), now=at, stay=Stay(date(2027, 6, 7), date(2027, 6, 11)))
    _round(other.check_out_at + timedelta(minutes=1))
    assert owes(booking.folio) == 0
    assert wrong_books() == {}


def test_canceled_stay_pays_what_is_kept() -> None:
    booking = confirmed(make_listing(cancellation_policy="non_refundable"))
    account(booking.host)
    at = NOW + timedelta(days=40)

    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=at)
    _round(at)

    booking.refresh_from_db()
    kept = booking.host_keeps_minor or 0
    assert _payouts(booking.host) == [(1, "paid", kept - round(kept * 0.155), kept - round(kept * 0.155))]
    assert wrong_books() == {}


def test_splits_share_each_part_of_a_stay() -> None:
    booking = _long_booking()
    host, first, second = booking.host, make_user(), make_user()
    payout_splits.put(
        actor=host,
        listing_id=booking.listing_id,
        parts=[Part(first.pk, Decimal("33.33")), Part(second.pk, Decimal("66.67"))],
        now=NOW,
    )
    account(first)

    for days in (30, 60):
        _round(booking.check_in_at + timedelta(days=days))
    _round(booking.check_out_at + timedelta(minutes=1))

    assert _payouts(host) == []
    assert [row[1] for row in _payouts(first)] == ["paid"] * 3
    assert [row[1] for row in _payouts(second)] == ["on_hold"] * 3
    total = sum(row[2] for row in _payouts(first) + _payouts(second))
    assert total == booking.host_payout_minor
    assert abs(sum(row[2] for row in _payouts(first)) - total * 0.3333) <= 3
    assert wrong_books() == {}


def test_waived_penalty_that_was_netted_is_paid_out() -> None:
    host, finance = make_user(), make_user("finance")
    account(host)
    listing = make_listing(host)
    bad = confirmed(listing)
    good = confirmed(listing, stay=Stay(date(2027, 6, 7), date(2027, 6, 11)))
    cancellation.cancel(actor=host, booking_id=bad.pk, now=NOW, reason="Flood")
    _round(good.check_out_at + timedelta(minutes=1))
    penalty = HostPenalty.objects.get()
    assert _payouts(host) == [(1, "paid", 33_800, 33_800 - penalty.amount_minor)]

    at = good.check_out_at + timedelta(days=1)
    penalties.waive(actor=finance, penalty_id=penalty.pk, reason="True flood", now=at)
    _round(at)

    assert _payouts(host)[1] == (1, "paid", penalty.amount_minor, penalty.amount_minor)
    assert wrong_books() == {}
