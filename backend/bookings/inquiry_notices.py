"""Tell guest and host what becomes of an inquiry: in their conversation, and by notices."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from backend.accounts.models import User
from backend.bookings.models import Inquiry
from backend.messaging import blocking, posting
from backend.notifications import services as notifications


def say(inquiry: Inquiry, event: str, now: datetime, *, sender: Any = None, words: str = "") -> None:
    """Write into the conversation what became of the inquiry, with the words of whoever did it.

    The inquiry keeps the words as they stand there. Raises: Blocked, for words alone.
    """
    if words and sender.pk != inquiry.guest_id:
        blocking.require_free_speech(inquiry.guest_id, inquiry.host_id)
    posted = posting.post(
        listing=inquiry.listing,
        guest=inquiry.guest,
        event=f"inquiry.{event}",
        params=_facts(inquiry),
        now=now,
        sender=sender,
        words=words,
    )
    kept: dict[str, Any] = {}
    if inquiry.conversation_id is None:
        kept["conversation"] = posted.conversation
    if words and posted.words != words:
        kept["message" if event == "asked" else "answer"] = posted.words
    if kept:
        Inquiry.objects.filter(pk=inquiry.pk).update(**kept)
        for name, value in kept.items():
            setattr(inquiry, name, value)
    notifications.push_on_commit(posted.events, now=now)


def _facts(inquiry: Inquiry) -> dict[str, Any]:
    """What texts about the inquiry are made of, without anybody's name."""
    facts: dict[str, Any] = {
        "check_in": inquiry.check_in.isoformat(),
        "check_out": inquiry.check_out.isoformat(),
        "guests": inquiry.guests,
        "currency": inquiry.currency,
    }
    if inquiry.total_minor is not None:
        facts["total"] = inquiry.total_minor
    return facts


def tell(inquiry: Inquiry, user: User, kind: str, now: datetime) -> None:
    """Notify ``user`` of ``kind``, inside the transaction."""
    params: dict[str, Any] = {
        **_facts(inquiry),
        "listing": inquiry.listing.title,
        "guest": inquiry.guest.get_short_name(),
        "host": inquiry.host.get_short_name(),
        "message": inquiry.message,
    }
    if inquiry.answer:
        params["reason"] = inquiry.answer
    notifications.notify(
        user=user,
        kind=kind,
        # A host may answer more than once; each answer is told.
        object_key=f"inquiry:{inquiry.pk}:{now.isoformat()}",
        now=now,
        params=params,
        data={"inquiry_id": inquiry.pk, "property_id": inquiry.listing_id},
        url=f"/inquiries/{inquiry.pk}",
    )
