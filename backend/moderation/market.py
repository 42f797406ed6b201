"""What a night costs in places like this one: the middle of the market and how far it spreads, from the search's rows.

Prices spread by factors, not by sums, so all is reckoned on their logarithms: a place at a third of the usual price is
as odd as one at three times of it. Middle and spread are the median and the median deviation, which one silly price
does not move.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from django.db import connection

SAMPLE = 2000
"""How many comparable places are looked at, at most."""

_NORMAL = 1.4826
"""By which the median deviation is the standard deviation of what is spread normally."""

_NARROWEST = math.log(1.1)
"""A market where everybody asks the same is taken to spread by a tenth: a euro more is no outlier."""

# The search's table is read by name: its package stands beside this one.
_MARKET = """
    WITH own AS (
        SELECT listing_id, place, cell, room_type, price_euro FROM search_row WHERE listing_id = %(listing)s
    ), near AS (
        (SELECT ln(r.price_euro) AS price FROM search_row r JOIN own ON r.place = own.place
         WHERE r.listed AND r.room_type = own.room_type AND r.listing_id <> own.listing_id AND r.price_euro > 0
         LIMIT %(sample)s)
        UNION ALL
        (SELECT ln(r.price_euro) FROM search_row r JOIN own ON r.cell = own.cell AND r.place <> own.place
         WHERE r.listed AND r.room_type = own.room_type AND r.listing_id <> own.listing_id AND r.price_euro > 0
         LIMIT %(sample)s)
    ), middle AS (
        SELECT count(*) AS n, percentile_cont(ARRAY[0.25, 0.5, 0.75]) WITHIN GROUP (ORDER BY price) AS quarters FROM near
    )
    SELECT own.price_euro, middle.n, middle.quarters,
        (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY abs(near.price - middle.quarters[2])) FROM near)
    FROM own, middle
"""


@dataclass(frozen=True, slots=True)
class Market:
    """Prices of a night in euro: this place's, and of ``count`` comparable ones (same words for the place or same area,
    same kind of room) the median and the middle half. ``deviations``: how many robust standard deviations (of the
    logarithm) this one lies from the median; negative is cheaper.
    """

    price: float
    count: int
    low: float
    median: float
    high: float
    deviations: float


def of(listing_id: int) -> Market | None:
    """The market of a listing; None where nothing is comparable, or the search does not know it."""
    with connection.cursor() as cursor:
        cursor.execute(_MARKET, {"listing": listing_id, "sample": SAMPLE})
        row = cursor.fetchone()
    if row is None or not row[1] or row[0] <= 0:
        return None
    price, count, quarters, deviation = row
    spread = max(_NORMAL * deviation, _NARROWEST)
    low, median, high = (math.exp(quarter) for quarter in quarters)
    return Market(price, count, low, median, high, (math.log(price) - math.log(median)) / spread)
