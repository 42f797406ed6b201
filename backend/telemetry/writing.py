"""Notes become rows: one short transaction, whose loss in a crash would not matter."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Any

import psutil
from django.db import connection, transaction

from backend.telemetry import histogram
from backend.telemetry.models import ProcessFigure, RequestFigure
from backend.telemetry.recorder import Answered, Failed, Slow, Tallied

PART = timedelta(hours=6)
"""How much time one part of the table of requests holds."""

EVER = datetime(1970, 1, 1, tzinfo=UTC)
LONGEST_SQL = 4000

_known_parts: set[str] = set()


@dataclass(frozen=True)
class Notes:
    """What one writing takes."""

    answered: list[Answered] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    slow: list[Slow] = field(default_factory=list)
    tallied: list[Tallied] = field(default_factory=list)

    def __len__(self) -> int:
        return sum(map(len, self.parts()))

    def parts(self) -> tuple[list[Any], ...]:
        return self.answered, self.failed, self.slow, self.tallied


def write(notes: Notes) -> None:
    """Add the notes to the figures and the lines. Raises: DatabaseError."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit = off")
        _figures(notes.answered)
        _slow(notes.slow)
        _tallies(notes.tallied)
        _errors(notes.failed)
    # Apart: making a part of the table waits for who reads it.
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit = off")
        _lines(notes.answered)


@lru_cache(maxsize=4096)
def network(address: str) -> str:
    """The network of an address: enough to see where many requests come from, too little to know who somebody is."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return ""
    return str(ip_network((parsed, 24 if parsed.version == 4 else 48), strict=False))


def part_of(at: datetime) -> tuple[str, datetime]:
    """The name of the part of the table that holds ``at``, and where the part begins."""
    at = at.astimezone(UTC)
    begins = at.replace(hour=at.hour - at.hour % 6, minute=0, second=0, microsecond=0)
    return f"access_lines_{begins:%Y%m%d%H}", begins


def ensure_part(at: datetime) -> None:
    """Make the part of the table that takes lines of ``at``, where it is missing."""
    name, begins = part_of(at)
    if name in _known_parts:
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('access_lines'))")
        cursor.execute("SELECT to_regclass(%s)", [name])
        if cursor.fetchone()[0] is None:
            # Both ends and the name are made above.
            cursor.execute(
                f"CREATE UNLOGGED TABLE {name} PARTITION OF access_lines"
                f" FOR VALUES FROM ('{begins.isoformat()}') TO ('{(begins + PART).isoformat()}')"
            )
    _known_parts.add(name)


def forget_parts() -> None:
    """Look again which parts there are."""
    _known_parts.clear()


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _figures(answered: Iterable[Answered]) -> None:
    """Add requests to the counts of their minute, hour and day. Notes that count alike are added up first."""
    alike: dict[tuple[int, str, str, str, int], list[Any]] = defaultdict(_nothing)
    for note in answered:
        row = alike[int(note.at // 60), note.door, note.method, note.route, note.status // 100]
        row[0] += 1
        row[1] += note.ms
        row[2] += note.sql_ms
        row[3] += note.statements
        if note.ms > row[4]:
            row[4] = note.ms
        row[5][histogram.span_of(note.ms)] += 1
    sums: dict[tuple[int, datetime, str, str, int], list[Any]] = defaultdict(_nothing)
    for (number, door, method, route, kind), row in alike.items():
        minute = _instant(number * 60)
        hour = minute.replace(minute=0)
        day = hour.replace(hour=0)
        for key in (
            (RequestFigure.EVER, EVER, "", door, kind),
            (RequestFigure.MINUTE, minute, "", door, kind),
            (RequestFigure.HOUR, hour, "", door, kind),
            (RequestFigure.HOUR, hour, method, route, kind),
            (RequestFigure.DAY, day, method, route, kind),
        ):
            total = sums[key]
            total[:4] = [ours + theirs for ours, theirs in zip(total[:4], row[:4], strict=True)]
            total[4] = max(total[4], row[4])
            total[5] = [ours + theirs for ours, theirs in zip(total[5], row[5], strict=True)]
    if not sums:
        return
    # In one order everywhere: two processes that write the same rows wait for each other, and never in a ring.
    rows = [
        {
            **{"span": key[0], "starts_at": key[1].isoformat(), "method": key[2], "route": key[3]},
            **{"status_class": key[4], "requests": row[0], "ms": row[1], "sql_ms": row[2]},
            **{"statements": row[3], "slowest_ms": row[4], "spans": row[5]},
        }
        for key, row in sorted(sums.items())
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO request_figures AS kept
                (span, starts_at, method, route, status_class, requests, ms, sql_ms, statements, slowest_ms, spans)
            SELECT * FROM jsonb_to_recordset(%s::jsonb) AS given (
                span smallint, starts_at timestamptz, method text, route text, status_class smallint,
                requests bigint, ms float, sql_ms float, statements bigint, slowest_ms float, spans bigint[])
            ON CONFLICT (span, starts_at, method, route, status_class) DO UPDATE SET
                requests = kept.requests + excluded.requests,
                ms = kept.ms + excluded.ms,
                sql_ms = kept.sql_ms + excluded.sql_ms,
                statements = kept.statements + excluded.statements,
                slowest_ms = greatest(kept.slowest_ms, excluded.slowest_ms),
                spans = (
                    SELECT array_agg(coalesce(a, 0) + coalesce(b, 0) ORDER BY number)
                    FROM unnest(kept.spans, excluded.spans) WITH ORDINALITY AS both_of(a, b, number)
                )
            """,
            [json.dumps(rows)],
        )


def _nothing() -> list[Any]:
    """Requests, milliseconds, those of the database, statements, the slowest, and counts by span."""
    return [0, 0.0, 0.0, 0, 0.0, [0] * histogram.SPANS]


def _slow(slow: Iterable[Slow]) -> None:
    sums: dict[str, dict[str, Any]] = {}
    for note in slow:
        sql = " ".join(note.sql.split())[:LONGEST_SQL].replace("\0", "")
        digest = hashlib.sha256(sql.encode()).hexdigest()[:32]
        row = sums.setdefault(
            digest, {"digest": digest, "sql": sql, "times": 0, "ms": 0.0, "slowest_ms": 0.0, "at": 0.0}
        )
        row["times"] += 1
        row["ms"] += note.ms
        row["slowest_ms"] = max(row["slowest_ms"], note.ms)
        if note.at >= row["at"]:
            row |= {"at": note.at, "route": note.route[:200], "request_id": note.request_id[:64]}
    if not sums:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO slow_statements AS kept (digest, sql, times, ms, slowest_ms, route, request_id, last_at)
            SELECT digest, sql, times, ms, slowest_ms, route, request_id, to_timestamp(at)
            FROM jsonb_to_recordset(%s::jsonb) AS given (
                digest text, sql text, times bigint, ms float, slowest_ms float, route text, request_id text, at float)
            ON CONFLICT (digest) DO UPDATE SET
                times = kept.times + excluded.times, ms = kept.ms + excluded.ms,
                slowest_ms = greatest(kept.slowest_ms, excluded.slowest_ms),
                route = excluded.route, request_id = excluded.request_id, last_at = excluded.last_at
            """,
            [json.dumps([sums[digest] for digest in sorted(sums)])],
        )


def _tallies(tallied: Iterable[Tallied]) -> None:
    rows = sorted(tallied)
    if not rows:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO tallies AS kept (name, labels, times, seconds, spans)
            SELECT name, labels, times, seconds, spans FROM jsonb_to_recordset(%s::jsonb) AS given (
                name text, labels text, times bigint, seconds float, spans bigint[])
            ON CONFLICT (name, labels) DO UPDATE SET
                times = kept.times + excluded.times, seconds = kept.seconds + excluded.seconds,
                spans = (
                    SELECT array_agg(coalesce(a, 0) + coalesce(b, 0) ORDER BY number)
                    FROM unnest(kept.spans, excluded.spans) WITH ORDINALITY AS both_of(a, b, number)
                )
            """,
            [json.dumps([note._asdict() for note in rows])],
        )


def process_now() -> ProcessFigure:
    """How this process is: its memory and its pool. One machine's processes differ by their numbers."""
    pool: Any = connection.pool  # type: ignore[attr-defined]
    stats = pool.get_stats() if pool is not None else {}
    return ProcessFigure(
        process=f"{socket.gethostname()[:60]}-{os.getpid()}",
        at=datetime.now(UTC),
        resident_bytes=psutil.Process().memory_info().rss,
        pool_size=stats.get("pool_size", 0),
        pool_idle=stats.get("pool_available", 0),
        pool_waiting=stats.get("requests_waiting", 0),
        pool_wait_s=stats.get("requests_wait_ms", 0) / 1000,
    )


def put_process(figure: ProcessFigure) -> None:
    """Keep what a process says of itself in the place of what it said before. Raises: DatabaseError."""
    said = ("at", "resident_bytes", "pool_size", "pool_idle", "pool_waiting", "pool_wait_s")
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit = off")
        ProcessFigure.objects.bulk_create(
            [figure], update_conflicts=True, unique_fields=["process"], update_fields=said
        )


def _errors(failed: Iterable[Failed]) -> None:
    from backend.telemetry.models import ErrorLine

    ErrorLine.objects.bulk_create(
        ErrorLine(
            at=_instant(note.at),
            request_id=note.request_id,
            door=note.door,
            logger=note.logger,
            event=note.event,
            exception=note.exception,
            trace=note.trace,
            user_id=note.user_id,
        )
        for note in failed
    )


def _lines(answered: list[Answered]) -> None:
    if not answered:
        return
    for at in {part_of(_instant(note.at))[1] for note in answered}:
        ensure_part(at)
    with (
        connection.cursor() as cursor,
        cursor.copy(
            "COPY access_lines (at, request_id, method, route, status, ms, sql_ms, statements, user_id, network)"
            " FROM STDIN"
        ) as lines,
    ):
        for note in answered:
            lines.write_row(
                (
                    *(_instant(note.at), note.request_id, note.method, note.route[:200], note.status),
                    *(note.ms, note.sql_ms, note.statements, note.user_id, network(note.address)),
                )
            )
