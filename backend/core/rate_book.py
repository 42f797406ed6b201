"""The table of exchange rates: what may come into it, and whether it is as new as it should be.

A rate stands once for a currency and a day. The newest day counts (``fx``), so that older days may be added without
any effect. What leaps is not taken: ``LEAP`` against the days around it, more only where these are weeks away. Somebody
who knows better takes it over by hand.
"""

from __future__ import annotations

import csv
from bisect import bisect_left, insort
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

import structlog
from django.db import connection, transaction

from backend.core import fx
from backend.core.gauges import Gauge
from backend.core.models import Currency, ExchangeRate
from backend.core.rate_files import ECB, Said

LEAP = Decimal("1.3")
"""By how much a rate may rise, or fall, within a week; each further week between two rates allows as much again."""

FRANKFURT = ZoneInfo("Europe/Berlin")
TOLD_AT = timedelta(hours=16, minutes=30)
"""When the central bank's rates of a day are surely out, on its clock."""

ISO_4217 = Path(__file__).resolve().parent / "data" / "iso4217.csv"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Leap:
    """A rate that was not taken, and the one that it was held against."""

    said: Said
    known: Decimal
    known_on: date


@dataclass(slots=True)
class Taken:
    """What became of the rates of a table. ``strange`` counts those of no currency of ISO 4217, or of a day to come."""

    new: int = 0
    corrected: int = 0
    unchanged: int = 0
    strange: int = 0
    leaps: list[Leap] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        return {
            "new": self.new,
            "corrected": self.corrected,
            "unchanged": self.unchanged,
            "strange": self.strange,
            "leaps": len(self.leaps),
        }


@dataclass(frozen=True, slots=True)
class Age:
    """How old the rates are. ``expected_on`` is the last day whose rates are surely out.

    ``oldest_on`` is the oldest of the newest rates of those currencies that the central bank does not tell.
    """

    newest_on: date | None
    expected_on: date
    oldest_on: date | None

    @property
    def days_late(self) -> int:
        """How many of the bank's days are missing; 0 when its rates are as new as can be."""
        if self.newest_on is None:
            return 1
        days = (
            self.newest_on + timedelta(days=ahead)
            for ahead in range(1, (self.expected_on - self.newest_on).days + 1)
        )
        return sum(is_bank_day(day) for day in days)


class _Days:
    """What is known of a currency, by day."""

    def __init__(self) -> None:
        self.rows: dict[date, ExchangeRate] = {}
        self._days: list[date] = []

    def add(self, row: ExchangeRate) -> None:
        self.rows[row.rate_on] = row
        insort(self._days, row.rate_on)

    def nearest(self, day: date) -> ExchangeRate | None:
        """The row of the day before ``day`` that is nearest to it, else of the one after."""
        place = bisect_left(self._days, day)
        after = [each for each in self._days[place : place + 2] if each != day]
        found = self._days[place - 1] if place else next(iter(after), None)
        return None if found is None else self.rows[found]


def take(said: Collection[Said], *, now: datetime, trusted: bool = False) -> Taken:
    """Write down rates that are new to us, and correct those of a day that were told anew.

    A currency of ISO 4217 that was not known is added. ``trusted`` takes leaps, too. Rates of days after ``now`` (UTC)
    are left out; the bank's own rate of a currency and day is not overwritten by others.
    """
    taken, names = Taken(), currencies()
    latest = now.astimezone(FRANKFURT).date()
    with transaction.atomic():
        with connection.cursor() as cursor:
            # Comparing and writing are two steps; another import waits here until this one is written.
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('exchange_rates', 0))")
        Currency.objects.bulk_create(
            [
                Currency(code=code, name=names[code][0], minor_units=names[code][1])
                for code in {each.currency for each in said} & names.keys()
            ],
            ignore_conflicts=True,
        )
        known = _known(said)
        for each in sorted(said, key=lambda row: row.rate_on):
            if each.currency not in names or each.rate_on > latest:
                taken.strange += 1
                continue
            _take(each, known[each.currency], taken, trusted=trusted)
        ExchangeRate.objects.bulk_create(
            row for days in known.values() for row in days.rows.values() if row.pk is None
        )
    fx.forget()
    for leap in taken.leaps:
        log.error(
            "rates.leap_refused",
            currency=leap.said.currency,
            per_euro=str(leap.said.per_euro),
            rate_on=leap.said.rate_on.isoformat(),
            source=leap.said.source,
            known=str(leap.known),
            known_on=leap.known_on.isoformat(),
        )
    return taken


def _known(said: Collection[Said]) -> dict[str, _Days]:
    """The rows of the days that are told, and of each currency the last one before them."""
    found: dict[str, _Days] = {each.currency: _Days() for each in said}
    first = min((each.rate_on for each in said), default=date.max)
    rows = ExchangeRate.objects.filter(currency_id__in=list(found))
    before = rows.filter(rate_on__lt=first).order_by("currency_id", "-rate_on").distinct("currency_id")
    for row in [*before, *rows.filter(rate_on__gte=first)]:
        found[row.currency_id].add(row)
    return found


def _take(said: Said, known: _Days, taken: Taken, *, trusted: bool) -> None:
    row = known.rows.get(said.rate_on)
    if row is not None:
        is_the_banks = row.source == ECB and said.source != ECB and not trusted
        if row.per_euro == said.per_euro or is_the_banks:
            taken.unchanged += 1
            return
    leap = None if trusted else _leap(said, known)
    if leap is not None:
        taken.leaps.append(leap)
    elif row is None:
        taken.new += 1
        known.add(
            ExchangeRate(
                currency_id=said.currency, per_euro=said.per_euro, rate_on=said.rate_on, source=said.source
            )
        )
    else:
        taken.corrected += 1
        row.per_euro, row.source = said.per_euro, said.source
        if row.pk is not None:
            row.save(update_fields=["per_euro", "source"])


def _leap(said: Said, known: _Days) -> Leap | None:
    other = known.nearest(said.rate_on)
    if other is None:
        return None
    weeks = -(-abs((said.rate_on - other.rate_on).days) // 7)
    ratio = max(said.per_euro / other.per_euro, other.per_euro / said.per_euro)
    return Leap(said, other.per_euro, other.rate_on) if ratio > LEAP**weeks else None


@lru_cache(maxsize=1)
def currencies() -> Mapping[str, tuple[str, int]]:
    """Every currency of ISO 4217 that money is kept in: code → English name and decimals."""
    with ISO_4217.open(encoding="utf-8", newline="") as file:
        return {row["code"]: (row["name"], int(row["minor_units"])) for row in csv.DictReader(file)}


def age(now: datetime) -> Age:
    """How old the rates are at ``now`` (UTC), for people and for measuring."""
    newest = fx.newest()
    told = [row.rate_on for row in newest.values() if row.source == ECB]
    others = [row.rate_on for row in newest.values() if row.source != ECB]
    return Age(max(told, default=None), expected_on(now), min(others, default=None))


def gauges(now: datetime) -> list[Gauge]:
    """The figures of ``age`` at ``now`` (UTC) for a monitoring system."""
    return [
        Gauge(
            "karibu_exchange_rates_days_late",
            "Bank days whose exchange rates should be there and are not.",
            [({"source": ECB}, age(now).days_late)],
        )
    ]


def expected_on(now: datetime) -> date:
    """The last day whose rates the central bank has surely told at ``now`` (UTC)."""
    local = now.astimezone(FRANKFURT)
    day = local.date()
    if local.hour * 60 + local.minute < TOLD_AT.total_seconds() / 60:
        day -= timedelta(days=1)
    while not is_bank_day(day):
        day -= timedelta(days=1)
    return day


def is_bank_day(day: date) -> bool:
    """Whether the central bank tells rates on ``day``: not on weekends, nor on the holidays of its payment system."""
    sunday = _easter(day.year)
    holidays = {(1, 1), (5, 1), (12, 25), (12, 26)}
    movable = (sunday - timedelta(days=2), sunday + timedelta(days=1))
    return day.weekday() < 5 and (day.month, day.day) not in holidays and day not in movable


def _easter(year: int) -> date:
    """Easter Sunday of the western churches, by the rule of Meeus, Jones and Butcher."""
    century, rest = divmod(year, 100)
    golden = year % 19
    correction = (century - (century + 8) // 25 + 1) // 3
    epact = (19 * golden + century - century // 4 - correction + 15) % 30
    weekday = (32 + 2 * (century % 4) + 2 * (rest // 4) - epact - rest % 4) % 7
    shift = (golden + 11 * epact + 22 * weekday) // 451
    month, day = divmod(epact + weekday - 7 * shift + 114, 31)
    return date(year, month, day + 1)
