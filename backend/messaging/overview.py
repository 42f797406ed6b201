"""Conversations as their lists show them: who is in each, its newest message, and how much of it is unread."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db.models import F

from backend.listings.models import ListingGrant
from backend.messaging import reading
from backend.messaging.models import Conversation, ConversationQuerySet, Message
from backend.messaging.parties import COHOST, GUEST, HOST
from backend.notifications.rendering import instant


def of(user: Any) -> ConversationQuerySet:
    """Every conversation of ``user``, with what ``payloads`` reads of it."""
    mine = Conversation.objects.visible_to(user).for_reader(user)
    return mine.select_related("listing", "guest", "host")


def listed(user: Any) -> ConversationQuerySet:
    """Those of ``of`` in which something was said: with a booking begins one, of which nobody has to hear yet."""
    return of(user).filter(last_seq__gt=0)


def payloads(rows: Sequence[Any], *, reader_id: int, language: str) -> list[dict[str, Any]]:
    """``rows`` of ``of`` as the wire shows them, in their order; but for the booking, which is not known here.

    Three queries, and one where somebody has co-hosts.
    """
    newest = _newest(rows)
    keepers = _cohosts(row.listing for row in rows)
    return [
        {
            "id": row.pk,
            "property_id": row.listing_id,
            "property": row.listing.title,
            "participants": [
                _participant(row.guest, GUEST),
                _participant(row.host, HOST),
                *(each for each in keepers.get(row.listing_id, []) if each["id"] != row.guest_id),
            ],
            "last_message": reading.message_data(newest[row.pk], reader_id=reader_id, language=language)
            if row.pk in newest
            else None,
            "unread_count": row.unread,
            "archived": row.put_away_at is not None,
            "contact_open": row.contact_open_at is not None,
            "created_at": instant(row.created_at),
            "updated_at": instant(row.updated_at),
        }
        for row in rows
    ]


def _participant(user: Any, role: str) -> dict[str, Any]:
    return {"id": user.pk, "first_name": user.first_name, "role": role}


def _newest(rows: Iterable[Any]) -> dict[int, Message]:
    last = Message.objects.filter(
        conversation__in=[row.pk for row in rows], seq=F("conversation__last_seq")
    ).select_related("sender")
    return {message.conversation_id: message for message in last.prefetch_related("attachments")}


def _cohosts(listings: Iterable[Any]) -> dict[int, list[dict[str, Any]]]:
    """Who answers messages for whose listings, by listing."""
    shared = {listing.pk for listing in listings if listing.has_cohosts}
    found: dict[int, list[dict[str, Any]]] = {}
    if not shared:
        return found
    grants = ListingGrant.objects.filter(
        content_object__in=shared,
        permission__codename="host_messages",
        user__is_active=True,
        user__suspended_at=None,
    ).order_by("user")
    for grant in grants.select_related("user"):
        found.setdefault(grant.content_object_id, []).append(_participant(grant.user, COHOST))
    return found
