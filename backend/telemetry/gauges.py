"""What the processes wrote down, for a monitoring system: of all processes, at most some ten seconds old.

Any one process tells of all, so a scraper needs only one address; what is about one process has its name as a label.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from backend.core.gauges import Counter, Figure, Gauge, Histogram
from backend.telemetry import histogram, reading
from backend.telemetry.models import ProcessFigure, Tally

BOUNDS_S = [bound / 1000 for bound in histogram.BOUNDS_MS]

PROVIDER_CALLS, JOBS, FEED_POLLS = "provider_calls", "jobs", "feed_polls"
WEBHOOK_ATTEMPTS, DELIVERIES, SOCKET_FRAMES = "webhook_attempts", "deliveries", "socket_frames"

COUNTED = {
    PROVIDER_CALLS: (
        "karibu_provider_calls_total",
        "Calls to providers of payments, mail and SMS, by what came of them.",
    ),
    JOBS: ("karibu_jobs_run_total", "Jobs that were run, by task and what came of them."),
    FEED_POLLS: ("karibu_feed_polls_total", "Questions to calendars of other sites, by what came of them."),
    WEBHOOK_ATTEMPTS: ("karibu_webhook_attempts_total", "Attempts to tell webhooks, by what came of them."),
    DELIVERIES: (
        "karibu_deliveries_total",
        "Mails and short messages that were tried, by what came of them.",
    ),
    SOCKET_FRAMES: ("karibu_socket_frames_total", "Frames of live sockets, in and out."),
}
"""What is counted as ``Recorder.count`` names it → the counter and what it is."""

TIMED = {
    PROVIDER_CALLS: ("karibu_provider_call_seconds", "Seconds until providers answered.", "provider"),
    JOBS: ("karibu_job_seconds", "Seconds that jobs took.", "queue"),
    WEBHOOK_ATTEMPTS: ("karibu_webhook_attempt_seconds", "Seconds until webhooks answered.", "outcome"),
}
"""Of those the ones whose length is told, by one of their labels."""


def gauges(now: datetime) -> list[Figure]:
    """Requests by door, what was counted, and the processes that live at ``now`` (UTC). Four small queries."""
    return [*_requests(), *_tallied(reading.tallies()), *_processes(reading.processes(now))]


def _requests() -> list[Figure]:
    totals, asked = reading.totals(), reading.statements()
    spans: dict[str, list[int]] = defaultdict(lambda: [0] * histogram.SPANS)
    seconds: dict[str, float] = defaultdict(float)
    for door, _status, _requests, lasted, counts in totals:
        seconds[door] += lasted
        spans[door] = [ours + theirs for ours, theirs in zip(spans[door], counts, strict=True)]
    return [
        Counter(
            "karibu_http_requests_total",
            "Requests that were answered, of all processes.",
            [
                ({"door": door, "status": f"{status}xx"}, requests)
                for door, status, requests, _s, _c in totals
            ],
        ),
        Histogram(
            "karibu_http_request_seconds",
            "Seconds until requests were answered.",
            BOUNDS_S,
            [({"door": door}, spans[door], seconds[door]) for door in sorted(spans)],
        ),
        Counter(
            "karibu_http_statements_total",
            "Statements that requests asked of the database.",
            [({"door": door}, count) for door, count, _seconds in asked],
        ),
        Counter(
            "karibu_http_database_seconds_total",
            "Seconds that requests waited for the database.",
            [({"door": door}, lasted) for door, _count, lasted in asked],
        ),
    ]


def _tallied(tallies: Iterable[Tally]) -> list[Figure]:
    by_name: dict[str, list[tuple[dict[str, str], Tally]]] = defaultdict(list)
    for row in tallies:
        labels = dict(each.split("=", 1) for each in row.labels.split(","))
        by_name[row.name].append((labels, row))
    counters = [
        Counter(name, words, [(labels, row.times) for labels, row in by_name[key]])
        for key, (name, words) in COUNTED.items()
    ]
    return [*counters, *(_timed(key, by_name[key]) for key in TIMED)]


def _timed(key: str, rows: Iterable[tuple[dict[str, str], Tally]]) -> Histogram:
    name, words, label = TIMED[key]
    spans: dict[str, list[int]] = defaultdict(lambda: [0] * histogram.SPANS)
    seconds: dict[str, float] = defaultdict(float)
    for labels, row in rows:
        word = labels[label]
        seconds[word] += row.seconds
        spans[word] = [ours + theirs for ours, theirs in zip(spans[word], row.spans, strict=True)]
    return Histogram(
        name, words, BOUNDS_S, [({label: word}, spans[word], seconds[word]) for word in sorted(spans)]
    )


def _processes(rows: list[ProcessFigure]) -> list[Figure]:
    return [
        Gauge(
            "karibu_process_resident_bytes",
            "Memory of each process.",
            [({"process": row.process}, row.resident_bytes) for row in rows],
        ),
        Gauge(
            "karibu_pool_connections",
            "Connections to the database in each process's pool, by whether they are in use.",
            [
                ({"process": row.process, "state": state}, count)
                for row in rows
                for state, count in (("used", row.pool_size - row.pool_idle), ("idle", row.pool_idle))
            ],
        ),
        Gauge(
            "karibu_pool_waiting",
            "Threads of each process that wait for a connection.",
            [({"process": row.process}, row.pool_waiting) for row in rows],
        ),
        Counter(
            "karibu_pool_wait_seconds_total",
            "Seconds that threads of each process have waited for a connection.",
            [({"process": row.process}, row.pool_wait_s) for row in rows],
        ),
    ]
