"""What the figures and lines say: series for charts, routes by how long they take, one request's story. Reads only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Sum

from backend.core import platform
from backend.telemetry import histogram
from backend.telemetry.models import (
    AccessLine,
    ErrorLine,
    ProcessFigure,
    RequestFigure,
    Sample,
    SlowStatement,
    Tally,
)

SHOWN = 20
LINES = 100
"""Lines that one look shows at most."""
PROCESS_SILENT = timedelta(seconds=60)
"""A process that said nothing for so long has ended."""
PATIENCE_MS = 2000
"""How long one search of the lines may take."""


@dataclass(frozen=True, slots=True)
class Period:
    """A time to look back over, drawn as steps of ``step``; ``span`` is the length of the rows that are read (minutes)."""

    key: str
    length: timedelta
    step: timedelta
    span: int
    of_routes: int


PERIODS = {
    period.key: period
    for period in (
        Period("3h", timedelta(hours=3), timedelta(minutes=2), RequestFigure.MINUTE, RequestFigure.HOUR),
        Period("24h", timedelta(hours=24), timedelta(minutes=15), RequestFigure.MINUTE, RequestFigure.HOUR),
        Period("30d", timedelta(days=30), timedelta(hours=8), RequestFigure.HOUR, RequestFigure.DAY),
    )
}


@dataclass(slots=True)
class Step:
    """One step of a series: requests a minute, the share of answers by class, and how long they took (ms)."""

    at: datetime
    minutes: float
    by_class: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    spans: list[int] = field(default_factory=lambda: [0] * histogram.SPANS)

    @property
    def requests(self) -> int:
        return sum(self.by_class.values())

    @property
    def a_minute(self) -> float:
        return self.requests / self.minutes

    def within(self, share: float) -> float | None:
        """The milliseconds in which ``share`` of the requests were answered; None of none."""
        return histogram.quantile(self.spans, share)


@dataclass(frozen=True, slots=True)
class Route:
    """A route over a period."""

    method: str
    route: str
    requests: int
    failed: int
    ms: float
    sql_ms: float
    statements: int
    slowest_ms: float
    spans: Sequence[int]

    def within(self, share: float) -> float:
        return histogram.quantile(self.spans, share) or 0.0


def steps_of(period: Period, now: datetime) -> list[Step]:
    """The series of a period that ends at ``now`` (UTC), each step, also those without a request."""
    width = period.step.total_seconds()
    last = datetime.fromtimestamp(now.timestamp() // width * width, UTC)
    count = int(period.length / period.step)
    steps = [Step(last - period.step * back, width / 60) for back in range(count - 1, -1, -1)]
    # The last one is still under way.
    steps[-1].minutes = max((now - last).total_seconds() / 60, 1 / 6)
    by_start = {step.at: step for step in steps}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT to_timestamp(floor(extract(epoch FROM starts_at) / %s) * %s), status_class, number, sum(amount)::bigint
            FROM request_figures, unnest(spans) WITH ORDINALITY AS each_span(amount, number)
            WHERE span = %s AND method = '' AND starts_at >= %s GROUP BY 1, 2, 3
            """,
            [width, width, period.span, steps[0].at],
        )
        for start, status_class, number, amount in cursor.fetchall():
            if step := by_start.get(start):
                step.by_class[status_class] += amount
                step.spans[number - 1] += amount
    return steps


def routes_of(period: Period, now: datetime) -> list[Route]:
    """Every route that was asked for in the period, in no order. Whole hours, or days for the longest period."""
    since = now - period.length - timedelta(minutes=period.of_routes)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH rows AS (
                SELECT * FROM request_figures WHERE span = %(span)s AND starts_at > %(since)s AND method <> ''
            ), counted AS (
                SELECT method, route, array_agg(amount ORDER BY number) AS spans FROM (
                    SELECT method, route, number, sum(amount)::bigint AS amount
                    FROM rows, unnest(rows.spans) WITH ORDINALITY AS each_span(amount, number) GROUP BY 1, 2, 3
                ) AS added GROUP BY 1, 2
            ), summed AS (
                SELECT method, route, sum(requests)::bigint AS requests,
                    coalesce(sum(requests) FILTER (WHERE status_class = 5), 0)::bigint AS failed,
                    sum(ms) AS ms, sum(sql_ms) AS sql_ms, sum(statements)::bigint AS statements,
                    max(slowest_ms) AS slowest_ms
                FROM rows GROUP BY 1, 2
            )
            SELECT method, route, requests, failed, ms, sql_ms, statements, slowest_ms, spans
            FROM summed JOIN counted USING (method, route)
            """,
            {"span": period.of_routes, "since": since},
        )
        return [Route(*row) for row in cursor.fetchall()]


def samples_of(name: str, period: Period, now: datetime) -> dict[datetime, float]:
    """The largest value of a sampled figure in each step of a period; steps without one are missing."""
    width = period.step.total_seconds()
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT to_timestamp(floor(extract(epoch FROM at) / %s) * %s), max(value) FROM samples
            WHERE name = %s AND at >= %s GROUP BY 1
            """,
            [width, width, name, now - period.length],
        )
        return dict(cursor.fetchall())


def put_samples(values: dict[str, float], *, now: datetime) -> None:
    """Keep figures as they are at ``now``; the first of two that name the same minute counts."""
    minute = now.replace(second=0, microsecond=0)
    Sample.objects.bulk_create(
        [Sample(name=name, at=minute, value=value) for name, value in values.items()], ignore_conflicts=True
    )


def slow_statements(now: datetime, *, days: int = 7) -> list[SlowStatement]:
    """The statements that took most time in all, among those that were slow in the last days."""
    recent = SlowStatement.objects.filter(last_at__gt=now - timedelta(days=days))
    return list(recent.order_by("-ms")[:SHOWN])


def errors_by_kind(period: Period, now: datetime) -> list[dict[str, Any]]:
    """Errors of the period by exception: how often, when last, in which request."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT coalesce(nullif(exception, ''), event) AS kind, count(*), max(at),
                (array_agg(request_id ORDER BY at DESC))[1]
            FROM (SELECT * FROM error_lines WHERE at > %s ORDER BY at DESC LIMIT 10000) AS latest
            GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %s
            """,
            [now - period.length, SHOWN],
        )
        return [
            {"kind": kind, "count": count, "last_at": at, "request_id": request_id}
            for kind, count, at, request_id in cursor.fetchall()
        ]


def totals() -> list[tuple[str, int, int, float, list[int]]]:
    """Since ever, by door and class of status: requests, seconds, and counts by span."""
    return [
        (row.route, row.status_class, row.requests, row.ms / 1000, row.spans)
        for row in RequestFigure.objects.filter(span=RequestFigure.EVER).order_by("route", "status_class")
    ]


def statements() -> list[tuple[str, int, float]]:
    """Since ever, by door: statements asked of the database, and the seconds until their answers were there."""
    rows = RequestFigure.objects.filter(span=RequestFigure.EVER).values("route")
    summed = rows.annotate(count=Sum("statements"), ms=Sum("sql_ms")).order_by("route")
    return [(row["route"], row["count"], row["ms"] / 1000) for row in summed]


def tallies() -> list[Tally]:
    """All that was counted since ever; a few hundred rows, as their labels are words of the program."""
    return list(Tally.objects.order_by("name", "labels"))


def processes(now: datetime) -> list[ProcessFigure]:
    """What the processes that live at ``now`` (UTC) said of themselves last."""
    return list(ProcessFigure.objects.filter(at__gt=now - PROCESS_SILENT).order_by("process"))


@dataclass(frozen=True, slots=True)
class Sought:
    """What lines are looked for: all that is named must hold. ``status`` is a status or the first digit of its class."""

    request_id: str = ""
    user_id: int | None = None
    route: str = ""
    status: int | None = None
    hours: int = 24

    def __bool__(self) -> bool:
        return bool(self.request_id or self.user_id is not None or self.route or self.status)


def lines_of(sought: Sought, now: datetime) -> list[AccessLine]:
    """The newest lines that are looked for, at most ``LINES``. Raises: OperationalError when that takes too long."""
    kept = timedelta(hours=platform.get("access_log_hours"))
    # The end of the time too: a plan that may not see it asks every part of the table.
    rows = AccessLine.objects.filter(at__lte=now + timedelta(minutes=1))
    if sought.request_id:
        rows = rows.filter(request_id=sought.request_id, at__gt=now - kept)
    else:
        rows = rows.filter(at__gt=now - min(kept, timedelta(hours=sought.hours)))
    if sought.user_id is not None:
        rows = rows.filter(user_id=sought.user_id)
    if sought.route:
        rows = rows.filter(route=sought.route)
    if sought.status:
        low, high = (
            (sought.status * 100, sought.status * 100 + 99)
            if sought.status < 10
            else (sought.status, sought.status)
        )
        rows = rows.filter(status__range=(low, high))
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(PATIENCE_MS)])
        return list(rows.order_by("-at")[:LINES])


def errors_of(sought: Sought, now: datetime) -> list[ErrorLine]:
    """The newest errors of the request or the user that are looked for; of anybody when only a status 5xx is."""
    rows = ErrorLine.objects.order_by("-at")
    if sought.request_id:
        rows = rows.filter(request_id=sought.request_id)
    if sought.user_id is not None:
        rows = rows.filter(user_id=sought.user_id)
    if not sought.request_id and sought.user_id is None:
        if sought and sought.status not in (5, 500):
            return []
        rows = rows.filter(at__gt=now - timedelta(hours=sought.hours))
    return list(rows[:SHOWN])
