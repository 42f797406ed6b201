"""Which discount a stay gets. Pure: rules and the facts of the stay in, one discount or none out.

One discount is taken off the nights, the first kind of this order that applies::

    promotion code > new listing > length of stay > early bird > last minute

Within a kind the rule that asks most of the guest wins: the longest length of stay that is reached, the earliest
early bird, the latest last minute. That one offer is applied to a stay, and that a new listing's promotion covers its
first three bookings, is what guests know from Airbnb (https://www.airbnb.com/help/article/3421).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from backend.core.money import share
from backend.rates.terms import PriceRuleTerms

PROMO, NEW_LISTING, LENGTH_OF_STAY = "promo", "new_listing", "length_of_stay"
EARLY_BIRD, LAST_MINUTE, NON_REFUNDABLE = "early_bird", "last_minute", "non_refundable"


@dataclass(frozen=True, slots=True)
class Discount:
    """What is taken off the nights: a percentage or, by a promotion code only, an amount in minor units.

    ``rule_id`` is the price rule's or the promotion code's. ``threshold`` is what the stay had to reach: nights for
    ``length_of_stay``, days before check-in for ``early_bird`` and ``last_minute``.
    """

    kind: str
    percent: Decimal | None = None
    amount_minor: int | None = None
    rule_id: int | None = None
    threshold: int | None = None
    code: str = ""

    def off(self, base_minor: int) -> int:
        """How much it takes off nights of ``base_minor``, never more than these. Rounded once, half to even."""
        amount = (
            share(base_minor, self.percent or Decimal(0)) if self.amount_minor is None else self.amount_minor
        )
        return max(0, min(base_minor, amount))


def choose(
    rules: Iterable[PriceRuleTerms], *, nights: int, lead: int, is_new: bool, promo: Discount | None = None
) -> Discount | None:
    """The discount of a stay of ``nights`` that begins in ``lead`` days at a listing with these rules."""
    if promo is not None:
        return promo
    by_kind: dict[str, list[PriceRuleTerms]] = {}
    for rule in rules:
        by_kind.setdefault(rule.kind, []).append(rule)
    if not by_kind:
        return None
    reached = [
        (NEW_LISTING, [rule for rule in by_kind.get(NEW_LISTING, ()) if is_new], None),
        (
            LENGTH_OF_STAY,
            [rule for rule in by_kind.get(LENGTH_OF_STAY, ()) if (rule.min_nights or 0) <= nights],
            lambda rule: -(rule.min_nights or 0),
        ),
        (
            EARLY_BIRD,
            [rule for rule in by_kind.get(EARLY_BIRD, ()) if (rule.days_before or 0) <= lead],
            lambda rule: -(rule.days_before or 0),
        ),
        (
            LAST_MINUTE,
            [rule for rule in by_kind.get(LAST_MINUTE, ()) if (rule.days_before or 0) >= lead],
            lambda rule: rule.days_before or 0,
        ),
    ]
    for kind, found, order in reached:
        if found:
            rule = min(found, key=order) if order else found[0]
            threshold = rule.min_nights if kind == LENGTH_OF_STAY else rule.days_before
            return Discount(kind, percent=rule.percent, rule_id=rule.id, threshold=threshold)
    return None
