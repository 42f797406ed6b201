"""Quotes: what they are made of, and that they keep their price whatever the host does meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core import signing

from backend.availability import calendar
from backend.availability.models import CalendarDay
from backend.bookings import policies, pricing, quotes, snapshots
from backend.bookings.models import Booking
from backend.core import platform
from backend.core.stay import Stay
from backend.listings import services as listings
from backend.listings.models import Listing
from backend.payments.models import FolioLine
from backend.rates import services as rates
from backend.rates.models import Fee, PriceRule, PromoCode, ServiceFeeTerms, Tax
from tests.bookings.making import STAY, book
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

LATER = NOW + timedelta(minutes=14, seconds=59)


def _set(listing: Listing, kind: Any, /, **values: Any) -> Any:
    return rates.add(kind, actor=listing.host, listing=listing, values=values, now=NOW)


def _rich() -> Listing:
    """A listing with something of everything."""
    listing = make_listing(guests_included=2, extra_guest_fee_minor=1_000, cleaning_fee_minor=3_000)
    _set(
        listing,
        PriceRule,
        **{"kind": "season", "from": date(2027, 5, 4), "to": date(2027, 5, 6), "percent": Decimal(20)},
    )
    _set(listing, PriceRule, kind="weekend", price=Decimal(130))
    _set(listing, PriceRule, kind="early_bird", days_before=30, percent=Decimal(10))
    _set(listing, Fee, kind="pet", amount=Decimal(12), per="pet")
    _set(listing, Tax, name="VAT", percent=Decimal(6), bases=["nights", "cleaning"])
    return listing


def _lines(price: pricing.Price) -> list[tuple[str, str, int]]:
    return [(line.code, line.rule["id"].partition(".")[0], line.amount_minor) for line in price.lines]


def test_make_prices_all_that_the_host_has_set() -> None:
    listing = _rich()

    quote = quotes.make(listing=listing, stay=STAY, guests=3, pets=2, now=NOW)

    assert _lines(quote.price) == [
        ("night", "night", 20_000),
        ("night", "season", 24_000),
        ("extra_guest", "extra_guest", 4_000),
        ("discount", "discount", -4_400),
        ("cleaning", "cleaning", 3_000),
        ("fee", "fee", 2_400),
        ("tax", "tax", 2_556),
    ]
    assert quote.price.total_minor == 51_556
    assert quote.price.night_amounts == (10_000, 11_800, 11_800, 10_000)
    assert (quote.price.cleaning_taxes_minor, sum(quote.price.night_taxes)) == (180, 2_376)


def _edit(listing: Listing, **changes: Any) -> None:
    listings.update(actor=listing.host, listing=listing, changes=changes, now=LATER)


def _all(kind: Any, listing: Listing, **changes: Any) -> None:
    for row in kind.objects.filter(listing=listing):
        rates.change(kind, actor=listing.host, listing=listing, row_id=row.pk, changes=changes, now=LATER)


def _without(kind: Any, listing: Listing) -> None:
    for row in kind.objects.filter(listing=listing):
        rates.remove(kind, actor=listing.host, listing=listing, row_id=row.pk, now=LATER)


EDITS: dict[str, Callable[[Listing], None]] = {
    "base price": lambda listing: _edit(listing, price_per_night=Decimal(999)),
    "cleaning fee": lambda listing: _edit(listing, cleaning_fee=Decimal(500)),
    "extra guests": lambda listing: _edit(listing, extra_guest_fee=Decimal(99), guests_included=1),
    "policy": lambda listing: _edit(listing, cancellation_policy="strict"),
    "non-refundable": lambda listing: _edit(listing, cancellation_policy="non_refundable"),
    "calendar": lambda listing: calendar.change(
        actor=listing.host,
        listing=listing,
        start=STAY.check_in,
        end=STAY.check_out,
        changes={"price_minor": 99_900},
        now=LATER,
    ),
    "rules removed": lambda listing: _without(PriceRule, listing),
    "fees removed": lambda listing: _without(Fee, listing),
    "fees raised": lambda listing: _all(Fee, listing, amount=Decimal(99)),
    "taxes raised": lambda listing: _all(Tax, listing, percent=Decimal(50)),
    "taxes removed": lambda listing: _without(Tax, listing),
    "new fee": lambda listing: _set(listing, Fee, kind="cleaning", amount=Decimal(300)),
    "new tax": lambda listing: _set(listing, Tax, name="City", amount=Decimal(3), per="guest_night"),
    "platform's fee": lambda listing: platform.put("service_fee_model", "split"),
}


@pytest.mark.parametrize("edit", list(EDITS))
def test_token_keeps_price_and_policy_whatever_the_host_edits(edit: str) -> None:
    listing = _rich()
    quote = quotes.make(listing=listing, stay=STAY, guests=3, pets=2, now=NOW)
    EDITS[edit](listing)
    listing.refresh_from_db()

    booking = book(listing, quote_token=quote.token, now=LATER)

    assert (booking.total_minor, booking.host_payout_minor) == (51_556, quote.price.host_payout_minor)
    assert (booking.guests, booking.pets) == (3, 2)
    assert policies.load(booking.terms["policy"]) == quote.policy
    written = booking.folio.lines.filter(side="guest").order_by("position")
    assert [(line.code, line.amount_minor, line.rule) for line in written] == [
        (line.code, line.amount_minor, line.rule) for line in quote.price.lines
    ]
    assert pricing.price(snapshots.load(booking.terms["priced"], STAY)) == quote.price


def test_token_holds_to_the_second() -> None:
    listing = make_listing()
    token = quotes.make(listing=listing, stay=STAY, guests=1, now=NOW).token

    with pytest.raises(quotes.QuoteExpired):
        book(listing, quote_token=token, now=NOW + timedelta(minutes=15))
    assert not Booking.objects.exists()
    assert book(listing, quote_token=token, now=LATER).total_minor == 40_000


def test_token_of_other_guests_pets_or_a_forger_is_refused() -> None:
    listing = _rich()
    token = quotes.make(listing=listing, stay=STAY, guests=3, pets=1, now=NOW).token
    forged = signing.dumps(signing.loads(token, salt=quotes.SALT), salt="other", compress=True)
    tries: list[dict[str, Any]] = [
        {"quote_token": token, "guests": 2},
        {"quote_token": token, "pets": 0},
        {"quote_token": token[:-1] + ("A" if token[-1] != "A" else "B")},
        {"quote_token": forged},
        {"quote_token": "x" * (quotes.MAX_TOKEN + 1)},
    ]

    for wish in tries:
        with pytest.raises(quotes.InvalidQuote):
            book(listing, **wish)
    assert not Booking.objects.exists()
    assert not FolioLine.objects.exists()


def test_token_of_a_year_with_a_price_each_night_is_short_enough() -> None:
    listing = make_listing(max_nights=365, booking_window_days=730)
    for index in range(12):
        start = date(2027, 5, 3) + timedelta(days=30 * index)
        _set(
            listing,
            PriceRule,
            **{
                "kind": "season",
                "from": start,
                "to": start + timedelta(days=30),
                "percent": Decimal(f"{index + 1}.125"),
            },
        )
    CalendarDay.objects.bulk_create(
        CalendarDay(
            listing=listing, date=date(2027, 5, 3) + timedelta(days=index), price_minor=10_000 + 7 * index
        )
        for index in range(1, 365, 2)
    )
    for number in range(20):
        _set(listing, Tax, name=f"Tax number {number} of this city {number}", percent=Decimal("1.125"))
    year = Stay(date(2027, 5, 3), date(2028, 5, 2))

    quote = quotes.make(listing=listing, stay=year, guests=1, now=NOW)

    assert len(quote.token) <= quotes.MAX_TOKEN
    assert book(listing, stay=year, quote_token=quote.token).total_minor == quote.price.total_minor


@pytest.mark.parametrize(("nights", "percent"), [(1, 10), (27, 10), (28, 0), (60, 0)])
def test_non_refundable_rate_is_for_stays_under_28_nights(nights: int, percent: int) -> None:
    listing = make_listing(cancellation_policy="non_refundable", cleaning_fee_minor=3_000)
    stay = Stay(STAY.check_in, STAY.check_in + timedelta(days=nights))

    price = quotes.make(listing=listing, stay=stay, guests=1, now=NOW).price

    assert price.discounts_minor == -nights * 10_000 * percent // 100
    assert price.total_minor == nights * 10_000 + price.discounts_minor + 3_000


def test_non_refundable_rate_is_a_platform_setting() -> None:
    platform.put("non_refundable_percent", "12.5")
    listing = make_listing(cancellation_policy="non_refundable")

    line = quotes.make(listing=listing, stay=STAY, guests=1, now=NOW).price.lines[-1]

    assert (line.code, line.amount_minor) == ("discount", -5_000)
    assert line.rule == {
        "id": "discount.non_refundable",
        "kind": "non_refundable",
        "inputs": {"base_minor": 40_000, "percent": 12.5},
    }


def test_lead_is_counted_in_the_listings_own_days() -> None:
    # At noon UTC on 1 March it is 2 March already on Kiritimati and still 1 March in Honolulu.
    now = NOW.replace(hour=12)
    for zone, kinds in (("Pacific/Kiritimati", []), ("Pacific/Honolulu", ["early_bird"])):
        listing = make_listing(timezone=zone)
        _set(listing, PriceRule, kind="early_bird", days_before=63, percent=Decimal(5))
        price = quotes.make(listing=listing, stay=STAY, guests=1, now=now).price
        assert [line.rule["kind"] for line in price.lines if line.code == "discount"] == kinds


def test_service_fee_of_a_host_goes_before_the_platforms() -> None:
    host = make_user()
    listing, other = make_listing(host), make_listing()
    for of, percent in ((None, 20), (host, 5)):
        ServiceFeeTerms.objects.create(
            host=of,
            model="host_only",
            host_percent=percent,
            effective_from=NOW,
            reason="agreed",
            created_at=NOW,
        )

    payouts = [
        quotes.make(listing=each, stay=STAY, guests=1, now=NOW).price.host_payout_minor
        for each in (listing, other)
    ]

    assert payouts == [38_000, 32_000]


def test_total_for_asks_nothing_and_says_what_a_quote_says(django_assert_num_queries: Any) -> None:
    listing = _rich()
    found = quotes.rates_of([listing], NOW)[listing.pk]
    platform.get("currency")

    with django_assert_num_queries(0):
        total = quotes.total_for(listing, {}, STAY, 3, found, NOW)

    assert total == quotes.make(listing=listing, stay=STAY, guests=3, now=NOW).price.total_minor


def test_expected_total_that_differs_brings_the_new_quote_with_all_its_lines() -> None:
    listing = _rich()
    PromoCode.objects.create(
        listing=listing, code="SUMMER", percent=Decimal(50), created_at=NOW, updated_at=NOW
    )

    with pytest.raises(quotes.PriceChanged) as changed:
        book(listing, guests=3, pets=2, promo_code="SUMMER", expected_total=Decimal("515.56"))

    price = changed.value.quote.price
    assert (price.discounts_minor, price.total_minor) == (-22_000, 32_900)
    assert not Booking.objects.exists()
    booking = book(listing, guests=3, pets=2, promo_code="SUMMER", expected_total=Decimal("329.00"))
    assert booking.total_minor == 32_900
