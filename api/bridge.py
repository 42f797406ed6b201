"""From the event loop to Django in threads: bodies are bounded and complete before a thread is spent on them.

Django is 1.5 to 5 times faster as WSGI than as ASGI, and websockets need ASGI; so one port speaks ASGI and
hands whole HTTP requests to the WSGI application. A slow sender costs the loop nothing and no thread.
"""

from __future__ import annotations

import asyncio
import contextvars
import io
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable, MutableMapping
from typing import Any

from api.bodies import DRAIN_LIMIT
from api.crew import Crew
from api.edge import BODY_TIMEOUT_S, Refused, announced, ascii_query, refusal

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Coroutine[Any, Any, None]]


class Disconnected(Exception):
    """The client went away before its body was complete."""


class Bridge:
    """An ASGI application around a WSGI one, for ``http`` scopes."""

    def __init__(self, application: Any, *, threads: int) -> None:
        self.application = application
        self.threads = Crew(threads, name="http")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            environ = environment(scope)
            body = await read_body(scope, environ, receive)
        except Refused as refused:
            await refuse(scope, refused.status, send)
            return
        except Disconnected:
            return
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body)) if body else environ.get("CONTENT_LENGTH", "")
        loop = asyncio.get_running_loop()

        def emit(message: Message) -> None:
            asyncio.run_coroutine_threadsafe(send(message), loop).result()

        context = contextvars.copy_context()
        answer = await self.threads.run(context.run, self._serve, environ, emit)
        for message in answer:
            await send(message)

    def _serve(self, environ: dict[str, Any], emit: Callable[[Message], None]) -> list[Message]:
        """Run the application in this thread. Returns the whole answer, unless it streams: then it is emitted."""
        start: Message = {}

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            start.update(
                type="http.response.start",
                status=int(status[:3]),
                headers=[(name.lower().encode("latin1"), value.encode("latin1")) for name, value in headers],
            )

        chunks: Iterable[bytes] = self.application(environ, start_response)
        try:
            if not getattr(chunks, "streaming", True):
                return [start, {"type": "http.response.body", "body": b"".join(chunks)}]
            emit(start)
            for chunk in chunks:
                emit({"type": "http.response.body", "body": chunk, "more_body": True})
            return [{"type": "http.response.body", "body": b""}]
        finally:
            close = getattr(chunks, "close", None)
            if close is not None:
                close()

    def shutdown(self) -> None:
        """Let the running requests end."""
        self.threads.shutdown()


def environment(scope: Scope) -> dict[str, Any]:
    """The WSGI environment of an ASGI scope, without the body."""
    host, port = scope.get("server") or ("localhost", 80)
    client = scope.get("client")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode("utf-8", "replace").decode("latin1"),
        "QUERY_STRING": ascii_query(scope["query_string"]),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port or 0),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": client[0] if client else "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin1"), raw_value.decode("latin1")
        if "\x00" in value:
            raise Refused(400)
        if "_" in name:
            # X_Forwarded_For would pass for X-Forwarded-For behind a proxy that only rewrites the latter.
            continue
        key = name.upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ


async def read_body(scope: Scope, environ: dict[str, Any], receive: Receive) -> bytes:
    """The whole body, however it comes. Raises: Refused when it is too large or too slow, Disconnected."""
    found = announced(scope["path"], environ)
    if found is None:
        return b""
    declared, limit = found
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            return await _collect(receive, limit, too_large=declared > limit)
    except TimeoutError:
        raise Refused(408) from None


async def _collect(receive: Receive, limit: int, *, too_large: bool) -> bytes:
    """The body up to ``limit``. What is beyond is read and dropped for a while: who still sends hears no answer."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            too_large = True
            chunks.clear()
        if not too_large:
            chunks.append(chunk)
        if not message.get("more_body", False) or size > DRAIN_LIMIT:
            break
    if too_large:
        raise Refused(413)
    return b"".join(chunks)


def header(scope: Scope, name: bytes) -> str:
    """The first value of a header, "" without one."""
    return next((value for key, value in scope["headers"] if key == name), b"").decode("latin1")


async def refuse(scope: Scope, status: int, send: Send) -> None:
    """Answer with a problem document and close the connection."""
    headers, body = refusal(status, header(scope, b"x-request-id"), header(scope, b"origin"))
    raw = [(name.encode(), value.encode("latin1")) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


class Lifespan:
    """What a server process does when it starts and ends."""

    def __init__(self, start: Callable[[], None], stop: Callable[[], None]) -> None:
        self.start, self.stop = start, stop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await asyncio.to_thread(self.start)
                await send({"type": "lifespan.startup.complete"})
            else:
                await asyncio.to_thread(self.stop)
                await send({"type": "lifespan.shutdown.complete"})
                return
