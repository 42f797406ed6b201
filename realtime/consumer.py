"""A websocket from its request to its end: who is it, is there room, then the socket."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import orjson
import structlog
from django.db import Error as DatabaseError
from django.utils import timezone

from backend.core.errors import DomainError, NotFound, Unauthenticated, Unavailable
from backend.notifications import feed
from realtime import door, frames, hub, slots
from realtime.database import ask
from realtime.socket import Receive, Send, Socket

log = structlog.get_logger(__name__)


async def consume(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Serve one websocket at ``/ws/``."""
    if (await receive())["type"] != "websocket.connect":
        return
    request_id = door.request_id(scope)
    try:
        try:
            await ask(door.require_admitted, scope)
            door.require_origin(scope)
            visitor = await ask(door.admit, scope, timezone.now())
            slot = await ask(
                slots.take, user_id=visitor.user_id, process_id=hub.here().process_id, now=timezone.now()
            )
        except DatabaseError as error:
            raise Unavailable from error
        if slot is None:
            raise door.TooManySockets(retry_after=door.RETRY_AFTER_S)
    except DomainError as error:
        await refuse(scope, send, error, request_id)
        return
    hub_here = hub.here()
    socket = Socket(
        visitor,
        slot,
        request_id,
        receive=receive,
        send=send,
        company=hub_here.company,
        hurry=hub_here.hurry,
    )
    try:
        await _serve(socket, scope, send)
    finally:
        # Shielded: the server cancels its requests when it ends, and the slot must be free all the same.
        await asyncio.shield(_give_back(slot))


async def not_found(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """There is no websocket at this path."""
    await receive()
    await refuse(scope, send, NotFound(), door.request_id(scope))


async def refuse(scope: dict[str, Any], send: Send, error: DomainError, request_id: str) -> None:
    """Answer the upgrade request with a problem document; a server that cannot do that answers 403 by itself."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close"})
        return
    body = orjson.dumps(frames.problem(error, door.language(scope, ""), request_id))
    headers = [(b"content-type", b"application/problem+json"), (b"x-request-id", request_id.encode())]
    headers.append((b"content-length", str(len(body)).encode()))
    headers += [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]
    if error.retry_after is not None:
        headers.append((b"retry-after", str(error.retry_after).encode()))
    if error.status == Unauthenticated.status:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "websocket.http.response.start", "status": error.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})


async def _serve(socket: Socket, scope: dict[str, Any], send: Send) -> None:
    visitor = socket.visitor
    try:
        await hub.here().join(socket)
        # Read after joining: what comes later is heard, what came before is counted here.
        newest = (await ask(feed.latest, [visitor.user_id])).get(visitor.user_id, 0)
    except DatabaseError:
        await hub.here().leave(socket)
        await refuse(scope, send, Unavailable(), socket.request_id)
        return
    try:
        await send({"type": "websocket.accept", "subprotocol": visitor.subprotocol})
        await socket.run(newest)
    finally:
        await hub.here().leave(socket)


async def _give_back(slot: uuid.UUID) -> None:
    try:
        await ask(slots.give_back, slot)
    except DatabaseError as error:
        # The pulse counts again what is open.
        log.warning("slot_not_given_back", error=str(error))
