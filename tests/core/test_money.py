"""Money loses nothing: not when split, not when rounded, not on the wire."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core.money import EXPONENTS, MAX_MINOR, Money, MoneyError, TooPrecise, allocate, exponent, share

currencies = st.sampled_from(["EUR", "USD", "JPY", "KWD", "CLF", "KES", *EXPONENTS])
minors = st.integers(min_value=-MAX_MINOR, max_value=MAX_MINOR)
weights = st.lists(st.integers(min_value=0, max_value=10**6), min_size=1, max_size=40).filter(any)


@given(minors, weights)
def test_allocate_sums_to_the_whole(minor: int, parts: list[int]) -> None:
    assert sum(allocate(minor, parts)) == minor


@given(minors, weights)
def test_allocate_is_within_one_unit_of_the_exact_share(minor: int, parts: list[int]) -> None:
    total = sum(parts)

    for part, weight in zip(allocate(minor, parts), parts, strict=True):
        assert abs(part * total - minor * weight) < total


@given(minors, weights)
def test_allocate_gives_nothing_for_no_weight(minor: int, parts: list[int]) -> None:
    assert all(part == 0 for part, weight in zip(allocate(minor, parts), parts, strict=True) if weight == 0)


@given(minors, weights)
def test_allocate_mirrors_the_sign(minor: int, parts: list[int]) -> None:
    assert allocate(-minor, parts) == [-part for part in allocate(minor, parts)]


@pytest.mark.parametrize(
    ("minor", "parts", "split"),
    [
        (100, [1, 1, 1], [34, 33, 33]),
        (-100, [1, 1, 1], [-34, -33, -33]),
        (5, [3, 7], [2, 3]),
        (1, [1, 1], [1, 0]),
        (0, [1, 2], [0, 0]),
        (10, [0, 1], [0, 10]),
        (2, [1, 1, 1], [1, 1, 0]),
    ],
)
def test_allocate_gives_what_is_left_to_the_largest_fractions(
    minor: int, parts: list[int], split: list[int]
) -> None:
    assert allocate(minor, parts) == split


@pytest.mark.parametrize("parts", [[], [0], [0, 0], [1, -1], [-1, 5]])
def test_allocate_refuses_weights_that_mean_nothing(parts: list[int]) -> None:
    with pytest.raises(MoneyError):
        allocate(100, parts)


@given(minors, currencies)
def test_major_and_back_is_the_same(minor: int, currency: str) -> None:
    money = Money(minor, currency)

    assert Money.from_major(money.major(), currency) == money


@given(minors, currencies)
def test_number_survives_json(minor: int, currency: str) -> None:
    money = Money(minor, currency)

    wire = json.loads(json.dumps(money.number()), parse_float=Decimal)

    assert Money.from_major(wire, currency) == money


@given(minors)
def test_number_without_decimals_is_an_integer(minor: int) -> None:
    assert isinstance(Money(minor, "JPY").number(), int)


@pytest.mark.parametrize(
    ("value", "currency", "minor"),
    [
        (75, "EUR", 7500),
        (Decimal("75.5"), "EUR", 7550),
        ("75.50", "EUR", 7550),
        (Decimal("75.500"), "EUR", 7550),
        (75, "JPY", 75),
        ("1.234", "KWD", 1234),
        ("-0.01", "USD", -1),
        ("1E2", "EUR", 10_000),
    ],
)
def test_from_major_reads_amounts(value: Decimal | int | str, currency: str, minor: int) -> None:
    assert Money.from_major(value, currency) == Money(minor, currency)


@pytest.mark.parametrize(
    ("value", "currency"),
    [("75.555", "EUR"), ("0.5", "JPY"), ("1.2345", "KWD"), ("1e-30", "EUR"), ("0.001", "USD")],
)
def test_from_major_refuses_what_is_finer_than_the_currency(value: str, currency: str) -> None:
    with pytest.raises(TooPrecise):
        Money.from_major(value, currency)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "abc", "", "1e30", "1e999999", "sNaN"])
def test_from_major_refuses_what_is_no_amount(value: str) -> None:
    with pytest.raises(MoneyError):
        Money.from_major(value, "EUR")


@pytest.mark.parametrize("code", ["eur", "EU", "EURO", "", "E1R", "ÄÖÜ", "EUR\n"])
def test_currency_must_be_three_letters(code: str) -> None:
    with pytest.raises(MoneyError):
        Money(1, code)


def test_exponent_is_that_of_iso_4217() -> None:
    assert {
        code: exponent(code) for code in ("EUR", "JPY", "KWD", "CLF", "UGX", "KES", "TND", "MRU", "XYZ")
    } == {
        "EUR": 2,
        "JPY": 0,
        "KWD": 3,
        "CLF": 4,
        "UGX": 0,
        "KES": 2,
        "TND": 3,
        "MRU": 2,
        "XYZ": 2,
    }


@pytest.mark.parametrize(
    ("minor", "percent", "part"),
    [
        (10_000, "15.5", 1550),
        (5, "10", 0),
        (15, "10", 2),
        (25, "10", 2),
        (35, "10", 4),
        (-25, "10", -2),
        (333, "0", 0),
    ],
)
def test_share_rounds_once_half_to_even(minor: int, percent: str, part: int) -> None:
    assert share(minor, Decimal(percent)) == part
    assert Money(minor, "EUR").percent(Decimal(percent)) == Money(part, "EUR")


def test_amounts_of_two_currencies_do_not_meet() -> None:
    with pytest.raises(MoneyError):
        Money(1, "EUR") + Money(1, "USD")
    with pytest.raises(MoneyError):
        Money(1, "EUR") - Money(1, "USD")


def test_amount_out_of_range_is_refused() -> None:
    assert Money(MAX_MINOR, "EUR") - Money(1, "EUR") == Money(MAX_MINOR - 1, "EUR")
    with pytest.raises(MoneyError):
        Money(MAX_MINOR, "EUR") + Money(1, "EUR")


def test_arithmetic_keeps_the_currency() -> None:
    assert Money(100, "EUR") * 3 + -Money(50, "EUR") == Money(250, "EUR")
    assert Money(100, "EUR").allocate([1, 2]) == [Money(33, "EUR"), Money(67, "EUR")]
    assert str(Money(7550, "EUR")) == "75.50 EUR"
    assert str(Money(75, "JPY")) == "75 JPY"
