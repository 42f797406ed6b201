"""Who is in a conversation: its guest, the listing's host, and the co-hosts who answer messages for the host."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from backend.accounts.models import User
from backend.core.db import Columns, locked, prepared
from backend.core.errors import NotFound
from backend.listings import cohosts
from backend.listings.models import Listing
from backend.messaging.models import Conversation

GUEST, HOST, COHOST = "guest", "host", "cohost"


@dataclass(frozen=True, slots=True)
class Held:
    """A locked conversation with everybody in it. Of its ``listing`` only id, title and host are read."""

    conversation: Conversation
    listing: Listing
    guest: User
    host: User
    cohosts: list[User]
    is_blocked: bool
    """Whether guest and host, or the guest and the co-host who asks, have blocked one another."""

    @property
    def everybody(self) -> list[User]:
        return [self.guest, self.host, *self.cohosts]

    def is_guest(self, user: Any) -> bool:
        return bool(user.pk == self.conversation.guest_id)


_CONVERSATION, _USER = Columns(Conversation), Columns(User)
_LISTING = ("id", "host_id", "title", "has_cohosts")
_HOLD = f"""
    SELECT {_CONVERSATION.of("c")}, {_USER.of("guest")}, {_USER.of("host")},
        {", ".join(f"l.{name}" for name in _LISTING)},
        EXISTS (
            SELECT FROM user_blocks WHERE (blocker_id, blocked_id) IN (
                (c.guest_id, c.host_id), (c.host_id, c.guest_id), (c.guest_id, a.id), (a.id, c.guest_id)
            )
        )
    FROM (SELECT %s::bigint AS id) a CROSS JOIN conversations c
    JOIN properties l ON l.id = c.listing_id
    JOIN users guest ON guest.id = c.guest_id JOIN users host ON host.id = c.host_id
    WHERE c.id = %s FOR NO KEY UPDATE OF c
"""  # noqa: S608 - column names of the models


def hold(conversation_id: int, actor: Any) -> Held:
    """Lock a conversation that ``actor`` is in: what happens in it happens one after the other until the transaction ends.

    Raises: NotFound, also for who is not in it (any more); Unavailable when it is held for too long.
    """
    row = iter(locked(_HOLD, [actor.pk, conversation_id]))
    conversation = _CONVERSATION.read([*islice(row, len(_CONVERSATION.names))])
    conversation.guest = _USER.read([*islice(row, len(_USER.names))])
    conversation.host = _USER.read([*islice(row, len(_USER.names))])
    listing = Listing.from_db(None, _LISTING, [*islice(row, len(_LISTING))])
    conversation.listing = listing
    keepers = [
        user
        for user in cohosts.with_grant(listing, cohosts.MESSAGES)
        if user.pk not in (conversation.guest_id, conversation.host_id)
    ]
    held = Held(conversation, listing, conversation.guest, conversation.host, keepers, next(row))
    if actor.pk is not None and actor.pk not in {user.pk for user in held.everybody}:
        raise NotFound
    return held


_PARTIES = """
    SELECT c.id, c.guest_id, c.host_id, ARRAY(
        SELECT g.user_id FROM listing_grants g JOIN auth_permission p ON p.id = g.permission_id
        JOIN users u ON u.id = g.user_id
        WHERE g.content_object_id = c.listing_id AND p.codename = 'host_messages'
            AND g.user_id NOT IN (c.guest_id, c.host_id) AND u.is_active AND u.suspended_at IS NULL
        ORDER BY g.user_id
    )
    FROM conversations c WHERE c.id = ANY(%s)
"""


def by_conversation(conversation_ids: Iterable[int]) -> dict[int, list[int]]:
    """The ids of everybody in each conversation: guest, host, then co-hosts with the grant by id. One query."""
    with prepared() as cursor:
        cursor.execute(_PARTIES, [list(conversation_ids)])
        return {row[0]: [row[1], row[2], *row[3]] for row in cursor.fetchall()}
