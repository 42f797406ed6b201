"""What a price was made of, as JSON: in the token of a quote and in the terms of a booking.

What is written today must be read for as long as a booking lives. A reader takes every form that was ever written:
the first one had neither fees, taxes nor discounts, and said nothing of its version.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from backend.bookings.discounts import Discount
from backend.bookings.pricing import NightPrice, Priced, ServiceFee
from backend.core.stay import Stay
from backend.rates.terms import FeeTerms, TaxTerms

VERSION = 2


def dump(priced: Priced) -> dict[str, Any]:
    """``priced`` as JSON values: nights in order as runs of one price. The dates follow from the stay."""
    runs: list[list[Any]] = []
    for night in priced.nights:
        made = [night.minor, night.kind]
        if night.rule_id is not None:
            made += [night.rule_id, _text(night.percent)]
        if runs and runs[-1][1:] == made:
            runs[-1][0] += 1
        else:
            runs.append([1, *made])
    fee = priced.service_fee
    values: dict[str, Any] = {
        "version": VERSION,
        "currency": priced.currency,
        "nights": runs,
        "guests": priced.guests,
        "guests_included": priced.guests_included,
        "extra_guest_minor": priced.extra_guest_minor,
        "cleaning_minor": priced.cleaning_minor,
        "service_fee": [fee.model, str(fee.host_percent), str(fee.guest_percent)],
    }
    if priced.pets:
        values["pets"] = priced.pets
    if priced.discount:
        values["discount"] = _discount(priced.discount)
    if priced.non_refundable_percent:
        values["non_refundable_percent"] = str(priced.non_refundable_percent)
    if priced.fees:
        values["fees"] = [
            [fee.id, fee.kind, fee.amount_minor, _text(fee.percent), fee.per, fee.max_nights]
            for fee in priced.fees
        ]
    if priced.taxes:
        values["taxes"] = [_tax(tax) for tax in priced.taxes]
    if priced.rounding_minor:
        values["rounding_minor"] = priced.rounding_minor
    return values


def load(values: Mapping[str, Any], stay: Stay) -> Priced:
    """What ``dump`` wrote, in whatever version, for the nights of ``stay``."""
    evenings = list(stay.dates())
    prices = [made for count, *made in values["nights"] for _ in range(count)]
    model, host_percent, guest_percent = values["service_fee"]
    discount = values.get("discount")
    return Priced(
        currency=values["currency"],
        nights=tuple(
            NightPrice(evening, made[0], made[1], *_rule(made[2:]))
            for evening, made in zip(evenings, prices, strict=True)
        ),
        guests=values["guests"],
        guests_included=values["guests_included"],
        extra_guest_minor=values["extra_guest_minor"],
        cleaning_minor=values["cleaning_minor"],
        service_fee=ServiceFee(model, Decimal(host_percent), Decimal(guest_percent)),
        pets=values.get("pets", 0),
        discount=Discount(**{**discount, "percent": _number(discount.get("percent"))}) if discount else None,
        non_refundable_percent=Decimal(values.get("non_refundable_percent", 0)),
        fees=tuple(
            FeeTerms(identity, kind, amount_minor, _number(percent), per, max_nights)
            for identity, kind, amount_minor, percent, per, max_nights in values.get("fees", ())
        ),
        taxes=tuple(
            TaxTerms(identity, name, _number(percent), amount_minor, per, tuple(bases), *limits)
            for identity, name, percent, amount_minor, per, bases, *limits in values.get("taxes", ())
        ),
        rounding_minor=values.get("rounding_minor", 0),
    )


def _discount(discount: Discount) -> dict[str, Any]:
    values = {
        "kind": discount.kind,
        "percent": _text(discount.percent),
        "amount_minor": discount.amount_minor,
        "rule_id": discount.rule_id,
        "threshold": discount.threshold,
        "code": discount.code or None,
    }
    return {name: value for name, value in values.items() if value is not None}


def _tax(tax: TaxTerms) -> list[Any]:
    return [
        tax.id,
        tax.name,
        _text(tax.percent),
        tax.amount_minor,
        tax.per,
        list(tax.bases),
        tax.max_nights,
        tax.exempt_from_nights,
    ]


def _rule(made: list[Any]) -> tuple[int | None, Decimal | None]:
    return (made[0], _number(made[1])) if made else (None, None)


def _text(percent: Decimal | None) -> str | None:
    return None if percent is None else str(percent)


def _number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
