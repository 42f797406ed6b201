"""Showing a hidden message again."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction

from backend.audit import services as audit
from backend.core import access
from backend.core.db import lock, retrying
from backend.core.errors import NotFound
from backend.messaging.models import Conversation, Message


@retrying
def show_message(*, actor: Any, message_id: int, reason: str, now: datetime) -> Message:
    """Let both sides of a conversation read a hidden message again; one that is not hidden stays as it is.

    Live copies that were blanked stay blank: who opens the conversation reads it. Raises: NotFound, NotAllowed.
    """
    with transaction.atomic():
        found = Message.objects.filter(pk=message_id).values_list("conversation_id", flat=True).first()
        if found is None:
            raise NotFound
        lock(Conversation.objects.all(), pk=found)
        message = lock(Message.objects.select_related("conversation", "sender"), pk=message_id)
        access.require(actor, "message.hide", message)
        if message.hidden_at is not None:
            message.hidden_at = None
            message.save(update_fields=["hidden_at"])
            audit.record(actor=actor, action="message.show", subject=message, now=now, reason=reason)
    return message
