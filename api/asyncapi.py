"""The AsyncAPI document of the websocket, written from the models of its frames."""

from __future__ import annotations

from functools import cache
from inspect import cleandoc
from typing import Any

from django.conf import settings
from pydantic.json_schema import models_json_schema

from backend.notifications.frames import CLIENT, SERVER, Kind

DESCRIPTION = """\
Live events. Open `/ws/` with a ticket of `POST /api/realtime/ticket/` (`?ticket=`), or with the subprotocol
`bearer, <access token>`. Frames are JSON `{type, id, at, data}`. Events (message, message.read, notification, booking)
have an `id` that rises by one per user; after a reconnect send `resume` with the last one that you have seen, at once
after `hello`, and you get all that you missed, in order, before what comes later. The others have none and are said
once; presence and typing are left out for who reads slowly.

A `message.send` is answered on your sockets by the `message` with your `client_id`, or by an `error` with it. After a
lost connection send it again: it is stored once, and answered with the same event. Of one socket they are stored in
the order in which they were sent.

Close codes: 4401 the session or the access token ended, 4403 your network was blocked, 4429 more than 100 frames in five
seconds, 4408 no answer to a ping, 1009 a frame over 64 KiB, 1003 a binary frame, 1007 not UTF-8, 1013 too slow a reader (reconnect and resume),
1012 the server restarts. A refused upgrade is an HTTP answer with a problem document: 401, 403 for a foreign origin
or a blocked network, 429 for a socket too many.
"""

REF = "#/components/schemas/{model}"


def document() -> dict[str, Any]:
    """The whole document, AsyncAPI 3.0."""
    messages, schemas = _described()
    scheme, _, host = settings.PUBLIC_URL.partition("://")
    sent = [name for name in messages if not name.startswith("client.")]
    heard = [name for name in messages if name.startswith("client.")]
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Karibu", "version": "1.0.0", "description": DESCRIPTION},
        "defaultContentType": "application/json",
        "servers": {"here": {"host": host, "protocol": "wss" if scheme == "https" else "ws"}},
        "channels": {
            "socket": {
                "address": "/ws/",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
            }
        },
        "operations": {
            "tell": _operation("send", "What the server says.", sent),
            "hear": _operation("receive", "What a client may say.", heard),
        },
        "components": {"messages": messages, "schemas": schemas},
    }


@cache
def _described() -> tuple[dict[str, Any], dict[str, Any]]:
    """The messages, those of clients as ``client.…``, and the schemas that they refer to."""
    told = models_json_schema([(kind.frame, "serialization") for kind in SERVER.values()], ref_template=REF)
    asked = models_json_schema([(kind.frame, "validation") for kind in CLIENT.values()], ref_template=REF)
    messages = {}
    for kinds, (references, _schemas), prefix in ((SERVER, told, ""), (CLIENT, asked, "client.")):
        for name, kind in kinds.items():
            mode: Any = "validation" if prefix else "serialization"
            messages[f"{prefix}{name}"] = _message(name, kind, references[kind.frame, mode])
    return messages, {**told[1]["$defs"], **asked[1]["$defs"]}


def _message(name: str, kind: Kind, payload: dict[str, Any]) -> dict[str, Any]:
    text = cleandoc(kind.data.__doc__ or "")
    return {"name": name, "summary": text.partition("\n")[0], "description": text, "payload": payload}


def _operation(action: str, text: str, messages: list[str]) -> dict[str, Any]:
    return {
        "action": action,
        "summary": text,
        "channel": {"$ref": "#/channels/socket"},
        "messages": [{"$ref": f"#/channels/socket/messages/{name}"} for name in messages],
    }
