"""Whether this process lives, and whether it can serve."""

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
from django.http import HttpRequest, HttpResponse

from api.rendering import dumps

log = structlog.get_logger(__name__)

OK, DEGRADED, DOWN, LOCAL = "ok", "degraded", "down", "local"
PART_TIMEOUT_S = 3.0
WORKER_SILENT_S = 60
"""A job worker that has not been heard of for so long is taken for dead."""


def live(request: HttpRequest) -> HttpResponse:
    """The process answers. Asks nobody else."""
    return _answer(200, {"status": OK})


def ready(request: HttpRequest) -> HttpResponse:
    """Every part's state: 503 without the database or the storage; without the others it is ``degraded``, as
    booking and payment still work. ``local`` says that a part lives inside this process."""
    parts = {name: _ask(name, check) for name, check in CHECKS.items()}
    down = [name for name in ESSENTIAL if parts[name]["status"] == DOWN]
    poor = [name for name, part in parts.items() if part["status"] in (DOWN, DEGRADED)]
    status = DOWN if down else DEGRADED if poor else OK
    return _answer(503 if down else 200, {"status": status, "parts": parts})


def _answer(status: int, document: dict[str, Any]) -> HttpResponse:
    response = HttpResponse(dumps(document), status=status, content_type="application/json")
    response["Cache-Control"] = "no-store"
    if status == 503:
        response["Retry-After"] = "2"
    return response


def _ask(name: str, check: Callable[[], dict[str, Any]]) -> dict[str, Any]:
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
        return {"status": OK}
    finally:
        connection.close()


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
    "cache": _valkey,
    "channel_layer": _valkey,
    "storage": _storage,
    "queue": _queue,
}
ESSENTIAL = ("database", "storage", "queue")
