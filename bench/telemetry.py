"""What noting a request costs: the request itself, and the thread that writes the notes down.

``python3 run.py manage shell < bench/telemetry.py`` writes into the database of that state.
"""

from __future__ import annotations

import time

import structlog
from django.test import RequestFactory

from api import middleware
from backend.telemetry.recorder import Recorder, recorder

ROUNDS, REQUESTS, ROUTES = 10, 3000, 40


def main() -> None:
    Recorder._start = lambda self: None  # type: ignore[method-assign]
    recorder.enabled = True
    request = RequestFactory().get("/api/properties/")
    request.request_id = "bench"  # type: ignore[attr-defined]
    asked = middleware.Asked()
    structlog.contextvars.bind_contextvars(address="203.0.113.9", door="api")
    noting = writing = waiting = 0.0
    for _ in range(ROUNDS):
        cpu = time.thread_time()
        for number in range(REQUESTS):
            middleware.note(request, f"/api/{number % ROUTES}/", 200, 3.2, 1.1, asked)
        noting += time.thread_time() - cpu
        cpu, started = time.thread_time(), time.perf_counter()
        recorder.flush()
        writing += time.thread_time() - cpu
        waiting += time.perf_counter() - started
    each = 1e6 / (ROUNDS * REQUESTS)
    print(
        f"noting {noting * each:.1f} us a request; writing the notes down {writing * each:.1f} us of this process"
        f" and {waiting * each:.1f} us until the database has them, each"
    )


main()
