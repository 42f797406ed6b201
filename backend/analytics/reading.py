"""The market's figures, read from its summaries: periods, their parts, cities, types and currencies.

Only days that are over and summarized are in it. Amounts of several currencies are exchanged into one at the rate of
their day (``definitions``).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import Sum

from backend.analytics.definitions import AMOUNTS, STOCKS, Sums
from backend.analytics.market import KEPT, last_day
from backend.analytics.models import Level, MarketDay
from backend.core import platform
from backend.core.fx import EURO
from backend.core.models import ExchangeRate
from backend.core.money import exponent
from backend.core.replicas import may_lag

Window = tuple[date, date]

BY_VALUE = "gmv_minor DESC NULLS LAST, published DESC NULLS LAST"


@dataclass(frozen=True, slots=True)
class Scope:
    """What is asked for: one city, one type, one currency, or all of them (empty)."""

    country: str = ""
    city: str = ""
    property_type: str = ""
    currency: str = ""

    @property
    def level(self) -> Level:
        if self.city:
            return Level.CITY_AND_TYPE if self.property_type else Level.CITY
        return Level.TYPE if self.property_type else Level.ALL

    @property
    def shown_in(self) -> str:
        """The currency of all amounts: the chosen one, else the platform's."""
        return self.currency or str(platform.get("currency"))


@dataclass(frozen=True, slots=True)
class Choices:
    """What can be asked for, the largest first."""

    cities: list[tuple[str, str]] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    currencies: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Part:
    """What a city, a type or a currency came to. ``name`` is the city, the type or the code."""

    name: str
    sums: Sums
    currency: str
    country: str = ""


@may_lag
def totals(scope: Scope, windows: Sequence[Window]) -> list[Sums]:
    """What each of ``windows`` (half-open, of days) came to. One query, and one for the rates where several currencies meet."""
    found = _read(scope, windows, scope.level, [])
    sums = {row["key"]: Sums.of(row) for row in found}
    return [sums.get(key, Sums()) for key in range(len(windows))]


@may_lag
def by_city(scope: Scope, window: Window, *, largest: int | None = None) -> list[Part]:
    """The cities of a window, those with the highest GMV first; only the ``largest`` ones by their listings at its end.

    All of them is every row of the window: for files, not for pages.
    """
    level = Level.CITY_AND_TYPE if scope.property_type else Level.CITY
    among = None if largest is None else _largest(scope, level, window[1] - timedelta(days=1), largest)
    found = _read(scope, [window], level, ["country", "city"], order=BY_VALUE, among=among)
    return [Part(row["city"], Sums.of(row), scope.shown_in, row["country"]) for row in found]


def _largest(scope: Scope, level: Level, day: date, limit: int) -> list[tuple[str, str]]:
    rows = MarketDay.objects.filter(level=level, day=day).exclude(city="")
    for name in ("city", "country", "property_type", "currency"):
        if given := getattr(scope, name):
            rows = rows.filter(**{name: given})
    counted = rows.values("country", "city").annotate(n=Sum("published") + Sum("paused"))
    return list(counted.order_by("-n", "city", "country").values_list("country", "city")[:limit])


@may_lag
def by_type(scope: Scope, window: Window) -> list[Part]:
    """The property types of a window, in the order of ``by_city``."""
    level = Level.CITY_AND_TYPE if scope.city else Level.TYPE
    found = _read(scope, [window], level, ["property_type"], order=BY_VALUE, limit=50)
    return [Part(row["property_type"], Sums.of(row), scope.shown_in) for row in found]


@may_lag
def by_currency(scope: Scope, window: Window) -> list[Part]:
    """The currencies of a window, each in its own amounts, those with the most bookings first."""
    found = _read(
        scope, [window], scope.level, ["currency"], order="bookings DESC, nights DESC, currency", own=True
    )
    return [Part(row["currency"], Sums.of(row), row["currency"]) for row in found]


@may_lag
def without_rate(scope: Scope, windows: Sequence[Window]) -> list[str]:
    """The currencies whose amounts are missing, since there is no rate for them."""
    if scope.currency:
        return []
    known = {EURO, *ExchangeRate.objects.values_list("currency_id", flat=True).distinct()}
    return [code for code in _currencies(windows) if code not in known and code != scope.shown_in]


@may_lag
def choices(*, cities: int) -> Choices:
    """The cities (at most so many), types and currencies of the last summarized day."""
    last = last_day()
    if last is None:
        return Choices()
    rows = MarketDay.objects.filter(day=last)
    listings = Sum("published") + Sum("paused")
    of_cities = rows.filter(level=Level.CITY).exclude(city="").values_list("country", "city")
    of_types = rows.filter(level=Level.TYPE).values_list("property_type", flat=True)
    of_currencies = rows.filter(level=Level.ALL).values_list("currency", flat=True)
    return Choices(
        cities=[(country, city) for country, city in of_cities.annotate(n=listings).order_by("-n", "city").values_list("country", "city")[:cities]],
        types=list(of_types.annotate(n=listings).order_by("-n", "property_type").values_list("property_type", flat=True)[:100]),
        currencies=list(of_currencies.annotate(n=listings).order_by("-n", "currency").values_list("currency", flat=True)),
    )  # fmt: skip


def _read(
    scope: Scope,
    windows: Sequence[Window],
    level: Level,
    parts: Sequence[str],
    *,
    order: str = "key",
    limit: int | None = None,
    own: bool = False,
    among: Collection[tuple[str, str]] | None = None,
) -> list[dict[str, Any]]:
    """Sums by window and ``parts``; ``own``: each currency in its own amounts; ``among``: of these cities only."""
    conditions: list[str] = ["d.level = %(level)s"]
    values: dict[str, Any] = {"level": int(level)}
    for name in ("country", "city", "property_type", "currency"):
        given = getattr(scope, name)
        if given or (name == "country" and scope.city):
            conditions.append(f"d.{name} = %({name})s")
            values[name] = given
    cities = ""
    if among is not None:
        # Said so that the index of cities is taken, whatever they are.
        conditions.append("d.city <> ''")
        cities = "JOIN unnest(%(countries)s::text[], %(cities)s::text[]) AS c (country, city) USING (country, city)"
        values |= {"countries": [one for one, _city in among], "cities": [city for _one, city in among]}
    exchanged = "" if own or scope.currency else " * r.factor"
    sums = []
    for name in KEPT:
        amount = f"d.{name}"
        if name in AMOUNTS and exchanged:
            amount = f"CASE d.currency WHEN %(target)s THEN d.{name} ELSE d.{name}{exchanged} END"
        last = " FILTER (WHERE d.day = w.after - 1)" if name in STOCKS else ""
        sums.append(f"sum({amount}){last} AS {name}")
    keys = ["w.key", *(f"d.{part}" for part in parts)]
    rates = (
        """
        LEFT JOIN unnest(%(rate_days)s::date[], %(rate_codes)s::text[], %(rates)s::numeric[])
            AS r (day, currency, factor) ON r.day = d.day AND r.currency = d.currency
        """
        if exchanged
        else ""
    )
    sql = f"""
        SELECT {", ".join(keys)}, {", ".join(sums)}
        FROM unnest(%(keys)s::int[], %(firsts)s::date[], %(afters)s::date[]) AS w (key, first, after)
        JOIN market_days d ON d.day >= w.first AND d.day < w.after {cities} {rates}
        WHERE {" AND ".join(conditions)}
        GROUP BY {", ".join(keys)} ORDER BY {order} LIMIT %(limit)s
    """  # noqa: S608 - names of our own
    values |= {
        "keys": list(range(len(windows))),
        "firsts": [first for first, _after in windows],
        "afters": [after for _first, after in windows],
        "limit": limit,
        "target": scope.shown_in,
    }
    if exchanged:
        values |= _rates(scope.shown_in, windows)
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _currencies(windows: Sequence[Window]) -> list[str]:
    first, after = _bounds(windows)
    rows = MarketDay.objects.filter(level=Level.ALL, day__gte=first, day__lt=after)
    return sorted(set(rows.order_by().values_list("currency", flat=True).distinct()))


def _bounds(windows: Sequence[Window]) -> Window:
    return min(first for first, _after in windows), max(after for _first, after in windows)


def _rates(target: str, windows: Sequence[Window]) -> dict[str, Any]:
    """For each day and currency how many minor units of ``target`` one minor unit was worth, where there is a rate."""
    others = [code for code in _currencies(windows) if code != target]
    days: list[date] = []
    codes: list[str] = []
    factors: list[Decimal] = []
    if others:
        book = _book({target, *others})
        first, after = _bounds(windows)
        for code in others:
            scale = Decimal(10) ** (exponent(target) - exponent(code))
            for offset in range((after - first).days):
                day = first + timedelta(days=offset)
                mine, theirs = _on(book, code, day), _on(book, target, day)
                if mine is not None and theirs is not None:
                    days.append(day)
                    codes.append(code)
                    factors.append(theirs / mine * scale)
    return {"rate_days": days, "rate_codes": codes, "rates": factors}


Book = dict[str, tuple[list[date], list[Decimal]]]


def _book(codes: set[str]) -> Book:
    book: Book = {}
    rows = ExchangeRate.objects.filter(currency_id__in=codes).order_by("rate_on")
    for code, day, rate in rows.values_list("currency_id", "rate_on", "per_euro"):
        days, rates = book.setdefault(code, ([], []))
        days.append(day)
        rates.append(rate)
    return book


def _on(book: Book, code: str, day: date) -> Decimal | None:
    """Units per euro: the newest rate up to ``day``, or the oldest there is."""
    if code == EURO:
        return Decimal(1)
    if code not in book:
        return None
    days, rates = book[code]
    return rates[max(0, bisect_right(days, day) - 1)]
