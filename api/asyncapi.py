"""The AsyncAPI document of the websocket."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from pydantic import BaseModel

from api.notifications import NotificationOut
from api.problems import Problem

DESCRIPTION = """\
Live events. Open `/ws/` with a ticket of `POST /api/realtime/ticket/` (`?ticket=`), or with the subprotocol
`bearer, <access token>`. Frames are JSON `{type, id, at, data}`. Events have an `id` that rises by one per user; after a
reconnect send `resume` with the last one that you have seen, at once after `hello`, and you get all that you missed, in
order, before what comes later.

Close codes: 4401 the session or the access token ended, 4403 your network was blocked, 4429 more than 100 frames in five
seconds, 4408 no answer to a ping, 1009 a frame over 64 KiB, 1003 a binary frame, 1007 not UTF-8, 1013 too slow a reader (reconnect and resume),
1012 the server restarts. A refused upgrade is an HTTP answer with a problem document: 401, 403 for a foreign origin
or a blocked network, 429 for a socket too many.
"""

_schemas: dict[str, Any] = {}


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a model; what it refers to stands among the document's components."""
    described = model.model_json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
    _schemas.update(described.pop("$defs", {}))
    return described


INSTANT = {"type": "string", "format": "date-time"}
EVENT_ID = {"type": "integer", "minimum": 1, "description": "Rises by one per user."}

BOOKING = {
    "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "reference": {"type": "string"},
        "status": {"enum": ["pending", "confirmed", "canceled", "completed", "declined", "expired"]},
        "pending_reason": {"enum": ["host", "payment", None]},
        "property_id": {"type": "integer"},
        "property": {"type": "string"},
        "check_in": {"type": "string", "format": "date"},
        "check_out": {"type": "string", "format": "date"},
        "payment": {
            "type": "object",
            "description": "The payment or refund that changed, where it is one.",
            "properties": {
                "id": {"type": "integer"},
                "kind": {"enum": ["payment", "refund"]},
                "status": {"enum": ["pending", "completed", "failed", "refunded", "partially_refunded"]},
            },
            "required": ["id", "kind", "status"],
        },
    },
    "required": ["id", "reference", "status", "property_id"],
}
HELLO = {
    "type": "object",
    "properties": {
        "user_id": {"type": "integer"},
        "last_event_id": {"type": "integer", "minimum": 0},
        "heartbeat_s": {
            "type": "integer",
            "description": "Say something at least this often, for example ping.",
        },
    },
    "required": ["user_id", "last_event_id", "heartbeat_s"],
}
RESUME = {
    "type": "object",
    "properties": {"last_event_id": {"type": "integer", "minimum": 0}},
    "required": ["last_event_id"],
}
NOTHING = {"type": "object"}

SERVER: dict[str, tuple[str, dict[str, Any], bool]] = {
    "hello": ("The first frame: who you are and where your events stand.", HELLO, False),
    "notification": (
        "A notice, as GET /api/notifications/ shows it.",
        NotificationOut.model_json_schema(),
        True,
    ),
    "booking": ("A booking of yours, as guest or host, changed.", BOOKING, True),
    "error": ("A frame of yours was refused; the socket stays open.", _schema(Problem), False),
    "pong": ("The answer to ping.", NOTHING, False),
}
CLIENT: dict[str, tuple[str, dict[str, Any]]] = {
    "resume": ("Tell me all after this event. Not the id of an event: error invalid_event_id.", RESUME),
    "ping": ("Are you there?", NOTHING),
}


def document() -> dict[str, Any]:
    """The whole document, AsyncAPI 3.0."""
    sent = {
        name: _message(name, text, data, is_event=is_event) for name, (text, data, is_event) in SERVER.items()
    }
    heard = {f"client.{name}": _client_message(name, text, data) for name, (text, data) in CLIENT.items()}
    messages = {**sent, **heard}
    scheme, _, host = settings.PUBLIC_URL.partition("://")
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
        "components": {"messages": messages, "schemas": _schemas},
    }


def _message(name: str, text: str, data: dict[str, Any], *, is_event: bool) -> dict[str, Any]:
    return {
        "name": name,
        "summary": text,
        "payload": {
            "type": "object",
            "properties": {
                "type": {"const": name},
                "id": EVENT_ID if is_event else {"type": "null"},
                "at": INSTANT,
                "data": data,
            },
            "required": ["type", "id", "at", "data"],
        },
    }


def _client_message(name: str, text: str, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "summary": text,
        "payload": {
            "type": "object",
            "properties": {"type": {"const": name}, "data": data},
            "required": ["type", "data"] if data.get("required") else ["type"],
        },
    }


def _operation(action: str, text: str, messages: dict[str, Any]) -> dict[str, Any]:
    return {
        "action": action,
        "summary": text,
        "channel": {"$ref": "#/channels/socket"},
        "messages": [{"$ref": f"#/channels/socket/messages/{name}"} for name in messages],
    }
