"""Where websockets go."""

from __future__ import annotations

from typing import Any

from realtime import consumer
from realtime.socket import Receive, Send

PATHS = ("/ws/", "/ws")


async def websocket(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """The ASGI application of all websockets."""
    serve = consumer.consume if scope["path"] in PATHS else consumer.not_found
    await serve(scope, receive, send)
