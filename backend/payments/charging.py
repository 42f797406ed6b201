"""What a guest is charged in another currency than the stay's, and what of it comes back. Pure.

The account of a stay is in one currency; the provider may move another one, at the rate that the quote promised. Then
every part is reckoned from the running total, so that parts never drift from the whole: of a stay of 100.00 EUR at
138.55 KES, charged at 13,855 KES,

==================  ======  ========  ====================
                       EUR       KES  running total in KES
==================  ======  ========  ====================
paid                100.00    13,855                13,855
a third comes back  -33.33    -4,618                 9,237
a night is added    +50.00    +6,928                16,165
all comes back     -116.67   -16,165                     0
==================  ======  ========  ====================

Amounts that we choose go by steps that every provider can move (whole shillings), amounts that go back by those of the
provider that took them. What such a step leaves over stands in the ledger's ``fx``.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from backend.core.money import exponent
from backend.payments.providers import units


def charged(minor: int, currency: str, *, to: str, rate: Decimal) -> int:
    """``minor`` units of ``currency`` in minor units of ``to``, of which one of ``currency`` costs ``rate``.

    Rounded once, half to even, to what every provider can move, and at least that; nothing for nothing.
    """
    if minor <= 0:
        return 0
    step = units.common_step(to)
    exact = Fraction(minor) * Fraction(rate) * Fraction(10) ** (exponent(to) - exponent(currency))
    return max(step, round(exact / step) * step)


@dataclass(frozen=True, slots=True)
class Taken:
    """A payment: its amount in the stay's currency and in the charged one, and what of both went back already."""

    amount: int
    charged: int
    amount_back: int = 0
    charged_back: int = 0

    def back(self, part: int, *, step: int) -> int:
        """What goes back in the charged currency with the next ``part`` of the amount, in multiples of ``step``.

        All parts make the whole, however they are cut, and each is at least a step as long as there is one left.
        Zero says that there is none: the parts before were smaller than anything that can be moved.
        """
        left = self.charged - self.charged_back
        if self.amount_back + part >= self.amount:
            return left
        due = Fraction((self.amount_back + part) * self.charged, self.amount) / step
        wanted = max(step, round(due) * step - self.charged_back)
        # The last part wants something, too.
        return min(wanted, max(step, left - step), left)
