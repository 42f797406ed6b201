"""Take words of messages back: those of somebody who leaves, those that staff hide, those that are too old.

Live events wait for clients that come back, with the words in them; they lose these too.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Q

from backend.accounts.models import User
from backend.messaging import attaching
from backend.messaging.models import Attachment, Conversation, Message
from backend.messaging.parties import by_conversation
from backend.messaging.storing import RECEIVED

_BATCH = 5000


def hold_conversations(user: User) -> None:
    """Lock every conversation of ``user``, in the order of their ids, until the transaction ends: nobody writes to them."""
    theirs = Conversation.objects.filter(Q(guest=user) | Q(host=user)).order_by("pk")
    list(theirs.select_for_update(no_key=True).values_list("pk"))


def words_of(user: User) -> int:
    """Blank the texts of everything that ``user`` has written; how many. Inside the caller's transaction."""
    return Message.objects.filter(sender=user).exclude(body="").update(body="")


def files_of(user_id: int) -> None:
    """Delete what ``user_id`` has put into messages, with its files. Never inside a transaction."""
    while ids := list(Attachment.objects.filter(uploader=user_id).values_list("pk", flat=True)[:_BATCH]):
        attaching.remove(Attachment.objects.filter(pk__in=ids))


def traces_of(user_id: int, *, name: str) -> None:
    """Take what ``user_id`` wrote out of what others were shown live, and call them ``name`` there and in notices.

    Again it changes nothing.
    """
    written = Message.objects.filter(sender=user_id).values_list("conversation", flat=True)
    everybody = by_conversation(written.distinct())
    readers = sorted({reader for people in everybody.values() for reader in people} - {user_id})
    values: dict[str, Any] = {
        "user": str(user_id),
        "readers": readers,
        "name": name,
        "received": RECEIVED,
    }
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE live_events SET data = jsonb_set(
                data || '{"body": "", "attachments": []}', '{sender,first_name}', to_jsonb(%(name)s::text)
            )
            WHERE user_id = ANY(%(readers)s) AND type = 'message' AND data -> 'sender' ->> 'id' = %(user)s
            """,
            values,
        )
        cursor.execute(
            """
            UPDATE live_events SET data = jsonb_set(data, '{params,sender}', to_jsonb(%(name)s::text))
            WHERE user_id = ANY(%(readers)s) AND type = 'notification' AND data ->> 'kind' = %(received)s
                AND data -> 'data' ->> 'sender_id' = %(user)s
            """,
            values,
        )
        cursor.execute(
            """
            UPDATE notifications SET params = jsonb_set(params, '{sender}', to_jsonb(%(name)s::text))
            WHERE user_id = ANY(%(readers)s) AND kind = %(received)s AND data ->> 'sender_id' = %(user)s
            """,
            values,
        )


def copies_of(message: Message) -> None:
    """Blank the live copies of one message. Inside the caller's transaction."""
    people: Sequence[int] = by_conversation([message.conversation_id])[message.conversation_id]
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE live_events SET data = data || '{"body": "", "attachments": [], "hidden": true}'
            WHERE user_id = ANY(%s) AND type = 'message' AND data ->> 'id' = %s
            """,
            [list(people), str(message.pk)],
        )


def outdated(*, before: datetime) -> int:
    """Blank the texts and delete the files of conversations in which nothing was written since ``before``; how many.

    What the platform said of stays remains.
    """
    count = 0
    texts = Message.objects.filter(conversation__last_message_at__lt=before).exclude(body="")
    while ids := list(texts.values_list("pk", flat=True)[:_BATCH]):
        count += Message.objects.filter(pk__in=ids).update(body="")
    files = Attachment.objects.filter(conversation__last_message_at__lt=before)
    while ids := list(files.values_list("pk", flat=True)[:_BATCH]):
        count += attaching.remove(Attachment.objects.filter(pk__in=ids))
    return count
