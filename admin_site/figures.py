"""The platform's figures of the dashboard, read when it is looked at: nothing is kept, so nothing is old.

Each is one query whose cost is bounded by what it shows: the bookings confirmed in 60 days (``bookings_confirmed_at``),
the stays that are still to come (``bookings_completing``), the count of published listings (``properties_status``,
index only). Days are UTC days.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from django.db import connection

from backend.core import fx, platform
from backend.core.money import Money

DAYS = 30


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
            SELECT (confirmed_at AT TIME ZONE 'UTC')::date, currency, count(*), sum(total_minor)::bigint
            FROM bookings
            WHERE confirmed_at >= %s AND confirmed_at < %s AND status IN ('confirmed', 'completed')
            GROUP BY 1, 2
            """,
            [_midnight(first), _midnight(today + timedelta(days=1))],
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
    """The next ``DAYS`` nights, tonight first."""
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


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
