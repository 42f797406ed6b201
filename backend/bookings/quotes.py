"""Quotes: a priced offer for one stay, kept by the guest as a signed token instead of a row.

The token carries what the price was made of, so that a booking with it gets exactly that price for as long as it
lives (platform setting ``quote_minutes``), whatever the host changes meanwhile. A price that was asked for in another
currency is charged in it, at the rate of the quote, where the platform and a provider do so (platform setting
``charge_in_guest_currency``). It is signed, not secret: it holds nothing that the quote itself does not say. Whether the nights are free, and whether the listing's rules allow the
stay, is always asked again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.core import signing
from django.utils.translation import gettext_lazy as _

from backend.availability import feeds
from backend.availability import rules as calendar_rules
from backend.availability import services as availability
from backend.availability.rules import NO_RULE, DayRule
from backend.bookings import discounts, policies, policy_versions, pricing, promotions
from backend.bookings.discounts import NEW_LISTING, Discount
from backend.bookings.policies import Policy
from backend.bookings.pricing import NightPrice, Price, Priced
from backend.bookings.snapshots import dump, load
from backend.core import fx, platform
from backend.core.errors import Conflict, Invalid
from backend.core.money import MoneyError
from backend.core.stay import Stay
from backend.listings.models import Listing
from backend.payments import charging
from backend.payments.folios import Charge
from backend.payments.providers import registry
from backend.rates import reading
from backend.rates.reading import Rated
from backend.rates.terms import Rates

SALT = "karibu.quote"
MAX_TOKEN = 16_384
"""The longest token that is looked at, in characters; a year of nights with a price each stays below it."""


class InvalidQuote(Invalid):
    """A quote token that we did not make, or made for something else."""

    code = "invalid_quote"
    title = _("This quote does not belong to this stay.")


class QuoteExpired(Conflict):
    """The quote's time is over."""

    code = "quote_expired"
    title = _("This quote has expired. Ask for a new one.")


class PriceChanged(Conflict):
    """The price is not the one that the guest expects. ``quote`` is the offer that holds now."""

    code = "price_changed"
    title = _("The price has changed. Look at the new one first.")

    def __init__(self, quote: Quote) -> None:
        super().__init__()
        self.quote = quote


class PriceOutOfRange(Invalid):
    """The stay costs more than can be paid at once."""

    code = "amount_out_of_range"
    title = _("This stay costs more than can be booked at once.")


@dataclass(frozen=True, slots=True)
class Quote:
    """An offer: what was priced, what it costs, until when it stands. ``price`` is in the listing's currency.

    ``rated`` is how much of ``shown_in`` one unit of the listing's currency buys, when another currency was asked for;
    ``charge`` the same, when the guest is charged in it.
    """

    listing: Listing
    stay: Stay
    guests: int
    priced: Priced
    price: Price
    policy: Policy
    expires_at: datetime
    token: str
    shown_in: str
    rated: fx.Quoted | None = None
    charge: Charge | None = None

    @property
    def rate(self) -> Decimal | None:
        return self.rated.rate if self.rated else None

    @property
    def charged_minor(self) -> int | None:
        """What the guest is charged in the currency of ``charge``, in its minor units; None in the listing's currency."""
        if self.charge is None:
            return None
        return charging.charged(
            self.price.total_minor, self.price.currency, to=self.charge.currency, rate=self.charge.rate
        )

    def terms(self) -> policies.Terms:
        """What a cancellation of this stay would be decided by, were it paid."""
        return policies.terms_for(
            self.price,
            self.policy,
            stay=self.stay,
            zone=self.listing.timezone,
            check_in_time=self.listing.check_in_time,
            check_out_time=self.listing.check_out_time,
        )


def rates_of(listings: Collection[Rated], now: datetime) -> dict[int, Rates]:
    """The rates of each listing at ``now`` (UTC), by its id. One query, and one more where a rule is for new listings."""
    return with_newness(reading.terms_of(listings, now=now))


def with_newness(found: dict[int, Rates]) -> dict[int, Rates]:
    """``found`` (by listing) with what is not read with them: which listings count as new, where a rule asks for it."""
    asked = [key for key, rates in found.items() if any(rule.kind == NEW_LISTING for rule in rates.rules)]
    for listing_id in promotions.new_among(asked):
        found[listing_id] = replace(found[listing_id], is_new=True)
    return found


def priced_for(
    listing: Listing,
    days: Mapping[date, DayRule],
    stay: Stay,
    guests: int,
    rates: Rates,
    *,
    now: datetime,
    pets: int = 0,
    promo: Discount | None = None,
) -> Priced:
    """What the price of ``stay`` is made of at ``now`` (UTC). ``days`` holds what is set for its single dates.

    ``promo`` goes before every other discount. Reads nothing but platform settings.
    """
    today = now.astimezone(ZoneInfo(listing.timezone)).date()
    policy = policies.code_for(listing.cancellation_policy, stay.nights)
    discount = discounts.choose(
        rates.rules,
        nights=stay.nights,
        lead=(stay.check_in - today).days,
        is_new=rates.is_new,
        promo=promo,
    )
    return Priced(
        currency=listing.currency,
        nights=_nights(listing, days, stay, rates),
        guests=guests,
        guests_included=listing.guests_included,
        extra_guest_minor=listing.extra_guest_fee_minor,
        cleaning_minor=listing.cleaning_fee_minor,
        service_fee=rates.service_fee,
        pets=pets,
        discount=discount,
        non_refundable_percent=platform.get("non_refundable_percent")
        if policy == discounts.NON_REFUNDABLE
        else Decimal(0),
        fees=rates.fees,
        taxes=rates.taxes,
    )


def _nights(
    listing: Listing, days: Mapping[date, DayRule], stay: Stay, rates: Rates
) -> tuple[NightPrice, ...]:
    nights = []
    for evening in stay.dates():
        night = rates.night(
            evening,
            base_minor=listing.price_minor,
            weekend_minor=listing.weekend_price_minor,
            date_minor=days.get(evening, NO_RULE).price_minor,
        )
        nights.append(NightPrice(evening, night.minor, night.kind, night.rule_id, night.percent))
    return tuple(nights)


def total_for(
    listing: Listing,
    days: Mapping[date, DayRule],
    stay: Stay,
    guests: int,
    rates: Rates,
    now: datetime,
) -> int:
    """What a guest pays for ``stay``, in minor units of the listing's currency. No query of its own.

    ``rates`` come from ``rates_of``, of the whole page at once. Raises: MoneyError when it is out of range.
    """
    priced = priced_for(listing, days, stay, guests, rates, now=now)
    return pricing.price(priced).total_minor


def _price(priced: Priced) -> Price:
    try:
        return pricing.price(priced)
    except MoneyError as error:
        raise PriceOutOfRange from error


def make(
    *,
    listing: Listing,
    stay: Stay,
    guests: int,
    now: datetime,
    currency: str = "",
    promo_code: str = "",
    pets: int = 0,
    guest: Any = None,
) -> Quote:
    """Offer ``stay`` to ``guests`` people and ``pets`` at ``now`` (UTC), if it can be booked.

    ``currency`` asks for the price in another one, at a rate that a booking with the token keeps. ``guest`` is who asks,
    where that is known: a promotion code may be limited for each.
    Raises: NotAvailable, StayRefused, DatesUnavailable, Preparation, InvalidPromoCode, PromoCodeExpired,
    PromoCodeUsedUp, PromoCodeMinNights, UnknownCurrency, PriceOutOfRange.
    """
    days = availability.days(listing.pk, stay.check_in, stay.check_out)
    availability.require_bookable(listing=listing, stay=stay, guests=guests, now=now, set_days=days)
    availability.require_free(listing=listing, stay=stay, now=now)
    promo = None
    if promo_code:
        found = promotions.find(promo_code, listing=listing, stay=stay, now=now, guest=guest)
        promo = promotions.discount_of(found, listing)
    return offer(
        listing=listing,
        days=days,
        stay=stay,
        guests=guests,
        now=now,
        currency=currency,
        pets=pets,
        promo=promo,
    )


def offer(
    *,
    listing: Listing,
    days: Mapping[date, DayRule],
    stay: Stay,
    guests: int,
    now: datetime,
    currency: str = "",
    pets: int = 0,
    promo: Discount | None = None,
    rates: Rates | None = None,
) -> Quote:
    """Price ``stay`` and sign the offer, without asking whether it can be booked. Raises: UnknownCurrency, PriceOutOfRange."""
    rates = rates or rates_of([listing], now)[listing.pk]
    priced = priced_for(listing, days, stay, guests, rates, now=now, pets=pets, promo=promo)
    shown_in = currency or listing.currency
    rated = fx.quoted(listing.currency, shown_in) if shown_in != listing.currency else None
    charge = _charge(shown_in, rated) if rated else None
    expires_at = now + timedelta(minutes=platform.get("quote_minutes"))
    policy = policy_versions.for_stay(listing.cancellation_policy, stay.nights, now)
    return Quote(
        listing=listing,
        stay=stay,
        guests=guests,
        priced=priced,
        price=_price(priced),
        policy=policy,
        expires_at=expires_at,
        token=_sign(listing, stay, priced, policy, expires_at, charge),
        shown_in=shown_in,
        rated=rated,
        charge=charge,
    )


def _charge(currency: str, rated: fx.Quoted) -> Charge | None:
    """How a guest is charged in ``currency``; None where the platform does not want it, or nobody could take it."""
    if not platform.get("charge_in_guest_currency") or not registry.offered(currency):
        return None
    return Charge(currency, rated.rate, rated.rate_on, rated.source)


def _sign(
    listing: Listing,
    stay: Stay,
    priced: Priced,
    policy: Policy,
    expires_at: datetime,
    charge: Charge | None,
) -> str:
    content: dict[str, Any] = {
        "v": 1,
        "l": listing.pk,
        "i": stay.check_in.isoformat(),
        "o": stay.check_out.isoformat(),
        "x": expires_at.timestamp(),
        "p": policies.dump(policy),
        "t": dump(priced),
    }
    if charge:
        content["c"] = [charge.currency, str(charge.rate), charge.rate_on.isoformat(), charge.source]
    return signing.dumps(content, salt=SALT, compress=True)


def redeem(
    token: str,
    *,
    listing: Listing,
    stay: Stay,
    guests: int | None,
    now: datetime,
    pets: int | None = None,
    promo_code: str = "",
) -> Quote:
    """The quote that ``token`` was made for, at its own price, rate and policy. ``guests``, ``pets`` and code may be left to it.

    Raises: InvalidQuote for a token that is tampered with or of another listing, stay, number of guests or pets, or
    promotion code; QuoteExpired.
    """
    if len(token) > MAX_TOKEN:
        raise _invalid()
    try:
        content = signing.loads(token, salt=SALT)
    except signing.BadSignature:
        raise _invalid() from None
    same = (content["l"], content["i"], content["o"]) == (
        listing.pk,
        stay.check_in.isoformat(),
        stay.check_out.isoformat(),
    )
    if not same:
        raise _invalid()
    priced = load(content["t"], stay)
    promo = priced.discount if priced.discount and priced.discount.kind == discounts.PROMO else None
    asked = (
        guests in (None, priced.guests),
        pets in (None, priced.pets),
        not promo_code or (promo is not None and promo_code.upper() == promo.code),
    )
    if not all(asked):
        raise _invalid()
    expires_at = datetime.fromtimestamp(content["x"], UTC)
    if now >= expires_at:
        raise QuoteExpired
    charge = _charge_of(content.get("c"))
    return Quote(
        listing=listing,
        stay=stay,
        guests=priced.guests,
        priced=priced,
        price=_price(priced),
        policy=policies.load(content["p"]),
        expires_at=expires_at,
        token=token,
        shown_in=charge.currency if charge else priced.currency,
        rated=fx.Quoted(charge.rate, charge.rate_on, charge.source) if charge else None,
        charge=charge,
    )


def _charge_of(said: list[str] | None) -> Charge | None:
    if said is None:
        return None
    currency, rate, rate_on, source = said
    return Charge(currency, Decimal(rate), date.fromisoformat(rate_on), source)


def _invalid() -> Invalid:
    return InvalidQuote.field("quote_token", InvalidQuote.code, InvalidQuote.title)


def needs_request(listing: Listing, stay: Stay, now: datetime) -> bool:
    """Whether the host must say yes first at ``now`` (UTC).

    By their choice or the platform's, since the check-in is inside their notice, or while a calendar that feeds the listing is out of date.
    """
    if not listing.instant_book or not platform.is_on("instant_booking"):
        return True
    rules = availability.rules_of(listing)
    return calendar_rules.needs_request(rules, stay.check_in, now) or feeds.is_stale(listing.pk, now)
