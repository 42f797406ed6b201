"""Prices that were agreed: carried into another stay, and made to meet a total."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.bookings import repricing
from backend.bookings.discounts import Discount
from backend.bookings.pricing import NightPrice, Priced, ServiceFee, price
from backend.bookings.repricing import TotalTooLow
from backend.rates.terms import SPLIT, TaxTerms
from tests.bookings.test_pricing import PRICED


def _priced(*minors: int, first: int = 3, **fields: object) -> Priced:
    nights = tuple(
        NightPrice(date(2027, 5, first + index), minor, "base") for index, minor in enumerate(minors)
    )
    return Priced(currency="EUR", nights=nights, **fields)  # type: ignore[arg-type]


@given(PRICED, st.decimals(min_value="0.05", max_value=3, places=4))
def test_to_total_meets_every_total_that_is_possible(priced: Priced, share: Decimal) -> None:
    asked = price(replace(priced, discount=None, non_refundable_percent=Decimal(0))).total_minor
    total = max(1, int(asked * share))

    try:
        found = repricing.to_total(priced, total)
    except TotalTooLow:
        nothing = tuple(night._replace(minor=0) for night in priced.nights)
        free = replace(priced, nights=nothing, discount=None, non_refundable_percent=Decimal(0))
        assert total < price(free).total_minor
        return

    made = price(found)
    assert made.total_minor == total
    assert sum(line.amount_minor for line in made.lines) == total
    assert min(made.night_amounts) >= 0
    # What is rounded off is a matter of single minor units: at most one a line that is rounded, and the one before.
    assert 0 <= found.rounding_minor <= 2 * (len(priced.taxes) + len(priced.fees) + 2)
    assert (found.fees, found.taxes, found.service_fee) == (priced.fees, priced.taxes, priced.service_fee)
    assert repricing.is_agreed(found) == (total != asked)


def test_to_total_takes_one_discount_or_raises_the_nights() -> None:
    priced = _priced(
        10_000, 12_000, cleaning_minor=3_000, discount=Discount("early_bird", percent=Decimal(10))
    )

    lower, higher = repricing.to_total(priced, 20_000), repricing.to_total(priced, 36_000)

    assert [(line.code, line.rule["kind"], line.amount_minor) for line in price(lower).lines] == [
        ("night", "base", 10_000),
        ("night", "base", 12_000),
        ("discount", "special_offer", -5_000),
        ("cleaning", "cleaning", 3_000),
    ]
    assert [(line.code, line.rule["kind"], line.amount_minor) for line in price(higher).lines] == [
        ("night", "agreed", 15_000),
        ("night", "agreed", 18_000),
        ("cleaning", "cleaning", 3_000),
    ]
    assert repricing.to_total(priced, 25_000) == replace(priced, discount=None)


def test_to_total_rounds_off_what_falls_between_two_steps() -> None:
    vat = TaxTerms(1, "VAT", percent=Decimal(100))
    priced = _priced(10_000, taxes=(vat,))

    found = repricing.to_total(priced, 15_001)

    assert found.rounding_minor == 1
    assert [line.amount_minor for line in price(found).lines] == [10_000, -2_499, -1, 7_501]


def test_to_total_refuses_what_the_fees_alone_pass() -> None:
    priced = _priced(10_000, cleaning_minor=3_000)

    with pytest.raises(TotalTooLow):
        repricing.to_total(priced, 2_999)

    assert price(repricing.to_total(priced, 3_000)).total_minor == 3_000


def test_carried_keeps_the_nights_that_are_in_both_stays() -> None:
    before = _priced(10_000, 11_000, 12_000)
    today = _priced(20_000, 21_000, 22_000, first=4)

    assert [night.minor for night in repricing.carried(before, today).nights] == [11_000, 12_000, 22_000]


def test_carried_keeps_the_promotion_code_and_the_service_fee() -> None:
    promo = Discount("promo", percent=Decimal(15), rule_id=7, code="SPRING")
    fee = ServiceFee(SPLIT, Decimal(3), Decimal(14))
    before = _priced(10_000, discount=promo, service_fee=fee, non_refundable_percent=Decimal(10))
    today = _priced(10_000, 10_000, discount=Discount("length_of_stay", percent=Decimal(50)))

    found = repricing.carried(before, today)

    assert (found.discount, found.service_fee, found.non_refundable_percent) == (promo, fee, Decimal(10))


def test_carried_takes_todays_discount_where_no_code_was_used() -> None:
    weekly = Discount("length_of_stay", percent=Decimal(10))
    today = _priced(10_000, 10_000, discount=weekly)

    assert repricing.carried(_priced(10_000), today).discount == weekly
    assert repricing.carried(_priced(10_000, discount=weekly), replace(today, discount=None)).discount is None


def test_carried_keeps_what_a_special_offer_took_off() -> None:
    before = repricing.to_total(_priced(10_000, 10_000), 15_000)
    today = _priced(10_000, 10_000, 10_000, discount=Discount("length_of_stay", percent=Decimal(10)))

    found = repricing.carried(before, today)

    assert [(night.minor, night.kind) for night in found.nights] == [
        (7_500, "agreed"),
        (7_500, "agreed"),
        (10_000, "base"),
    ]
    assert price(found).total_minor == 25_000
