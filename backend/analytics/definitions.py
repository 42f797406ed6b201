"""What the figures mean: each metric once, as a formula and as the sentence that stands beside the number.

Everything is counted per UTC day and added up; a metric is worked out of the sums, never a mean of means.

=================  ====================================================================================================
counts on          what
=================  ====================================================================================================
day booked         ``confirmed``, ``bookings``, ``canceled``, ``booked_nights``, ``lead_days``, ``gmv``, ``fees``: by the
                   day on which a booking was confirmed (UTC). ``bookings`` are those that are confirmed or completed now,
                   as they are agreed now: a later change or cancellation changes the day on which it was booked
night              ``nights``, ``room``, ``payout``, ``available``: by the evening of the night, the listing's own date.
                   The amounts of a stay are spread evenly over its nights, and the nights sum to the whole
day it happened    ``views``, ``quotes``, ``taken``, ``refunded``, ``answers``, ``reviews``, ``new``: the UTC day
end of the day     ``published``, ``paused``: as it was at midnight UTC; over several days the last one's
=================  ====================================================================================================

- A listing's state at a night, and what its host had closed, are those at midnight UTC at the end of that day. So what
  is over does not change any more when a host opens or closes, publishes or pauses.
- **Available** is a night of a published listing that neither the host nor an imported calendar had closed, and every
  night that was sold. Nights that only preparation keeps free are available.
- **Canceled** bookings are in ``confirmed`` and ``canceled`` and nowhere else; what is kept of them is neither GMV nor
  room revenue.
- **Currency**: sums are kept in the currency of the booking. Where several meet they are exchanged into the platform's
  at the rate of their day: the newest one up to it, or the oldest there is where rates begin later. What is in a
  currency without any rate is left out of amounts and named; counts have it.
- A listing counts in the city, type and currency that it had on the day.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any, Literal, Self

from django.utils.translation import gettext_lazy as _

from backend.core.errors import Text

Unit = Literal["money", "percent", "count", "days", "hours", "stars"]
Value = Decimal | int | None

SECONDS_AN_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Sums:
    """What a number of days came to. Amounts are minor units of the one currency that whoever asked for them knows.

    ``payout_minor`` is the hosts' part of ``room_minor``'s stays; it is kept for hosts only.
    """

    published: int = 0
    paused: int = 0
    new: int = 0
    available: int = 0
    views: int = 0
    quotes: int = 0
    confirmed: int = 0
    bookings: int = 0
    canceled: int = 0
    canceled_by_host: int = 0
    booked_nights: int = 0
    lead_days: int = 0
    gmv_minor: int = 0
    fees_minor: int = 0
    nights: int = 0
    room_minor: int = 0
    payout_minor: int = 0
    taken_minor: int = 0
    refunded_minor: int = 0
    answers: int = 0
    answer_seconds: int = 0
    reviews: int = 0
    stars: int = 0

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Of a row with some of the columns; what is missing is nothing, fractions of minor units are rounded half to even."""
        return cls(**{name: round(values[name] or 0) for name in NAMES if name in values})

    def __add__(self, other: Sums) -> Sums:
        return Sums(**{name: getattr(self, name) + getattr(other, name) for name in NAMES})


NAMES = tuple(field.name for field in fields(Sums))
STOCKS = ("published", "paused")
"""What is there at the end of a day: days do not add up, the last one counts."""

AMOUNTS = tuple(name for name in NAMES if name.endswith("_minor"))


def ratio(part: Decimal | int, whole: Decimal | int, places: str = "0.01") -> Decimal | None:
    """``part`` of ``whole`` with two decimals, half to even; None of nothing."""
    return (Decimal(part) / Decimal(whole)).quantize(Decimal(places)) if whole else None


def percent(part: int, whole: int) -> Decimal | None:
    """``part`` in percent of ``whole`` (10 = 10 %), with two decimals; None of nothing."""
    return ratio(100 * part, whole)


def per(amount_minor: int, count: int) -> int | None:
    """``amount_minor`` for each of ``count``, in whole minor units, half to even; None for none."""
    return round(Decimal(amount_minor) / count) if count else None


def gmv(sums: Sums) -> Value:
    """Σ total of the bookings, in minor units."""
    return sums.gmv_minor


def revenue(sums: Sums) -> Value:
    """Σ service fees of the bookings, the guest's side and the host's, in minor units."""
    return sums.fees_minor


def take_rate(sums: Sums) -> Value:
    """100 x revenue / GMV."""
    return percent(sums.fees_minor, sums.gmv_minor)


def bookings(sums: Sums) -> Value:
    """Confirmed and not canceled since."""
    return sums.bookings


def nights(sums: Sums) -> Value:
    """Nights slept, or to be slept, in the period."""
    return sums.nights


def occupancy(sums: Sums) -> Value:
    """100 x nights sold / nights available."""
    return percent(sums.nights, sums.available)


def adr(sums: Sums) -> Value:
    """Room revenue / nights sold, in minor units."""
    return per(sums.room_minor, sums.nights)


def revpar(sums: Sums) -> Value:
    """Room revenue / nights available, in minor units: ADR x occupancy."""
    return per(sums.room_minor, sums.available)


def lead_time(sums: Sums) -> Value:
    """Σ (check-in - day of the confirmation) / bookings, in days."""
    return ratio(sums.lead_days, sums.bookings)


def cancellation_rate(sums: Sums) -> Value:
    """100 x canceled / confirmed."""
    return percent(sums.canceled, sums.confirmed)


def refund_rate(sums: Sums) -> Value:
    """100 x refunded / taken."""
    return percent(sums.refunded_minor, sums.taken_minor)


def views(sums: Sums) -> Value:
    """Looks at listings."""
    return sums.views


def quote_rate(sums: Sums) -> Value:
    """100 x quotes / views."""
    return percent(sums.quotes, sums.views)


def booking_rate(sums: Sums) -> Value:
    """100 x confirmed / quotes."""
    return percent(sums.confirmed, sums.quotes)


def conversion(sums: Sums) -> Value:
    """100 x confirmed / views."""
    return percent(sums.confirmed, sums.views)


def published(sums: Sums) -> Value:
    """Published listings at the end of the last day."""
    return sums.published


def new_listings(sums: Sums) -> Value:
    """Listings published for the first time."""
    return sums.new


def paused(sums: Sums) -> Value:
    """Paused listings at the end of the last day."""
    return sums.paused


def response_time(sums: Sums) -> Value:
    """Σ (answer - request) / answers, in hours."""
    return ratio(sums.answer_seconds, SECONDS_AN_HOUR * sums.answers)


def review_score(sums: Sums) -> Value:
    """Σ stars / reviews."""
    return ratio(sums.stars, sums.reviews)


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure: its name, what it means, its unit, and how it comes of the sums.

    ``better`` says which way is good: ``up``, ``down``, or neither. ``of_money`` ones are for those who see money.
    """

    key: str
    title: Text
    sentence: Text
    unit: Unit
    formula: Callable[[Sums], Value]
    better: Literal["up", "down", ""] = "up"
    of_money: bool = False


_METRICS = [
    Metric("gmv", _("GMV"), _("Gross merchandise value: what guests pay in all for the bookings confirmed in the period, as they are agreed now. Canceled ones do not count. Other currencies are exchanged at the rate of the day."), "money", gmv, of_money=True),
    Metric("revenue", _("Service fees"), _("What the platform keeps of these bookings: the service fees of both sides."), "money", revenue, of_money=True),
    Metric("take_rate", _("Take rate"), _("Service fees in percent of GMV."), "percent", take_rate, of_money=True),
    Metric("bookings", _("Bookings"), _("Bookings confirmed in the period and not canceled since."), "count", bookings),
    Metric("nights", _("Nights"), _("Nights of confirmed and completed stays that lie in the period, each counted on its evening."), "count", nights),
    Metric("occupancy", _("Occupancy"), _("Nights sold in percent of the nights available: those of published listings that neither the host nor another site's calendar had closed."), "percent", occupancy),
    Metric("adr", _("ADR"), _("Average daily rate: the price of the nights after discounts, without fees and taxes, for each night sold."), "money", adr, of_money=True),
    Metric("revpar", _("RevPAR"), _("Revenue per available night: the same price, for each night available, sold or not."), "money", revpar, of_money=True),
    Metric("lead_time", _("Lead time"), _("Days from the confirmation to check-in, on average over the bookings confirmed in the period."), "days", lead_time, better=""),
    Metric("cancellation_rate", _("Cancellation rate"), _("Of all bookings confirmed in the period, the percentage that was canceled since, by whomever."), "percent", cancellation_rate, better="down"),
    Metric("refund_rate", _("Refund rate"), _("What was given back to guests in the period, in percent of what was taken from guests in it."), "percent", refund_rate, better="down", of_money=True),
    Metric("views", _("Views"), _("Looks at listings. The host's own, staff's and known robots' do not count; of one person, one in half an hour."), "count", views),
    Metric("quote_rate", _("View to quote"), _("Prices asked for, in percent of the views."), "percent", quote_rate),
    Metric("booking_rate", _("Quote to booking"), _("Bookings confirmed, those canceled later too, in percent of the prices asked for."), "percent", booking_rate),
    Metric("conversion", _("View to booking"), _("Bookings confirmed, those canceled later too, in percent of the views."), "percent", conversion),
    Metric("published", _("Published listings"), _("Listings that guests could find at the end of the period."), "count", published),
    Metric("new", _("New listings"), _("Listings published for the first time in the period."), "count", new_listings),
    Metric("paused", _("Paused listings"), _("Listings that their hosts had taken off for a while, at the end of the period."), "count", paused, better="down"),
    Metric("response_time", _("Response time"), _("Hours from a request to book to the host's yes or no, on average over the answers given in the period."), "hours", response_time, better="down"),
    Metric("review_score", _("Review score"), _("The mean of the stars of guests' reviews that were published in the period."), "stars", review_score),
]  # fmt: skip
METRICS = {metric.key: metric for metric in _METRICS}
"""Every metric by its key, in the order in which they are shown."""
