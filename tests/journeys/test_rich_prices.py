"""Stays with seasons, a code, fees, taxes and a shared service fee, from the quote to the last entry in the books."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from backend.bookings import quotes
from backend.bookings import services as bookings
from backend.bookings.models import Booking
from backend.core import platform
from backend.jobs import books
from backend.jobs.sweeps import Clock
from backend.listings.models import Listing
from backend.rates import services as rates
from backend.rates.models import Fee, PriceRule, PromoCode, Tax
from tests.bookings.making import STAY, book, money, pay
from tests.factories import NOW, make_listing

pytestmark = pytest.mark.usefixtures("db")


def _rich(**fields: Any) -> Listing:
    listing = make_listing(guests_included=2, extra_guest_fee_minor=1_000, cleaning_fee_minor=3_000, **fields)
    rows: list[tuple[type[Any], dict[str, Any]]] = [
        (
            PriceRule,
            {"kind": "season", "from": date(2027, 5, 4), "to": date(2027, 5, 6), "percent": Decimal(20)},
        ),
        (Fee, {"kind": "pet", "amount": Decimal(12), "per": "pet"}),
        (Fee, {"kind": "resort", "percent": Decimal("2.5")}),
        (Tax, {"name": "VAT", "percent": Decimal(6), "bases": ["nights", "cleaning", "fees"]}),
        (Tax, {"name": "City", "amount": Decimal(2), "per": "guest_night", "max_nights": 3}),
        (PromoCode, {"code": "SUMMER", "percent": Decimal("12.5")}),
    ]
    for kind, values in rows:
        rates.add(kind, actor=listing.host, listing=listing, values=values, now=NOW)
    return listing


def _booked(listing: Listing) -> Booking:
    quote = quotes.make(listing=listing, stay=STAY, guests=3, pets=1, now=NOW, promo_code="summer")
    booking = book(listing, quote_token=quote.token)
    pay(booking)
    booking.refresh_from_db()
    assert (booking.status, booking.total_minor) == ("confirmed", quote.price.total_minor)
    return booking


def _clean() -> bool:
    return [finding.check.name for finding in books.check_books(Clock(NOW, NOW)) if finding.count] == []


@pytest.mark.parametrize("model", ["host_only", "split"])
def test_completed_stay_divides_what_was_paid_between_host_platform_and_tax(model: str) -> None:
    platform.put("service_fee_model", model)
    booking = _booked(_rich())

    bookings.complete(now=booking.check_out_at)

    _ops, balances = money(booking)
    taxes = sum(line.amount_minor for line in booking.folio.lines.filter(code="tax"))
    host_fee = -sum(line.amount_minor for line in booking.folio.lines.filter(side="host"))
    guest_fee = sum(
        line.amount_minor for line in booking.folio.lines.filter(side="guest", code="service_fee")
    )
    # 6 % of 476.62 (nights 385.00, extra guests 40.00, cleaning 30.00, pet 12.00, resort 9.62) and 9 x 2.00.
    assert taxes == 2_860 + 1_800
    assert (guest_fee == 0) is (model == "host_only")
    assert -balances["host_payable"] == booking.host_payout_minor
    assert -balances["tax"] == taxes
    assert -balances["revenue"] == host_fee + guest_fee
    assert booking.host_payout_minor + taxes + host_fee + guest_fee == booking.total_minor
    assert _clean()


@pytest.mark.parametrize("days", [40, 3, 0, -2])
def test_canceled_stay_splits_what_was_paid_without_a_rest(days: int) -> None:
    platform.put("service_fee_model", "split")
    booking = _booked(_rich(cancellation_policy="moderate"))

    bookings.cancel(
        actor=booking.guest, booking_id=booking.pk, now=booking.check_in_at - timedelta(days=days)
    )

    booking.refresh_from_db()
    back, kept, taxes = booking.refund_minor, booking.host_keeps_minor, booking.taxes_kept_minor
    assert (back or 0) + (kept or 0) + (taxes or 0) == booking.total_minor
    assert (kept == taxes == 0) is (days == 40)
    assert _clean()
