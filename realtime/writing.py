"""What clients write on a socket: into the domain, as the one whose session it is."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from backend.core.errors import Unauthenticated
from backend.identity import sessions
from backend.messaging import reading
from backend.messaging import services as messages
from backend.messaging.models import Message
from backend.notifications import feed
from backend.notifications.frames import ReadMessages, SendMessage
from backend.notifications.rendering import instant
from realtime.door import Visitor


def send(visitor: Visitor, asked: SendMessage, now: datetime) -> dict[str, Any] | None:
    """Store a message; None when it is new and comes to the sender's sockets as to the others'.

    One that was stored before gives the event that showed it. Raises: Unauthenticated, what ``messages.send`` raises.
    """
    message, is_new = messages.send(
        sender=_actor(visitor, now),
        conversation_id=asked.conversation_id,
        body=asked.body,
        client_id=asked.client_id,
        attachment_ids=asked.attachment_ids,
        now=now,
    )
    if is_new:
        return None
    event = feed.told(visitor.user_id, "message", message.pk, at=message.created_at)
    return event or _of_long_ago(message, visitor.user_id)


def _of_long_ago(message: Message, sender_id: int) -> dict[str, Any]:
    """As an event that is older than all that are kept."""
    data = reading.stored_data(message, reader_id=sender_id)
    return {
        "type": "message",
        "user_id": sender_id,
        "seq": 1,
        "at": instant(message.created_at),
        "data": data,
    }


def read(visitor: Visitor, asked: ReadMessages, now: datetime) -> None:
    """Note how far the user has read. Raises: Unauthenticated, what ``messages.mark_read`` raises."""
    messages.mark_read(
        reader=_actor(visitor, now), conversation_id=asked.conversation_id, up_to=asked.up_to, now=now
    )


def _actor(visitor: Visitor, now: datetime) -> Any:
    if visitor.expires_at and visitor.expires_at <= now:
        raise Unauthenticated
    return sessions.holder(visitor.session_id, now=now)
