"""Money: an amount in minor units beside its currency, and the arithmetic that loses nothing.

Pure: no ORM, no settings, no clock. Decimal places per currency are those of ISO 4217 (list one, published
2026-01-01); a currency that is not in ``EXPONENTS`` has two.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache

EXPONENTS: dict[str, int] = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG"), 0),
    **dict.fromkeys(("RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}

MAX_MINOR = 10**15
"""The largest amount that is taken anywhere, in minor units: far below 2**63 and exact as a JSON number."""

_CODE = re.compile(r"[A-Z]{3}")


class MoneyError(ValueError):
    """An amount that is no amount: not finite, out of range, or of two currencies at once."""


class TooPrecise(MoneyError):
    """An amount with more decimals than its currency has."""


@lru_cache(maxsize=256)
def exponent(currency: str) -> int:
    """How many decimals ``currency`` (ISO 4217 letters) has. Raises: MoneyError for what is no code."""
    if not _CODE.fullmatch(currency):
        raise MoneyError(f"{currency!r} is not an ISO 4217 code")
    return EXPONENTS.get(currency, 2)


def number(minor: int, currency: str) -> int | float:
    """``minor`` units as the JSON number of the wire: an int where it is whole in major units, else its shortest decimal.

    Exact for every amount within ``MAX_MINOR``: a float keeps 15 significant digits.
    """
    unit = 10 ** exponent(currency)
    return minor / unit if minor % unit else minor // unit


def share(minor: int, percent: Decimal) -> int:
    """``percent`` (10 = 10 %) of ``minor``, rounded once to whole minor units, half to even."""
    return int((Decimal(minor) * percent / 100).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


def allocate(minor: int, weights: Sequence[int]) -> list[int]:
    """Split ``minor`` in proportion to ``weights`` so that the parts sum to it exactly.

    Largest remainder: each part gets its floor, the units left over go to the largest fractions, ties to the
    first. Works for negative amounts. Raises: MoneyError when a weight is negative or all are zero.
    """
    total = sum(weights)
    if total <= 0 or any(weight < 0 for weight in weights):
        raise MoneyError("weights must be non-negative and not all zero")
    sign, size = (-1, -minor) if minor < 0 else (1, minor)
    parts = [size * weight // total for weight in weights]
    remainders = [size * weight % total for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda index: (-remainders[index], index))
    for index in by_remainder[: size - sum(parts)]:
        parts[index] += 1
    return [sign * part for part in parts]


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An amount in minor units of one currency. Two currencies never meet in one sum."""

    minor: int
    currency: str

    def __post_init__(self) -> None:
        exponent(self.currency)
        if abs(self.minor) > MAX_MINOR:
            raise MoneyError("amount out of range")

    @classmethod
    def from_major(cls, value: Decimal | int | str, currency: str) -> Money:
        """Read an amount in major units (``75.5``).

        Raises: TooPrecise when it has more decimals than the currency; MoneyError when it is not a finite
        number or out of range.
        """
        try:
            scaled = Decimal(value).scaleb(exponent(currency))
        except ArithmeticError:
            raise MoneyError(f"{value!r} is not a number") from None
        if not scaled.is_finite() or abs(scaled) > MAX_MINOR:
            raise MoneyError("amount out of range")
        if scaled != scaled.to_integral_value():
            raise TooPrecise(f"{currency} has {exponent(currency)} decimals")
        return cls(int(scaled), currency)

    def major(self) -> Decimal:
        """The amount in major units, exact."""
        return Decimal(self.minor).scaleb(-exponent(self.currency))

    def number(self) -> int | float:
        """The amount as the JSON number of the wire (``number``)."""
        return number(self.minor, self.currency)

    def _same(self, other: Money) -> None:
        if other.currency != self.currency:
            raise MoneyError(f"{self.currency} and {other.currency} do not add up")

    def __add__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.minor + other.minor, self.currency)

    def __sub__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.minor - other.minor, self.currency)

    def __neg__(self) -> Money:
        return Money(-self.minor, self.currency)

    def __mul__(self, count: int) -> Money:
        return Money(self.minor * count, self.currency)

    def percent(self, percent: Decimal) -> Money:
        """``percent`` of the amount (10 = 10 %), rounded once, half to even."""
        return Money(share(self.minor, percent), self.currency)

    def allocate(self, weights: Sequence[int]) -> list[Money]:
        """Split in proportion to ``weights``; the parts sum to the whole. See ``allocate``."""
        return [Money(part, self.currency) for part in allocate(self.minor, weights)]

    def __str__(self) -> str:
        return f"{self.major():f} {self.currency}"
