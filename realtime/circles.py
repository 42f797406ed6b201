"""Who may hear of whom: the conversations of users and the people in them, as the database has them."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from django.db.models import Count, Q, Sum

from backend.listings.cohosts import MESSAGES
from backend.listings.models import ListingGrant
from backend.messaging import reading
from backend.messaging.models import UserBlock

MOST_CONVERSATIONS = 2_000
"""Of how many conversations, the newest, somebody is told who is there. In all of them they hear who is writing."""

MOST_SHARED = 50
"""How many common conversations are named when somebody comes or goes."""


@dataclass(frozen=True, slots=True)
class Circle:
    """The conversations of one user: those with the others who are in each, and people with what is shared with each."""

    conversations: Mapping[int, frozenset[int]]
    people: Mapping[int, list[int]]

    def with_conversation(self, conversation_id: int, others: frozenset[int]) -> Circle:
        """The same with one conversation more."""
        return make({**self.conversations, conversation_id: others})


def make(conversations: Mapping[int, frozenset[int]]) -> Circle:
    """A circle of these conversations (id → the others in it)."""
    people: dict[int, list[int]] = {}
    for conversation_id in heapq.nlargest(MOST_CONVERSATIONS, conversations):
        for person in conversations[conversation_id]:
            shared = people.setdefault(person, [])
            if len(shared) < MOST_SHARED:
                shared.append(conversation_id)
    return Circle(conversations, people)


def read(user_id: int) -> Circle:
    """The circle of a user."""
    found = reading.parties(reading.conversation_ids(user_id))
    return make({each: frozenset(parties) - {user_id} for each, parties in found.items()})


def others_in(user_id: int, conversation_id: int) -> frozenset[int] | None:
    """Who else is in a conversation; None when the user is not, or it is not there."""
    parties = reading.parties({conversation_id}).get(conversation_id, [])
    return frozenset(parties) - {user_id} if user_id in parties else None


Grants = dict[int, tuple[int, int]]
"""User → what changes whenever they may read messages of a place more or less."""


def grants(user_ids: Collection[int]) -> Grants:
    """What co-hosts among these users may read for others, as a mark to compare; one query."""
    held = ListingGrant.objects.filter(user_id__in=user_ids, permission__codename=f"host_{MESSAGES}")
    rows = held.order_by().values_list("user_id").annotate(Count("id"), Sum("id"))
    return {user_id: (count, total) for user_id, count, total in rows}


Hidden = dict[int, set[int]]
"""User → those whom they do not see, and who do not see them."""


def hidden(user_ids: Collection[int]) -> Hidden:
    """Who blocked whom, of all pairs with one of these users; one query."""
    pairs = UserBlock.objects.filter(Q(blocker_id__in=user_ids) | Q(blocked_id__in=user_ids))
    return both_ways(pairs.order_by().values_list("blocker_id", "blocked_id"))


def both_ways(pairs: Iterable[tuple[int, int]]) -> Hidden:
    """Of a block neither sees the other."""
    found: Hidden = {}
    for one, other in pairs:
        found.setdefault(one, set()).add(other)
        found.setdefault(other, set()).add(one)
    return found
