"""What the processes have seen: requests a minute, how long they took, what failed, which routes and statements are slow."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from admin_site.frame.custom import CustomPage, register_page
from admin_site.frame.display import instant, number
from backend.telemetry import reading
from backend.telemetry.reading import PERIODS, SHOWN, Period, Route, Step

TITLES = {
    "3h": gettext_lazy("3 hours"),
    "24h": gettext_lazy("24 hours"),
    "30d": gettext_lazy("30 days"),
}
BLUE, ORANGE, RED = "var(--color-primary-600)", "#f59e0b", "#dc2626"


def view(request: HttpRequest) -> HttpResponseBase:
    """The charts and tables of one period."""
    now = timezone.now()
    period = PERIODS.get(request.GET.get("period", ""), PERIODS["3h"])
    steps = reading.steps_of(period, now)
    routes = reading.routes_of(period, now)
    samples = {name: reading.samples_of(name, period, now) for name in ("job_lag_s", "sockets")}
    return PAGE.render(
        request,
        "admin_site/system_figures.html",
        {
            "periods": [(key, title, key == period.key) for key, title in TITLES.items()],
            "read_at": instant(now, seconds=True),
            "figures": _figures(steps),
            "charts": _charts(steps, samples, [_time(step.at, period) for step in steps]),
            "route_headers": [
                *(
                    _("Route"),
                    _("Requests"),
                    _("Failed"),
                    _("Half within"),
                    _("95 of 100 within"),
                    _("Slowest"),
                ),
                *(_("Database"), _("Statements each"), _("In all")),
            ],
            "slowest": _rows(sorted(routes, key=lambda route: -route.within(0.95))),
            "dearest": _rows(sorted(routes, key=lambda route: -route.ms)),
            "statement_headers": [
                _("Statement"),
                _("Times"),
                _("Slowest"),
                _("In all"),
                _("Last by"),
                _("Last at"),
            ],
            "statements": _statements(now),
            "error_headers": [_("Error"), _("Times"), _("Last at"), _("Last request")],
            "errors": [
                [
                    each["kind"],
                    number(each["count"]),
                    instant(each["last_at"], seconds=True),
                    _found(each["request_id"]),
                ]
                for each in reading.errors_by_kind(period, now)
            ],
        },
    )


def _charts(
    steps: Sequence[Step], samples: dict[str, dict[datetime, float]], times: list[str]
) -> list[tuple[str, bool, str]]:
    """Each chart as its words, whether it is one of lines, and its data. Bars begin at zero, which lines do not."""
    within = ((_("half of them"), BLUE, 0.5), (_("95 of 100"), ORANGE, 0.95), (_("99 of 100"), RED, 0.99))
    refused = [step.by_class.get(4, 0) / step.minutes for step in steps]
    failed = [step.by_class.get(5, 0) / step.minutes for step in steps]
    lag, sockets = ([samples[name].get(step.at) for step in steps] for name in ("job_lag_s", "sockets"))
    return [
        (
            _("Requests a minute"),
            False,
            _chart(times, [(_("Requests"), BLUE, [step.a_minute for step in steps])]),
        ),
        (
            _("Answered within, in milliseconds"),
            True,
            _chart(
                times,
                [(words, colour, [step.within(share) for step in steps]) for words, colour, share in within],
            ),
        ),
        (
            _("Refused and failed a minute"),
            False,
            _chart(times, [(_("refused (4xx)"), ORANGE, refused), (_("failed (5xx)"), RED, failed)]),
        ),
        (_("Seconds that the oldest job waits"), False, _chart(times, [(_("Seconds"), BLUE, lag)])),
        (_("Open sockets"), False, _chart(times, [(_("Sockets"), BLUE, sockets)])),
    ]


def _figures(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """What the whole period comes to."""
    whole = Step(steps[0].at, sum(step.minutes for step in steps))
    for step in steps:
        for status_class, amount in step.by_class.items():
            whole.by_class[status_class] += amount
        whole.spans = [ours + theirs for ours, theirs in zip(whole.spans, step.spans, strict=True)]
    failed = 100 * whole.by_class.get(5, 0) / whole.requests if whole.requests else 0.0
    return [
        {"key": "requests", "title": _("Requests"), "value": number(whole.requests)},
        {"key": "p50", "title": _("Half within"), "value": _ms(whole.within(0.5))},
        {"key": "p95", "title": _("95 of 100 within"), "value": _ms(whole.within(0.95))},
        {"key": "p99", "title": _("99 of 100 within"), "value": _ms(whole.within(0.99))},
        {"key": "failed", "title": _("Failed"), "value": f"{failed:.2f} %"},
    ]


def _rows(routes: Sequence[Route]) -> list[list[Any]]:
    return [
        [
            format_html("<code>{} {}</code>", route.method, route.route or _("(no such address)")),
            number(route.requests),
            number(route.failed),
            _ms(route.within(0.5)),
            _ms(route.within(0.95)),
            _ms(route.slowest_ms),
            f"{100 * route.sql_ms / route.ms:.0f} %" if route.ms else "–",
            f"{route.statements / route.requests:.1f}",
            _("%s s") % number(round(route.ms / 1000)),
        ]
        for route in routes[:SHOWN]
    ]


def _statements(now: datetime) -> list[list[Any]]:
    return [
        [
            format_html('<div class="ko-sql">{}</div>', row.sql[:600]),
            number(row.times),
            _ms(row.slowest_ms),
            _("%s s") % number(round(row.ms / 1000)),
            _found(row.request_id, row.route or row.request_id),
            instant(row.last_at, seconds=True),
        ]
        for row in reading.slow_statements(now)
    ]


def _found(request_id: str, words: str = "") -> Any:
    """A link to what is known of a request."""
    if not request_id:
        return "–"
    url = reverse("admin:page_requests")
    return format_html('<a class="text-link" href="{}?id={}">{}</a>', url, request_id, words or request_id)


def _ms(value: float | None) -> str:
    if value is None:
        return "–"
    return _("%s ms") % number(Decimal(str(round(value) if value >= 10 else round(value, 1))))


def _time(at: datetime, period: Period) -> str:
    return f"{at:%d.%m. %H:%M}" if period.key == "30d" else f"{at:%H:%M}"


def _chart(times: list[str], lines: Sequence[tuple[str, str, Sequence[float | None]]]) -> str:
    """What Unfold's charts read."""
    datasets = [
        {
            "label": words,
            "data": [None if value is None else round(value, 2) for value in values],
            "borderColor": colour,
            "backgroundColor": colour,
            "displayYAxis": True,
            "maxTicksXLimit": 8,
            "pointRadius": 0,
            "borderWidth": 2,
            "spanGaps": True,
        }
        for words, colour, values in lines
    ]
    return json.dumps({"labels": times, "datasets": datasets})


PAGE = register_page(CustomPage("figures", gettext_lazy("Load and errors"), "speed", view, rule="system.see"))
