"""How people of a language write amounts. Every text that shows money to somebody takes it from here. Pure.

What is shown has exactly the decimals of ISO 4217 (the locale data leaves some out that are paid all the same), the
digits and the order of the language, and a currency that nobody mixes up: its symbol where the language has one of its
own, else its code, never glued to the number.
"""

from __future__ import annotations

from functools import lru_cache

from babel import Locale, UnknownLocaleError
from babel.numbers import get_currency_symbol, parse_pattern
from django.conf import settings

from backend.core.money import Money, exponent

_SPACE = "\N{NO-BREAK SPACE}"
_DIGITS = {
    "arab": str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩"),
    "arabext": str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹"),
}
"""The digits of the numbering systems that some locales write by default; Babel gives their separators only."""


@lru_cache(maxsize=100)
def locale(language: str) -> Locale:
    """The locale of ``language`` (``pt-br``), the platform's where there is no such."""
    try:
        return Locale.parse(language.replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        return Locale.parse(settings.LANGUAGE_CODE)


@lru_cache(maxsize=4096)
def money(minor: int, currency: str, language: str) -> str:
    """An amount as people of ``language`` write it in a sentence: ``€1,234.50``, ``1 234,50 €``, ``KES 1,234.00``."""
    symbol = get_currency_symbol(currency, locale=locale(language))
    text = _apply(locale(language).currency_formats["standard"].pattern, minor, currency, language)
    # A code of letters does not stick to the number; the data say so, but the pattern does not.
    glued_before, glued_after = symbol[-1:].isalpha(), symbol[:1].isalpha()
    before, _found, after = text.partition(symbol)
    if glued_before and after[:1].isdigit():
        after = _SPACE + after
    if glued_after and before[-1:].isdigit():
        before += _SPACE
    return before + symbol + after


@lru_cache(maxsize=4096)
def money_with_code(minor: int, currency: str, language: str) -> str:
    """An amount behind its ISO code, as in books and tables where several currencies meet: ``EUR 1,234.50``."""
    number = _apply(locale(language).decimal_formats[None].pattern, abs(minor), currency, language)
    return f"{currency} {'−' if minor < 0 else ''}{number}"


def _apply(pattern: str, minor: int, currency: str, language: str) -> str:
    made = parse_pattern(pattern)
    made.frac_prec = (exponent(currency), exponent(currency))
    text = made.apply(
        Money(minor, currency).major(),
        locale(language),
        currency=currency,
        currency_digits=False,
        numbering_system="default",
    )
    return digits(text, language)


def digits(text: str, language: str) -> str:
    """``text`` with the digits that ``language`` writes by default; Babel writes numbers and dates with Western ones."""
    return text.translate(_DIGITS.get(locale(language).default_numbering_system, {}))


FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""How a cell begins that a spreadsheet would take for a formula; the last four are the first four in their wide forms."""

INVISIBLE = "\ufeff\u200b\u200e\u200f\u2060"
"""Marks without a width, which some spreadsheets drop before they look at what a cell begins with."""


def cell(text: str) -> str:
    """A text for a spreadsheet that stays a text: an apostrophe before what would be a formula, blanks before it or not."""
    begins = text.lstrip(f" \u00a0\u3000{INVISIBLE}")
    return f"'{text}" if begins.startswith(FORMULAS) else text


def plain(text: str) -> str:
    """What ``cell`` was given: without the apostrophe that it put there. Blanks around the text go."""
    said = text.strip()
    return said[1:] if said.startswith("'") and cell(said[1:]) == said else said
