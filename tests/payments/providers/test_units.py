"""Each provider counts money in units of its own; an amount that one cannot move is refused and never rounded."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core.money import EXPONENTS, exponent
from backend.payments.providers import units
from backend.payments.providers.units import CannotMove

STRIPE_CURRENCIES = sorted(units._STRIPE_TAKES)
PAYPAL_CURRENCIES = sorted(units._PAYPAL_TAKES)


@pytest.mark.parametrize(
    ("provider", "minor", "currency", "theirs"),
    [
        ("stripe", 1000, "USD", 1000),
        ("stripe", 500, "JPY", 500),
        ("stripe", 500, "XOF", 500),
        ("stripe", 1200, "MGA", 12),
        ("stripe", 5, "UGX", 500),
        ("stripe", 5, "ISK", 500),
        ("stripe", 5120, "KWD", 5120),
        ("stripe", 1045, "HUF", 1045),
        ("mpesa", 7500, "KES", 75),
        ("paypal", 7550, "EUR", 7550),
        ("paypal", 7500, "HUF", 75),
        ("paypal", 75, "JPY", 75),
        ("sandbox", 5124, "KWD", 5124),
        ("sandbox", 12, "CLF", 12),
    ],
)
def test_amount_is_the_same_there_and_back(provider: str, minor: int, currency: str, theirs: int) -> None:
    assert units.to_provider(provider, minor, currency) == theirs
    assert units.from_provider(provider, theirs, currency) == minor


@pytest.mark.parametrize(
    ("provider", "minor", "currency"),
    [
        ("stripe", 1250, "MGA"),
        ("stripe", 5124, "KWD"),
        ("stripe", 5124, "TND"),
        ("stripe", 100, "LYD"),
        ("stripe", 100, "CLF"),
        ("mpesa", 7550, "KES"),
        ("mpesa", 7500, "TZS"),
        ("paypal", 7550, "HUF"),
        ("paypal", 7550, "TWD"),
        ("paypal", 7500, "KES"),
    ],
)
def test_amount_that_cannot_be_moved_is_refused(provider: str, minor: int, currency: str) -> None:
    with pytest.raises(CannotMove) as refused:
        units.to_provider(provider, minor, currency)

    assert [(error.field, error.code) for error in refused.value.errors] == [
        ("provider", "amount_not_possible")
    ]


def test_forint_is_charged_to_the_cent_and_paid_out_whole() -> None:
    assert units.to_provider("stripe", 1045, "HUF") == 1045
    assert units.to_provider("stripe", 1000, "HUF", payout=True) == 1000
    with pytest.raises(CannotMove):
        units.to_provider("stripe", 1045, "HUF", payout=True)


@pytest.mark.parametrize(("amount", "currency"), [(550, "UGX"), (501, "ISK")])
def test_part_of_our_smallest_unit_is_refused_on_the_way_in(amount: int, currency: str) -> None:
    with pytest.raises(CannotMove):
        units.from_provider("stripe", amount, currency)


@pytest.mark.parametrize(
    ("provider", "minor", "currency", "text"),
    [
        ("paypal", 7550, "EUR", "75.50"),
        ("paypal", 5, "USD", "0.05"),
        ("paypal", 7500, "HUF", "75"),
        ("paypal", 75, "JPY", "75"),
        ("mpesa", 7500, "KES", "75"),
    ],
)
def test_amount_as_text_is_the_same_there_and_back(
    provider: str, minor: int, currency: str, text: str
) -> None:
    assert units.to_text(provider, minor, currency) == text
    assert units.from_text(provider, text, currency) == minor


@pytest.mark.parametrize("amount", [1, "1", "1.0", "1.00", Decimal("1.0"), Decimal("1.00")])
def test_shilling_is_read_however_it_is_written(amount: str | int | Decimal) -> None:
    assert units.from_text("mpesa", amount, "KES") == 100


@pytest.mark.parametrize("amount", ["", "x", "NaN", "Infinity", "1.001", "1,00", "1e30"])
def test_text_that_is_no_amount_is_refused(amount: str) -> None:
    with pytest.raises(CannotMove):
        units.from_text("paypal", amount, "EUR")


@given(st.sampled_from(STRIPE_CURRENCIES), st.integers(min_value=0, max_value=10**12))
def test_stripe_loses_nothing(currency: str, steps: int) -> None:
    minor = steps * units.unit("stripe", currency).step

    assert units.from_provider("stripe", units.to_provider("stripe", minor, currency), currency) == minor


@given(st.sampled_from(PAYPAL_CURRENCIES), st.integers(min_value=0, max_value=10**12))
def test_paypal_loses_nothing(currency: str, steps: int) -> None:
    minor = steps * units.unit("paypal", currency).step

    assert units.from_text("paypal", units.to_text("paypal", minor, currency), currency) == minor


@pytest.mark.parametrize(
    ("currency", "step"),
    [("EUR", 1), ("JPY", 1), ("KES", 100), ("HUF", 100), ("KWD", 10), ("MGA", 100), ("LYD", 1), ("UGX", 1)],
)
def test_common_step_suits_every_provider(currency: str, step: int) -> None:
    assert units.common_step(currency) == step


def test_common_step_can_be_moved_by_all_who_take_the_currency() -> None:
    for currency in {*STRIPE_CURRENCIES, *PAYPAL_CURRENCIES}:
        step = units.common_step(currency)
        for provider in ("stripe", "paypal", "mpesa"):
            if units.takes(provider, currency):
                assert (
                    units.from_provider(provider, units.to_provider(provider, 7 * step, currency), currency)
                    == 7 * step
                )


def test_every_step_is_whole_units_of_both_sides() -> None:
    for currency in STRIPE_CURRENCIES:
        known = units.unit("stripe", currency)
        assert (Decimal(known.step).scaleb(known.decimals - exponent(currency)) % 1) == 0
    assert {code for code in EXPONENTS if units.takes("stripe", code)} >= {"JPY", "KWD", "UGX", "ISK"}
