"""HTTP for servers that speak WSGI, and what a web process does when it starts and ends, whichever server it is in."""

from __future__ import annotations

import gc
import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.settings")

from django.core.wsgi import get_wsgi_application

django = get_wsgi_application()

from django.db import connections  # noqa: E402
from django.urls import get_resolver  # noqa: E402

from api.gate import Gate  # noqa: E402
from backend.analytics import visits  # noqa: E402
from backend.core import replicas  # noqa: E402
from backend.telemetry.recorder import recorder  # noqa: E402

application = Gate(django)


def start() -> None:
    """Load every route now, so that the first request does not, and let the collector leave alone what stays for ever."""
    assert get_resolver().url_patterns  # noqa: S101 - asked for its side effect
    visits.writer.start()
    gc.collect()
    gc.freeze()


def stop() -> None:
    """Write down what was noted, then close the database's connections. When all requests have ended."""
    visits.writer.stop()
    recorder.stop()
    replicas.watch.stop()
    for connection in connections.all(initialized_only=True):
        connection.close()
        connection.close_pool()  # type: ignore[attr-defined]
