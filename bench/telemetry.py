"""What noting a request costs: the request itself, and the thread that writes the notes down.

``python3 -m bench.telemetry``
"""

from __future__ import annotations

import time

from bench.world import world

ROUNDS, REQUESTS, ROUTES = 10, 3000, 40


def main() -> None:
    import structlog
    from django.test import RequestFactory

    from api import middleware
    from backend.telemetry.recorder import Recorder, recorder

    Recorder._start = lambda self: None  # type: ignore[method-assign]
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


if __name__ == "__main__":
    with world():
        main()
