"""One port for everything on one machine: HTTP goes to the WSGI application in threads, ``/ws/`` to channels."""

from __future__ import annotations

import gc
import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.settings")

from django.core.wsgi import get_wsgi_application

wsgi = get_wsgi_application()

from channels.routing import ProtocolTypeRouter  # noqa: E402
from django.db import connections  # noqa: E402
from django.urls import get_resolver  # noqa: E402

from api.bridge import Bridge, Lifespan  # noqa: E402
from backend.analytics import visits  # noqa: E402
from backend.telemetry.recorder import recorder  # noqa: E402
from realtime.routing import websocket  # noqa: E402

THREADS = 16
"""Requests worked on at once: more than cores, for they wait for PostgreSQL; fewer than the pool has connections."""

http = Bridge(wsgi, threads=THREADS)


def start() -> None:
    """Load every route now, so that the first request does not, and let the collector leave alone what stays for ever."""
    assert get_resolver().url_patterns  # noqa: S101 - asked for its side effect
    visits.writer.start()
    gc.collect()
    gc.freeze()


def stop() -> None:
    """Let running requests end, then close the database's connections."""
    http.shutdown()
    visits.writer.stop()
    recorder.stop()
    for connection in connections.all(initialized_only=True):
        connection.close()
        connection.close_pool()  # type: ignore[attr-defined]


application = ProtocolTypeRouter({"http": http, "websocket": websocket, "lifespan": Lifespan(start, stop)})
