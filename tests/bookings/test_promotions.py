"""Promotion codes: which one is meant, who may use it, and how often."""

from __future__ import annotations

import threading
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from backend.bookings import promotions, quotes
from backend.bookings import services as bookings
from backend.bookings.discounts import Discount
from backend.bookings.models import Booking
from backend.bookings.promotions import (
    InvalidPromoCode,
    PromoCodeExpired,
    PromoCodeMinNights,
    PromoCodeUsedUp,
)
from backend.core.errors import Invalid
from backend.core.stay import Stay
from backend.listings.models import Listing
from backend.payments.models import Folio
from backend.rates import services as rates
from backend.rates.models import PriceRule, PromoCode
from tests.bookings.making import STAY, book, confirmed
from tests.factories import NOW, make_listing, make_user
from tests.racing import race

pytestmark = pytest.mark.usefixtures("db")


def _code(listing: Listing | None = None, code: str = "SUMMER", **values: Any) -> PromoCode:
    values = {"max_uses_per_guest": None, **values}
    if "amount_minor" not in values:
        values.setdefault("percent", Decimal(10))
    return PromoCode.objects.create(listing=listing, code=code, created_at=NOW, updated_at=NOW, **values)


def test_create_with_a_code_takes_it_off_the_nights_and_remembers_it() -> None:
    listing = make_listing(cleaning_fee_minor=3_000)
    promo = _code(listing, percent=Decimal("12.5"))

    booking = book(listing, promo_code=" summer ".strip())

    assert (booking.total_minor, booking.promo_code_id) == (38_000, promo.pk)
    line = booking.folio.lines.get(code="discount")
    assert (line.amount_minor, line.rule["id"]) == (-5_000, f"discount.promo.{promo.pk}")
    assert line.rule["inputs"] == {"base_minor": 40_000, "percent": 12.5, "code": "SUMMER"}


def test_code_goes_before_every_other_discount() -> None:
    listing = make_listing()
    PriceRule.objects.create(
        listing=listing, kind="new_listing", percent=Decimal(50), created_at=NOW, updated_at=NOW
    )
    _code(listing)

    assert book(listing, promo_code="SUMMER").total_minor == 36_000


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"code": "OTHER"}, InvalidPromoCode),
        ({"active": False}, InvalidPromoCode),
        ({"starts_at": NOW + timedelta(seconds=1)}, InvalidPromoCode),
        ({"starts_at": NOW}, None),
        ({"ends_at": NOW}, PromoCodeExpired),
        ({"ends_at": NOW + timedelta(seconds=1)}, None),
        ({"min_nights": 5}, PromoCodeMinNights),
        ({"min_nights": 4}, None),
        ({"amount_minor": 500, "currency": "XTS"}, InvalidPromoCode),
    ],
)
def test_code_holds_at_its_boundaries(values: dict[str, Any], error: type[Invalid] | None) -> None:
    listing, guest = make_listing(), make_user()
    _code(listing, **values)

    if error is None:
        assert quotes.make(
            listing=listing, stay=STAY, guests=1, now=NOW, promo_code="summer"
        ).price.total_minor == (36_000)
        assert book(listing, guest, promo_code="summer").total_minor == 36_000
        return
    with pytest.raises(error) as quoted:
        quotes.make(listing=listing, stay=STAY, guests=1, now=NOW, promo_code="summer")
    with pytest.raises(error):
        book(listing, guest, promo_code="summer")
    assert [(each.field, each.code) for each in quoted.value.errors] == [("promo_code", error.code)]
    assert not Booking.objects.exists()
    assert not Folio.objects.exists()


def test_code_of_another_listing_or_host_is_unknown() -> None:
    listing = make_listing()
    _code(make_listing(listing.host))
    _code(None, host=make_user())

    with pytest.raises(InvalidPromoCode):
        book(listing, promo_code="SUMMER")


def test_code_of_the_listing_goes_before_its_hosts_and_the_platforms() -> None:
    listing = make_listing()
    percents: list[tuple[Any, Any, int]] = [(None, None, 5), (None, listing.host, 10), (listing, None, 20)]
    found = []
    for of, host, percent in percents:
        _code(of, host=host, percent=Decimal(percent))
        promo = promotions.find("Summer", listing=listing, stay=STAY, now=NOW)
        found.append(promo.percent)

    assert found == [5, 10, 20]
    PromoCode.objects.filter(listing=listing).update(active=False)
    assert promotions.find("Summer", listing=listing, stay=STAY, now=NOW).percent == 10


def test_amount_of_a_hosts_code_is_exchanged_and_never_more_than_the_nights() -> None:
    listing = make_listing(currency="JPY", price_minor=9_000)
    promo = _code(None, host=listing.host, amount_minor=10_000, currency="EUR")
    large = _code(None, code="LARGE", host=listing.host, amount_minor=10**8, currency="EUR")

    discount = promotions.discount_of(promo, listing)

    assert discount == Discount("promo", amount_minor=discount.amount_minor, rule_id=promo.pk, code="SUMMER")
    assert 10_000 < (discount.amount_minor or 0) < 36_000
    quote = quotes.make(listing=listing, stay=STAY, guests=1, now=NOW, promo_code="SUMMER")
    assert quote.price.total_minor == 36_000 - (discount.amount_minor or 0)
    free = quotes.make(listing=listing, stay=STAY, guests=1, now=NOW, promo_code=large.code)
    assert (free.price.total_minor, free.price.discounts_minor) == (0, -36_000)


def _stay(week: int) -> Stay:
    return Stay(STAY.check_in + timedelta(weeks=week), STAY.check_out + timedelta(weeks=week))


def test_code_is_used_up_by_everybody_together() -> None:
    listing = make_listing()
    _code(listing, max_uses=2)
    for week in (0, 1):
        book(listing, stay=_stay(week), promo_code="SUMMER")

    with pytest.raises(PromoCodeUsedUp):
        book(listing, stay=_stay(2), promo_code="SUMMER")
    with pytest.raises(PromoCodeUsedUp):
        quotes.make(listing=listing, stay=_stay(2), guests=1, now=NOW, promo_code="SUMMER")
    assert Booking.objects.count() == 2


def test_code_is_used_up_by_one_guest_but_not_for_another() -> None:
    listing, guest, other = make_listing(), make_user(), make_user()
    _code(listing, max_uses_per_guest=1)
    book(listing, guest, promo_code="SUMMER")

    with pytest.raises(PromoCodeUsedUp):
        book(listing, guest, stay=_stay(1), promo_code="SUMMER")
    with pytest.raises(PromoCodeUsedUp):
        quotes.make(listing=listing, stay=_stay(1), guests=1, now=NOW, promo_code="SUMMER", guest=guest)
    # Who asks without signing in is told so when they book.
    assert quotes.make(listing=listing, stay=_stay(1), guests=1, now=NOW, promo_code="SUMMER")
    assert book(listing, other, stay=_stay(1), promo_code="SUMMER").total_minor == 36_000


@pytest.mark.parametrize("ending", ["canceled", "run out", "declined", "canceled when paid"])
def test_code_comes_back_when_the_booking_falls_through(ending: str) -> None:
    listing = make_listing(instant_book=ending != "declined")
    promo = _code(listing, max_uses=1)
    first = (confirmed if ending == "canceled when paid" else book)(listing, promo_code="SUMMER")
    now = NOW
    assert promotions.uses(promo, now) == 1

    if ending == "run out":
        now = NOW + timedelta(minutes=15)
    elif ending == "declined":
        bookings.decline(actor=listing.host, booking_id=first.pk, now=now)
    else:
        bookings.cancel(actor=first.guest, booking_id=first.pk, now=now)

    assert promotions.uses(promo, now) == 0
    assert book(listing, stay=_stay(1), promo_code="SUMMER", now=now).total_minor == 36_000


def test_quote_keeps_the_price_of_a_code_that_has_ended_since() -> None:
    listing = make_listing()
    promo = _code(listing)
    token = quotes.make(listing=listing, stay=STAY, guests=1, now=NOW, promo_code="SUMMER").token
    later = NOW + timedelta(minutes=14)
    rates.change(
        PromoCode,
        actor=listing.host,
        listing=listing,
        row_id=promo.pk,
        changes={"active": False, "valid_until": NOW + timedelta(minutes=1), "percent": Decimal(1)},
        now=later,
    )

    booking = book(listing, quote_token=token, now=later)

    assert (booking.total_minor, booking.promo_code_id) == (36_000, promo.pk)
    with pytest.raises(InvalidPromoCode):
        book(listing, stay=_stay(1), promo_code="SUMMER", now=later)


def test_quote_keeps_the_price_of_a_code_that_was_removed_since() -> None:
    listing = make_listing()
    promo = _code(listing)
    token = quotes.make(listing=listing, stay=STAY, guests=1, now=NOW, promo_code="SUMMER").token
    rates.remove(PromoCode, actor=listing.host, listing=listing, row_id=promo.pk, now=NOW)

    booking = book(listing, quote_token=token)

    assert (booking.total_minor, booking.promo_code_id) == (36_000, None)


def test_quote_does_not_keep_a_use_for_the_guest() -> None:
    listing = make_listing()
    _code(listing, max_uses=1)
    token = quotes.make(listing=listing, stay=STAY, guests=1, now=NOW, promo_code="SUMMER").token
    book(listing, stay=_stay(1), promo_code="SUMMER")

    with pytest.raises(PromoCodeUsedUp):
        book(listing, quote_token=token)
    assert Booking.objects.count() == 1


def test_quote_and_code_must_agree() -> None:
    listing = make_listing()
    _code(listing)
    _code(listing, code="WINTER")
    plain = quotes.make(listing=listing, stay=STAY, guests=1, now=NOW).token
    summer = quotes.make(listing=listing, stay=STAY, guests=1, now=NOW, promo_code="summer").token

    for token in (plain, summer):
        with pytest.raises(quotes.InvalidQuote):
            book(listing, quote_token=token, promo_code="WINTER")
    assert not Booking.objects.exists()
    assert book(listing, quote_token=summer, promo_code="Summer").total_minor == 36_000


def test_race_for_the_last_use_has_one_winner() -> None:
    listing = make_listing()
    _code(listing, max_uses=1)
    guests = [make_user() for _ in range(6)]

    outcomes = race(
        *(
            partial(book, listing, guest, stay=_stay(week), promo_code="SUMMER")
            for week, guest in enumerate(guests)
        )
    )

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Booking"] + ["PromoCodeUsedUp"] * 5
    assert Booking.objects.count() == 1


def test_race_for_the_last_use_would_have_two_winners_without_the_lock() -> None:
    listing = make_listing()
    _code(listing, max_uses=1)
    both = threading.Barrier(2)

    def look_then_book(week: int) -> str:
        promotions.find("SUMMER", listing=listing, stay=_stay(week), now=NOW)
        both.wait(30)
        return "free"

    assert race(partial(look_then_book, 0), partial(look_then_book, 1)) == ["free", "free"]


def test_new_listing_discount_ends_with_the_third_confirmed_booking() -> None:
    listing = make_listing()
    PriceRule.objects.create(
        listing=listing, kind="new_listing", percent=Decimal(20), created_at=NOW, updated_at=NOW
    )

    totals = [confirmed(listing, stay=_stay(week)).total_minor for week in range(4)]

    assert totals == [32_000, 32_000, 32_000, 40_000]
    last = Booking.objects.order_by("id").first()
    assert last is not None
    bookings.cancel(actor=last.guest, booking_id=last.pk, now=NOW)
    later = quotes.make(listing=listing, stay=_stay(5), guests=1, now=NOW)
    assert later.price.total_minor == 40_000


def test_rates_of_asks_once_more_for_new_listings_however_many(django_assert_num_queries: Any) -> None:
    listings = [make_listing() for _ in range(3)]
    for listing in listings:
        PriceRule.objects.create(
            listing=listing, kind="new_listing", percent=Decimal(20), created_at=NOW, updated_at=NOW
        )
    confirmed(listings[0])

    for some in (listings[:1], listings):
        with django_assert_num_queries(2):
            found = quotes.rates_of(some, NOW)
        assert [rates.is_new for rates in found.values()] == [True] * len(some)
    assert date(2027, 5, 3) == STAY.check_in
