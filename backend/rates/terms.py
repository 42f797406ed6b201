"""What a price is made of, as values. Pure: amounts are minor units of the listing's currency, 10 is 10 %."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from backend.core.money import share

HOST_ONLY, SPLIT = "host_only", "split"
SEASON, WEEKEND = "season", "weekend"

WEEKEND_EVENINGS = frozenset({5, 6})
"""The evenings that carry a weekend's price unless it names others: Friday and Saturday (ISO weekdays)."""


@dataclass(frozen=True, slots=True)
class ServiceFee:
    """The platform's share in percent of the subtotal, on the guest's and on the host's side."""

    model: str = HOST_ONLY
    host_percent: Decimal = Decimal(0)
    guest_percent: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class PriceRuleTerms:
    """One rule of the price. ``ends_on`` is the first date after a season; no weekdays mean the kind's usual ones.

    The weekdays say which evenings are priced by it; a season's calendar rules hold on all of its dates.
    """

    id: int
    kind: str
    starts_on: date | None = None
    ends_on: date | None = None
    weekdays: frozenset[int] = frozenset()
    price_minor: int | None = None
    percent: Decimal | None = None
    min_nights: int | None = None
    max_nights: int | None = None
    closed_to_arrival: bool | None = None
    closed_to_departure: bool | None = None
    days_before: int | None = None

    def covers(self, evening: date) -> bool:
        """Whether a season or a weekend gives this evening its price."""
        if self.kind == SEASON:
            return self.holds_on(evening) and (not self.weekdays or evening.isoweekday() in self.weekdays)
        return self.kind == WEEKEND and evening.isoweekday() in (self.weekdays or WEEKEND_EVENINGS)

    def holds_on(self, on: date) -> bool:
        """Whether a season's calendar rules speak of this date. Its weekdays concern the price alone."""
        begun = self.starts_on is None or self.starts_on <= on
        return self.kind == SEASON and begun and (self.ends_on is None or on < self.ends_on)

    def price_of(self, base_minor: int) -> int | None:
        """What a night costs under it: its own price, or the base price raised by its percent; None when it sets none."""
        if self.price_minor is not None:
            return self.price_minor
        return None if self.percent is None else base_minor + share(base_minor, self.percent)


SeasonTerms = PriceRuleTerms
"""A price rule of kind ``season``: also ``min_nights``, ``max_nights``, ``closed_to_arrival`` and ``…_departure``."""


@dataclass(frozen=True, slots=True)
class FeeTerms:
    """One fee. ``percent`` is of the nights after the discounts; ``max_nights``: only for stays of at most so many."""

    id: int
    kind: str
    amount_minor: int | None = None
    percent: Decimal | None = None
    per: str = "booking"
    max_nights: int | None = None


@dataclass(frozen=True, slots=True)
class TaxTerms:
    """One tax. No bases mean the nights; see ``models.Tax``."""

    id: int
    name: str
    percent: Decimal | None = None
    amount_minor: int | None = None
    per: str = "booking"
    bases: tuple[str, ...] = ()
    max_nights: int | None = None
    exempt_from_nights: int | None = None


class Night(NamedTuple):
    """What one evening costs, and why: ``kind`` is date, season, weekend or base, ``rule_id`` the price rule's."""

    minor: int
    kind: str
    rule_id: int | None = None
    percent: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Rates:
    """All that a price of one listing is made of beside the listing itself and its dates.

    ``is_new``: the listing still counts as new, so that a ``new_listing`` rule applies.
    """

    rules: tuple[PriceRuleTerms, ...] = ()
    fees: tuple[FeeTerms, ...] = ()
    taxes: tuple[TaxTerms, ...] = ()
    service_fee: ServiceFee = field(default_factory=ServiceFee)
    is_new: bool = False

    def season_on(self, on: date) -> SeasonTerms | None:
        """The season that a date lies in; there is at most one."""
        return next((rule for rule in self.rules if rule.holds_on(on)), None)

    def night(
        self, evening: date, *, base_minor: int, weekend_minor: int | None, date_minor: int | None
    ) -> Night:
        """What an evening costs: the date's own price, else the season's, the weekend's, the base price.

        ``weekend_minor`` is the listing's own weekend price, which a weekend rule goes before. A season without a
        price leaves the question to the weekend. A percentage is of the base price, rounded once, half to even.
        """
        if date_minor is not None:
            return Night(date_minor, "date")
        for kind in (SEASON, WEEKEND) if self.rules else ():
            for rule in self.rules:
                if rule.kind == kind and rule.covers(evening):
                    minor = rule.price_of(base_minor)
                    if minor is not None:
                        return Night(minor, kind, rule.id, rule.percent)
        if weekend_minor is not None and evening.isoweekday() in WEEKEND_EVENINGS:
            return Night(weekend_minor, WEEKEND)
        return Night(base_minor, "base")


NO_RATES = Rates()
