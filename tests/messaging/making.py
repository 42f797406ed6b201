"""Conversations for tests, made by the operations."""

from __future__ import annotations

from typing import Any

from backend.accounts.models import User
from backend.listings import cohosts
from backend.listings.models import Listing
from backend.messaging import services as messaging
from backend.messaging.models import Conversation, Message
from backend.notifications.models import LiveEvent, Notification
from tests.factories import NOW, make_listing, make_user


def talk(
    listing: Listing | None = None, guest: User | None = None, body: str = "Is it quiet?"
) -> Conversation:
    """A conversation that a guest has begun with one message."""
    listing = listing or make_listing()
    message, _made = messaging.start(guest=guest or make_user(), listing_id=listing.pk, body=body, now=NOW)
    return message.conversation


def say(sender: User, conversation: Conversation, body: str = "Yes.", **fields: Any) -> Message:
    """One more message of ``sender``."""
    values = {"body": body, "now": NOW, **fields}
    return messaging.send(sender=sender, conversation_id=conversation.pk, **values)[0]


def make_cohost(listing: Listing, *grants: str) -> User:
    """Somebody who keeps ``listing`` too."""
    user = make_user()
    cohosts.add(actor=listing.host, listing=listing, user_id=user.pk, grants=grants or ["messages"], now=NOW)
    return user


def bodies(conversation: Conversation) -> list[str]:
    """The texts of a conversation in their order, each with its number."""
    rows = Message.objects.filter(conversation=conversation).order_by("seq")
    return [f"{row.seq} {row.body}" for row in rows]


def told(user: User) -> list[str]:
    """What somebody was told of messages, by its key, in order."""
    rows = Notification.objects.filter(user=user, kind="message.received").order_by("id")
    return list(rows.values_list("object_key", flat=True))


def frames(user: User, type_: str = "message") -> list[dict[str, Any]]:
    """The data of somebody's live events of a type, in order."""
    return list(LiveEvent.objects.filter(user=user, type=type_).order_by("id").values_list("data", flat=True))
