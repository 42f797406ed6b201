"""What is said on a websocket: a model for each frame, out and in.

Clients' frames are read with these models, tests hold every frame that a server sends against them, and
``/api/asyncapi.json`` is written from them. Texts are in the reader's language, instants in UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

MAX_ID = 2**63 - 1
BODY_LONGEST = 5000
CLIENT_ID_LONGEST = 100
MOST_ATTACHMENTS = 10

Id = Annotated[int, Field(ge=1, le=MAX_ID)]
EventId = Annotated[int, Field(ge=1, le=MAX_ID, description="Rises by one with each event of yours.")]


class Told(BaseModel):
    """Base of what the server says: nothing that is not declared."""

    model_config = ConfigDict(extra="forbid")


class Hello(Told):
    """Who you are and where your events stand."""

    user_id: Id
    last_event_id: Annotated[int, Field(ge=0, description="0 before your first event.")]
    heartbeat_s: Annotated[int, Field(description="Say something at least this often, for example ping.")]


class Notice(Told):
    """A notice, as GET /api/notifications/ shows it."""

    id: Id
    kind: Annotated[str, Field(examples=["booking.confirmed"])]
    title: str
    body: str
    data: Annotated[dict[str, Any], Field(examples=[{"booking_id": 7, "property_id": 42}])]
    url: str
    read_at: datetime | None
    created_at: datetime


class BookingPayment(Told):
    """The payment or refund that changed."""

    id: Id
    kind: Literal["payment", "refund"]
    status: Literal["pending", "completed", "failed", "refunded", "partially_refunded"]


class BookingState(Told):
    """What became of a booking; GET /api/bookings/{id}/ has the rest."""

    id: Id
    reference: str
    status: Literal["pending", "confirmed", "canceled", "completed", "declined", "expired"]
    pending_reason: Literal["host", "payment"] | None
    property_id: Id
    property: Annotated[str, Field(description="The title of the property.")]
    check_in: date
    check_out: date
    payment: BookingPayment | None = None


class Sender(Told):
    """Who wrote a message."""

    id: Id
    first_name: str


class Attachment(Told):
    """A picture or a file. Its addresses hold for a while; GET the messages again for fresh ones."""

    id: Id
    kind: Literal["image", "file"]
    name: str
    content_type: str
    size: Annotated[int, Field(description="Bytes.")]
    width: int | None
    height: int | None
    url: str
    thumbnail_url: str | None


class Message(Told):
    """A message, as GET /api/conversations/{id}/messages/ shows it."""

    id: Id
    conversation_id: Id
    seq: Annotated[int, Field(ge=1, description="Rises by one in its conversation.")]
    sender: Annotated[Sender | None, Field(description="Nobody: the platform says what happened.")]
    kind: Literal["text", "image", "file", "system"]
    body: str
    event: Annotated[str | None, Field(description="Of a system message: what happened.")]
    masked: Annotated[bool, Field(description="Contact data were taken out.")]
    hidden: Annotated[bool, Field(description="The moderators took it out of sight.")]
    client_id: Annotated[
        str | None, Field(description="Your own word for it, in what you sent yourself.")
    ] = None
    attachments: list[Attachment]
    created_at: datetime
    read_at: datetime | None = None


class MessageRead(Told):
    """Somebody has read a conversation up to a message."""

    conversation_id: Id
    user_id: Id
    seq: Annotated[int, Field(ge=0)]
    read_at: datetime


class Typing(Told):
    """Somebody writes, or stopped. Show it for six seconds after the last one."""

    conversation_id: Id
    user_id: Id
    is_typing: bool


class Presence(Told):
    """Somebody of your conversations came or left. Soon after ``hello`` you are told who of them is there already, and of
    people whom you meet later when you do something in the conversation with them."""

    user_id: Id
    is_online: bool
    conversation_ids: Annotated[
        list[Id], Field(description="The conversations that you share, the newest 50 of them.")
    ]


class Refusal(BaseModel):
    """One refused field."""

    field: str
    code: str
    message: str


class Refused(BaseModel):
    """A problem document (RFC 9457), and which frame of yours it answers. Some problems carry further members."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[Refusal] | None = None
    answers: Annotated[str | None, Field(description="The type of the frame that was refused.")] = None
    client_id: Annotated[str | None, Field(description="That of the refused message.send.")] = None
    retry_after: Annotated[int | None, Field(description="Seconds.")] = None


class Pong(Told):
    """The answer to ping."""


class Asked(BaseModel):
    """Base of what clients say. What is not declared is not looked at; JSON's own types only."""

    model_config = ConfigDict(extra="ignore", strict=True)


class Resume(Asked):
    """Tell me all after this event."""

    last_event_id: Annotated[int, Field(ge=0, le=MAX_ID)]


class SendMessage(Asked):
    """Write a message. The same ``client_id`` sent again is the same message, and is answered in the same way."""

    model_config = ConfigDict(extra="forbid", strict=True)

    conversation_id: Id
    body: Annotated[str, Field(json_schema_extra={"maxLength": BODY_LONGEST})] = ""
    client_id: Annotated[
        str, Field(min_length=1, max_length=CLIENT_ID_LONGEST, description="Your own word for it.")
    ]
    attachment_ids: Annotated[
        list[Id],
        Field(
            default_factory=list,
            max_length=MOST_ATTACHMENTS,
            description="What POST /api/conversations/{id}/attachments/ answered.",
        ),
    ]


class ReadMessages(Asked):
    """I have read this conversation, up to this message or all of it."""

    conversation_id: Id
    up_to: Annotated[int | None, Field(ge=0, le=MAX_ID, description="The seq of a message.")] = None


class TypingNow(Asked):
    """I am writing, or stopped. Say it again every three seconds while it goes on."""

    conversation_id: Id
    is_typing: bool = True


class Ping(Asked):
    """Are you there?"""


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of frame: the model of its ``data``, whether it is an event with an ``id``, and the whole frame's model."""

    data: type[BaseModel]
    is_event: bool
    frame: type[BaseModel]


def _told(name: str, data: type[BaseModel], *, is_event: bool = False) -> Kind:
    fields: dict[str, Any] = {
        "type": (Literal[name], ...),
        "id": (EventId if is_event else None, ...),
        "at": (datetime, ...),
        "data": (data, ...),
    }
    strict = ConfigDict(extra="forbid")
    return Kind(data, is_event, create_model(f"{data.__name__}Frame", __config__=strict, **fields))


def _asked(name: str, data: type[BaseModel]) -> Kind:
    is_needed = any(field.is_required() for field in data.model_fields.values())
    fields: dict[str, Any] = {
        "type": (Literal[name], ...),
        "data": (data, ...) if is_needed else (data | None, None),
    }
    return Kind(data, False, create_model(f"{data.__name__}Frame", **fields))


SERVER: dict[str, Kind] = {
    "hello": _told("hello", Hello),
    "notification": _told("notification", Notice, is_event=True),
    "message": _told("message", Message, is_event=True),
    "message.read": _told("message.read", MessageRead, is_event=True),
    "booking": _told("booking", BookingState, is_event=True),
    "typing": _told("typing", Typing),
    "presence": _told("presence", Presence),
    "error": _told("error", Refused),
    "pong": _told("pong", Pong),
}
"""All that a server may say. Events are stored and told again by ``resume``; the others are said once or not at all."""

CLIENT: dict[str, Kind] = {
    "resume": _asked("resume", Resume),
    "message.send": _asked("message.send", SendMessage),
    "message.read": _asked("message.read", ReadMessages),
    "typing": _asked("typing", TypingNow),
    "ping": _asked("ping", Ping),
}
"""All that a client may say."""
