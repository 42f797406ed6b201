"""How a host stands, for the host alone."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from ninja import Router
from pydantic import Field

from api.accounts import user_of
from api.conditional import etag, etag_response
from api.problems import responses
from api.types import Out
from backend.accounts.models import HostStanding
from backend.reviews import standing
from backend.reviews.standing import Outlook, Record

router = Router(tags=["Host"])

Percent = Annotated[float | None, Field(examples=[98.5])]


class BarOut(Out):
    """One thing that it takes, and whether it is there."""

    code: Literal["stays", "response_rate", "cancellation_rate", "rating"]
    met: bool
    sentence: str = Field(
        examples=["10 stays, or 3 stays of 100 nights in all: you have 7 stays, 21 nights."]
    )


class SoFarOut(Out):
    """The last 365 days, as they would be judged now."""

    since: datetime
    until: datetime
    stays: int
    nights: int
    canceled: int = Field(description="Confirmed stays that you canceled.")
    asked: int = Field(description="Requests, inquiries and first messages that you should have answered.")
    answered: int = Field(description="Those that you answered within 24 hours.")
    response_rate: Percent
    cancellation_rate: float
    rating: float | None = Field(examples=[4.86])
    bars: list[BarOut]
    missing: list[str] = Field(description="The codes of the bars that are not met.", examples=[["rating"]])


class QuarterOut(Out):
    """A quarter that was judged."""

    quarter: date = Field(description="Its first day.")
    stays: int
    nights: int
    response_rate: Percent
    cancellation_rate: float
    rating: float | None = Field(examples=[4.86])
    is_superhost: bool


class StandingOut(Out):
    """How a host stands. Percentages: 98.5 is 98.5 %."""

    is_superhost: bool
    next_on: date = Field(description="When the next quarter is judged.")
    so_far: SoFarOut
    quarters: list[QuarterOut] = Field(description="The last eight, the newest first.")


@router.get("/host/standing/", response=responses(StandingOut), summary="See how one stands as a host")
def see_standing(request: HttpRequest) -> HttpResponse:
    """Superhosts are made on the first day of each quarter, by the 365 days before it: what counts, and what is missing."""
    found = standing.outlook(user_of(request), now=timezone.now())
    payload = _payload(found)
    unmoved = {**payload, "so_far": {**payload["so_far"], "since": None, "until": None}}
    return etag_response(request, etag(unmoved), payload)


def _payload(found: Outlook) -> dict[str, Any]:
    record, bars = found.record, found.bars
    sentences = _sentences(record)
    judged = [
        {"code": code, "met": getattr(bars, code), "sentence": sentence}
        for code, sentence in sentences.items()
    ]
    return {
        "is_superhost": found.is_superhost,
        "next_on": found.next_on,
        "so_far": {
            "since": found.since,
            "until": found.until,
            "stays": record.stays,
            "nights": record.nights,
            "canceled": record.canceled,
            "asked": record.asked,
            "answered": record.answered,
            **_rates(record),
            "bars": judged,
            "missing": [bar["code"] for bar in judged if not bar["met"]],
        },
        "quarters": [
            {
                "quarter": row.quarter,
                "stays": row.stays,
                "nights": row.nights,
                **_rates(row),
                "is_superhost": row.is_superhost,
            }
            for row in found.assessed
        ],
    }


def _rates(row: Record | HostStanding) -> dict[str, Any]:
    return {
        "response_rate": None if row.response_rate is None else float(row.response_rate),
        "cancellation_rate": float(row.cancellation_rate),
        "rating": None if row.rating is None else float(row.rating),
    }


def _sentences(record: Record) -> dict[str, str]:
    return {
        "stays": _(
            "%(stays)s stays, or %(few)s stays of %(nights)s nights in all: you have %(mine)s stays, %(slept)s nights."
        )
        % {
            "stays": standing.STAYS,
            "few": standing.FEW_STAYS,
            "nights": standing.NIGHTS,
            "mine": record.stays,
            "slept": record.nights,
        },
        "response_rate": _(
            "%(rate)s %% of requests, inquiries and first messages answered within 24 hours: you answered %(answered)s of %(asked)s."
        )
        % {"rate": standing.RESPONSE_RATE, "answered": record.answered, "asked": record.asked},
        "cancellation_rate": _(
            "Fewer than %(rate)s %% of confirmed stays canceled: you canceled %(canceled)s of %(all)s."
        )
        % {
            "rate": standing.CANCELLATION_RATE,
            "canceled": record.canceled,
            "all": record.stays + record.canceled,
        },
        "rating": _("A rating of %(rate)s: you have %(mine)s.")
        % {"rate": standing.RATING, "mine": "–" if record.rating is None else record.rating},
    }
