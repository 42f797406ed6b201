"""Quotes: what a stay would cost, line by line, and what canceling it would give back."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any

from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy, override
from ninja import Router
from pydantic import Field

from api import languages, throttling, timelines
from api.auth import optional_bearer
from api.lines import LineOut, line_payload, shower
from api.problems import responses
from api.timelines import CancellationOut
from api.types import DateIn, In, MoneyOut, Out, Text
from api.visiting import visitor
from backend.analytics import visits
from backend.availability.services import DatesUnavailable
from backend.bookings import policies, pricing, promotions, quotes
from backend.bookings.policies import Decision
from backend.bookings.quotes import Quote
from backend.core.errors import Invalid, NotFound, Throttled
from backend.core.fx import exchange
from backend.core.money import Money, allocate
from backend.core.stay import MAX_NIGHTS, Stay
from backend.listings.models import Listing

router = Router(tags=["Quotes"])

Guests = Annotated[int, Field(ge=1, le=1_000_000)]


class ChargedOut(Out):
    """What is charged in the end, where another currency was asked for: in that one, or in the listing's."""

    total_price: MoneyOut
    currency: str


class QuoteOut(Out):
    """A priced offer. ``quote_token`` gets exactly this price until ``expires_at``."""

    check_in: date
    check_out: date
    nights: int
    guests: int
    pets: Annotated[int, Field(examples=[0])]
    currency: str
    lines: list[LineOut]
    nights_total: Annotated[MoneyOut, Field(examples=[302])]
    discounts_total: Annotated[MoneyOut, Field(examples=[0])]
    fees_total: Annotated[
        MoneyOut, Field(description="Extra guests, cleaning and all other fees.", examples=[0])
    ]
    taxes_total: Annotated[MoneyOut, Field(examples=[0])]
    service_fee: Annotated[MoneyOut, Field(examples=[0])]
    total_price: Annotated[
        MoneyOut, Field(description="What the guest pays in all: every mandatory fee and tax is in it.")
    ]
    host_payout: Annotated[MoneyOut | None, Field(description="For the host only.", examples=[None])] = None
    exchange_rate: Annotated[
        float | None,
        Field(description="How much of currency one unit of the listing's currency buys.", examples=[None]),
    ] = None
    rate_date: Annotated[date | None, Field(description="Whose day the rate is of.", examples=[None])] = None
    rate_source: Annotated[str | None, Field(description="Who said the rate.", examples=[None])] = None
    charged: Annotated[ChargedOut | None, Field(examples=[None])] = None
    cancellation: CancellationOut
    quote_token: Annotated[str, Field(examples=["eyJ2IjoxfQ:1rXyZa:c2lnbmF0dXJl"])]
    expires_at: datetime


class QuoteIn(In):
    check_in: DateIn
    check_out: DateIn
    guests: Guests | None = None
    currency: Annotated[
        str | None, Field(pattern=r"^[A-Z]{3}$", description="Offer the price in this currency.")
    ] = None
    promo_code: Annotated[str, Text(40)] | None = None
    pets: Annotated[int, Field(ge=0, le=20)] = 0


@router.post(
    "/properties/{int:property_id}/quote/",
    auth=optional_bearer,
    response=responses(QuoteOut, NotFound, DatesUnavailable, *promotions.REFUSALS, Throttled),
    summary="Price a stay",
)
@throttling.counts_as_read
def make(request: HttpRequest, property_id: int, body: QuoteIn) -> Any:
    """``total_price`` is all that the guest pays, every mandatory fee and tax in it. The nights are not held by a quote.

    A booking with the token of a quote in another currency is charged in that currency at `exchange_rate`, where
    `charged` says so; without a token the listing's currency is charged.
    """
    actor = request.auth  # type: ignore[attr-defined]
    listing = Listing.objects.known_to(actor).select_related("host").filter(pk=property_id).first()
    if listing is None:
        raise NotFound
    stay = stay_of(body.check_in, body.check_out)
    with throttling.guessing(request, body.promo_code):
        quote = quotes.make(
            listing=listing,
            stay=stay,
            guests=body.guests or 1,
            now=timezone.now(),
            currency=body.currency or "",
            promo_code=body.promo_code or "",
            pets=body.pets,
            guest=actor,
        )
    visits.quoted(listing, visitor(request), now=timezone.now())
    with override(languages.code(request)):
        return quote_payload(quote, actor)


def stay_of(check_in: date, check_out: date) -> Stay:
    """The stay between two dates. Raises: Invalid ``invalid_dates``, ``max_nights``."""
    if check_out <= check_in:
        raise _invalid_stay("invalid_dates", gettext_lazy("Check-out must be after check-in."))
    if (check_out - check_in).days > MAX_NIGHTS:
        raise _invalid_stay("max_nights", gettext_lazy("The stay has too many nights."))
    return Stay(check_in, check_out)


def _invalid_stay(code: str, message: Any) -> Invalid:
    error = Invalid.field("check_out", code, message)
    error.code = code
    return error


def quote_payload(quote: Quote, viewer: Any) -> dict[str, Any]:
    """The quote as the wire shows it, in its currency and the active language."""
    price, show = quote.price, shower(quote.price.currency, quote.shown_in, quote.rate)
    # Every line is exchanged and rounded by itself, so sums are taken from what is shown.
    shown = Sums(price.lines, price.currency, quote.shown_in, quote.rate, quote.charged_minor)
    lines = [
        {**line_payload(line, show, line.unit_minor, line.amount_minor), "amount": amount}
        for line, amount in zip(price.lines, shown.amounts(), strict=True)
    ]
    is_host = quote.listing.host_id == viewer.pk
    terms, now = quote.terms(), timezone.now()
    return {
        "check_in": quote.stay.check_in,
        "check_out": quote.stay.check_out,
        "nights": quote.stay.nights,
        "guests": quote.guests,
        "pets": quote.priced.pets,
        "currency": quote.shown_in,
        "lines": lines,
        "nights_total": shown.of(pricing.NIGHT),
        "discounts_total": shown.of(pricing.DISCOUNT),
        "fees_total": shown.of(pricing.EXTRA_GUEST, pricing.CLEANING, pricing.FEE),
        "taxes_total": shown.of(pricing.TAX),
        "service_fee": shown.of(pricing.SERVICE_FEE),
        "total_price": shown.of(),
        "host_payout": show(price.host_payout_minor) if is_host else None,
        "exchange_rate": float(quote.rate) if quote.rate is not None else None,
        "rate_date": quote.rated.rate_on if quote.rated else None,
        "rate_source": quote.rated.source if quote.rated else None,
        "charged": _charged(quote) if quote.rated else None,
        "cancellation": timelines.payload(
            terms,
            now=policies.decide(terms, now),
            timeline=policies.timeline(terms, now),
            currency=quote.shown_in,
            show=show,
            split=shown.split if quote.rate is not None else None,
        ),
        "quote_token": quote.token,
        "expires_at": quote.expires_at,
    }


def _charged(quote: Quote) -> dict[str, Any]:
    minor, currency = quote.price.total_minor, quote.price.currency
    if quote.charge is not None and quote.charged_minor is not None:
        minor, currency = quote.charged_minor, quote.charge.currency
    return {"total_price": Money(minor, currency).number(), "currency": currency}


class Sums:
    """Sums of lines as they are shown: each exchanged by itself, added exactly.

    Where ``total_minor`` is charged, they sum to it: the largest line takes what the rounding of the others leaves.
    """

    def __init__(
        self,
        lines: Iterable[pricing.Line],
        currency: str,
        shown_in: str,
        rate: Decimal | None,
        total_minor: int | None = None,
    ) -> None:
        self._currency = shown_in
        self._minors = [
            (line.code, exchange(Money(line.amount_minor, currency), shown_in, at=rate).minor)
            for line in lines
        ]
        if total_minor is not None:
            largest = max(range(len(self._minors)), key=lambda index: abs(self._minors[index][1]))
            code, minor = self._minors[largest]
            self._minors[largest] = (code, minor + total_minor - self._sum())

    def amounts(self) -> list[int | float]:
        """Each line as it is shown, in order."""
        return [Money(minor, self._currency).number() for _code, minor in self._minors]

    def of(self, *codes: str) -> int | float:
        """The sum of the lines with one of ``codes``; of all without any."""
        return Money(self._sum(*codes), self._currency).number()

    def split(self, decision: Decision) -> dict[str, int | float]:
        """What a cancellation makes of the sum: exchanged as a whole and then divided, so that nothing is left over."""
        parts = [decision.refund_minor, decision.host_keeps_minor, decision.taxes_kept_minor]
        refund, keeps, taxes = allocate(self._sum(), parts) if any(parts) else parts
        return {
            "refund_amount": Money(refund, self._currency).number(),
            "host_keeps": Money(keeps, self._currency).number(),
            "taxes_kept": Money(taxes, self._currency).number(),
        }

    def _sum(self, *codes: str) -> int:
        return sum(minor for code, minor in self._minors if not codes or code in codes)
