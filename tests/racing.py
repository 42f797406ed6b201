"""Real threads on real connections, started at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, connections

PATIENCE_S = 60


@contextmanager
def wide_pool(size: int) -> Iterator[None]:
    """Let ``size`` threads hold a connection at once; the usual pool would let fewer race."""
    pool: Any = connection.pool  # type: ignore[attr-defined]
    before = (pool.min_size, pool.max_size)
    pool.resize(before[0], size + 5)
    try:
        yield
    finally:
        pool.resize(*before)


def race(*calls: Callable[[], Any]) -> list[Any]:
    """Run ``calls`` at once, each in a thread with an open connection; what each returned or raised, in order."""
    start = threading.Barrier(len(calls))
    results: list[Any] = [None] * len(calls)

    def run(index: int, call: Callable[[], Any]) -> None:
        try:
            connection.ensure_connection()
            start.wait(PATIENCE_S)
            results[index] = call()
        except Exception as error:  # what a rival raises is the result
            results[index] = error
        finally:
            connections.close_all()

    with wide_pool(len(calls)):
        threads = [
            threading.Thread(target=run, args=(index, call), daemon=True) for index, call in enumerate(calls)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive(), "a racing thread never came back"
    return results


def deadlocks() -> int:
    """How many deadlocks PostgreSQL has broken in this database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        return int(cursor.fetchone()[0])
