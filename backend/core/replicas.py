"""Reads that may be a moment old, from a streaming replica where there is one: search and figures.

``may_lag`` marks them. One is answered by the replica while that has replayed everything that was committed up to two
seconds ago, and by the primary otherwise: when the replica is away, lags, breaks off, or is no replica any more. Whoever
has just changed something reads the primary for longer than a replica may lag, and so sees it. Outside of a request (jobs,
commands, sockets) and inside a transaction nothing is read from it, and neither is who somebody is, what they may do, or
what they owe.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import ParamSpec, TypeVar

import structlog
from django.conf import settings
from django.core.cache import cache
from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connections
from django.db import Error as DatabaseError
from psycopg import errors as pg

from backend.core.databases import REPLICA
from backend.core.db import asking
from backend.core.valkey import breaker

P = ParamSpec("P")
R = TypeVar("R")

MOST_BEHIND_S = 2.0
"""How old what a replica answers may be."""

OWN_WRITES_S = 3
"""How long a user reads the primary after a change; longer than ``MOST_BEHIND_S``."""

ASK_EVERY_S = 0.4
REST_S = 5.0
"""How long a replica is left alone that broke off while it was asked."""

log = structlog.get_logger(__name__)

_reader: ContextVar[Callable[[], int | None] | None] = ContextVar("reader", default=None)


class Watch:
    """Knows up to when the replica has replayed the primary's log; asks both in a thread of its own."""

    def __init__(self) -> None:
        self.reaches = float("-inf")
        """The latest monotonic second whose commits are all there."""
        self._marks: deque[tuple[float, int]] = deque(maxlen=32)
        self._rests_until = float("-inf")
        self._pid = 0
        self._guard = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def is_fresh(self) -> bool:
        """Whether the replica may answer now. The first question of a process only begins to find out."""
        if self._pid != os.getpid():
            self._start()
        now = time.monotonic()
        return now - self.reaches <= MOST_BEHIND_S and now >= self._rests_until

    def broke(self, error: Exception) -> None:
        """Leave the replica alone for a while."""
        self._rests_until = time.monotonic() + REST_S
        log.warning("replica.broke", error=type(error).__name__, pause_s=REST_S)

    def stop(self) -> None:
        """Ask no more; the next question begins anew."""
        thread, self._thread = self._thread, None
        self._ended.set()
        if thread is not None and self._pid == os.getpid():
            thread.join(5)
        self._pid, self.reaches, self._rests_until = 0, float("-inf"), float("-inf")

    def measure(self) -> None:
        """Note where the primary's log ends now, and which of such moments the replica has come to. Raises: Error."""
        now = time.monotonic()
        with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
            # What is flushed: a commit is seen by others after it is, and a replica gets nothing before.
            cursor.execute("SELECT (pg_current_wal_flush_lsn() - '0/0')::bigint")
            self._marks.append((now, cursor.fetchone()[0]))
        with connections[REPLICA].cursor() as cursor:
            cursor.execute(
                "SELECT CASE WHEN pg_is_in_recovery() THEN (pg_last_wal_replay_lsn() - '0/0')::bigint END"
            )
            replayed = cursor.fetchone()[0]
        # One that was promoted answers None: it follows nobody, and the primary that we know is another.
        there = [at for at, end in self._marks if replayed is not None and end <= replayed]
        self.reaches = max(there, default=float("-inf"))

    def _start(self) -> None:
        with self._guard:
            if self._pid == os.getpid():
                return
            self._pid = os.getpid()
            self._ended = threading.Event()
            self._thread = threading.Thread(
                target=self._run, args=(self._ended,), name="replica", daemon=True
            )
            self._thread.start()

    def _run(self, ended: threading.Event) -> None:
        was_there = False
        while not ended.is_set():
            try:
                self.measure()
                is_there = time.monotonic() - self.reaches <= MOST_BEHIND_S
            except DatabaseError as error:
                is_there = False
                log.info("replica.not_measured", error=type(error).__name__)
            finally:
                for alias in (DEFAULT_DB_ALIAS, REPLICA):
                    connections[alias].close()
            if is_there and not was_there:
                log.info("replica.answers")
            elif was_there and not is_there:
                log.warning("replica.passed_over")
            was_there = is_there
            ended.wait(ASK_EVERY_S)


watch = Watch()


@contextmanager
def reading_for(user_id: Callable[[], int | None]) -> Iterator[None]:
    """Within the block what ``may_lag`` marks may be read from the replica, for the user whom ``user_id`` names then."""
    if REPLICA not in connections.settings:
        yield
        return
    token = _reader.set(user_id)
    try:
        yield
    finally:
        _reader.reset(token)


def wrote(user_id: int) -> None:
    """Remember that this user has just changed something. After the commit, before they are told."""
    if REPLICA in connections.settings:
        cache.set(f"wrote:{user_id}", 1, OWN_WRITES_S)


def may_lag(read: Callable[P, R]) -> Callable[P, R]:
    """For functions that only read, and whose answer may be ``MOST_BEHIND_S`` old.

    One that the replica breaks off is asked again of the primary, so that nobody hears of it.
    """

    @wraps(read)
    def ask(*arguments: P.args, **named: P.kwargs) -> R:
        if not _may_use_replica():
            return read(*arguments, **named)
        try:
            with asking(REPLICA):
                return read(*arguments, **named)
        except (OperationalError, InterfaceError) as error:
            if isinstance(error.__cause__, pg.QueryCanceled):
                # It takes too long anywhere.
                raise
            watch.broke(error)
        return read(*arguments, **named)

    return ask


def _may_use_replica() -> bool:
    reader = _reader.get()
    if reader is None or connections[DEFAULT_DB_ALIAS].in_atomic_block or not watch.is_fresh():
        return False
    user_id = reader()
    return user_id is None or not _wrote_lately(user_id)


def _wrote_lately(user_id: int) -> bool:
    """Whether the user has just changed something; yes where nobody can tell."""
    if not settings.REDIS_URL:
        return True
    return cache.get(f"wrote:{user_id}") is not None or not breaker.closed
