"""The platform's figures of the dashboard, as they are when it is looked at. Days are UTC days.

Sales of days that are over come from the daily summaries (``analytics.market``), as long as no row of such a day has
changed since; today, and days that wait for their summary, are counted from the bookings. So nothing is old, and little
is read. Coming nights have no summaries: on a platform so large that counting them takes its time, they are counted once
in ten minutes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from time import perf_counter

from django.core.cache import cache
from django.db import connection

from backend.analytics.models import Level
from backend.core import fx, platform
from backend.core.money import Money

DAYS = 30
SLOW_S, KEPT_S = 0.1, 600


@dataclass(frozen=True, slots=True)
class Sales:
    """What was booked in a window of ``DAYS`` days, day by day, in one currency.

    A booking counts on the day of its confirmation, as long as it is confirmed or completed now; its GMV (gross
    merchandise value) is the guest's total, at the newest stored rate. ``missing`` names currencies without a rate:
    their bookings count, their GMV cannot.
    """

    currency: str
    days: list[date]
    bookings: list[int]
    gmv_minor: list[int]
    missing: list[str]

    @property
    def total_bookings(self) -> int:
        return sum(self.bookings)

    @property
    def total_gmv_minor(self) -> int:
        return sum(self.gmv_minor)


@dataclass(frozen=True, slots=True)
class Occupancy:
    """How full the next ``DAYS`` nights are: booked nights of published listings, over all that these have."""

    days: list[date]
    booked: list[int]
    listings: int

    @property
    def percent(self) -> Decimal:
        nights = self.listings * len(self.days)
        return (Decimal(100 * sum(self.booked)) / nights).quantize(Decimal("0.1")) if nights else Decimal(0)


def sales(now: datetime) -> tuple[Sales, Sales]:
    """The last ``DAYS`` days up to today, and the ``DAYS`` before them."""
    today = now.astimezone(UTC).date()
    first = today - timedelta(days=2 * DAYS - 1)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH counted AS MATERIALIZED (
                SELECT asked.day::date AS day,
                       asked.day::date < %(today)s
                       AND EXISTS (SELECT FROM market_builds b WHERE b.day = asked.day::date)
                       AND NOT EXISTS (
                           SELECT FROM market_changes c
                           WHERE c.first <= asked.day::date AND (c.after IS NULL OR c.after > asked.day::date)
                       ) AS is_summed
                FROM generate_series(%(first)s::date, %(today)s::date, '1 day') AS asked(day)
            )
            SELECT m.day, m.currency, m.bookings::bigint, m.gmv_minor
            FROM counted JOIN market_days m ON m.day = counted.day AND m.level = %(all)s
            WHERE counted.is_summed
            UNION ALL
            SELECT counted.day, b.currency, count(*), sum(b.total_minor)::bigint
            FROM counted JOIN bookings b
              ON b.confirmed_at >= counted.day::timestamp AT TIME ZONE 'UTC'
             AND b.confirmed_at < (counted.day + 1)::timestamp AT TIME ZONE 'UTC'
             AND b.status IN ('confirmed', 'completed')
            WHERE NOT counted.is_summed
            GROUP BY 1, 2
            """,
            {"first": first, "today": today, "all": Level.ALL},
        )
        rows = cursor.fetchall()
    days = [first + timedelta(days=offset) for offset in range(2 * DAYS)]
    currency, known = platform.get("currency"), fx.rates()
    count, gmv, missing = dict.fromkeys(days, 0), dict.fromkeys(days, 0), set()
    for day, spent_in, bookings, minor in rows:
        count[day] += bookings
        if spent_in in known and currency in known:
            rate = known[currency] / known[spent_in]
            gmv[day] += fx.exchange(Money(minor, spent_in), currency, at=rate).minor
        else:
            missing.add(spent_in)

    def window(chosen: list[date]) -> Sales:
        return Sales(
            currency,
            chosen,
            [count[day] for day in chosen],
            [gmv[day] for day in chosen],
            sorted(missing),
        )

    return window(days[DAYS:]), window(days[:DAYS])


def occupancy(now: datetime) -> Occupancy:
    """The next ``DAYS`` nights, tonight first; at most ``KEPT_S`` seconds old where it takes long to count them."""
    key = f"admin_site.occupancy:{now.astimezone(UTC).date()}"
    kept: Occupancy | None = cache.get(key)
    if kept is not None:
        return kept
    began = perf_counter()
    full = _occupancy(now)
    if perf_counter() - began > SLOW_S:
        cache.set(key, full, KEPT_S)
    return full


def _occupancy(now: datetime) -> Occupancy:
    today = now.astimezone(UTC).date()
    end = today + timedelta(days=DAYS)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH stays AS (
                SELECT greatest(b.check_in, %(today)s) AS first, least(b.check_out, %(end)s) AS after
                FROM bookings b JOIN properties p ON p.id = b.listing_id AND p.status = 'published'
                WHERE b.status = 'confirmed' AND b.check_out_at > %(now)s
                  AND b.check_in < %(end)s AND b.check_out > %(today)s
            )
            SELECT NULL::date, count(*)::bigint FROM properties WHERE status = 'published'
            UNION ALL SELECT first, count(*) FROM stays GROUP BY first
            UNION ALL SELECT after, -count(*) FROM stays GROUP BY after
            """,
            {"today": today, "end": end, "now": now},
        )
        rows = cursor.fetchall()
    changes: dict[date | None, int] = {}
    for day, change in rows:
        changes[day] = changes.get(day, 0) + change
    days = [today + timedelta(days=offset) for offset in range(DAYS)]
    booked, guests_in = [], 0
    for day in days:
        guests_in += changes.get(day, 0)
        booked.append(guests_in)
    return Occupancy(days, booked, changes[None])
