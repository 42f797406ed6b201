"""The requests of all processes for a monitoring system, from what they wrote down (at most some ten seconds old)."""

from __future__ import annotations

from collections import defaultdict

from backend.core.gauges import Counter, Figure, Histogram
from backend.telemetry import histogram, reading


def gauges() -> list[Figure]:
    """Requests by door and class of status, and how long they took by door, since ever. One small query."""
    totals = reading.totals()
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
            [bound / 1000 for bound in histogram.BOUNDS_MS],
            [({"door": door}, spans[door], seconds[door]) for door in sorted(spans)],
        ),
    ]
