"""Conversations and stays: a guest writes to a host about dates, and which booking a conversation is about."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from backend.accounts.models import User
from backend.bookings import inquiries
from backend.bookings.inquiries import InquiryOpen
from backend.bookings.models import Booking, Inquiry
from backend.core.stay import Stay
from backend.messaging import services as messaging
from backend.messaging.models import Conversation


def start(
    *,
    guest: User,
    listing_id: int,
    body: str,
    now: datetime,
    stay: Stay | None = None,
    guests: int | None = None,
) -> tuple[int, bool]:
    """Write to the host of a listing; the conversation's id, and whether it is new.

    With a ``stay`` the guest asks about it at the same time, unless they wait for an answer about this listing
    already. What cannot be asked is not written either.
    Raises: what ``messaging.start`` and, with a stay, ``inquiries.ask`` refuse.
    """
    words = messaging.clean_body(body)
    if stay is not None:
        about = Inquiry.objects.filter(guest=guest, listing_id=listing_id)
        if not about.filter(status__in=inquiries.WAITING).exists():
            is_known = Conversation.objects.filter(listing_id=listing_id, guest=guest).exists()
            try:
                inquiry = inquiries.ask(
                    guest=guest, listing_id=listing_id, stay=stay, guests=guests or 1, message=words, now=now
                )
            except InquiryOpen:
                # They asked elsewhere at the same moment; these words are one more message.
                pass
            else:
                return inquiry.conversation_id or 0, not is_known
    message, made = messaging.start(guest=guest, listing_id=listing_id, body=words, now=now)
    return message.conversation_id, made


def bookings_of(conversation_ids: Iterable[int]) -> dict[int, int]:
    """The newest booking of each conversation that has one. One query."""
    newest = Booking.objects.filter(conversation__in=list(conversation_ids)).order_by("conversation", "-pk")
    return dict(newest.distinct("conversation").values_list("conversation", "pk"))
