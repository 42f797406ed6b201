"""Frames: ``{type, id, at, data}`` as JSON, out and in. Pure but for the active translations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

import orjson
from django.utils.translation import gettext_lazy as _
from django.utils.translation import override
from pydantic import ValidationError

from backend.core import violations
from backend.core.errors import DomainError, Invalid
from backend.notifications.frames import CLIENT, CLIENT_ID_LONGEST, Asked
from backend.notifications.rendering import event_data, instant

MAX_BYTES = 65_536
"""The largest frame that is taken; one byte more closes the socket with 1009."""

TYPE_LONGEST = 40
"""How much of an unknown type is said back."""


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


@dataclass(slots=True)
class Event:
    """A live event as processes hand it to each other (``rendering.event_message``), with its texts as far as made."""

    message: Mapping[str, Any]
    _texts: dict[str, str] = field(default_factory=dict)

    @property
    def type(self) -> str:
        return str(self.message["type"])

    @property
    def user_id(self) -> int:
        return int(self.message["user_id"])

    @property
    def seq(self) -> int:
        return int(self.message["seq"])

    @property
    def data(self) -> Mapping[str, Any]:
        """What is stored; what is shown depends on the reader's language."""
        data: Mapping[str, Any] = self.message["data"]
        return data

    def text(self, language: str) -> str:
        """The frame, its texts in ``language``; made once, however many sockets of the user hear it."""
        if language not in self._texts:
            data = event_data(self.type, self.data, language)
            frame = {"type": self.type, "id": self.seq, "at": self.message["at"], "data": data}
            self._texts[language] = _text(frame)
        return self._texts[language]


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


def checked(frame: ClientFrame) -> Asked:
    """What a client asks for. Raises: UnknownType, InvalidEventId, Invalid with the fields that are wrong."""
    if frame.type not in CLIENT:
        raise UnknownType
    try:
        return cast(Asked, CLIENT[frame.type].data.model_validate(frame.data))
    except ValidationError as error:
        if frame.type == "resume":
            raise InvalidEventId from None
        found = [{**each, "loc": ("body", "data", *each["loc"])} for each in error.errors()]
        raise violations.as_error(found) from None


def plain(type_: str, data: Mapping[str, Any], now: datetime) -> str:
    """A frame that is no event and has no id: ``hello``, ``pong``."""
    return _text({"type": type_, "id": None, "at": instant(now), "data": data})


def of_error(
    error: DomainError, language: str, request_id: str, now: datetime, *, to: ClientFrame | None = None
) -> str:
    """An ``error`` frame: the problem document of ``error``, and which frame it answers; the socket stays open."""
    document = problem(error, language, request_id)
    if error.retry_after is not None:
        document["retry_after"] = error.retry_after
    if to is not None:
        document["answers"] = to.type[:TYPE_LONGEST]
        if isinstance(client_id := to.data.get("client_id"), str) and len(client_id) <= CLIENT_ID_LONGEST:
            document["client_id"] = client_id
    return plain("error", document, now)


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
