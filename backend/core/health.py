"""Whether the parts that everything stands on answer: database, migrations, cache, channel layer, storage, queue.

Each is asked in a thread of its own for a bounded time, so that one that hangs makes nobody else wait.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotInTime
from functools import cache
from typing import Any

import redis
import structlog
from django.conf import settings
from django.core.files.storage import default_storage
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from backend.core import pooling

log = structlog.get_logger(__name__)

OK, DEGRADED, DOWN, LOCAL = "ok", "degraded", "down", "local"
PART_TIMEOUT_S = 3.0
WORKER_SILENT_S = 60
"""A job worker that has not been heard of for so long is taken for dead."""


def parts() -> dict[str, dict[str, Any]]:
    """Every part's state by its name: ``status``, the milliseconds that asking took, and what else it says.

    ``local`` says that a part lives inside this process.
    """
    return {name: ask(name, check) for name, check in CHECKS.items()}


def standing(found: dict[str, dict[str, Any]]) -> str:
    """What the states of all parts come to: ``down`` without an essential one, ``degraded`` without another."""
    if any(found[name]["status"] == DOWN for name in ESSENTIAL):
        return DOWN
    return DEGRADED if any(part["status"] in (DOWN, DEGRADED) for part in found.values()) else OK


def ask(name: str, check: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What ``check`` says, or ``down`` with the name of its error; after ``PART_TIMEOUT_S`` nobody waits any more."""
    started = time.perf_counter()
    try:
        found = _helpers().submit(check).result(PART_TIMEOUT_S)
    except NotInTime:
        found = {"status": DOWN, "error": "timeout"}
    except Exception as error:
        log.warning("health.part_down", part=name, error=type(error).__name__)
        found = {"status": DOWN, "error": type(error).__name__}
    return {**found, "ms": round((time.perf_counter() - started) * 1000, 1)}


@cache
def _helpers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=4, thread_name_prefix="health")


def _database() -> dict[str, Any]:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        if settings.DATABASE_POOLED and (unset := pooling.differences()):
            # Behind PgBouncer: without its limits a statement that waits for a lock would wait for ever.
            return {"status": DEGRADED, "unset": unset}
        return {"status": OK}
    finally:
        connection.close()


@cache
def _last_migrations() -> frozenset[tuple[str, str]]:
    """The last migrations of each app that this process came with."""
    return frozenset(MigrationLoader(None).graph.leaf_nodes())


def _migrations() -> dict[str, Any]:
    """Whether the tables are those that this process was written for. Later ones are no matter to it."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT app, name FROM django_migrations")
            missing = sorted(_last_migrations().difference(cursor.fetchall()))
    finally:
        connection.close()
    if not missing:
        return {"status": OK}
    return {"status": DOWN, "missing": [f"{app}.{name}" for app, name in missing]}


def _valkey() -> dict[str, Any]:
    if not settings.REDIS_URL:
        return {"status": LOCAL}
    with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1) as client:
        client.ping()
    return {"status": OK}


def _storage() -> dict[str, Any]:
    default_storage.exists("health")
    return {"status": OK}


def _queue() -> dict[str, Any]:
    """The job table answers, and a worker has been heard of."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM procrastinate_workers WHERE last_heartbeat > now() - make_interval(secs => %s)",
                [WORKER_SILENT_S],
            )
            (workers,) = cursor.fetchone()
            cursor.execute("SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo' AND attempts = 0")
            (waiting,) = cursor.fetchone()
        return {"status": OK if workers else DEGRADED, "workers": workers, "waiting": waiting}
    finally:
        connection.close()


CHECKS: dict[str, Callable[[], dict[str, Any]]] = {
    "database": _database,
    "migrations": _migrations,
    "cache": _valkey,
    "channel_layer": _valkey,
    "storage": _storage,
    "queue": _queue,
}
ESSENTIAL = ("database", "migrations", "storage", "queue")
