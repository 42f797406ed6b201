"""One web process: uvicorn on a port that it may share with others of its kind.

``python -m backend.local.web --port N [--host H] [--shared]``; ``run.py serve`` starts as many as it is told. Python
runs on one core at a time, so that a machine with more of them answers more with one process for each; the kernel
deals the connections out among those who listen (SO_REUSEPORT), and one that dies takes nobody else's along.
"""

from __future__ import annotations

import argparse
import socket
import sys
from collections.abc import Sequence

import uvicorn

BACKLOG = 2048
"""Connections that may wait to be taken."""

GRACE_S = 10
"""How long running requests have to end when the process is told to."""

SWITCH_S = 0.001
"""How long a thread may keep Python to itself while others want it. With Python's 5 ms, whoever only has a frame to pass
on waits for each request that is being worked on."""


def listen(host: str, port: int, *, shared: bool) -> socket.socket:
    """A socket that listens there; ``shared`` lets others that say so listen there too. Raises: OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG, reuse_port=shared)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal ends it; returns 0 then, and 3 when it could not start."""
    parser = argparse.ArgumentParser(prog="backend.local.web", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--shared", action="store_true", help="others listen on this port too")
    parser.add_argument("--log-level", default="info")
    options = parser.parse_args(arguments)
    config = uvicorn.Config(
        "backend.asgi:application",
        lifespan="auto",
        ws="realtime.protocol:Protocol",
        ws_max_size=65536,
        # uvicorn would believe X-Forwarded-For from this machine; who is a trusted proxy is the application's decision.
        proxy_headers=False,
        server_header=False,
        access_log=False,
        timeout_graceful_shutdown=GRACE_S,
        log_level=options.log_level,
        backlog=BACKLOG,
    )
    sys.setswitchinterval(SWITCH_S)
    # The code is loaded before anybody is dealt to this process: they would wait for it, with another one idle beside.
    config.load()
    server = uvicorn.Server(config)
    server.run(sockets=[listen(options.host, options.port, shared=options.shared)])
    return 0 if server.started else 3


if __name__ == "__main__":
    sys.exit(main())
