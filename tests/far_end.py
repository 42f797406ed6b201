"""The far end of what we fetch: a real HTTP server on loopback that answers as a test tells it, and keeps a journal."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[BaseHTTPRequestHandler], None]


class FarEnd:
    """``body`` is served with ``status`` and ``headers``; ``answer`` takes over where that is not enough.

    ``bodies`` are those of the POSTs.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}/calendar.ics?s=far-secret"
        self.status = 200
        self.body = b""
        self.headers: dict[str, str] = {}
        self.answer: Answer | None = None
        self.requests: list[dict[str, str]] = []
        self.bodies: list[bytes] = []

    def serve(self, body: bytes | str, **headers: str) -> None:
        """Answer 200 with ``body`` from now on."""
        self.status, self.answer = 200, None
        self.body = body if isinstance(body, bytes) else body.encode()
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def fail(self, status: int = 503) -> None:
        """Answer with a failure from now on."""
        self.status, self.answer, self.body, self.headers = status, None, b"", {}


@contextmanager
def far_end(tls: ssl.SSLContext | None = None) -> Iterator[FarEnd]:
    """A server on a free port of 127.0.0.1, speaking TLS where it is given; it ends with the ``with``."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            end.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.do_GET()

        def do_GET(self) -> None:
            end.requests.append({name.lower(): value for name, value in self.headers.items()})
            if end.answer is not None:
                end.answer(self)
                return
            self.send_response(end.status)
            for name, value in end.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(end.body)))
            self.end_headers()
            self.wfile.write(end.body)

        def log_message(self, format: str, *args: object) -> None:
            return

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            return

    server = Quiet(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    end = FarEnd(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield end
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
