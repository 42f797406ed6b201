"""Pictures and files of messages: which of them belong to a message that is sent now."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from django.utils.translation import gettext_lazy as _

from backend.accounts.models import User
from backend.core.errors import Invalid
from backend.messaging.models import Attachment, Conversation, Message

MOST = 10
"""Attachments of one message."""


def require_few(attachment_ids: Collection[int]) -> None:
    """Raises: Invalid when there are more than a message may have."""
    if len(set(attachment_ids)) > MOST:
        raise Invalid.field("attachment_ids", "too_many_attachments", _("At most 10 attachments."))


def take(conversation: Conversation, sender: User, attachment_ids: Sequence[int]) -> list[Attachment]:
    """What the sender has uploaded to this conversation and not sent yet, held, by id. Raises: Invalid for anything else."""
    wanted = set(attachment_ids)
    if not wanted:
        return []
    mine = Attachment.objects.filter(
        pk__in=wanted, conversation=conversation, uploader=sender, message=None
    ).order_by("pk")
    found = list(mine.select_for_update(of=("self",), no_key=True))
    if len(found) < len(wanted):
        message = _("Upload it to this conversation first. Each attachment is sent once.")
        raise Invalid.field("attachment_ids", "unknown_attachment", message)
    return found


def kind_of(attachments: Sequence[Attachment]) -> str:
    """The kind of a message with these attachments."""
    if not attachments:
        return Message.Kind.TEXT
    are_pictures = all(each.kind == Attachment.Kind.IMAGE for each in attachments)
    return Message.Kind.IMAGE if are_pictures else Message.Kind.FILE


def send(message: Message, attachments: Sequence[Attachment]) -> None:
    """Make them the message's."""
    if attachments:
        Attachment.objects.filter(pk__in=[each.pk for each in attachments]).update(message=message)
