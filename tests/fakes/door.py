"""The way into a fake: an HTTP server with a thread for each connection, and the table of its addresses."""

from __future__ import annotations

import re
import socket
import struct
import sys
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from tests.fakes.parts import Call, Fault, Handler, Reply

if TYPE_CHECKING:
    from tests.fakes.base import Fake

CONTROL = "/_fake/"
"""Where a test steers a fake in another process. No fault and no journal there."""


class Server(ThreadingHTTPServer):
    """Answers for a fake on 127.0.0.1; port 0 is a free one."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, fake: Fake, port: int) -> None:
        super().__init__(("127.0.0.1", port), _handler(fake))

    def handle_error(self, request: object, client_address: object) -> None:
        """A caller that went away is none of our errors; a defect of the fake is."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def _handler(fake: Fake) -> type[BaseHTTPRequestHandler]:
    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        timeout = 60

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            call = Call(
                method=self.command,
                path=parts.path,
                query=dict(parse_qsl(parts.query, keep_blank_values=True)),
                headers={name.lower(): value for name, value in self.headers.items()},
                body=self.rfile.read(length) if length else b"",
            )
            if call.path.startswith(CONTROL):
                self._say(fake.steer(call))
                return
            reply, fault = fake.respond(call)
            if fault == Fault.SLOW:
                fake.wait(fake.slow_s)
            if reply is not None:
                self._say(reply)
                return
            self.close_connection = True
            if fault in (Fault.TIMEOUT_BEFORE, Fault.TIMEOUT_AFTER):
                fake.wait(fake.patience_s)
            else:
                # Without a farewell: the other side reads "connection reset by peer".
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()

        do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

        def _say(self, reply: Reply) -> None:
            body = reply.encoded()
            self.send_response(reply.status)
            for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def finish(self) -> None:
            with suppress(OSError, ValueError):
                super().finish()

        def log_message(self, format: str, *args: object) -> None:
            return

    return Door


def routes(fake: type[Fake]) -> list[tuple[str, re.Pattern[str], Handler]]:
    found = []
    for name in dir(fake):
        handler = getattr(fake, name)
        for method, path in getattr(handler, "answers", []):
            pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path))
            found.append((method, re.compile(pattern), handler))
    # A named address before one with a placeholder.
    return sorted(found, key=lambda route: route[1].pattern.count("(?P<"))
