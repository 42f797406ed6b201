"""The market's days: summaries of all that happened, kept equal to the rows, and read by whoever runs the platform.

A day is summarized when it is over, in one statement for up to ``BATCH`` days, from nothing but the rows. What changes
a day that is over leaves a note (``MarketChange``) in the same transaction; the next round makes that day anew. So a
run that breaks off is gone on with, a run too many changes nothing, and what a summary says can be proved at any time
(``differences``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from backend.accounts.models import ADMIN, FINANCE, MODERATOR, SUPPORT
from backend.analytics import facts, visits
from backend.analytics.definitions import NAMES
from backend.analytics.models import Level, MarketBuild
from backend.core import access

BATCH = 31
"""Days of one statement, and of one transaction."""

ONE = timedelta(days=1)

REACH = visits.KEPT - 2 * ONE
"""How far back days are summarized and proved. What is older stays as it was written: its visits are no longer there."""

KEPT = tuple(name for name in NAMES if name != "payout_minor")
"""The columns of a summary."""

KEY = ("level", "day", "country", "city", "property_type", "currency")

_LOCK = 0x6D61726B
"""Two rounds at once would write the same rows: the second waits."""

Progress = Callable[[int], object]


@access.rule("analytics.see")
def may_see(actor: Any, subject: None) -> bool:
    """All who work for the platform: bookings, nights, supply, response, reviews."""
    return actor.has_role(SUPPORT, MODERATOR, FINANCE, ADMIN)


@access.rule("analytics.see_money")
def may_see_money(actor: Any, subject: None) -> bool:
    """Who deals with money: what is sold, kept and given back."""
    return actor.has_role(FINANCE, ADMIN)


def _summed(names: Sequence[str]) -> str:
    return facts.columns({name: f"sum({name})" for name in names}, KEPT)


def _facts() -> Iterator[str]:
    """Each source by day and place: first what lies in one day, then what stands over several."""
    for source in facts.POINTS:
        yield f"""
            SELECT w.first AS day, coalesce(m.country, p.country) AS country, coalesce(m.city, p.city) AS city,
                coalesce(m.property_type, p.property_type) AS property_type,
                coalesce(f.currency, m.currency, p.currency) AS currency,
                {_summed([name for name in source.columns if name in KEPT])}
            FROM ({source.sql}) AS f
            JOIN windows w ON w.key = f.key
            JOIN properties p ON p.id = f.listing_id
            LEFT JOIN listing_moves m ON m.listing_id = f.listing_id
                AND w.first < m.until AND (m.since IS NULL OR m.since <= w.first)
            GROUP BY 1, 2, 3, 4, 5
        """  # noqa: S608 - pieces of our own
    counts = {kind: f"coalesce(sum(many) FILTER (WHERE kind = '{kind}'), 0)" for kind in _SPANNED}
    yield f"""
        SELECT w.first, country, city, property_type, currency, {facts.columns(counts, KEPT)}
        FROM placed JOIN windows w ON placed.since <= w.first AND w.first < placed.until
        GROUP BY 1, 2, 3, 4, 5
    """  # noqa: S608 - pieces of our own


_SPANNED = ("published", "paused", "available")

# Where a listing has moved within the days, its spans are cut there; then most of a million become a few thousand.
_PLACED = """
    placed AS MATERIALIZED (
        SELECT country, city, property_type, currency, kind, since, until, count(*) AS many
        FROM (
            SELECT p.country, p.city, p.property_type, p.currency, s.kind,
                greatest(lower(s.days), coalesce(m.until, lower(s.days))) AS since, upper(s.days) AS until
            FROM spans s JOIN properties p ON p.id = s.listing_id
            LEFT JOIN (SELECT listing_id, max(until) AS until FROM listing_moves GROUP BY listing_id) AS m
                ON m.listing_id = s.listing_id
            UNION ALL
            SELECT m.country, m.city, m.property_type, m.currency, s.kind,
                greatest(lower(s.days), coalesce(m.since, lower(s.days))), least(upper(s.days), m.until)
            FROM spans s JOIN listing_moves m ON m.listing_id = s.listing_id
        ) AS span
        WHERE since < until
        GROUP BY 1, 2, 3, 4, 5, 6, 7
    )
"""

_SUMMARY = f"""
    WITH {facts.WINDOWS}, {facts.SPANS}, {_PLACED},
    facts AS ({" UNION ALL ".join(_facts())}),
    made AS (
        SELECT CASE grouping(city) + 2 * grouping(property_type)
                WHEN 3 THEN {Level.ALL.value} WHEN 2 THEN {Level.CITY.value}
                WHEN 1 THEN {Level.TYPE.value} ELSE {Level.CITY_AND_TYPE.value} END AS level,
            day, coalesce(country, '') AS country, coalesce(city, '') AS city,
            coalesce(property_type, '') AS property_type, currency,
            {", ".join(f"sum({name})::bigint AS {name}" for name in KEPT)}
        FROM facts
        GROUP BY GROUPING SETS (
            (day, currency), (day, currency, country, city), (day, currency, property_type),
            (day, currency, country, city, property_type)
        )
    )
"""  # noqa: S608 - pieces of our own

_COLUMNS = ", ".join((*KEY, *KEPT))
_BUILD = facts.chosen(
    f"{_SUMMARY} INSERT INTO market_days ({_COLUMNS}) SELECT {_COLUMNS} FROM made",  # noqa: S608
    some=False,
)

# A day with a note that was not seen to yet is about to be made anew: it is not wrong.
_DIFFERENCES = facts.chosen(
    f"""
    {_SUMMARY}, kept AS (
        SELECT {_COLUMNS} FROM market_days WHERE day = ANY (%(firsts)s)
    )
    SELECT coalesce(kept.day, made.day) AS day, to_jsonb(kept) AS says, to_jsonb(made) AS should_say
    FROM kept FULL JOIN made ON ({", ".join(f"kept.{name}" for name in KEY)}) = ({", ".join(f"made.{name}" for name in KEY)})
    WHERE ({", ".join(f"kept.{name}" for name in KEPT)}) IS DISTINCT FROM ({", ".join(f"made.{name}" for name in KEPT)})
        AND NOT EXISTS (
            SELECT FROM market_changes c WHERE coalesce(kept.day, made.day) >= c.first
                AND (c.after IS NULL OR coalesce(kept.day, made.day) < c.after)
        )
        AND EXISTS (SELECT FROM market_builds b WHERE b.day = coalesce(kept.day, made.day))
    ORDER BY 1, coalesce(kept.level, made.level) LIMIT 1000
    """,  # noqa: S608
    some=False,
)


def build(days: Sequence[date], *, progress: Progress = lambda done: None) -> int:
    """Summarize these UTC days anew, ``BATCH`` at a time in a transaction each; how many there were.

    What is told of them meanwhile is told again in the next round. Waits for another round that is under way.
    """
    for start in range(0, len(days), BATCH):
        batch = list(days[start : start + BATCH])
        with transaction.atomic(durable=True), connection.cursor() as cursor:
            _patient(cursor)
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            cursor.execute("DELETE FROM market_days WHERE day = ANY (%s)", [batch])
            cursor.execute(_BUILD, _windows(batch))
            cursor.execute(
                "INSERT INTO market_builds (day, built_at) SELECT unnest(%s::date[]), %s"
                " ON CONFLICT (day) DO UPDATE SET built_at = excluded.built_at",
                [batch, timezone.now()],
            )
        progress(len(batch))
    return len(days)


def keep_up(*, now: datetime, progress: Progress = lambda done: None) -> dict[str, int]:
    """The sweep: summarize the days that are over at ``now`` (UTC) and were not yet, or whose rows have changed since.

    The newest first, so that a broken-off run leaves what is looked at most.
    """
    changed = _take_notes(now)
    return {"changed": changed, "built": build(missing(now), progress=progress)}


def missing(now: datetime) -> list[date]:
    """The days that are over at ``now`` and have no summary, the newest first; none before anything happened."""
    yesterday = today(now) - ONE
    with connection.cursor() as cursor:
        _patient(cursor)
        cursor.execute(
            """
            SELECT each::date FROM (
                SELECT least(
                    (SELECT min(published_at) FROM properties WHERE published_at IS NOT NULL),
                    (SELECT min(confirmed_at) FROM bookings WHERE confirmed_at IS NOT NULL)
                ) AS at
            ) AS first
            CROSS JOIN LATERAL generate_series(
                greatest((first.at AT TIME ZONE 'UTC')::date, %s), %s, interval '1 day'
            ) AS each
            WHERE NOT EXISTS (SELECT FROM market_builds b WHERE b.day = each::date)
            ORDER BY 1 DESC
            """,
            [today(now) - REACH, yesterday],
        )
        return [row[0] for row in cursor.fetchall()]


def rebuild(*, now: datetime, progress: Progress = lambda done: None) -> int:
    """Make every summary within reach anew; returns how many days."""
    with transaction.atomic():
        MarketBuild.objects.filter(day__gte=today(now) - REACH).delete()
    return keep_up(now=now, progress=progress)["built"]


def differences(days: Sequence[date]) -> list[dict[str, Any]]:
    """Where the summaries of ``days`` are not what the rows come to, with both. Days that are not built yet do not count.

    At most 1,000 rows for each ``BATCH`` of days.
    """
    found: list[dict[str, Any]] = []
    for start in range(0, len(days), BATCH):
        with transaction.atomic(), connection.cursor() as cursor:
            _patient(cursor)
            cursor.execute(_DIFFERENCES, _windows(list(days[start : start + BATCH])))
            names = [column.name for column in cursor.description or ()]
            found += [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return found


def built(*, newest: int | None = None) -> list[date]:
    """The days that are summarized and can be proved, the newest first; at most ``newest`` of them."""
    last = last_day()
    if last is None:
        return []
    days = MarketBuild.objects.filter(day__gte=last - REACH).order_by("-day").values_list("day", flat=True)
    return list(days if newest is None else days[:newest])


def today(now: datetime) -> date:
    """The UTC day of ``now``, which is not over."""
    return now.astimezone(UTC).date()


def last_day() -> date | None:
    """The newest day that is summarized."""
    return MarketBuild.objects.order_by("-day").values_list("day", flat=True).first()


def _take_notes(now: datetime) -> int:
    """Let the summarized days that notes are about count as missing, and drop the notes; how many days."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        _patient(cursor)
        cursor.execute(
            """
            WITH noted AS (DELETE FROM market_changes RETURNING first, after),
            spans AS MATERIALIZED (SELECT DISTINCT first, after FROM noted)
            DELETE FROM market_builds b
            WHERE b.day >= %s AND EXISTS (
                SELECT FROM spans WHERE b.day >= spans.first AND (spans.after IS NULL OR b.day < spans.after)
            )
            """,
            [today(now) - REACH],
        )
        return int(cursor.rowcount)


def _patient(cursor: Any) -> None:
    """Reading everything may take longer than a request ever may, and is not worth compiling."""
    if connection.in_atomic_block:
        cursor.execute("SET LOCAL statement_timeout = 0; SET LOCAL jit = off")


def _windows(days: Sequence[date]) -> dict[str, Any]:
    return {
        "keys": list(range(len(days))),
        "firsts": list(days),
        "afters": [day + ONE for day in days],
    }
