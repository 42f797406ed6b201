"""How long answers took, as counts of a few spans of time: they can be added up over processes and hours."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

BOUNDS_MS = (1, 2, 3, 5, 7.5, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 500, 750, 1000, 2000, 5000, 10_000)
"""The upper ends of the spans, themselves within; what took longer than the last one is in one more span."""

SPANS = len(BOUNDS_MS) + 1


def span_of(ms: float) -> int:
    """The number of the span that ``ms`` milliseconds fall into."""
    return bisect_left(BOUNDS_MS, ms)


def quantile(counts: Sequence[int], share: float) -> float | None:
    """The milliseconds within which ``share`` (0 to 1) of all lay; None of nothing.

    Within a span the answers are taken as spread evenly; of what took longer than the last bound, that bound is told.
    """
    total = sum(counts)
    if not total:
        return None
    wanted = share * total
    for number, reached in enumerate(accumulate(counts)):
        if reached >= wanted and counts[number]:
            if number >= len(BOUNDS_MS):
                break
            low = BOUNDS_MS[number - 1] if number else 0.0
            into = 1 - (reached - wanted) / counts[number]
            return low + (BOUNDS_MS[number] - low) * into
    return float(BOUNDS_MS[-1])
