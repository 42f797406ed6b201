"""Take words of messages out of what was made of them: live events that wait to be asked for."""

from __future__ import annotations

from typing import Any

from django.db import connection

from backend.messaging.models import Message
from backend.messaging.parties import by_conversation


def quotes_of(message: Message) -> None:
    """Blank the copies of one message. Inside the caller's transaction."""
    people = by_conversation([message.conversation_id])[message.conversation_id]
    values: dict[str, Any] = {"people": people, "id": str(message.pk)}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE live_events SET data = data || '{"body": "", "attachments": [], "hidden": true}'
            WHERE user_id = ANY(%(people)s) AND type = 'message' AND data ->> 'id' = %(id)s
            """,
            values,
        )
