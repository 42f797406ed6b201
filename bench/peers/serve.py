"""``python -m bench.peers.serve --port N``: the other project behind the very server that ours stands behind.

Only the frameworks differ then, not what carries them.
"""

from __future__ import annotations

import argparse
import gc
import sys

import uvicorn
from django.core.wsgi import get_wsgi_application
from django.db import connections
from django.urls import get_resolver

from api.bridge import Bridge, Lifespan
from backend.local.web import SWITCH_S

THREADS = 16


def main() -> None:
    """Serve until a signal ends it."""
    parser = argparse.ArgumentParser(prog="bench.peers.serve", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    http = Bridge(get_wsgi_application(), threads=THREADS)

    def start() -> None:
        get_resolver().url_patterns  # noqa: B018 - loaded before the first request
        # As ours does.
        gc.collect()
        gc.freeze()

    def stop() -> None:
        http.shutdown()
        for connection in connections.all(initialized_only=True):
            connection.close()
            connection.close_pool()  # type: ignore[attr-defined]

    lifespan = Lifespan(start, stop)

    async def application(scope: object, receive: object, send: object) -> None:
        inner = lifespan if scope["type"] == "lifespan" else http  # type: ignore[index]
        await inner(scope, receive, send)  # type: ignore[arg-type]

    sys.setswitchinterval(SWITCH_S)
    uvicorn.run(application, port=options.port, access_log=False, log_level="warning", server_header=False)


if __name__ == "__main__":
    main()
