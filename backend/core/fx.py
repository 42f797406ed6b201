"""Exchange: amounts from one currency into another at the newest rate that we have.

Rates are kept per euro (the European Central Bank's form), each with its day and source. An amount that was
exchanged is for showing and comparing; what is charged is always in the listing's currency.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from types import MappingProxyType

from django.utils.translation import gettext_lazy as _

from backend.core.errors import Invalid
from backend.core.models import ExchangeRate
from backend.core.money import Money, exponent

FRESH_FOR_S = 1.0

_rates: Mapping[str, Decimal] = MappingProxyType({})
_read_at = float("-inf")


class UnknownCurrency(Invalid):
    """There is no rate for the currency."""

    code = "unknown_currency"
    title = _("There is no exchange rate for this currency.")


def rates() -> Mapping[str, Decimal]:
    """The newest rate of every currency that has one: currency → units per euro; EUR is 1.

    At most ``FRESH_FOR_S`` seconds old in each process.
    """
    global _rates, _read_at
    if time.monotonic() - _read_at > FRESH_FOR_S:
        newest = ExchangeRate.objects.order_by("currency_id", "-rate_on").distinct("currency_id")
        _rates = MappingProxyType({"EUR": Decimal(1), **dict(newest.values_list("currency_id", "per_euro"))})
        _read_at = time.monotonic()
    return _rates


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
        raise UnknownCurrency.field("currency", "unknown_currency", UnknownCurrency.title) from missing


def exchange(money: Money, currency: str, *, at: Decimal | None = None) -> Money:
    """``money`` in ``currency`` at rate ``at`` (default: the newest), rounded once, half to even.

    Raises: UnknownCurrency.
    """
    if money.currency == currency:
        return money
    factor = at if at is not None else rate(money.currency, currency)
    major = money.major() * factor
    minor = major.scaleb(exponent(currency)).quantize(Decimal(1), rounding=ROUND_HALF_EVEN)
    return Money(int(minor), currency)
