"""Quotes: a priced offer for one stay, kept by the guest as a signed token instead of a row.

The token carries what the price was made of, so that a booking with it gets exactly that price for as long as it
lives (platform setting ``quote_minutes``), whatever the host changes meanwhile. It is signed, not secret: it holds
nothing that the quote itself does not say. Whether the nights are free, and whether the listing's rules allow the
stay, is always asked again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal
from typing import Any

from django.core import signing
from django.utils.translation import gettext_lazy as _

from backend.availability import rules as calendar_rules
from backend.availability import services as availability
from backend.availability.calendar import WEEKEND, night_price
from backend.availability.rules import NO_RULE, DayRule
from backend.bookings import policies, policy_versions, pricing
from backend.bookings.policies import Policy
from backend.bookings.pricing import NightPrice, Price, Priced, ServiceFee
from backend.core import fx, platform
from backend.core.errors import Conflict, Invalid
from backend.core.money import MoneyError
from backend.core.stay import Stay
from backend.listings.models import Listing

SALT = "karibu.quote"
RATE_DIGITS = Context(prec=10)
"""Rates are used as they are shown, so that anyone can repeat the sum."""

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


class InvalidPromoCode(Invalid):
    """There is no such code."""

    code = "invalid_promo_code"
    title = _("This promotion code does not exist.")


class PriceOutOfRange(Invalid):
    """The stay costs more than can be paid at once."""

    code = "amount_out_of_range"
    title = _("This stay costs more than can be booked at once.")


@dataclass(frozen=True, slots=True)
class Quote:
    """An offer: what was priced, what it costs, until when it stands. ``price`` is in the listing's currency.

    ``rate`` is how much of ``shown_in`` one unit of the listing's currency buys, when another currency was asked for.
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
    rate: Decimal | None = None

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


def service_fee() -> ServiceFee:
    """The platform's service fee in force."""
    if platform.get("service_fee_model") == pricing.SPLIT:
        return ServiceFee(
            pricing.SPLIT, platform.get("split_host_fee_percent"), platform.get("split_guest_fee_percent")
        )
    return ServiceFee(pricing.HOST_ONLY, platform.get("host_fee_percent"))


def priced_for(
    listing: Listing,
    days: Mapping[date, DayRule],
    stay: Stay,
    guests: int,
    fee: ServiceFee | None = None,
) -> Priced:
    """What the price of ``stay`` is made of. ``days`` holds what is set for its single dates."""
    return Priced(
        currency=listing.currency,
        nights=tuple(_night(listing, days.get(evening, NO_RULE), evening) for evening in stay.dates()),
        guests=guests,
        guests_included=listing.guests_included,
        extra_guest_minor=listing.extra_guest_fee_minor,
        cleaning_minor=listing.cleaning_fee_minor,
        service_fee=fee or service_fee(),
    )


def _night(listing: Listing, day: DayRule, evening: date) -> NightPrice:
    kind = "base"
    if day.price_minor is not None:
        kind = "date"
    elif listing.weekend_price_minor is not None and evening.isoweekday() in WEEKEND:
        kind = "weekend"
    return NightPrice(evening, night_price(listing, day, evening), kind)


def total_for(listing: Listing, days: Mapping[date, DayRule], stay: Stay, guests: int) -> int:
    """What a guest pays for ``stay``, in minor units of the listing's currency. No query of its own."""
    return pricing.price(priced_for(listing, days, stay, guests)).total_minor


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
) -> Quote:
    """Offer ``stay`` to ``guests`` people at ``now`` (UTC), if it can be booked.

    ``currency`` asks for amounts to be shown in another one; what is charged stays in the listing's.
    Raises: NotAvailable, StayRefused, DatesUnavailable, Preparation, InvalidPromoCode, UnknownCurrency, PriceOutOfRange.
    """
    refuse_promo(promo_code)
    days = availability.days(listing.pk, stay.check_in, stay.check_out)
    availability.require_bookable(listing=listing, stay=stay, guests=guests, now=now, set_days=days)
    availability.require_free(listing=listing, stay=stay, now=now)
    return offer(listing=listing, days=days, stay=stay, guests=guests, now=now, currency=currency)


def offer(
    *,
    listing: Listing,
    days: Mapping[date, DayRule],
    stay: Stay,
    guests: int,
    now: datetime,
    currency: str = "",
) -> Quote:
    """Price ``stay`` and sign the offer, without asking whether it can be booked. Raises: UnknownCurrency, PriceOutOfRange."""
    priced = priced_for(listing, days, stay, guests)
    shown_in = currency or listing.currency
    rate = RATE_DIGITS.plus(fx.rate(listing.currency, shown_in)) if shown_in != listing.currency else None
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
        token=_sign(listing, stay, priced, policy, expires_at),
        shown_in=shown_in,
        rate=rate,
    )


def refuse_promo(promo_code: str) -> None:
    """Refuse every promotion code, as there are none yet. Raises: InvalidPromoCode."""
    if promo_code:
        raise InvalidPromoCode.field("promo_code", InvalidPromoCode.code, InvalidPromoCode.title)


def _sign(listing: Listing, stay: Stay, priced: Priced, policy: Policy, expires_at: datetime) -> str:
    content = {
        "v": 1,
        "l": listing.pk,
        "i": stay.check_in.isoformat(),
        "o": stay.check_out.isoformat(),
        "x": expires_at.timestamp(),
        "p": policies.dump(policy),
        "t": dump(priced),
    }
    return signing.dumps(content, salt=SALT, compress=True)


def redeem(token: str, *, listing: Listing, stay: Stay, guests: int | None, now: datetime) -> Quote:
    """The quote that ``token`` was made for, at its own price and policy. ``guests`` may be left to it.

    Raises: InvalidQuote for a token that is tampered with or of another listing, stay or number of guests;
    QuoteExpired.
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
    if not same or (guests is not None and guests != content["t"]["guests"]):
        raise _invalid()
    priced = load(content["t"], stay)
    expires_at = datetime.fromtimestamp(content["x"], UTC)
    if now >= expires_at:
        raise QuoteExpired
    return Quote(
        listing=listing,
        stay=stay,
        guests=priced.guests,
        priced=priced,
        price=_price(priced),
        policy=policies.load(content["p"]),
        expires_at=expires_at,
        token=token,
        shown_in=priced.currency,
    )


def _invalid() -> Invalid:
    return InvalidQuote.field("quote_token", InvalidQuote.code, InvalidQuote.title)


def dump(priced: Priced) -> dict[str, Any]:
    """``priced`` as JSON values: nights in order as runs of one price. The dates follow from the stay."""
    runs: list[list[Any]] = []
    for night in priced.nights:
        if runs and runs[-1][1:] == [night.minor, night.kind]:
            runs[-1][0] += 1
        else:
            runs.append([1, night.minor, night.kind])
    fee = priced.service_fee
    return {
        "currency": priced.currency,
        "nights": runs,
        "guests": priced.guests,
        "guests_included": priced.guests_included,
        "extra_guest_minor": priced.extra_guest_minor,
        "cleaning_minor": priced.cleaning_minor,
        "service_fee": [fee.model, str(fee.host_percent), str(fee.guest_percent)],
    }


def load(values: dict[str, Any], stay: Stay) -> Priced:
    """What ``dump`` wrote, for the nights of ``stay``."""
    prices = [(minor, kind) for count, minor, kind in values["nights"] for _ in range(count)]
    model, host_percent, guest_percent = values["service_fee"]
    return Priced(
        currency=values["currency"],
        nights=tuple(
            NightPrice(evening, minor, kind)
            for evening, (minor, kind) in zip(stay.dates(), prices, strict=True)
        ),
        guests=values["guests"],
        guests_included=values["guests_included"],
        extra_guest_minor=values["extra_guest_minor"],
        cleaning_minor=values["cleaning_minor"],
        service_fee=ServiceFee(model, Decimal(host_percent), Decimal(guest_percent)),
    )


def needs_request(listing: Listing, stay: Stay, now: datetime) -> bool:
    """Whether the host must say yes first: by their choice, or since the check-in is inside their notice."""
    return not listing.instant_book or calendar_rules.needs_request(
        availability.rules_of(listing), stay.check_in, now
    )
