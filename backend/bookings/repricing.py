"""What a stay costs under other terms than those that a listing asks for today.

A changed stay keeps what was agreed: the price of every night that is in both, the promotion code, the service fee's
rate, the discount as on the day of the booking. New nights cost what they cost today; fees and taxes are today's.

An agreed total (a special offer, a host's new price) is reached by one discount on the nights, or by dearer nights;
fees keep their amounts, taxes and the service fee follow by their own rules. Since a percentage is rounded, some totals
fall between two steps: the last minor unit is then a line of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal

from django.utils.translation import gettext_lazy as _

from backend.availability.rules import DayRule
from backend.bookings import pricing, quotes, snapshots
from backend.bookings.discounts import NEW_LISTING, PROMO, Discount
from backend.bookings.models import Booking
from backend.bookings.pricing import NightPrice, Priced
from backend.core import fx
from backend.core.errors import Invalid
from backend.core.money import Money, MoneyError, TooPrecise, allocate
from backend.core.stay import Stay

AGREED, SPECIAL_OFFER = "agreed", "special_offer"
"""The kind of a night whose price two people agreed on, and of the discount that makes a total."""


SLACK = 10
"""By how many minor units dearer nights may miss a total, since parts of them are rounded when a tax is for some only."""


class TotalTooLow(Invalid):
    """The fees and taxes alone come to more than the total that is offered."""

    code = "total_too_low"
    title = _("The fees and taxes alone come to more than this.")


def total_minor(total: Decimal, currency: str) -> int:
    """An offered total in minor units. Raises: Invalid (``too_precise``, ``not_positive``)."""
    try:
        minor = Money.from_major(total, currency).minor
    except TooPrecise:
        raise Invalid.field(
            "total_price", "too_precise", _("This amount has more decimals than the currency.")
        ) from None
    except MoneyError:
        raise Invalid.field("total_price", "too_large", _("This amount is too large.")) from None
    if minor <= 0:
        raise Invalid.field("total_price", "not_positive", _("The amount must be above zero."))
    return minor


def changed(
    booking: Booking, stay: Stay, guests: int, pets: int, days: Mapping[date, DayRule], now: datetime
) -> Priced:
    """What the price of ``booking`` is made of with another stay, guests or pets at ``now`` (UTC)."""
    before = snapshots.load(booking.terms["priced"], booking.stay)
    rates = quotes.rates_of([booking.listing], now)[booking.listing_id]
    was_new = before.discount is not None and before.discount.kind == NEW_LISTING
    today = quotes.priced_for(
        booking.listing,
        days,
        stay,
        guests,
        replace(rates, is_new=rates.is_new or was_new),
        # The discount is for when the stay was booked: who booked early has booked early.
        now=booking.created_at,
        pets=pets,
    )
    return carried(before, in_currency(today, before.currency))


def in_currency(priced: Priced, currency: str) -> Priced:
    """``priced`` with its amounts in ``currency`` at the day's rate, where a host has changed theirs since the booking."""
    if priced.currency == currency:
        return priced

    def exchanged(minor: int) -> int:
        return fx.exchange(Money(minor, priced.currency), currency).minor

    def charged(minor: int | None) -> int | None:
        return None if minor is None else exchanged(minor)

    return replace(
        priced,
        currency=currency,
        nights=tuple(night._replace(minor=exchanged(night.minor)) for night in priced.nights),
        extra_guest_minor=exchanged(priced.extra_guest_minor),
        cleaning_minor=exchanged(priced.cleaning_minor),
        fees=tuple(replace(fee, amount_minor=charged(fee.amount_minor)) for fee in priced.fees),
        taxes=tuple(replace(tax, amount_minor=charged(tax.amount_minor)) for tax in priced.taxes),
    )


def carried(before: Priced, today: Priced) -> Priced:
    """``today`` with what was agreed in ``before``. Pure."""
    kept = {night.date: night for night in before.nights}
    discount = today.discount
    if before.discount is not None and before.discount.kind == PROMO:
        discount = before.discount
    elif is_agreed(before):
        # The offered price has its reduction in it; another one is not taken off again.
        kept, discount = _discounted(before), None
    return replace(
        today,
        nights=tuple(kept.get(night.date, night) for night in today.nights),
        discount=discount,
        non_refundable_percent=Decimal(0) if is_agreed(before) else before.non_refundable_percent,
        service_fee=before.service_fee,
    )


def is_agreed(priced: Priced) -> bool:
    """Whether a special offer or a host's new price is in it; a very small one may be met by rounding alone."""
    by_discount = priced.discount is not None and priced.discount.kind == SPECIAL_OFFER
    return by_discount or priced.rounding_minor != 0 or any(night.kind == AGREED for night in priced.nights)


def _discounted(priced: Priced) -> dict[date, NightPrice]:
    amounts = pricing.price(priced).night_amounts
    return {
        night.date: NightPrice(night.date, amount - priced.extra_minor, AGREED)
        for night, amount in zip(priced.nights, amounts, strict=True)
    }


def to_total(priced: Priced, total: int) -> Priced:
    """``priced`` so that the guest pays exactly ``total`` minor units. Pure. Raises: TotalTooLow."""
    plain = replace(priced, discount=None, non_refundable_percent=Decimal(0), rounding_minor=0)
    nights = sum(night.minor for night in plain.nights)
    asked = pricing.price(plain).total_minor
    if total > asked:
        most = total - asked + SLACK
        return _closed(_first(lambda more: _raised(plain, nights + more), total, most), total)
    if total < pricing.price(_off(plain, nights)).total_minor:
        raise TotalTooLow.field("total_price", TotalTooLow.code, TotalTooLow.title)
    return _closed(_first(lambda left: _off(plain, nights - left), total, nights), total)


def _first(make: Callable[[int], Priced], total: int, most: int) -> Priced:
    """One of ``make(0) … make(most)``, whose totals rise, that is the first to reach ``total``."""
    low, high = 0, most
    while low < high:
        middle = (low + high) // 2
        if pricing.price(make(middle)).total_minor >= total:
            high = middle
        else:
            low = middle + 1
    return make(low)


def _closed(priced: Priced, total: int) -> Priced:
    return replace(priced, rounding_minor=pricing.price(priced).total_minor - total)


def _off(priced: Priced, minor: int) -> Priced:
    return replace(priced, discount=Discount(SPECIAL_OFFER, amount_minor=minor) if minor else None)


def _raised(priced: Priced, nights_minor: int) -> Priced:
    amounts = allocate(nights_minor, [max(night.minor, 1) for night in priced.nights])
    nights = tuple(
        NightPrice(night.date, amount, AGREED) for night, amount in zip(priced.nights, amounts, strict=True)
    )
    return replace(priced, nights=nights)
