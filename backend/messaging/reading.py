"""Conversations and messages as the wire shows them, the same in the API and in live frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from backend.core.db import prepared
from backend.messaging import events, links
from backend.messaging.models import Attachment, Message
from backend.messaging.parties import by_conversation
from backend.notifications.rendering import instant
from backend.notifications.services import Event


def conversation_ids(user_id: int) -> set[int]:
    """The conversations that somebody is in, as guest, host or co-host. For the sockets' membership; one query."""
    with prepared() as cursor:
        cursor.execute(
            """
            SELECT id FROM conversations WHERE guest_id = %(user)s OR host_id = %(user)s OR listing_id = ANY (ARRAY(
                SELECT g.content_object_id FROM listing_grants g JOIN auth_permission p ON p.id = g.permission_id
                WHERE g.user_id = %(user)s AND p.codename = 'host_messages'
            ))
            """,
            {"user": user_id},
        )
        return {row[0] for row in cursor.fetchall()}


@dataclass(frozen=True, slots=True)
class Answer:
    """A guest's first words to a host, and when the host's side first answered them (None: not yet). Instants in UTC."""

    host_id: int
    conversation_id: int
    asked_at: datetime
    answered_at: datetime | None


HOSTS_ANSWERS = (
    *("inquiry.pre_approved", "inquiry.offered", "inquiry.declined"),
    *("booking.accepted", "booking.declined"),
)
"""The events by which a host answers without a word."""


def answers(hosts: Iterable[int], since: datetime, until: datetime) -> list[Answer]:
    """How ``hosts`` answered the conversations that guests opened from ``since`` to before ``until``, by asking. One query.

    What began as an inquiry or a request is not among them: these know themselves when they were answered.
    """
    with prepared() as cursor:
        cursor.execute(
            """
            SELECT c.host_id, c.id, m.created_at, (
                SELECT min(a.created_at) FROM messages a
                WHERE a.conversation_id = c.id AND (a.sender_id <> c.guest_id OR a.event = ANY(%(events)s))
            )
            FROM conversations c JOIN messages m ON m.conversation_id = c.id AND m.seq = 1 AND m.sender_id = c.guest_id
            WHERE c.host_id = ANY(%(hosts)s) AND m.created_at >= %(since)s AND m.created_at < %(until)s
            ORDER BY m.created_at, c.id
            """,
            {"hosts": list(hosts), "since": since, "until": until, "events": list(HOSTS_ANSWERS)},
        )
        return [Answer(*row) for row in cursor.fetchall()]


def parties(conversation_ids: Iterable[int]) -> dict[int, list[int]]:
    """Who is in each conversation, by id: its guest, its host, then co-hosts with the grant. One query."""
    return by_conversation(conversation_ids)


def message_data(message: Message, *, reader_id: int, language: str) -> dict[str, Any]:
    """A message as contract and sockets show it to ``reader_id``, in their language.

    Its sender, and its attachments where its kind says that there are some, are read if they were not fetched with it.
    """
    return shown(stored_data(message, reader_id=reader_id), language)


def stored_data(message: Message, *, reader_id: int) -> dict[str, Any]:
    """A message as a live event keeps it: what depends on the reader's language and on the hour is not said yet."""
    sender = message.sender
    is_hidden = message.hidden_at is not None
    has_attachments = message.kind in (Message.Kind.IMAGE, Message.Kind.FILE) and not is_hidden
    data: dict[str, Any] = {
        "id": message.pk,
        "conversation_id": message.conversation_id,
        "seq": message.seq,
        "sender": {"id": sender.pk, "first_name": sender.first_name} if sender else None,
        "kind": message.kind,
        "body": "" if is_hidden else message.body,
        "event": message.event or None,
        "params": message.params,
        "masked": message.masked,
        "hidden": is_hidden,
        "attachments": [attachment_data(each) for each in message.attachments.all()]
        if has_attachments
        else [],
        "created_at": instant(message.created_at),
        "read_at": instant(message.read_at) if message.read_at else None,
    }
    if message.client_id and message.sender_id == reader_id:
        data["client_id"] = message.client_id
    return data


def attachment_data(attachment: Attachment) -> dict[str, Any]:
    """What of an attachment does not change with the hour; ``shown`` adds the addresses, which run out."""
    return {
        "id": attachment.pk,
        "kind": attachment.kind,
        "name": attachment.name,
        "content_type": attachment.content_type,
        "size": attachment.size,
        "width": attachment.width,
        "height": attachment.height,
        "has_thumbnail": bool(attachment.thumbnail),
    }


def shown(data: Mapping[str, Any], language: str) -> dict[str, Any]:
    """``stored_data`` for a reader: the text of a system message in ``language``, fresh addresses of attachments."""
    result = {key: value for key, value in data.items() if key != "params"}
    if data["event"]:
        result["body"] = events.body(data["event"], data["params"], language)
    result["attachments"] = [links.with_addresses(each) for each in data["attachments"]]
    return result


def frames(message: Message, user_ids: Sequence[int]) -> list[Event]:
    """The live events that show ``message`` to each of ``user_ids``; the sender's own carries their ``client_id``."""
    return [Event(user_id, "message", stored_data(message, reader_id=user_id)) for user_id in user_ids]
