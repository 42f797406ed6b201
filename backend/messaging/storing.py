"""How messages get into their conversation: numbered without gaps, in as few statements as it takes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from backend.core.db import prepared
from backend.messaging.models import Conversation, Message
from backend.messaging.parties import Held

RECEIVED = "message.received"


def notice_key(conversation_id: int, seq: int | str) -> str:
    """About what somebody is told: the stretch of unread messages that began with number ``seq``."""
    return f"conversation:{conversation_id}:since:{seq}"


# The conversation is held, so that what the statement sees of it is all there is: a repeated client_id moves nothing.
# Whoever has not read on since they were last told of this stretch is not told again.
_STORE = """
    WITH moved AS (
        UPDATE conversations SET last_seq = last_seq + 1, last_message_at = %(now)s, updated_at = %(now)s
        WHERE id = %(conversation)s AND NOT EXISTS (
            SELECT FROM messages WHERE conversation_id = %(conversation)s AND sender_id = %(sender)s
                AND client_id = %(client_id)s AND client_id <> ''
        )
        RETURNING id, last_seq
    ), stored AS (
        INSERT INTO messages (conversation_id, seq, sender_id, kind, body, event, params, client_id, masked, created_at)
        SELECT id, last_seq, %(sender)s, %(kind)s, %(body)s, '', '{}', %(client_id)s, %(masked)s, %(now)s FROM moved
        RETURNING id, conversation_id, seq
    ), taken_out AS (
        UPDATE participations SET archived_at = NULL
        WHERE conversation_id = (SELECT id FROM moved) AND archived_at IS NOT NULL
    ), stretch AS (
        SELECT reader.id AS reader_id, coalesce((
            SELECT min(m.seq) FROM messages m
            WHERE m.conversation_id = %(conversation)s AND m.seq > coalesce((
                    SELECT p.read_seq FROM participations p
                    WHERE p.conversation_id = %(conversation)s AND p.user_id = reader.id
                ), 0)
                AND m.sender_id <> reader.id AND m.hidden_at IS NULL
        ), (SELECT seq FROM stored)) AS since
        FROM unnest(%(readers)s::bigint[]) AS reader (id)
    )
    SELECT stored.id, stored.seq, coalesce(json_object_agg(stretch.reader_id, stretch.since)
        FILTER (WHERE stretch.reader_id IS NOT NULL AND NOT EXISTS (
            SELECT FROM notifications n WHERE n.user_id = stretch.reader_id AND n.kind = 'message.received'
                AND n.object_key = 'conversation:' || stored.conversation_id || ':since:' || stretch.since
        )), '{}')
    FROM stored LEFT JOIN stretch ON true GROUP BY stored.id, stored.seq, stored.conversation_id
"""


def store(held: Held, message: Message, *, readers: Sequence[int]) -> dict[int, int] | None:
    """Write ``message`` as the newest one of the held conversation, which leaves the archive.

    It gets its id and number. Answers whom of ``readers`` is to be told of it, each with the number of their first
    unread message; None when the sender has stored one with this ``client_id`` before: then nothing was written.
    """
    values: dict[str, Any] = {
        "now": message.created_at,
        "conversation": held.conversation.pk,
        "sender": message.sender_id,
        "client_id": message.client_id,
        "kind": message.kind,
        "body": message.body,
        "masked": message.masked,
        "readers": list(readers),
    }
    with prepared() as cursor:
        cursor.execute(_STORE, values)
        row = cursor.fetchone()
    if row is None:
        return None
    message.pk, message.seq, told = row
    message._state.adding = False
    conversation = held.conversation
    conversation.last_seq = message.seq
    conversation.last_message_at = conversation.updated_at = message.created_at
    return {int(reader): since for reader, since in _json(told).items()}


@dataclass(frozen=True, slots=True)
class Entry:
    """A message to come: a system one with its ``event``, or words of ``sender_id``."""

    event: str = ""
    params: Mapping[str, Any] | None = None
    sender_id: int | None = None
    body: str = ""
    masked: bool = False


_KEEP = """
    INSERT INTO conversations AS c (listing_id, guest_id, host_id, last_seq, created_at, updated_at)
    VALUES (%(listing)s, %(guest)s, %(host)s, 0, %(now)s, %(now)s)
    ON CONFLICT ON CONSTRAINT conversations_once DO UPDATE SET host_id = c.host_id
    RETURNING id, last_seq, last_message_at, contact_open_at, created_at, updated_at
"""


def keep(*, listing_id: int, guest_id: int, host_id: int, now: datetime) -> Conversation:
    """The conversation of a guest and a listing, made where there is none. Inside the caller's transaction."""
    with prepared() as cursor:
        cursor.execute(_KEEP, {"listing": listing_id, "guest": guest_id, "host": host_id, "now": now})
        id_, last_seq, last_message_at, open_at, created_at, updated_at = cursor.fetchone()
    conversation = Conversation(
        pk=id_,
        listing_id=listing_id,
        guest_id=guest_id,
        host_id=host_id,
        last_seq=last_seq,
        last_message_at=last_message_at,
        contact_open_at=open_at,
        created_at=created_at,
        updated_at=updated_at,
    )
    conversation._state.adding = False
    return conversation


# One statement, since making a booking is one operation among hundreds a second.
_POST = """
    WITH entry AS MATERIALIZED (
        SELECT row.*, place FROM jsonb_array_elements(%(entries)s::jsonb) WITH ORDINALITY AS one (entry, place),
            jsonb_to_record(entry) AS row (event text, params jsonb, sender_id bigint, body text, masked boolean)
    ), kept AS (
        INSERT INTO conversations AS c
            (listing_id, guest_id, host_id, last_seq, last_message_at, contact_open_at, created_at, updated_at)
        SELECT %(listing)s, %(guest)s, %(host)s, count(*), %(now)s, %(opened)s, %(now)s, %(now)s FROM entry
        ON CONFLICT ON CONSTRAINT conversations_once DO UPDATE SET
            last_seq = c.last_seq + excluded.last_seq, last_message_at = excluded.last_message_at,
            contact_open_at = coalesce(c.contact_open_at, excluded.contact_open_at), updated_at = excluded.updated_at
        RETURNING id, last_seq, contact_open_at, created_at, xmax = 0 AS made
    ), stored AS (
        INSERT INTO messages (conversation_id, seq, sender_id, kind, body, event, params, client_id, masked, created_at)
        SELECT kept.id, kept.last_seq - (SELECT count(*) FROM entry) + place, sender_id,
            CASE WHEN event = '' THEN 'text' ELSE 'system' END, body, event, params, '', masked, %(now)s
        FROM kept, entry
        RETURNING id, seq
    ), taken_out AS (
        UPDATE participations SET archived_at = NULL
        WHERE conversation_id = (SELECT id FROM kept) AND archived_at IS NOT NULL
    )
    SELECT kept.id, kept.last_seq, kept.contact_open_at, kept.created_at, kept.made,
        array_agg(stored.id ORDER BY stored.seq)
    FROM kept, stored GROUP BY kept.id, kept.last_seq, kept.contact_open_at, kept.created_at, kept.made
"""


def post(
    *,
    listing_id: int,
    guest_id: int,
    host_id: int,
    entries: Sequence[Entry],
    now: datetime,
    opens_contact: bool = False,
) -> tuple[Conversation, list[Message], bool]:
    """Write ``entries`` (one at least) in their order into the conversation of a guest and a listing, which is made
    where there is none, and held from here on. Whether it was made comes third. Inside the caller's transaction."""
    given = [
        {
            "event": entry.event,
            "params": dict(entry.params or {}),
            "sender_id": entry.sender_id,
            "body": entry.body,
            "masked": entry.masked,
        }
        for entry in entries
    ]
    values: dict[str, Any] = {
        "entries": json.dumps(given),
        "listing": listing_id,
        "guest": guest_id,
        "host": host_id,
        "now": now,
        "opened": now if opens_contact else None,
    }
    with prepared() as cursor:
        cursor.execute(_POST, values)
        conversation_id, last_seq, open_at, created_at, made, ids = cursor.fetchone()
    conversation = Conversation(
        pk=conversation_id,
        listing_id=listing_id,
        guest_id=guest_id,
        host_id=host_id,
        last_seq=last_seq,
        last_message_at=now,
        contact_open_at=open_at,
        created_at=created_at,
        updated_at=now,
    )
    messages = [
        Message(
            pk=id_,
            conversation=conversation,
            seq=last_seq - len(ids) + place,
            sender_id=entry.sender_id,
            kind=Message.Kind.SYSTEM if entry.event else Message.Kind.TEXT,
            body=entry.body,
            event=entry.event,
            params=dict(entry.params or {}),
            masked=entry.masked,
            created_at=now,
        )
        for place, (id_, entry) in enumerate(zip(ids, entries, strict=True), start=1)
    ]
    for row in (conversation, *messages):
        row._state.adding = False
    return conversation, messages, made


def _json(value: Any) -> Any:
    """Django leaves JSON of its own statements as text."""
    return json.loads(value) if isinstance(value, str) else value
