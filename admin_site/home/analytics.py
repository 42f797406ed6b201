"""Analytics: how the market does, by period, city, type and currency, each figure with its definition beside it.

All is read from the daily summaries (``backend.analytics``), by a fixed number of queries. Amounts are for those who deal
with money; everybody else sees the rest.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from admin_site.frame import periods
from admin_site.frame.custom import CustomPage, register_page
from admin_site.frame.display import day, days, money, number, percent
from admin_site.frame.exporting import csv_response
from admin_site.frame.periods import FiguresForm
from backend.analytics import market, reading
from backend.analytics.definitions import METRICS, Metric, Sums, Value
from backend.analytics.reading import Part, Scope, Window
from backend.core import access, platform
from backend.core.money import Money

GROUPS: list[tuple[Any, tuple[str, ...]]] = [
    (gettext_lazy("Sales"), ("gmv", "revenue", "take_rate", "bookings", "lead_time", "cancellation_rate", "refund_rate")),
    (gettext_lazy("Nights"), ("nights", "occupancy", "adr", "revpar")),
    (gettext_lazy("From view to booking"), ("views", "quote_rate", "booking_rate", "conversion")),
    (gettext_lazy("Supply and service"), ("published", "new", "paused", "response_time", "review_score")),
]  # fmt: skip
IN_TABLES = (
    *("bookings", "gmv", "revenue", "nights", "occupancy", "adr", "revpar"),
    *("conversion", "published", "review_score"),
)
"""The columns of a table on the page; its file has every metric."""

CITIES_SHOWN = 50
"""Those with the most listings; the file has every city."""

NEUTRAL = Decimal("0.005")
"""Less of a change than this is none."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of parts: how the first columns are called in its file, and one ``Sums`` for each row."""

    key: str
    title: str
    first: str
    names: tuple[str, ...]
    rows: Sequence[tuple[tuple[str, ...], Any, Sums, str]]
    """Values of the first columns in the file, what stands on the page, the sums, and their currency."""

    labels: Sequence[str] = ()
    """What its rows are called on an axis."""


def view(request: HttpRequest) -> HttpResponseBase:
    """The page, or with ``csv=<table>`` one of its tables as a file."""
    last = market.last_day()
    if last is None:
        return PAGE.render(request, "admin_site/analytics.html", {"is_empty": True})
    asked = {name: str(value) for name, value in request.GET.items() if name != "csv"}
    choices = reading.choices(cities=periods.CITIES)
    form = FiguresForm(
        {"period": periods.USUAL, **asked}, choices=choices, last=last, platform=platform.get("currency")
    )
    metrics = _metrics(request)
    tables: dict[str, Callable[[], Table]] = {
        "time": lambda: _by_time(form.scope, form.window),
        "cities": lambda: _by_city(form.scope, form.window, asked, CITIES_SHOWN),
        "types": lambda: _by_type(form.scope, form.window),
        "currencies": lambda: _by_currency(form.scope, form.window),
    }
    wanted = request.GET.get("csv", "")
    if wanted in tables:
        of_cities = wanted == "cities"
        table = _by_city(form.scope, form.window, asked) if of_cities else tables[wanted]()
        return _file(table, form.window, metrics)
    return PAGE.render(request, "admin_site/analytics.html", _context(form, metrics, tables, asked, last))


PAGE = register_page(
    CustomPage("analytics", gettext_lazy("Analytics"), "monitoring", view, rule="analytics.see")
)


def _metrics(request: HttpRequest) -> dict[str, Metric]:
    """Those that whoever asks may see."""
    sees_money = access.can(request.user, "analytics.see_money")
    return {key: metric for key, metric in METRICS.items() if sees_money or not metric.of_money}


def _context(
    form: FiguresForm,
    metrics: dict[str, Metric],
    tables: dict[str, Callable[[], Table]],
    asked: dict[str, str],
    last: date,
) -> dict[str, Any]:
    scope, window = form.scope, form.window
    earlier = periods.before(window)
    now, then = reading.totals(scope, [window, earlier])
    by_time = tables["time"]()
    shown = [*(make() for key, make in tables.items() if key != "time"), by_time]
    behind = (market.today(timezone.now()) - last).days - 1
    return {
        "form": form,
        "period": days(window[0], window[1] - periods.ONE),
        "compared": days(earlier[0], earlier[1] - periods.ONE),
        "last": day(last),
        "behind": max(0, behind),
        "missing": reading.without_rate(scope, [window]) if "gmv" in metrics else [],
        "sees_money": "gmv" in metrics,
        "shown_in": scope.shown_in,
        "groups": [
            {
                "title": title,
                "figures": [
                    _figure(metrics[key], now, then, scope.shown_in) for key in keys if key in metrics
                ],
            }
            for title, keys in GROUPS
        ],
        "charts": _charts(by_time, metrics, scope.shown_in),
        "tables": [
            _shown(table, metrics, asked) for table in shown if len(table.rows) > 1 or table is by_time
        ],
    }


def _figure(metric: Metric, now: Sums, then: Sums, currency: str) -> dict[str, Any]:
    value = metric.formula(now)
    return {
        "key": metric.key,
        "title": metric.title,
        "value": _words(metric, value, currency),
        "meaning": metric.sentence,
        "trend": _trend(metric, value, metric.formula(then)),
        "before": _words(metric, metric.formula(then), currency),
    }


def _words(metric: Metric, value: Value, currency: str) -> str:
    """A value with its unit, as the reader writes it; "–" for none."""
    if value is None:
        return "–"
    if metric.unit == "money":
        return money(int(value), currency)
    if metric.unit == "percent":
        return percent(Decimal(value))
    if metric.unit in ("days", "hours"):
        tenths = Decimal(value).quantize(Decimal("0.1"))
        if metric.unit == "days":
            return ngettext("%s day", "%s days", round(tenths)) % number(tenths)
        return ngettext("%s hour", "%s hours", round(tenths)) % number(tenths)
    return number(value)


def _trend(metric: Metric, now: Value, then: Value) -> dict[str, Any] | None:
    """The change against the period before, in percent, of percentages in points; None without anything to compare."""
    if now is None or then is None or (metric.unit != "percent" and not then):
        return None
    change = Decimal(now) - Decimal(then)
    if metric.unit == "percent":
        text = _("%s points") % _signed(change.quantize(Decimal("0.1")))
    else:
        change = 100 * change / Decimal(then)
        text = f"{_signed(change.quantize(Decimal(1)))} %"
    if abs(change) < NEUTRAL or not metric.better:
        return {"text": text, "tone": ""}
    return {"text": text, "tone": "up" if (change > 0) == (metric.better == "up") else "down"}


def _signed(value: Decimal) -> str:
    sign = "+" if value > 0 else "−" if value < 0 else ""
    return f"{sign}{number(abs(value))}"


def _by_time(scope: Scope, window: Window) -> Table:
    cut = periods.cut(window)
    sums = reading.totals(scope, cut.pieces)
    title = {"day": _("By day"), "week": _("By week"), "month": _("By month")}[cut.unit]
    first = {"day": _("Day"), "week": _("Week from"), "month": _("Month")}[cut.unit]
    rows = [
        ((begin.isoformat(), (end - periods.ONE).isoformat()), cut.full_name(begin), each, scope.shown_in)
        for (begin, end), each in zip(cut.pieces, sums, strict=True)
    ]
    return Table("time", title, first, ("from", "to"), rows, [cut.name(begin) for begin, _end in cut.pieces])


def _by_city(scope: Scope, window: Window, asked: dict[str, str], largest: int | None = None) -> Table:
    parts = reading.by_city(scope, window, largest=largest)
    rows = [((part.country, part.name), _city_link(part, asked), part.sums, part.currency) for part in parts]
    return Table("cities", _("By city, the 50 with the most listings"), _("City"), ("country", "city"), rows)


def _city_link(part: Part, asked: dict[str, str]) -> Any:
    """The city's own page, and its listings."""
    query = urlencode({**asked, "city": f"{part.country} {part.name}"})
    listings = f"{reverse('admin:listings_listing_changelist')}?{urlencode({'q': part.name})}"
    return format_html(
        '<a class="text-link" href="?{}">{}</a> {} <a class="text-link ko-listings" href="{}" title="{}">'
        '<span class="material-symbols-outlined" aria-hidden="true">home_work</span></a>',
        *(query, part.name, part.country, listings, _("Listings")),
    )


def _by_type(scope: Scope, window: Window) -> Table:
    parts = reading.by_type(scope, window)
    rows = [((part.name,), part.name.replace("_", " ") or "–", part.sums, part.currency) for part in parts]
    return Table("types", _("By property type"), _("Property type"), ("property_type",), rows)


def _by_currency(scope: Scope, window: Window) -> Table:
    parts = reading.by_currency(scope, window)
    rows = [((), part.name, part.sums, part.currency) for part in parts]
    return Table("currencies", _("By currency, in its own amounts"), _("Currency"), (), rows)


def _shown(table: Table, metrics: dict[str, Metric], asked: dict[str, str]) -> dict[str, Any]:
    chosen = [metrics[key] for key in IN_TABLES if key in metrics]
    return {
        "key": table.key,
        "title": table.title,
        "csv": f"?{urlencode({**asked, 'csv': table.key})}",
        "headers": [table.first, *(metric.title for metric in chosen)],
        "rows": [
            [first, *(_words(metric, metric.formula(sums), currency) for metric in chosen)]
            for _keys, first, sums, currency in table.rows
        ],
    }


def _file(table: Table, window: Window, metrics: dict[str, Metric]) -> HttpResponseBase:
    """A table with all metrics: amounts in major units beside their currency, percentages as numbers."""
    first, after = window
    header = [*table.names, "currency", *metrics]
    rows = (
        [*keys, currency, *(_plain(metric, metric.formula(sums), currency) for metric in metrics.values())]
        for keys, _shown, sums, currency in table.rows
    )
    name = f"analytics-{table.key}-{first}-{after - periods.ONE}.csv"
    return csv_response(name, header, rows)


def _plain(metric: Metric, value: Value, currency: str) -> Any:
    if value is None:
        return None
    return Money(int(value), currency).major() if metric.unit == "money" else value


def _charts(table: Table, metrics: dict[str, Metric], currency: str) -> list[dict[str, Any]]:
    wanted = ("gmv", "bookings", "occupancy", "adr", "views", "published")
    return [_chart(metrics[key], table, currency) for key in wanted if key in metrics]


def _chart(metric: Metric, table: Table, currency: str) -> dict[str, Any]:
    """What Unfold's bars read, which begin at zero; there is none where there is nothing to divide by."""
    values = [_plain(metric, metric.formula(sums), currency) for _keys, _first, sums, _currency in table.rows]
    unit = {"money": currency, "percent": "%"}.get(metric.unit, "")
    title = f"{metric.title} ({unit})" if unit else str(metric.title)
    dataset: dict[str, Any] = {
        "label": title,
        "data": [None if value is None else float(value) for value in values],
        "displayYAxis": True,
        "maxTicksXLimit": 8,
        "backgroundColor": "var(--color-primary-600)",
    }
    data = json.dumps({"labels": list(table.labels), "datasets": [dataset]})
    return {"key": metric.key, "title": title, "data": data}
