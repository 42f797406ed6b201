"""What this process has seen lately: kept in memory, written down every few seconds by a thread of its own.

A request only leaves a note here, which costs it some microseconds. Nobody waits for the database on behalf of a note:
while that is away notes are kept as far as there is room, and then the oldest go.
"""

from __future__ import annotations

import atexit
import os
import random
import threading
from collections import deque
from typing import Any, NamedTuple

import structlog
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection

from backend.telemetry import histogram

log = structlog.get_logger(__name__)

EVERY_S = 10.0
MOST = 20_000
"""Notes of each kind that wait at most."""
HURRY_AT = 5_000
"""With so many notes of requests they are written at once."""


class Answered(NamedTuple):
    """A request that was answered. ``at`` is in seconds since 1970; ``network`` is made of the address when written."""

    at: float
    request_id: str
    door: str
    method: str
    route: str
    status: int
    ms: float
    sql_ms: float
    statements: int
    user_id: int | None
    address: str


class Failed(NamedTuple):
    """An error that nobody foresaw, scrubbed of secrets."""

    at: float
    request_id: str
    door: str
    logger: str
    event: str
    exception: str
    trace: str
    user_id: int | None


class Slow(NamedTuple):
    """A statement that took long. Its values are not part of it."""

    at: float
    sql: str
    ms: float
    route: str
    request_id: str


class Tallied(NamedTuple):
    """How often something happened since the last writing, the seconds that it took, and its counts by span."""

    name: str
    labels: str
    times: int
    seconds: float
    spans: list[int]


class Recorder:
    """The notes of one process, and the thread that writes them. The thread starts with the first note."""

    def __init__(self) -> None:
        self.enabled = True
        self.answered: deque[Answered] = deque(maxlen=MOST)
        self.failed: deque[Failed] = deque(maxlen=1000)
        self.slow: deque[Slow] = deque(maxlen=1000)
        self.tallied: dict[tuple[str, str], Tallied] = {}
        self._counting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._guard = threading.Lock()

    def answer(self, note: Answered) -> None:
        """Take note of an answered request."""
        if self.enabled:
            self.answered.append(note)
            if self._pid != os.getpid():
                self._start()
            elif len(self.answered) >= HURRY_AT:
                self._wake.set()

    def fail(self, note: Failed) -> None:
        """Take note of an error."""
        if self.enabled:
            self.failed.append(note)
            if self._pid != os.getpid():
                self._start()

    def lag(self, note: Slow) -> None:
        """Take note of a slow statement."""
        if self.enabled:
            self.slow.append(note)

    def count(self, name: str, *, seconds: float | None = None, times: int = 1, **labels: str) -> None:
        """Count something for a counter of ``gauges``; ``labels`` are words of the program, never what somebody wrote."""
        if not self.enabled:
            return
        spans = [0] * histogram.SPANS
        if seconds is not None:
            spans[histogram.span_of(seconds * 1000)] = times
        said = ",".join(f"{label}={word}" for label, word in labels.items())
        self._add(Tallied(name, said, times, seconds or 0.0, spans))
        if self._pid != os.getpid():
            self._start()

    def _add(self, note: Tallied) -> None:
        with self._counting:
            key = note.name, note.labels
            known = self.tallied.get(key)
            self.tallied[key] = note if known is None else plus(known, note)

    def flush(self) -> int:
        """Write down what was noted; how many notes. What the database does not take waits for the next time."""
        from backend.telemetry import writing

        with self._counting:
            counted, self.tallied = list(self.tallied.values()), {}
        notes = writing.Notes(_taken(self.answered), _taken(self.failed), _taken(self.slow), counted)
        if not notes:
            return 0
        try:
            writing.write(notes)
        except DatabaseError as error:
            _put_back(self.answered, notes.answered)
            _put_back(self.failed, notes.failed)
            _put_back(self.slow, notes.slow)
            for note in notes.tallied:
                self._add(note)
            log.warning("telemetry.waits", error=type(error).__name__)
            return 0
        finally:
            connection.close()
        return len(notes)

    def stop(self) -> None:
        """Write down the rest and end the thread."""
        thread, self._thread = self._thread, None
        if thread is None or self._pid != os.getpid():
            return
        self._ended.set()
        self._wake.set()
        thread.join(5)

    def _start(self) -> None:
        with self._guard:
            if self._pid == os.getpid():
                return
            self._pid = os.getpid()
            self._ended, self._wake = threading.Event(), threading.Event()
            self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
            self._thread.start()
            atexit.register(self.stop)

    def _run(self) -> None:
        while not self._ended.is_set():
            # Processes that started together must not write together for ever.
            self._wake.wait(EVERY_S * random.uniform(0.8, 1.2))  # noqa: S311 - jitter, not a secret
            self._wake.clear()
            try:
                self.flush()
                self._tell_of_itself()
            except (
                Exception
            ) as error:  # a defect in here must not end the thread, and logging an error would feed it
                log.warning("telemetry.failed", error=type(error).__name__, reason=str(error)[:300])

    @staticmethod
    def _tell_of_itself() -> None:
        """Write down how this process is. Without the database there is nothing to tell anybody."""
        from backend.telemetry import writing

        try:
            writing.put_process(writing.process_now())
        except DatabaseError as error:
            log.warning("telemetry.waits", error=type(error).__name__)
        finally:
            connection.close()


def plus(first: Tallied, second: Tallied) -> Tallied:
    """Both together; they are of the same name and labels."""
    return first._replace(
        times=first.times + second.times,
        seconds=first.seconds + second.seconds,
        spans=[ours + theirs for ours, theirs in zip(first.spans, second.spans, strict=True)],
    )


def _taken(notes: deque[Any]) -> list[Any]:
    """All that lie there now, taken out; who adds meanwhile adds to the next ones."""
    return [notes.popleft() for _ in range(len(notes))]


def _put_back(notes: deque[Any], lost: list[Any]) -> None:
    """Put notes before those that came since, the newest of them, as far as there is room."""
    room = (notes.maxlen or 0) - len(notes)
    notes.extendleft(reversed(lost[-room:] if room else []))


recorder = Recorder()
recorder.enabled = settings.ENVIRONMENT != "test"
"""In tests whoever wants the notes written says so: a thread that writes by itself would change what they look at."""
