"""What takes the nights of listings, for a picture of their calendars. Reads, and writes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from backend.accounts.models import ADMIN, MODERATOR, SUPPORT
from backend.availability.models import Block, Reason
from backend.bookings.models import Booking
from backend.core import access

PREPARATION, PINNED = "preparation", "pinned"


@access.rule("calendar.look")
def may_look(actor: Any, _subject: Any = None) -> bool:
    """Staff who deal with listings and stays."""
    return bool(actor.has_role(SUPPORT, MODERATOR, ADMIN))


@dataclass(frozen=True, slots=True)
class Span:
    """The nights ``[first, last)`` of a listing and what takes them.

    ``kind`` is a block's reason, ``pinned`` (kept closed by the platform) or ``preparation`` (nights that only no guest
    may have). ``booking`` is whose nights they are, with its guest; ``words`` what a host or another site says of them.
    """

    listing_id: int
    first: date
    last: date
    kind: str
    booking: Booking | None = None
    words: str = ""


def spans(listing_ids: Iterable[int], first: date, last: date) -> list[Span]:
    """What takes nights of ``[first, last)`` at the listings, in order of date; two queries."""
    blocks = list(
        Block.objects.filter(listing__in=list(listing_ids), active=True, nights__overlap=(first, last))
        .select_related("event__feed")
        .order_by("listing_id", "nights")
    )
    stays = Booking.objects.filter(block__in=[block.pk for block in blocks]).select_related("guest")
    of_block = {stay.block_id: stay for stay in stays.order_by("id")}
    found = []
    for block in blocks:
        begin, end = block.nights.lower, block.nights.upper
        words = block.note or (block.event.feed.name if block.event is not None else "")
        kind = PINNED if block.pinned and block.reason == Reason.HOST else block.reason
        found.append(Span(block.listing_id, begin, end, kind, of_block.get(block.pk), words))
        if block.guarded is not None and block.guarded.upper > end:
            found.append(Span(block.listing_id, end, block.guarded.upper, PREPARATION))
    return found
