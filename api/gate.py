"""The WSGI twin of ``api.bridge``, for servers that call Django in threads of their own (granian, behind a proxy).

The rules are the same (``api.edge``): a body is bounded, and complete before Django sees the request. What cannot be the
same: here a slow sender holds a thread. At most half of them are given to bodies at once, and the proxy in front sends
a body on only when it has it all. The proxy also has to drop headers with an underscore in their names, as nginx does:
a WSGI environment cannot tell ``X_Forwarded_For`` from ``X-Forwarded-For``.
"""

from __future__ import annotations

import contextvars
import io
import os
import threading
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from api.bodies import DRAIN_LIMIT
from api.edge import BODY_TIMEOUT_S, Refused, announced, ascii_query, refusal
from backend.core import draining

Headers = list[tuple[str, str]]
StartResponse = Callable[[str, Headers], Any]

THREADS = 16
"""Requests worked on at once: more than cores, for they wait for PostgreSQL; fewer than the pool has connections."""

CHUNK = 64 * 1024
PATIENCE_S = 1.0
"""How long a body waits for one of those that are being received to be complete."""


class Gate:
    """A WSGI application in front of Django's. ``threads``: how many the server has for requests."""

    def __init__(self, application: Any, *, threads: int = THREADS) -> None:
        self.application = application
        self.receivers = threading.BoundedSemaphore(max(1, threads // 2))
        self._process = dict(os.environ)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        # Each request in a context of its own, as in the event loop: nothing of one is left for the next.
        return contextvars.copy_context().run(self._answer, self._own(environ), start_response)

    def _answer(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        try:
            self._receive(environ)
        except Refused as refused:
            headers, body = refusal(
                refused.status, environ.get("HTTP_X_REQUEST_ID", ""), environ.get("HTTP_ORIGIN", "")
            )
            start_response(f"{refused.status} {HTTPStatus(refused.status).phrase}", headers)
            return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

        def start(status: str, headers: Headers, exc_info: Any = None) -> None:
            # The server dies of a header that is not ASCII.
            sent = [(name, value.encode("ascii", "replace").decode()) for name, value in headers]
            start_response(status, [*sent, ("Connection", "close")] if draining.has_begun() else sent)

        chunks: Any = self.application(environ, start)
        if getattr(chunks, "streaming", True):
            return chunks
        try:
            return [b"".join(chunks)]
        finally:
            chunks.close()

    def _own(self, environ: dict[str, Any]) -> dict[str, Any]:
        """The environment without that of the process, in which granian wraps it: the keys to everything lie there."""
        process = self._process
        own = {name: value for name, value in environ.items() if process.get(name) != value}
        own["QUERY_STRING"] = ascii_query(own.get("QUERY_STRING", "").encode("utf-8", "surrogateescape"))
        return own

    def _receive(self, environ: dict[str, Any]) -> None:
        """Put the complete body in place of the stream. Raises: Refused when it is too large or too slow."""
        found = announced(environ["PATH_INFO"], environ)
        if found is None:
            environ["wsgi.input"] = io.BytesIO()
            return
        declared, limit = found
        if not self.receivers.acquire(timeout=PATIENCE_S):
            raise Refused(503)
        try:
            body = _read(environ["wsgi.input"], limit, too_large=declared > limit)
        finally:
            self.receivers.release()
        environ["wsgi.input"] = io.BytesIO(body)
        if body:
            environ["CONTENT_LENGTH"] = str(len(body))


def _read(stream: Any, limit: int, *, too_large: bool) -> bytes:
    """The body up to ``limit``. What is beyond is read and dropped for a while: who still sends hears no answer."""
    chunks: list[bytes] = []
    size, deadline = 0, time.monotonic() + BODY_TIMEOUT_S
    while chunk := stream.read(CHUNK):
        size += len(chunk)
        if size > limit:
            too_large = True
            chunks.clear()
        if not too_large:
            chunks.append(chunk)
        if size > DRAIN_LIMIT:
            break
        if time.monotonic() > deadline:
            raise Refused(408)
    if too_large:
        raise Refused(413)
    return b"".join(chunks)
