"""What the platform says in a conversation, for the packages above: what happened to a stay, and the words that came with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from backend.accounts.models import User
from backend.listings import cohosts
from backend.listings.models import Listing
from backend.messaging import events, masking, reading, storing
from backend.messaging.models import Conversation, Message
from backend.messaging.storing import Entry
from backend.notifications.services import Event


@dataclass(frozen=True, slots=True)
class Posted:
    """What was written: the system message first, then the words; ``events`` are for ``notifications.tell``."""

    conversation: Conversation
    messages: list[Message]
    events: list[Event]
    made: bool = False
    """Whether the conversation is new."""

    @property
    def words(self) -> str:
        """The words as they were written down, "" where there were none."""
        return self.messages[1].body if len(self.messages) > 1 else ""


def post(
    *,
    listing: Listing,
    guest: User,
    event: str,
    params: Mapping[str, Any],
    now: datetime,
    opens_contact: bool = False,
    sender: User | None = None,
    words: str = "",
) -> Posted:
    """Write into the conversation of ``guest`` and ``listing`` (made where there is none) that ``event`` happened.

    ``words`` of ``sender`` follow as a message of theirs; they are cleaned already, and masked here. Two statements at
    most in the usual case, inside the caller's transaction, which has to tell ``events``.
    Raises: KeyError for an unknown event.
    """
    _known = events.TEXTS[event]
    entries = [Entry(event=event, params=params)]
    if words and sender is not None:
        entries.append(_words_of(sender, listing, guest, words, is_open=opens_contact))
    conversation, messages, made = storing.post(
        listing_id=listing.pk,
        guest_id=guest.pk,
        host_id=listing.host_id,
        entries=entries,
        now=now,
        opens_contact=opens_contact,
    )
    for message in messages[1:]:
        message.sender = sender
    keepers = [user.pk for user in cohosts.with_grant(listing, cohosts.MESSAGES)]
    everybody = list(dict.fromkeys([guest.pk, listing.host_id, *keepers]))
    shown = [frame for message in messages for frame in reading.frames(message, everybody)]
    return Posted(conversation, messages, shown, made)


def keep(*, listing: Listing, guest: User, now: datetime) -> Posted:
    """The conversation of ``guest`` and ``listing``, made where there is none, in which nothing is said."""
    kept = storing.keep(listing_id=listing.pk, guest_id=guest.pk, host_id=listing.host_id, now=now)
    return Posted(kept, [], [])


def speaks_of(conversation_id: int, reference: str) -> bool:
    """Whether something was said in a conversation about the booking with this ``reference``."""
    said = Message.objects.filter(conversation_id=conversation_id, kind=Message.Kind.SYSTEM)
    return said.filter(params__reference=reference).exists()


def _words_of(sender: User, listing: Listing, guest: User, words: str, *, is_open: bool) -> Entry:
    text, masked = (words, False) if is_open else masking.masked(words)
    if masked:
        known = Conversation.objects.filter(listing=listing, guest=guest, contact_open_at__isnull=False)
        if known.exists():
            text, masked = words, False
    return Entry(sender_id=sender.pk, body=text, masked=masked)
