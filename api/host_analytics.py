"""A host's figures over HTTP: how often one's places are looked at and booked, what they earn, how they are rated."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import override
from ninja import Query, Router
from pydantic import Field

from api import languages
from api.accounts import user_of
from api.conditional import etag_response
from api.problems import responses
from api.types import DateIn, Id, MoneyOut, Out, Params
from backend.analytics import definitions, hosts
from backend.analytics.definitions import METRICS, Sums
from backend.analytics.hosts import ByCurrency, Figures, Month
from backend.availability.calendar import RangeRefused
from backend.core.errors import NotFound
from backend.core.money import number

router = Router(tags=["Host"])

Percent = Annotated[float | None, Field(examples=[42.5])]
Count = Annotated[int, Field(examples=[12])]

EARNINGS = _(
    "What confirmed and completed stays bring you after the platform's fee, spread evenly over their nights. What you "
    "keep of canceled stays is in your statements."
)
DEFINED: dict[str, str | Promise] = {
    "views": METRICS["views"].sentence,
    "booking_conversion": METRICS["conversion"].sentence,
    "occupancy": METRICS["occupancy"].sentence,
    "adr": METRICS["adr"].sentence,
    "revpar": METRICS["revpar"].sentence,
    "lead_time": METRICS["lead_time"].sentence,
    "cancellation_rate": METRICS["cancellation_rate"].sentence,
    "earnings": EARNINGS,
    "rating": METRICS["review_score"].sentence,
}
"""What the answer says of each figure."""


class AnalyticsQuery(Params):
    """Which listing, and which days."""

    property_id: Annotated[Id | None, Field(description="Only this one of one's places.")] = None
    from_: Annotated[
        DateIn | None, Field(alias="from", description="The first day; by default 30 days before `to`.")
    ] = None
    to: Annotated[
        DateIn | None, Field(description="The day after the last one; by default tomorrow. At most 730 days.")
    ] = None


class CurrencyFiguresOut(Out):
    """The nights of one currency, and what they are worth. Amounts are of nights after discounts, without fees and taxes."""

    currency: str
    nights: Count
    nights_available: Count
    room_revenue: Annotated[MoneyOut, Field(examples=[1510])]
    adr: Annotated[MoneyOut | None, Field(examples=[75.5])]
    revpar: Annotated[MoneyOut | None, Field(examples=[32.1])]
    earnings: Annotated[MoneyOut, Field(examples=[1276.1])]


class PeriodOut(Out):
    """What a period came to. Percentages: 42.5 is 42.5 %; null where there is nothing to divide by.

    `adr`, `revpar` and `earnings` are those of `currency`; every currency's are in `currencies`.
    """

    from_: date = Field(alias="from")
    to: date
    currency: str
    views: Count
    quotes: Count
    bookings: Annotated[
        int, Field(description="Confirmed in the period and not canceled since.", examples=[3])
    ]
    booking_conversion: Percent
    nights: Count
    nights_available: Count
    occupancy: Percent
    adr: Annotated[MoneyOut | None, Field(examples=[75.5])]
    revpar: Annotated[MoneyOut | None, Field(examples=[32.1])]
    lead_time: Annotated[float | None, Field(description="Days, on average.", examples=[21.4])]
    cancellation_rate: Percent
    earnings: Annotated[MoneyOut, Field(examples=[1276.1])]
    rating: Annotated[
        float | None, Field(description="Of the reviews published in the period.", examples=[4.86])
    ]
    review_count: Count
    currencies: list[CurrencyFiguresOut]


class EarningsOut(Out):
    """What the nights of a month bring in one currency, as far as the month lies in the period."""

    month: Annotated[str, Field(examples=["2027-03"])]
    currency: str
    amount: Annotated[MoneyOut, Field(examples=[1276.1])]
    nights: Count


class RatingOut(Out):
    """The reviews published in a month, as far as it lies in the period; null without any."""

    month: Annotated[str, Field(examples=["2027-03"])]
    rating: Annotated[float | None, Field(examples=[4.86])]
    review_count: Count


class AnalyticsOut(PeriodOut):
    """A period with its months, and the one of the same length `before` it."""

    property_id: Annotated[int | None, Field(examples=[None])]
    properties: Annotated[int, Field(description="How many places are counted.", examples=[2])]
    earnings_by_month: list[EarningsOut]
    rating_trend: list[RatingOut]
    before: PeriodOut
    definitions: Annotated[
        dict[str, str],
        Field(
            description="What each figure means.",
            examples=[{"occupancy": "Nights sold in percent of the nights …"}],
        ),
    ]


@router.get(
    "/host/analytics/",
    response=responses(AnalyticsOut, NotFound, RangeRefused),
    summary="See one's figures as a host",
)
def see_analytics(request: HttpRequest, params: Query[AnalyticsQuery]) -> HttpResponse:
    """Views, bookings, nights and what they earn, of all of one's places or of one, up to this moment.

    Days are UTC days, nights the listing's own dates; nights to come may be asked for. A co-host sees the places whose
    `payouts` they were granted. Days of one half-open range: `to` is not in it.
    """
    found = hosts.see(
        actor=user_of(request),
        now=timezone.now(),
        listing_id=params.property_id,
        first=params.from_,
        after=params.to,
    )
    with override(languages.code(request)):
        answer = _payload(found, params.property_id)
        return etag_response(request, answer, answer)


def _payload(found: Figures, listing_id: int | None) -> dict[str, Any]:
    return {
        "property_id": listing_id,
        "properties": found.listings,
        **_period(found.period, found.first, found.after, found.currency),
        "earnings_by_month": [row for month in found.months for row in _earnings(month, found.currency)],
        "rating_trend": [_rating(month) for month in found.months],
        "before": _period(found.before, found.before_first, found.first, found.currency),
        "definitions": {name: str(sentence) for name, sentence in DEFINED.items()},
    }


def _period(sums: ByCurrency, first: date, after: date, currency: str) -> dict[str, Any]:
    whole, own = hosts.whole(sums), sums.get(currency, Sums())
    return {
        "from": first,
        "to": after,
        "currency": currency,
        "views": whole.views,
        "quotes": whole.quotes,
        "bookings": whole.bookings,
        "booking_conversion": _float(definitions.conversion(whole)),
        "nights": whole.nights,
        "nights_available": whole.available,
        "occupancy": _float(definitions.occupancy(whole)),
        "adr": _amount(definitions.adr(own), currency),
        "revpar": _amount(definitions.revpar(own), currency),
        "lead_time": _float(definitions.lead_time(whole)),
        "cancellation_rate": _float(definitions.cancellation_rate(whole)),
        "earnings": number(own.payout_minor, currency),
        "rating": _float(definitions.review_score(whole)),
        "review_count": whole.reviews,
        "currencies": [_currency(code, sums[code]) for code in sorted(sums)],
    }


def _currency(code: str, sums: Sums) -> dict[str, Any]:
    return {
        "currency": code,
        "nights": sums.nights,
        "nights_available": sums.available,
        "room_revenue": number(sums.room_minor, code),
        "adr": _amount(definitions.adr(sums), code),
        "revpar": _amount(definitions.revpar(sums), code),
        "earnings": number(sums.payout_minor, code),
    }


def _earnings(month: Month, currency: str) -> list[dict[str, Any]]:
    """A row for the usual currency, also of nothing, and one for each other one that earned something."""
    others = sorted(code for code, sums in month.sums.items() if code != currency and sums.nights)
    return [
        {
            "month": f"{month.first:%Y-%m}",
            "currency": code,
            "amount": number(month.sums.get(code, Sums()).payout_minor, code),
            "nights": month.sums.get(code, Sums()).nights,
        }
        for code in (currency, *others)
    ]


def _rating(month: Month) -> dict[str, Any]:
    sums = hosts.whole(month.sums)
    return {
        "month": f"{month.first:%Y-%m}",
        "rating": _float(definitions.review_score(sums)),
        "review_count": sums.reviews,
    }


def _float(value: Any) -> float | None:
    return None if value is None else float(value)


def _amount(minor: Any, currency: str) -> int | float | None:
    return None if minor is None else number(int(minor), currency)
