"""A guest pays in the currency that was quoted, at the rate that was quoted, and gets exactly as much of it back."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import override_settings

from backend.bookings import alterations, quotes, settlement
from backend.bookings import services as bookings
from backend.bookings.alterations import Change
from backend.bookings.models import Booking
from backend.core import fx, platform
from backend.core.models import ExchangeRate
from backend.listings.models import Listing
from backend.notifications import rendering
from backend.notifications.models import Notification
from backend.payments.folios import Charge
from backend.payments.models import Folio, LedgerEntry, Payment
from tests.bookings.making import STAY, book, confirmed, journal, pay, state, wrong_books
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

KES_RATE, KES_OF, KES_SOURCE = Decimal("138.546563"), date(2024, 6, 18), "currencyapi.com"
CHARGED = 5_541_900
"""400.00 EUR at that rate, in whole shillings."""


def _token(listing: Listing, currency: str = "KES", *, now: datetime = NOW, **wish: Any) -> str:
    return quotes.make(listing=listing, stay=STAY, guests=1, now=now, currency=currency, **wish).token


def _in_shillings(listing: Listing) -> Booking:
    return confirmed(listing, quote_token=_token(listing))


def _change_rate(currency: str, per_euro: str, rate_on: date) -> None:
    ExchangeRate.objects.create(currency_id=currency, per_euro=per_euro, rate_on=rate_on, source="test")
    fx.forget()


def _settle(now: datetime = NOW) -> None:
    settlement.reconcile(now=now)


def _charged(booking: Booking, kind: str) -> list[tuple[int, int, str]]:
    rows = Payment.objects.filter(folio=booking.folio, kind=kind).order_by("id")
    return list(rows.values_list("amount_minor", "charged_minor", "charged_currency"))


def _balances(booking: Booking) -> dict[tuple[str, str], int]:
    """(account, currency) → what is left there of the stay, without what is zero."""
    sums: dict[tuple[str, str], int] = {}
    for entry in LedgerEntry.objects.filter(folio=booking.folio):
        key = (entry.account, entry.currency)
        sums[key] = sums.get(key, 0) + entry.amount_minor
    return {key: left for key, left in sums.items() if left}


def test_quote_in_another_currency_promises_what_is_charged() -> None:
    quote = quotes.make(listing=make_listing(), stay=STAY, guests=1, now=NOW, currency="KES")

    assert quote.charge == Charge("KES", KES_RATE, KES_OF, KES_SOURCE)
    assert (quote.price.total_minor, quote.price.currency, quote.charged_minor) == (40_000, "EUR", CHARGED)
    assert (quote.shown_in, quote.rate) == ("KES", KES_RATE)


def test_quote_in_the_listings_currency_promises_no_rate() -> None:
    quote = quotes.make(listing=make_listing(), stay=STAY, guests=1, now=NOW, currency="EUR")

    assert (quote.charge, quote.rated, quote.charged_minor, quote.shown_in) == (None, None, None, "EUR")


def test_booking_with_the_token_keeps_its_rate_whatever_the_market_does() -> None:
    listing = make_listing()
    token = _token(listing)
    _change_rate("KES", "200", date(2027, 3, 1))

    booking = book(listing, quote_token=token, now=NOW + timedelta(minutes=14))

    folio = Folio.objects.get(pk=booking.folio_id)
    assert (folio.currency, booking.currency, booking.total_minor) == ("EUR", "EUR", 40_000)
    assert (folio.charge_currency, folio.charge_rate) == ("KES", KES_RATE)
    assert (folio.charge_rate_on, folio.charge_rate_source) == (KES_OF, KES_SOURCE)


def test_booking_without_a_token_is_charged_in_the_listings_currency() -> None:
    listing = make_listing()
    _token(listing)

    booking = confirmed(listing)

    assert (booking.folio.charge_currency, booking.folio.charge_rate) == ("", None)
    assert _charged(booking, "payment") == [(40_000, 40_000, "EUR")]
    assert journal("charge") == [(40_000, "succeeded")]


def test_pay_asks_the_provider_for_the_charged_amount() -> None:
    booking = _in_shillings(make_listing())

    assert _charged(booking, "payment") == [(40_000, CHARGED, "KES")]
    assert journal("charge") == [(CHARGED, "succeeded")]
    assert _balances(booking) == {
        ("clearing:sandbox", "KES"): CHARGED,
        ("fx", "KES"): -CHARGED,
        ("fx", "EUR"): 40_000,
        ("guest_funds", "EUR"): -40_000,
    }
    assert wrong_books() == {}


def test_cancel_in_full_gives_back_exactly_what_was_charged() -> None:
    booking = _in_shillings(make_listing())
    _change_rate("KES", "99.99", date(2027, 3, 1))

    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=NOW)
    _settle()

    assert _charged(booking, "refund") == [(40_000, CHARGED, "KES")]
    assert journal("refund") == [(CHARGED, "succeeded")]
    assert _balances(booking) == {}
    assert wrong_books() == {}


def test_cancel_under_the_policy_gives_back_its_share_of_what_was_charged() -> None:
    booking = _in_shillings(make_listing(cleaning_fee_minor=3_000, cancellation_policy="firm"))
    ten_days_before = booking.check_in_at - timedelta(days=10)

    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=ten_days_before)
    _settle(ten_days_before)

    # 230.00 of 430.00 EUR, of 59,575 KES: 31,865.7 KES.
    assert _charged(booking, "payment") == [(43_000, 5_957_500, "KES")]
    assert _charged(booking, "refund") == [(23_000, 3_186_600, "KES")]
    assert _balances(booking)["clearing:sandbox", "KES"] == 5_957_500 - 3_186_600
    assert wrong_books() == {}


def test_dearer_and_cheaper_stays_follow_the_quoted_rate() -> None:
    booking = _in_shillings(make_listing())
    _change_rate("KES", "200", date(2027, 3, 1))

    alterations.ask(
        actor=booking.guest, booking_id=booking.pk, change=Change(check_out=date(2027, 5, 9)), now=NOW
    )
    pay(booking)
    alterations.ask(
        actor=booking.guest, booking_id=booking.pk, change=Change(check_out=date(2027, 5, 6)), now=NOW
    )
    _settle()

    # 600.00 EUR are 83,127.94 KES: what is added completes the running total.
    assert _charged(booking, "payment") == [(40_000, CHARGED, "KES"), (20_000, 8_312_800 - CHARGED, "KES")]
    # 300.00 EUR less: the newer payment first, whole, then 100.00 of the 400.00.
    assert _charged(booking, "refund") == [
        (20_000, 8_312_800 - CHARGED, "KES"),
        (10_000, 1_385_500, "KES"),
    ]
    assert wrong_books() == {}

    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=NOW)
    _settle()

    back = [charged for _amount, charged, _currency in _charged(booking, "refund")]
    assert sum(back) == 8_312_800
    assert _balances(booking) == {}
    assert wrong_books() == {}


def test_payment_that_comes_too_late_goes_back_to_the_shilling() -> None:
    listing = make_listing()
    booking = book(listing, quote_token=_token(listing))
    pay(booking, "timeout")
    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=NOW)

    _settle(NOW + timedelta(minutes=2))

    assert state(booking)[0] == "canceled"
    assert journal("charge") == journal("refund") == [(CHARGED, "succeeded")]
    assert _balances(booking) == {}
    assert wrong_books() == {}


def test_host_is_told_the_payout_in_the_currency_of_the_listing() -> None:
    booking = _in_shillings(make_listing())

    assert (booking.host_payout_minor, booking.currency) == (33_800, "EUR")


def test_platform_may_charge_in_the_listings_currency_alone() -> None:
    platform.put("charge_in_guest_currency", False)
    listing = make_listing()
    quote = quotes.make(listing=listing, stay=STAY, guests=1, now=NOW, currency="KES")

    booking = confirmed(listing, quote_token=quote.token)

    assert (quote.charge, quote.shown_in, quote.rate) == (None, "KES", KES_RATE)
    assert _charged(booking, "payment") == [(40_000, 40_000, "EUR")]


def test_a_promise_outlives_a_change_of_the_setting() -> None:
    listing = make_listing()
    token = _token(listing)
    platform.put("charge_in_guest_currency", False)

    booking = confirmed(listing, quote_token=token)

    assert _charged(booking, "payment") == [(40_000, CHARGED, "KES")]


def test_currency_that_nobody_takes_is_shown_and_not_charged() -> None:
    with override_settings(SANDBOX_ENABLED=False):
        quote = quotes.make(listing=make_listing(), stay=STAY, guests=1, now=NOW, currency="KES")

    assert (quote.charge, quote.shown_in, quote.rate) == (None, "KES", KES_RATE)


def test_quote_brought_back_says_what_it_said() -> None:
    listing = make_listing()
    quote = quotes.make(listing=listing, stay=STAY, guests=1, now=NOW, currency="KES")

    again = quotes.redeem(quote.token, listing=listing, stay=STAY, guests=1, now=NOW)

    assert (again.charge, again.rated, again.shown_in) == (quote.charge, quote.rated, "KES")
    assert again.charged_minor == CHARGED


def test_request_is_authorized_and_captured_in_the_quoted_currency() -> None:
    listing = make_listing(instant_book=False)
    booking = book(listing, quote_token=_token(listing))
    pay(booking)

    bookings.accept(actor=booking.host, booking_id=booking.pk, now=NOW)
    _settle()

    assert state(booking)[0] == "confirmed"
    assert journal("authorize") == journal("capture") == [(CHARGED, "succeeded")]
    assert wrong_books() == {}


def test_host_cancels_and_the_guest_has_all_of_it_back() -> None:
    booking = _in_shillings(make_listing(host=make_user()))

    bookings.cancel(actor=booking.host, booking_id=booking.pk, now=NOW)
    _settle()

    assert journal("refund") == [(CHARGED, "succeeded")]
    assert wrong_books() == {}


def test_guest_reads_what_was_charged_and_the_host_what_the_stay_costs() -> None:
    booking = _in_shillings(make_listing())
    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=NOW)
    _settle()

    told = {
        (notice.kind, notice.user_id == booking.guest_id): (
            notice.params["amount"],
            notice.params["currency"],
        )
        for notice in Notification.objects.all()
    }
    assert told["payment.completed", True] == told["payment.refunded", True] == (CHARGED, "KES")
    assert told["booking.canceled", False] == told["booking.confirmed", False] == (40_000, "EUR")
    refund = Notification.objects.get(kind="payment.refunded")
    assert rendering.render(refund, "en")[0] == "Refund: KES\N{NO-BREAK SPACE}55,419.00"
