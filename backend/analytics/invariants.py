"""What must be true of the summaries at any moment: they say what the rows say."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from backend.analytics import market
from backend.analytics.definitions import NAMES
from backend.analytics.models import Level
from backend.core.checks import Check

NEWEST = 31
"""How many days are made anew and compared each time; a full check compares all."""

_SUMMED = [name for name in NAMES if name != "payout_minor"]


def _wrong_days(now: datetime, full: bool) -> list[dict[str, Any]]:
    return market.differences(market.built(newest=None if full else NEWEST))


CHECKS = [
    Check(
        name="market_days_follow_rows",
        sql="",
        meaning="A figure of the market is not what the bookings, nights, payments and listings of its day come to."
        " rebuild_analytics mends it.",
        ask=_wrong_days,
    ),
    Check(
        name="market_levels_agree",
        sql=f"""
            SELECT day, currency, level, figures FROM (
                SELECT day, currency, level, ARRAY[{", ".join(f"sum({name})" for name in _SUMMED)}] AS figures,
                    first_value(ARRAY[{", ".join(f"sum({name})" for name in _SUMMED)}])
                        OVER (PARTITION BY day, currency ORDER BY level) AS whole
                FROM market_days GROUP BY day, currency, level
            ) AS summed
            WHERE figures <> whole OR level > {Level.ALL.value} AND NOT EXISTS (
                SELECT FROM market_days d
                WHERE d.level = {Level.ALL.value} AND d.day = summed.day AND d.currency = summed.currency
            )
        """,  # noqa: S608 - column names of our own
        meaning="The cities, or the types, do not sum to the whole: the page would show other figures with a filter."
        " rebuild_analytics mends it.",
    ),
]
