"""The price of a stay. Pure: values in, lines out; amounts are minor units of one currency.

In this order, each line rounded once, half to even; the total is the sum of the guest's lines:

1. the nights, each at the date's own price, else the season's, the weekend's, the base price;
2. extra guests, for each night and guest beyond the included number;
3. one discount on the nights (``discounts``), and on what is left the non-refundable rate;
4. fees: a cleaning (a short stay's own where there is one) and the others, per booking, night, person or pet, or a
   percentage of the nights after the discounts;
5. taxes: a percentage of the nights after the discounts, the cleaning, the other fees and extra guests, whichever were
   chosen; or an amount per booking, night, guest, guest and night;
6. the service fee, on one of two sides.

========== ============================ ==========================
model      the guest pays on top        the host gives up
========== ============================ ==========================
host_only  nothing                      a percent of the subtotal
split      a percent of the subtotal    a percent of the subtotal
========== ============================ ==========================

The subtotal is what the host asks for: nights less discounts, extra guests and fees, without taxes. With nothing set, a
guest under ``host_only`` pays nights x price exactly. ``pricing.md`` says the same in prose, with worked tables.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import groupby
from typing import Any, NamedTuple

from backend.bookings.discounts import NON_REFUNDABLE, Discount
from backend.core.money import MAX_MINOR, MoneyError, allocate, share
from backend.rates.terms import HOST_ONLY, SPLIT, FeeTerms, ServiceFee, TaxTerms

__all__ = ["HOST_ONLY", "SPLIT", "Discount", "Line", "NightPrice", "Price", "Priced", "ServiceFee", "price"]

NIGHT, EXTRA_GUEST, DISCOUNT, CLEANING = "night", "extra_guest", "discount", "cleaning"
FEE, TAX, SERVICE_FEE = "fee", "tax", "service_fee"

SHORT_STAY, PET = "short_stay_cleaning", "pet"
"""The kinds of fees with a rule of their own, beside cleaning."""


class NightPrice(NamedTuple):
    """One evening and what it costs. ``kind`` says where the price comes from: date, season, weekend or base.

    ``rule_id`` and ``percent`` are those of the price rule, where one made it.
    """

    date: date
    minor: int
    kind: str
    rule_id: int | None = None
    percent: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Priced:
    """Everything that a price follows from. Two equal inputs have equal prices, whenever they are read.

    ``cleaning_minor`` is the listing's own cleaning fee, which a fee of kind ``cleaning`` takes the place of.
    ``non_refundable_percent`` is taken off beside ``discount``; zero where the policy gives money back.
    ``rounding_minor`` is taken off at the very end, so that a total that people agreed on is met to the minor unit.
    """

    currency: str
    nights: tuple[NightPrice, ...]
    guests: int = 1
    guests_included: int = 1
    extra_guest_minor: int = 0
    cleaning_minor: int = 0
    service_fee: ServiceFee = field(default_factory=ServiceFee)
    pets: int = 0
    discount: Discount | None = None
    non_refundable_percent: Decimal = Decimal(0)
    fees: tuple[FeeTerms, ...] = ()
    taxes: tuple[TaxTerms, ...] = ()
    rounding_minor: int = 0

    @property
    def extra_minor(self) -> int:
        """What extra guests cost in one night."""
        return max(0, self.guests - self.guests_included) * self.extra_guest_minor


class Line(NamedTuple):
    """One signed line: ``quantity`` times ``unit_minor``, with the rule that made it."""

    code: str
    quantity: int
    unit_minor: int
    amount_minor: int
    rule: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Price:
    """The guest's lines, the host's, and their sums. ``total_minor`` is what the guest pays.

    ``night_amounts`` is what each night costs after all discounts, its extra guests in it; ``night_taxes`` the taxes
    taken on the nights and the extra guests, and those of a fixed amount, night by night. Fees beside cleaning and
    extra guests, and the taxes on them, are the ``other`` ones. So the parts say of every minor unit what it was for::

        nights + extra guests + discounts = sum(night_amounts)
        fees = extra guests + cleaning + other fees
        taxes = sum(night_taxes) + cleaning taxes + other taxes
    """

    currency: str
    lines: tuple[Line, ...]
    host_lines: tuple[Line, ...]
    nights_minor: int
    discounts_minor: int
    fees_minor: int
    taxes_minor: int
    service_fee_minor: int
    total_minor: int
    host_payout_minor: int
    night_amounts: tuple[int, ...] = ()
    night_taxes: tuple[int, ...] = ()
    cleaning_minor: int = 0
    cleaning_taxes_minor: int = 0
    other_fees_minor: int = 0
    other_taxes_minor: int = 0


def price(priced: Priced) -> Price:
    """The price of ``priced``, line by line. Raises: MoneyError when the total is out of range."""
    nights = _nights(priced.nights)
    extra = _extra_guests(priced)
    discounts, left = _discounts(priced)
    cleaning = _cleaning(priced, sum(left))
    others = _other_fees(priced, sum(left))
    taxes = _Taxes(priced, left, _sum(cleaning), _sum(others))
    subtotal = _sum([*nights, *extra, *discounts, *cleaning, *others])
    model = priced.service_fee.model
    guest_fee = _service_fee(priced.service_fee.guest_percent, subtotal, model, sign=1)
    host_fee = _service_fee(priced.service_fee.host_percent, subtotal, model, sign=-1)
    extra_minor = priced.extra_minor
    amounts = [minor + extra_minor for minor in left]
    rounding, amounts = _rounding(priced.rounding_minor, amounts)
    discounts += rounding
    lines = (*nights, *extra, *discounts, *cleaning, *others, *taxes.lines, *guest_fee)
    total = _sum(lines)
    if total > MAX_MINOR:
        raise MoneyError("amount out of range")
    return Price(
        currency=priced.currency,
        lines=lines,
        host_lines=tuple(host_fee),
        nights_minor=_sum(nights),
        discounts_minor=_sum(discounts),
        fees_minor=_sum([*extra, *cleaning, *others]),
        taxes_minor=_sum(taxes.lines),
        service_fee_minor=_sum(guest_fee),
        total_minor=total,
        host_payout_minor=subtotal + _sum(rounding) + _sum(host_fee),
        night_amounts=tuple(amounts),
        night_taxes=tuple(taxes.nights),
        cleaning_minor=_sum(cleaning),
        cleaning_taxes_minor=taxes.cleaning,
        other_fees_minor=_sum(others),
        other_taxes_minor=taxes.others,
    )


def _sum(lines: Iterable[Line]) -> int:
    return sum(line.amount_minor for line in lines)


def _nights(nights: Iterable[NightPrice]) -> list[Line]:
    """A line for each price and rule, in the order in which the stay first meets it."""
    order: dict[tuple[str, int, int | None, Decimal | None], list[date]] = {}
    for night in nights:
        order.setdefault((night.kind, night.minor, night.rule_id, night.percent), []).append(night.date)
    lines = []
    for (kind, minor, rule_id, percent), evenings in order.items():
        inputs: dict[str, Any] = {"dates": _ranges(evenings)}
        if percent is not None:
            inputs["percent"] = number(percent)
        identity = f"night.{kind}" if rule_id is None else f"{kind}.{rule_id}"
        lines.append(_line(NIGHT, len(evenings), minor, _rule(identity, kind, inputs)))
    return lines


def _ranges(evenings: list[date]) -> list[dict[str, str]]:
    """The evenings as half-open ranges, so that a long stay stays short to read."""
    runs = groupby(enumerate(evenings), key=lambda pair: pair[1].toordinal() - pair[0])
    found = []
    for _key, run in runs:
        days = [day for _index, day in run]
        end = date.fromordinal(days[-1].toordinal() + 1)
        found.append({"from": days[0].isoformat(), "to": end.isoformat()})
    return found


def _extra_guests(priced: Priced) -> list[Line]:
    if not priced.extra_minor:
        return []
    extra = priced.guests - priced.guests_included
    inputs = {"guests": extra, "guests_included": priced.guests_included, "nights": len(priced.nights)}
    rule = _rule("extra_guest", "extra_guest", inputs)
    return [_line(EXTRA_GUEST, extra * len(priced.nights), priced.extra_guest_minor, rule)]


def _discounts(priced: Priced) -> tuple[list[Line], list[int]]:
    """The lines of what is taken off, and what is left of each night: a discount is split in proportion to the nights."""
    left = [night.minor for night in priced.nights]
    lines: list[Line] = []
    if not priced.discount and not priced.non_refundable_percent:
        return lines, left
    non_refundable = Discount(NON_REFUNDABLE, percent=priced.non_refundable_percent)
    for discount in (priced.discount, non_refundable):
        off = discount.off(sum(left)) if discount else 0
        if discount and off:
            lines.append(_line(DISCOUNT, 1, -off, _discount_rule(discount, sum(left))))
            left = [minor - part for minor, part in zip(left, allocate(off, left), strict=True)]
    return lines, left


def _rounding(minor: int, amounts: list[int]) -> tuple[list[Line], list[int]]:
    """The line of what is rounded off in the end, and what it leaves of each night. Raises: MoneyError beyond them."""
    if not minor:
        return [], amounts
    if not 0 < minor <= sum(amounts):
        raise MoneyError("more rounding than there is to round")
    line = _line(DISCOUNT, 1, -minor, _rule("rounding", "rounding", {}))
    return [line], [amount - part for amount, part in zip(amounts, allocate(minor, amounts), strict=True)]


def _discount_rule(discount: Discount, base_minor: int) -> dict[str, Any]:
    inputs: dict[str, Any] = {"base_minor": base_minor}
    if discount.percent is not None:
        inputs["percent"] = number(discount.percent)
    if discount.amount_minor is not None:
        inputs["amount_minor"] = discount.amount_minor
    if discount.threshold is not None:
        inputs["min_nights" if discount.kind == "length_of_stay" else "days_before"] = discount.threshold
    if discount.code:
        inputs["code"] = discount.code
    identity = f"discount.{discount.kind}"
    if discount.rule_id is not None:
        identity = f"{identity}.{discount.rule_id}"
    return _rule(identity, discount.kind, inputs)


def _cleaning(priced: Priced, nights_minor: int) -> list[Line]:
    """The one cleaning of a stay: a short stay's, else the ordinary fee's, else the listing's own."""
    rows = {fee.kind: fee for fee in priced.fees if fee.kind in (CLEANING, SHORT_STAY)}
    if (short := rows.get(SHORT_STAY)) and _concerns(short, priced):
        return _fee(priced, short, nights_minor)
    if ordinary := rows.get(CLEANING):
        return _fee(priced, ordinary, nights_minor) if _concerns(ordinary, priced) else []
    if not priced.cleaning_minor:
        return []
    return [_line(CLEANING, 1, priced.cleaning_minor, _rule(CLEANING, CLEANING, {"per": "booking"}))]


def _other_fees(priced: Priced, nights_minor: int) -> list[Line]:
    found = []
    for fee in priced.fees:
        if fee.kind not in (CLEANING, SHORT_STAY) and _concerns(fee, priced):
            found += _fee(priced, fee, nights_minor)
    return found


def _concerns(fee: FeeTerms, priced: Priced) -> bool:
    if fee.kind == PET and not priced.pets:
        return False
    return fee.max_nights is None or len(priced.nights) <= fee.max_nights


def _fee(priced: Priced, fee: FeeTerms, nights_minor: int) -> list[Line]:
    code = CLEANING if fee.kind in (CLEANING, SHORT_STAY) else FEE
    identity = f"fee.{fee.id}"
    inputs: dict[str, Any] = {"per": fee.per}
    if fee.percent is not None:
        inputs = {"percent": number(fee.percent), "base_minor": nights_minor}
        quantity, unit = 1, share(nights_minor, fee.percent)
    else:
        counts = {"night": len(priced.nights), "person": priced.guests, "pet": priced.pets}
        quantity, unit = counts.get(fee.per, 1), fee.amount_minor or 0
    if fee.max_nights is not None:
        inputs["max_nights"] = fee.max_nights
    return [_line(code, quantity, unit, _rule(identity, fee.kind, inputs))] if quantity and unit else []


class _Taxes:
    """The lines of all taxes, and what each of them was taken on: nights one by one, cleaning, other fees."""

    def __init__(self, priced: Priced, left: list[int], cleaning_minor: int, others_minor: int) -> None:
        self.lines: list[Line] = []
        self.nights = [0] * len(left)
        self.cleaning = self.others = 0
        self._priced, self._left = priced, left
        self._fees = (cleaning_minor, others_minor)
        for tax in priced.taxes:
            if tax.exempt_from_nights is None or len(left) < tax.exempt_from_nights:
                taxed = len(left) if tax.max_nights is None else min(len(left), tax.max_nights)
                self._take_percent(tax, taxed) if tax.percent is not None else self._take_amount(tax, taxed)

    def _take_percent(self, tax: TaxTerms, taxed: int) -> None:
        bases = tax.bases or ("nights",)
        cleaning, others = self._fees
        extra = self._priced.extra_minor * len(self._left)
        weights = [
            sum(self._left[:taxed]) if "nights" in bases else 0,
            extra if "fees" in bases else 0,
            cleaning if "cleaning" in bases else 0,
            others if "fees" in bases else 0,
        ]
        amount = share(sum(weights), tax.percent or Decimal(0))
        if not amount:
            return
        on_nights, on_extra, on_cleaning, on_others = allocate(amount, weights)
        if on_nights:
            self._spread(on_nights, self._left[:taxed])
        self._spread(on_extra, [1] * len(self._left))
        self.cleaning += on_cleaning
        self.others += on_others
        inputs = {"name": tax.name, "percent": number(tax.percent or Decimal(0)), "base_minor": sum(weights)}
        self._add(tax, "percent", 1, amount, {**inputs, "bases": list(bases)}, taxed)

    def _take_amount(self, tax: TaxTerms, taxed: int) -> None:
        guests = self._priced.guests
        counts = {"night": taxed, "guest": guests, "guest_night": guests * taxed}
        quantity, unit = counts.get(tax.per, 1), tax.amount_minor or 0
        if quantity * unit:
            self._spread(quantity * unit, [1] * taxed)
            self._add(tax, tax.per, quantity, unit, {"name": tax.name, "per": tax.per}, taxed)

    def _add(
        self, tax: TaxTerms, kind: str, quantity: int, unit: int, inputs: dict[str, Any], taxed: int
    ) -> None:
        if taxed < len(self._left):
            inputs["nights"] = taxed
        self.lines.append(_line(TAX, quantity, unit, _rule(f"tax.{tax.id}", kind, inputs)))

    def _spread(self, minor: int, weights: list[int]) -> None:
        for index, part in enumerate(allocate(minor, weights)):
            self.nights[index] += part


def _service_fee(percent: Decimal, subtotal: int, model: str, *, sign: int) -> list[Line]:
    amount = sign * share(subtotal, percent) if percent else 0
    if not amount:
        return []
    inputs = {"percent": number(percent), "base_minor": subtotal}
    return [_line(SERVICE_FEE, 1, amount, _rule(f"service_fee.{model}", model, inputs))]


def _line(code: str, quantity: int, unit_minor: int, rule: dict[str, Any]) -> Line:
    return Line(code, quantity, unit_minor, quantity * unit_minor, rule)


def _rule(identity: str, kind: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """The explanation of a line. Names that end in ``_minor`` hold amounts; doors show them in major units."""
    return {"id": identity, "kind": kind, "inputs": inputs}


def number(percent: Decimal) -> int | float:
    """A percentage as the JSON number that people wrote: 10, 12.5."""
    return int(percent) if percent == percent.to_integral_value() else float(percent)
