"""The price of a stay. Pure: values in, lines out; amounts are minor units of one currency.

In this order: the nights (the date's own price, else the weekend's, else the base price), then extra guests for each
night beyond the included number, then the cleaning fee once, then the service fee. Every line is rounded once, half
to even; the total is the sum of the guest's lines. The platform's share is taken on one of two sides:

========== ============================ ======================
model      the guest pays on top        the host gives up
========== ============================ ======================
host_only  nothing                      15.5 % of the subtotal
split      14.1 % of the subtotal       3 % of the subtotal
========== ============================ ======================

The subtotal is what the host asks for: nights, extra guests and cleaning. With no fee set, a guest under
``host_only`` pays nights x price exactly.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import groupby
from typing import Any

from backend.core.money import MAX_MINOR, MoneyError, share

NIGHT, EXTRA_GUEST, DISCOUNT, CLEANING = "night", "extra_guest", "discount", "cleaning"
FEE, TAX, SERVICE_FEE = "fee", "tax", "service_fee"

HOST_ONLY, SPLIT = "host_only", "split"


@dataclass(frozen=True, slots=True)
class NightPrice:
    """One evening and what it costs. ``kind`` says where the price comes from: date, weekend or base."""

    date: date
    minor: int
    kind: str


@dataclass(frozen=True, slots=True)
class ServiceFee:
    """The platform's share in percent (10 = 10 %) of the subtotal, on the guest's and on the host's side."""

    model: str = HOST_ONLY
    host_percent: Decimal = Decimal(0)
    guest_percent: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Priced:
    """Everything that a price follows from. Two equal inputs have equal prices, whenever they are read."""

    currency: str
    nights: tuple[NightPrice, ...]
    guests: int = 1
    guests_included: int = 1
    extra_guest_minor: int = 0
    cleaning_minor: int = 0
    service_fee: ServiceFee = field(default_factory=ServiceFee)


@dataclass(frozen=True, slots=True)
class Line:
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
    taken on the nights, night by night. Fees beside cleaning and extra guests, and the taxes on them, are the
    ``other`` ones. So the parts say of every minor unit what it was for::

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
    fees = [*_extra_guests(priced), *_cleaning(priced)]
    extra = max(0, priced.guests - priced.guests_included) * priced.extra_guest_minor
    subtotal = sum(line.amount_minor for line in (*nights, *fees))
    guest_fee = _service_fee(priced.service_fee.guest_percent, subtotal, priced.service_fee.model, sign=1)
    host_fee = _service_fee(priced.service_fee.host_percent, subtotal, priced.service_fee.model, sign=-1)
    lines = (*nights, *fees, *guest_fee)
    total = sum(line.amount_minor for line in lines)
    if total > MAX_MINOR:
        raise MoneyError("amount out of range")
    return Price(
        currency=priced.currency,
        lines=lines,
        host_lines=tuple(host_fee),
        nights_minor=sum(line.amount_minor for line in nights),
        discounts_minor=0,
        fees_minor=sum(line.amount_minor for line in fees),
        taxes_minor=0,
        service_fee_minor=sum(line.amount_minor for line in guest_fee),
        total_minor=total,
        host_payout_minor=subtotal + sum(line.amount_minor for line in host_fee),
        night_amounts=tuple(night.minor + extra for night in priced.nights),
        night_taxes=(0,) * len(priced.nights),
        cleaning_minor=priced.cleaning_minor,
    )


def _nights(nights: Iterable[NightPrice]) -> list[Line]:
    """A line for each price, in the order in which the stay first meets it."""
    order: dict[tuple[str, int], list[date]] = {}
    for night in nights:
        order.setdefault((night.kind, night.minor), []).append(night.date)
    return [
        Line(
            code=NIGHT,
            quantity=len(evenings),
            unit_minor=minor,
            amount_minor=minor * len(evenings),
            rule=_rule(f"night.{kind}", kind, {"dates": _ranges(evenings)}),
        )
        for (kind, minor), evenings in order.items()
    ]


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
    extra = max(0, priced.guests - priced.guests_included)
    if not extra or not priced.extra_guest_minor:
        return []
    quantity = extra * len(priced.nights)
    inputs = {"guests": extra, "guests_included": priced.guests_included, "nights": len(priced.nights)}
    return [
        Line(
            code=EXTRA_GUEST,
            quantity=quantity,
            unit_minor=priced.extra_guest_minor,
            amount_minor=quantity * priced.extra_guest_minor,
            rule=_rule("extra_guest", "extra_guest", inputs),
        )
    ]


def _cleaning(priced: Priced) -> list[Line]:
    if not priced.cleaning_minor:
        return []
    rule = _rule("cleaning", "cleaning", {"per": "booking"})
    return [Line(CLEANING, 1, priced.cleaning_minor, priced.cleaning_minor, rule)]


def _service_fee(percent: Decimal, subtotal: int, model: str, *, sign: int) -> list[Line]:
    amount = sign * share(subtotal, percent)
    if not amount:
        return []
    rule = _rule(f"service_fee.{model}", model, {"percent": _number(percent), "base_minor": subtotal})
    return [Line(SERVICE_FEE, 1, amount, amount, rule)]


def _rule(identity: str, kind: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """The explanation of a line. Names that end in ``_minor`` hold amounts; doors show them in major units."""
    return {"id": identity, "kind": kind, "inputs": inputs}


def _number(percent: Decimal) -> int | float:
    return int(percent) if percent == percent.to_integral_value() else float(percent)
