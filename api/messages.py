"""Messages of a conversation: read them, write one, say how far one has read."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from django.utils import timezone
from ninja import Path, Query, Router
from ninja.responses import Status
from pydantic import Field

from api import languages
from api.booking_types import PartyOut
from api.pagination import Page, PageQuery, page
from api.problems import responses
from api.types import MAX_ID, Id, In, Out, Text
from backend.core.errors import NotFound, Throttled
from backend.messaging import reading
from backend.messaging import services as messaging
from backend.messaging.attaching import MOST
from backend.messaging.blocking import Blocked
from backend.messaging.models import BODY_LONGEST, Conversation, Message
from backend.messaging.services import CLIENT_ID_LONGEST, Gone

router = Router(tags=["Messages"])

Body = Annotated[str, Text(BODY_LONGEST, min=1, lines=True), Field(examples=["Is it quiet at night?"])]
Seq = Annotated[int, Field(ge=0, le=MAX_ID)]


class AttachmentOut(Out):
    """A picture or a file. Its addresses work for an hour at least; then read the message again."""

    id: int
    kind: Annotated[Literal["image", "file"], Field(examples=["image"])]
    name: Annotated[str, Field(examples=["balcony.jpg"])]
    content_type: Annotated[str, Field(examples=["image/jpeg"])]
    size: Annotated[int, Field(description="Bytes.", examples=[48213])]
    width: Annotated[int | None, Field(examples=[2048])]
    height: Annotated[int | None, Field(examples=[1365])]
    url: Annotated[str, Field(examples=["https://example.com/api/attachments/5/full/?token=…"])]
    thumbnail_url: Annotated[
        str | None,
        Field(
            description="Of pictures, soon after they came.",
            examples=["https://example.com/api/attachments/5/thumbnail/?token=…"],
        ),
    ]


class MessageOut(Out):
    """One message; `seq` counts without gaps. The same object arrives on the websocket as the data of a `message` frame."""

    id: int
    conversation_id: int
    seq: Annotated[int, Field(examples=[3])]
    sender: Annotated[PartyOut | None, Field(description="Null: the platform says what happened.")]
    kind: Annotated[Literal["text", "image", "file", "system"], Field(examples=["text"])]
    body: Annotated[str, Field(examples=["Is it quiet at night?"])]
    event: Annotated[str | None, Field(description="What happened, in a system message.", examples=[None])]
    client_id: Annotated[
        str | None, Field(description="The caller's own word for it.", examples=["c-17"])
    ] = None
    masked: Annotated[
        bool, Field(description="Contact data were taken out: no booking is confirmed yet.", examples=[False])
    ]
    hidden: Annotated[bool, Field(description="Our team took it away.", examples=[False])]
    attachments: list[AttachmentOut]
    created_at: datetime
    read_at: Annotated[
        datetime | None,
        Field(description="When the other side first read it.", examples=["2027-03-01T09:05:00Z"]),
    ]


class MessageIn(In):
    """Words, attachments, or both."""

    body: Annotated[
        str, Text(BODY_LONGEST, lines=True), Field(examples=["Yes: the street is for walking only."])
    ] = ""
    client_id: Annotated[
        str,
        Field(
            max_length=CLIENT_ID_LONGEST,
            description="Your own word for this message: sent twice, it is stored once.",
            examples=["c-17"],
        ),
    ] = ""
    attachment_ids: Annotated[
        list[Id], Field(max_length=MOST, description="Uploaded to this conversation before.", examples=[[5]])
    ] = []


class ReadIn(In):
    """How far; without it, all that is there."""

    up_to: Annotated[Seq | None, Field(description="The seq of the last message that was read.")] = None


class MessageQuery(PageQuery):
    """What the list of messages takes."""

    after_seq: Annotated[
        Seq | None, Field(description="Those after this one, the oldest first: what was missed.")
    ] = None
    before_seq: Annotated[Seq | None, Field(description="Those before this one.")] = None


@router.get(
    "/conversations/{int:conversation_id}/messages/",
    response=responses(Page[MessageOut], NotFound),
    summary="List messages, newest first",
)
def list_messages(request: HttpRequest, conversation_id: Path[Id], params: Query[MessageQuery]) -> Any:
    """The first page is the newest one, `next` goes back in time. With `after_seq` it goes forward from there."""
    user = request.auth  # type: ignore[attr-defined]
    if not Conversation.objects.visible_to(user).filter(pk=conversation_id).exists():
        raise NotFound
    rows = Message.objects.filter(conversation_id=conversation_id)
    if params.after_seq is not None:
        rows = rows.filter(seq__gt=params.after_seq)
    if params.before_seq is not None:
        rows = rows.filter(seq__lt=params.before_seq)
    language = languages.code(request)
    return page(
        request,
        rows.select_related("sender").prefetch_related("attachments"),
        params,
        lambda row: reading.message_data(row, reader_id=user.pk, language=language),
        "-seq" if params.after_seq is None else "seq",
    )


@router.post(
    "/conversations/{int:conversation_id}/messages/",
    response=responses(MessageOut, NotFound, Blocked, Gone, Throttled, status=201, also={200: MessageOut}),
    summary="Write a message",
)
def send(request: HttpRequest, conversation_id: Path[Id], body: MessageIn) -> Any:
    """Until a booking of the two is confirmed, email addresses, phone numbers and links are masked.

    A `client_id` that was stored before is answered by 200 with the message that is there.
    """
    user = request.auth  # type: ignore[attr-defined]
    message, is_new = messaging.send(
        sender=user,
        conversation_id=conversation_id,
        body=body.body,
        client_id=body.client_id,
        attachment_ids=body.attachment_ids,
        now=timezone.now(),
    )
    data = reading.message_data(message, reader_id=user.pk, language=languages.code(request))
    return Status(201 if is_new else 200, data)


@router.post(
    "/conversations/{int:conversation_id}/read/",
    response=responses(None, NotFound, status=204),
    summary="Mark a conversation read",
)
def read(request: HttpRequest, conversation_id: Path[Id], body: ReadIn | None = None) -> None:
    """All of it, or up to a message. Going back changes nothing."""
    messaging.mark_read(
        reader=request.auth,  # type: ignore[attr-defined]
        conversation_id=conversation_id,
        up_to=body.up_to if body else None,
        now=timezone.now(),
    )
