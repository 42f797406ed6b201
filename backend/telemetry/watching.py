"""What is seen of calls to others and of jobs: counted, timed, and named by their trace."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from backend.core import tracing
from backend.telemetry import gauges
from backend.telemetry.recorder import recorder

ANSWERED, REFUSED, FAILED, UNANSWERED = "answered", "refused", "failed", "unanswered"


class Call:
    """A call that is under way. ``outcome`` is what came of it; nothing came until ``tell`` is asked."""

    def __init__(self) -> None:
        self.outcome = UNANSWERED

    def tell(self, status: int) -> None:
        """Note the status of an answer: refusals are the caller's doing or the card's, failures the provider's."""
        self.outcome = ANSWERED if status < 400 else REFUSED if status < 500 and status != 429 else FAILED


@contextmanager
def calling(provider: str) -> Iterator[Call]:
    """Count and time one call to ``provider``, whatever becomes of it."""
    started, call = time.perf_counter(), Call()
    try:
        yield call
    finally:
        recorder.count(
            gauges.PROVIDER_CALLS,
            seconds=time.perf_counter() - started,
            provider=provider,
            outcome=call.outcome,
        )


def watch(call_next: Callable[[], Any], context: Any, worker: Any) -> Any:
    """Around each job of the worker: its trace, its number in the logs, how it ended and how long it took."""
    job = context.job
    # What was deferred within a trace brought it along; the task itself knows nothing of it.
    trace = tracing.read(str(job.task_kwargs.pop(tracing.HEADER, "")))
    started, outcome = time.perf_counter(), "error"
    with (
        structlog.contextvars.bound_contextvars(job_id=job.id, task=job.task_name),
        tracing.within(trace),
    ):
        try:
            result = call_next()
            outcome = "done"
            return result
        finally:
            recorder.count(
                gauges.JOBS,
                seconds=time.perf_counter() - started,
                task=job.task_name,
                queue=job.queue,
                outcome=outcome,
            )
