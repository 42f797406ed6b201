"""Run an operation on everything that is due, each in a transaction of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import structlog

from backend.core.errors import DomainError

log = structlog.get_logger(__name__)


def each(ids: Iterable[int], done: str, operation: Callable[[int], bool]) -> dict[str, int]:
    """Run ``operation`` on every id; how many were ``done``, how many ``left`` for the next sweep."""
    counts = {done: 0, "left": 0}
    for one in list(ids):
        try:
            counts[done if operation(one) else "left"] += 1
        except DomainError as error:
            # One row that somebody holds must not keep the others waiting; the next sweep meets it again.
            log.warning("sweep_skipped", sweep=done, id=one, code=error.code)
            counts["left"] += 1
    return counts
