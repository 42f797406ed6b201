"""One port for everything on one machine: HTTP goes to the WSGI application in threads, ``/ws/`` to channels."""

from __future__ import annotations

from backend import wsgi  # isort: skip - sets Django up

from channels.routing import ProtocolTypeRouter

from api.bridge import Bridge, Lifespan
from api.gate import THREADS
from realtime.routing import websocket

http = Bridge(wsgi.django, threads=THREADS)


def stop() -> None:
    """Let running requests end, then do what every web process does."""
    http.shutdown()
    wsgi.stop()


application = ProtocolTypeRouter(
    {"http": http, "websocket": websocket, "lifespan": Lifespan(wsgi.start, stop)}
)
