"""A carrier of short messages on loopback, with a journal."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs


class Carrier(ThreadingHTTPServer):
    """Answers every post with ``answer``, after ``silent_s`` seconds, and keeps what it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer: tuple[int, bytes] = (200, b"{}")
        self.silent_s = 0.0
        self.asked: list[tuple[str, dict[str, str], dict[str, str]]] = []


class Handler(BaseHTTPRequestHandler):
    server: Carrier

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.server.asked.append(
            (self.path, {name: values[0] for name, values in form.items()}, dict(self.headers))
        )
        status, body = self.server.answer
        time.sleep(self.server.silent_s)
        try:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except ConnectionError:
            # Whoever asked has gone meanwhile.
            self.close_connection = True

    def log_message(self, *args: Any) -> None:
        """The test's output is not the place."""


@contextmanager
def carrying() -> Iterator[Carrier]:
    """A carrier that answers as long as the ``with`` lasts."""
    with Carrier() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
