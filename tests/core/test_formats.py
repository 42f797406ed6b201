"""Amounts as people write them: the digits of their language, the decimals of the currency, a currency one can tell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core import formats
from backend.core.money import EXPONENTS, exponent

NBSP, NARROW, RTL = "\N{NO-BREAK SPACE}", "\N{NARROW NO-BREAK SPACE}", "\N{RIGHT-TO-LEFT MARK}"


@pytest.mark.parametrize(
    ("minor", "currency", "language", "expected"),
    [
        (123450, "EUR", "en", "€1,234.50"),
        (1234, "JPY", "en", "¥1,234"),
        (123400, "KES", "en", f"KES{NBSP}1,234.00"),
        (1234, "KWD", "en", f"KWD{NBSP}1.234"),
        (-5, "USD", "en", "-$0.05"),
        (123450, "EUR", "es", f"1.234,50{NBSP}€"),
        (123450, "EUR", "fr", f"1{NARROW}234,50{NBSP}€"),
        (123400, "KES", "sw", f"Ksh{NBSP}1,234.00"),
        (123450, "EUR", "ar", f"{RTL}1,234.50{NBSP}€"),
        (123450, "EUR", "ar-eg", f"{RTL}١٬٢٣٤٫٥٠{NBSP}€"),
        (1234500, "IQD", "en", f"IQD{NBSP}1,234.500"),
        (100, "MGA", "fr", f"1,00{NBSP}MGA"),
        (123450, "EUR", "xx", "€1,234.50"),
    ],
)
def test_money_is_written_as_the_language_does(
    minor: int, currency: str, language: str, expected: str
) -> None:
    assert formats.money(minor, currency, language) == expected


@pytest.mark.parametrize(
    ("minor", "currency", "language", "expected"),
    [
        (123450, "EUR", "en", "EUR 1,234.50"),
        (-123450, "EUR", "en", "EUR −1,234.50"),
        (1234, "JPY", "en", "JPY 1,234"),
        (1234500, "IQD", "en", "IQD 1,234.500"),
        (123450, "EUR", "fr", f"EUR 1{NARROW}234,50"),
        (0, "KWD", "es", "KWD 0,000"),
    ],
)
def test_money_with_code_has_its_code_before_it(
    minor: int, currency: str, language: str, expected: str
) -> None:
    assert formats.money_with_code(minor, currency, language) == expected


@given(
    st.integers(min_value=-(10**15), max_value=10**15),
    st.sampled_from(["EUR", "USD", "KES", "TZS", *EXPONENTS]),
    st.sampled_from(["en", "fr", "es", "sw", "ar"]),
)
def test_money_shows_every_digit_of_the_amount(minor: int, currency: str, language: str) -> None:
    shown = "".join(
        each for each in formats.money(minor, currency, language) if each.isascii() and each.isdigit()
    )

    assert shown == str(abs(minor)).rjust(exponent(currency) + 1, "0")
