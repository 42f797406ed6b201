"""Letting staff read a conversation: for a reason, which the audit log keeps. They are no party of it and see no list of its words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from backend.accounts.models import ADMIN, MODERATOR, SUPPORT
from backend.audit import services as audit
from backend.core import access
from backend.identity.suspension import required_reason
from backend.messaging import events
from backend.messaging.models import Conversation, Message

NEWEST = 200
"""How many messages are shown at once, the newest."""


@dataclass(frozen=True, slots=True)
class Line:
    """A message as staff read it. ``sender`` is "" for the platform; hidden ones are shown with their words."""

    seq: int
    at: datetime
    sender: str
    body: str
    is_hidden: bool
    attachments: tuple[str, ...]


@access.rule("conversation.look")
def _may_look(actor: Any, conversation: Conversation) -> bool:
    """Support, moderators and administrators, and never at a conversation of their own."""
    is_party = actor.pk in (conversation.guest_id, conversation.host_id)
    return bool(actor.has_role(SUPPORT, MODERATOR, ADMIN)) and not is_party


def look(*, actor: Any, conversation: Conversation, reason: str, now: datetime, language: str) -> list[Line]:
    """Show ``actor`` the newest messages of ``conversation``, oldest first. Raises: NotAllowed, Invalid (``reason``)."""
    access.require(actor, "conversation.look", conversation)
    why = required_reason(reason)
    with transaction.atomic():
        audit.record(
            actor=actor,
            action="conversation.revealed",
            subject=conversation,
            now=now,
            after={"shown": ["messages"]},
            reason=why,
        )
        rows = Message.objects.filter(conversation=conversation).select_related("sender").order_by("-seq")
        newest = list(rows.prefetch_related("attachments")[:NEWEST])
    return [
        Line(
            seq=row.seq,
            at=row.created_at,
            sender=row.sender.get_short_name() if row.sender else "",
            body=events.body(row.event, row.params, language) if row.event else row.body,
            is_hidden=row.hidden_at is not None,
            attachments=tuple(each.name for each in row.attachments.all()),
        )
        for row in reversed(newest)
    ]
