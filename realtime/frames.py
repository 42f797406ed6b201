"""Frames: ``{type, id, at, data}`` as JSON, out and in. Pure but for the active translations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from django.utils.translation import gettext_lazy as _
from django.utils.translation import override

from backend.core.errors import DomainError, Invalid
from backend.notifications.rendering import event_data, instant

MAX_BYTES = 65_536
"""The largest frame that is taken; one byte more closes the socket with 1009."""


class MalformedFrame(Invalid):
    """Not JSON, or not an object with a ``type``."""

    code = "malformed_frame"
    title = _("A frame is a JSON object with a type.")


class UnknownType(Invalid):
    """A type that this server does not take."""

    code = "unknown_type"
    title = _("This server does not take frames of this type.")


class InvalidEventId(Invalid):
    """``last_event_id`` is not the number of an event that this user was ever sent."""

    code = "invalid_event_id"
    title = _("This is not the id of one of your events.")


@dataclass(frozen=True, slots=True)
class ClientFrame:
    """What a client said."""

    type: str
    data: Mapping[str, Any]


def read(text: str) -> ClientFrame:
    """A client's frame; ``id`` and ``at`` may be sent along and mean nothing. Raises: MalformedFrame."""
    try:
        frame = orjson.loads(text)
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        raise MalformedFrame from None
    if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
        raise MalformedFrame
    data = frame.get("data", {})
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise MalformedFrame
    return ClientFrame(frame["type"], data)


def last_event_id(data: Mapping[str, Any]) -> int:
    """The id of a ``resume``. Raises: InvalidEventId for what was never an id."""
    value = data.get("last_event_id")
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise InvalidEventId
    return value


def of_event(message: Mapping[str, Any], language: str) -> str:
    """The frame of a live event, its texts in ``language``."""
    return _text(
        {
            "type": message["type"],
            "id": message["seq"],
            "at": message["at"],
            "data": event_data(message["type"], message["data"], language),
        }
    )


def plain(type_: str, data: Mapping[str, Any], now: datetime) -> str:
    """A frame that is no event and has no id: ``hello``, ``pong``."""
    return _text({"type": type_, "id": None, "at": instant(now), "data": data})


def of_error(error: DomainError, language: str, request_id: str, now: datetime) -> str:
    """An ``error`` frame: the problem document of ``error``; the socket stays open."""
    return plain("error", problem(error, language, request_id), now)


def problem(error: DomainError, language: str, request_id: str) -> dict[str, Any]:
    """The problem document of an error (RFC 9457), of the same shape as everywhere."""
    with override(language):
        document: dict[str, Any] = {
            **error.extra,
            "type": f"urn:karibu:problem:{error.code}",
            "title": str(error.title),
            "status": error.status,
            "detail": str(error.detail),
            "code": error.code,
            "request_id": request_id,
        }
        if error.status == Invalid.status:
            document["errors"] = [
                {"field": each.field, "code": each.code, "message": str(each.message)}
                for each in error.errors
            ]
    return document


def _text(frame: dict[str, Any]) -> str:
    return orjson.dumps(frame).decode()
