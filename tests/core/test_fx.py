"""Exchange: the newest rate counts, a promised rate can be repeated by anybody, and only the last step rounds."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core import fx
from backend.core.models import ExchangeRate
from backend.core.money import MAX_MINOR, Money, exponent

SHIPPED = date(2026, 10, 30)


def put(currency: str, per_euro: str, rate_on: date, source: str = "test") -> None:
    ExchangeRate.objects.create(currency_id=currency, per_euro=per_euro, rate_on=rate_on, source=source)
    fx.forget()


@pytest.mark.usefixtures("db")
def test_newest_rate_counts_with_its_day_and_source() -> None:
    put("USD", "1.2", SHIPPED + timedelta(days=1), "somebody")
    put("USD", "1.5", SHIPPED - timedelta(days=1), "somebody else")

    assert fx.rates()["USD"] == Decimal("1.2")
    assert fx.newest()["USD"] == fx.Newest(Decimal("1.2"), SHIPPED + timedelta(days=1), "somebody")


@pytest.mark.usefixtures("db")
def test_quoted_of_a_euro_has_the_others_day_and_source() -> None:
    assert fx.quoted("EUR", "USD") == fx.Quoted(Decimal("1.1172"), SHIPPED, "European Central Bank")
    assert fx.quoted("USD", "EUR") == fx.Quoted(Decimal("0.8950948801"), SHIPPED, "European Central Bank")


@pytest.mark.usefixtures("db")
def test_quoted_between_two_others_is_as_old_as_the_older() -> None:
    assert fx.quoted("SGD", "KES") == fx.Quoted(
        Decimal("97.00781613"), date(2024, 6, 18), "currencyapi.com, European Central Bank"
    )


@pytest.mark.usefixtures("db")
def test_quoted_keeps_what_the_tables_keep() -> None:
    said = fx.quoted("IDR", "KWD")

    assert said.rate == Decimal("0.0000161894")
    assert said.rate.as_tuple().exponent == -10


@pytest.mark.usefixtures("db")
def test_quoted_refuses_what_has_no_rate_to_promise() -> None:
    with pytest.raises(fx.UnknownCurrency):
        fx.quoted("EUR", "XXX")
    with pytest.raises(ValueError, match="for itself"):
        fx.quoted("EUR", "EUR")


@pytest.mark.usefixtures("db")
def test_exchange_with_rate_says_what_it_used() -> None:
    money, rate, rate_on, source = fx.exchange_with_rate(Money(12345, "EUR"), "KES")

    assert (money, rate) == (Money(1710357, "KES"), Decimal("138.5465630000"))
    assert (rate_on, source) == (date(2024, 6, 18), "currencyapi.com")
    assert fx.exchange(Money(12345, "EUR"), "KES", at=rate) == money


@given(
    st.integers(min_value=-(10**13), max_value=10**13),
    st.decimals(min_value="0.0000000001", max_value="99", places=10),
    st.sampled_from(["EUR", "JPY", "KWD"]),
    st.sampled_from(["USD", "ISK", "BHD"]),
)
def test_exchange_rounds_once_to_the_nearest(minor: int, rate: Decimal, source: str, target: str) -> None:
    exact = Fraction(minor, 10 ** exponent(source)) * Fraction(rate) * 10 ** exponent(target)
    if abs(exact) >= MAX_MINOR:
        return

    assert fx.exchange(Money(minor, source), target, at=rate).minor == round(exact)
