"""Exchange: amounts from one currency into another at the newest rate that we have.

Rates are kept per euro (the European Central Bank's form), each with its day and source. A rate between two other
currencies goes by the euro; it is as old as the older of the two. What is promised at a rate (a guest's price in another
currency, a host's payout) keeps that rate: ``quoted`` gives it as it is stored and shown, so that anybody can repeat
the sum.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Context, Decimal
from types import MappingProxyType

from django.utils.translation import gettext_lazy as _

from backend.core import platform
from backend.core.errors import Invalid
from backend.core.models import ExchangeRate
from backend.core.money import Money, exponent

FRESH_FOR_S = 1.0

EURO = "EUR"

_DIGITS, _PLACES = Context(prec=10), Decimal("1E-10")
"""A promised rate has ten significant digits, and no more than ten decimals, as the tables keep it."""

_EXACT = Context(prec=60)
"""Room for every digit of an amount times a rate, so that only the last step rounds."""


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest rate of a currency: units per euro, of which day, said by whom."""

    per_euro: Decimal
    rate_on: date
    source: str


@dataclass(frozen=True, slots=True)
class Quoted:
    """How much of one currency a unit of another buys, as it is promised: of which day, said by whom."""

    rate: Decimal
    rate_on: date
    source: str


_newest: Mapping[str, Newest] = MappingProxyType({})
_rates: Mapping[str, Decimal] = MappingProxyType({})
_read_at = float("-inf")


class UnknownCurrency(Invalid):
    """There is no rate for the currency."""

    code = "unknown_currency"
    title = _("There is no exchange rate for this currency.")


def newest() -> Mapping[str, Newest]:
    """The newest rate of every currency that has one, with its day and source. At most ``FRESH_FOR_S`` seconds old."""
    global _newest, _rates, _read_at
    if time.monotonic() - _read_at > FRESH_FOR_S:
        found = read()
        _newest = MappingProxyType(found)
        _rates = MappingProxyType({EURO: Decimal(1), **{code: row.per_euro for code, row in found.items()}})
        _read_at = time.monotonic()
    return _newest


def read() -> dict[str, Newest]:
    """As ``newest``, read at this moment."""
    rows = ExchangeRate.objects.order_by("currency_id", "-rate_on").distinct("currency_id")
    return {row.currency_id: Newest(row.per_euro, row.rate_on, row.source) for row in rows}


def rates() -> Mapping[str, Decimal]:
    """The newest rate of every currency that has one: currency → units per euro; EUR is 1.

    At most ``FRESH_FOR_S`` seconds old in each process.
    """
    newest()
    return _rates


def offered() -> Mapping[str, Decimal]:
    """As ``rates``, of the currencies that people may choose: those of ``currencies_offered`` and the platform's own."""
    known, chosen = rates(), chosen_codes()
    return {code: known[code] for code in chosen if code in known} if chosen else known


def chosen_codes() -> list[str]:
    """The currencies that the platform has chosen for people to choose from, its own among them; none chosen: all."""
    chosen = platform.get("currencies_offered")
    return sorted({*chosen, platform.get("currency")}) if chosen else []


def forget() -> None:
    """Read again at the next ``rates``."""
    global _read_at
    _read_at = float("-inf")


def rate(source: str, target: str) -> Decimal:
    """How much of ``target`` one unit of ``source`` buys. Raises: UnknownCurrency."""
    if source == target:
        return Decimal(1)
    known = rates()
    try:
        return known[target] / known[source]
    except KeyError as missing:
        raise _unknown() from missing


def _unknown() -> Invalid:
    return UnknownCurrency.field("currency", UnknownCurrency.code, UnknownCurrency.title)


def quoted(source: str, target: str) -> Quoted:
    """The newest rate from ``source`` to ``target`` as it may be promised, with the older of the two days.

    Raises: UnknownCurrency; ValueError for a currency to itself, which has neither day nor source.
    """
    if source == target:
        raise ValueError(f"{source} is not exchanged for itself")
    factor = _DIGITS.plus(rate(source, target)).quantize(_PLACES)
    if not factor:
        raise _unknown()
    said = [row for code, row in newest().items() if code in (source, target) and code != EURO]
    names = dict.fromkeys(row.source for row in sorted(said, key=lambda row: row.rate_on))
    return Quoted(factor, min(row.rate_on for row in said), ", ".join(names)[:80])


def exchange_with_rate(money: Money, currency: str) -> tuple[Money, Decimal, date, str]:
    """``money`` in ``currency`` at the newest rate, with that rate, its day and its source, to be kept beside it.

    Rounded once, half to even, at the very rate that is given back. Raises: UnknownCurrency; ValueError for the
    currency that it is in already.
    """
    said = quoted(money.currency, currency)
    return exchange(money, currency, at=said.rate), said.rate, said.rate_on, said.source


def exchange(money: Money, currency: str, *, at: Decimal | None = None) -> Money:
    """``money`` in ``currency`` at rate ``at`` (default: the newest), rounded once, half to even.

    Raises: UnknownCurrency.
    """
    if money.currency == currency:
        return money
    factor = at if at is not None else rate(money.currency, currency)
    major = _EXACT.multiply(money.major(), factor)
    minor = major.scaleb(exponent(currency), _EXACT).quantize(Decimal(1), ROUND_HALF_EVEN, _EXACT)
    return Money(int(minor), currency)
