"""Which nights the entries of a listing's feeds take: worked out anew each time, and made so.

The entries are the truth, the blocks follow. From today on every night of a living entry is taken: by the first
entry that has it, unless a stay, a hold or the host's own block stands there. What is over is never touched, so that
an entry that drops out of its feed when it is past does not rewrite history. All of it happens in one transaction
under the listing's lock; a booking that is faster keeps its nights and becomes a conflict.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Max
from psycopg.types.range import DateRange

from backend.availability import services as availability
from backend.availability.models import (
    Block,
    CalendarSubscriber,
    EventKind,
    FeedConflict,
    FeedEvent,
    FeedKind,
    Reason,
)
from backend.core.db import constraint_errors
from backend.listings.models import Listing
from backend.notifications import services as notifications

AHEAD_DAYS = 1100
"""How far nights are closed: the last check-in that is sold, with the longest stay from there, and some days."""

TRIES = 3
"""How often the nights are worked out anew because a booking was faster."""

Span = tuple[date, date]


@dataclass(frozen=True, slots=True)
class _Stay:
    block_id: int
    span: Span
    created_at: datetime


def settle(*, listing: Listing, now: datetime) -> None:
    """Let the blocks of ``listing`` follow its feeds' entries at ``now`` (UTC), and note where stays stand in the way.

    To be called inside the caller's transaction with the listing locked. The host is told of new conflicts.
    """
    today = availability.rules_of(listing).today(now)
    for _ in range(TRIES):
        events = _living(listing, today)
        others = _others(listing, today, now)
        if _follow(listing, events, [span for span, _ in others], today, now):
            break
    _note_conflicts(listing, events, [stay for _, stay in others if stay], today, now)


def let_go(*, listing: Listing, events: Iterable[FeedEvent], now: datetime) -> None:
    """Free the nights of ``events`` from today on; what is over stays taken."""
    today = availability.rules_of(listing).today(now)
    for block in Block.objects.filter(event__in=list(events), active=True, nights__endswith__gt=today):
        _shorten(block, today, now)


def _living(listing: Listing, today: date) -> list[FeedEvent]:
    """The entries that take nights from today on, those that certainly are stays first, windows last."""
    found = FeedEvent.objects.filter(
        feed__listing_id=listing.pk, removed_at=None, skipped_at=None, ends_on__gt=today
    ).select_related("feed")
    rank = {EventKind.STAY: 0, EventKind.BLOCK: 1, EventKind.WINDOW: 2}
    return sorted(
        found, key=lambda event: (rank[EventKind(event.kind)], event.feed_id, event.starts_on, event.pk)
    )


def _others(listing: Listing, today: date, now: datetime) -> list[tuple[Span, _Stay | None]]:
    """What takes nights from today on and comes from no entry; stays by themselves."""
    rows = (
        Block.objects.filter(availability.living(now), listing_id=listing.pk, event=None)
        .filter(nights__endswith__gt=today)
        .values_list("pk", "nights", "reason", "created_at")
    )
    found: list[tuple[Span, _Stay | None]] = []
    for pk, nights, reason, created_at in rows:
        span = (nights.lower, nights.upper)
        is_stay = reason in (Reason.HOLD, Reason.BOOKING)
        found.append((span, _Stay(pk, span, created_at) if is_stay else None))
    return found


def _bits(span: Span, today: date) -> int:
    """The nights of a span from ``today`` on as bits: thousands of entries are laid over each other in no time."""
    first = max((span[0] - today).days, 0)
    past = min((span[1] - today).days, AHEAD_DAYS)
    return (1 << past) - (1 << first) if first < past else 0


def _union(spans: Iterable[Span], today: date) -> int:
    bits = 0
    for span in spans:
        bits |= _bits(span, today)
    return bits


def _spans(bits: int, today: date) -> list[Span]:
    """The unbroken runs of nights in ``bits``, in order."""
    found, at = [], today
    while bits:
        gap = (bits & -bits).bit_length() - 1
        bits >>= gap
        length = (~bits & (bits + 1)).bit_length() - 1
        bits >>= length
        start = at + timedelta(days=gap)
        at = start + timedelta(days=length)
        found.append((start, at))
    return found


def _follow(
    listing: Listing, events: Sequence[FeedEvent], taken: list[Span], today: date, now: datetime
) -> bool:
    """Make the blocks of the entries what they should be; False when somebody took a night meanwhile."""
    wanted: dict[int, list[Span]] = {}
    occupied = _union(taken, today)
    for event in events:
        nights = _bits((event.starts_on, event.ends_on), today) & ~occupied
        wanted[event.pk] = _spans(nights, today)
        occupied |= nights

    had: dict[int | None, list[Block]] = {}
    for block in Block.objects.filter(
        listing_id=listing.pk, active=True, event__isnull=False, nights__endswith__gt=today
    ).order_by("nights"):
        spans = wanted.get(block.event_id or 0, [])
        span = (max(block.nights.lower, today), block.nights.upper)
        if span in spans:
            spans.remove(span)
        else:
            had.setdefault(block.event_id, []).append(block)

    for blocks in had.values():
        for block in blocks:
            _shorten(block, today, now)
    if any(wanted.values()):
        Block.objects.filter(
            listing_id=listing.pk, active=True, reason=Reason.HOLD, expires_at__lte=now
        ).update(active=False, released_at=now)
    return all(
        [_take(listing, event, wanted[event.pk], had.get(event.pk, []), today, now) for event in events]
    )


def _shorten(block: Block, today: date, now: datetime) -> None:
    """Give up what of a block is still to come."""
    if block.nights.lower >= today:
        availability.release(block=block, now=now)
    else:
        block.nights = DateRange(block.nights.lower, today)
        Block.objects.filter(pk=block.pk).update(nights=block.nights)


def _take(
    listing: Listing, event: FeedEvent, spans: list[Span], given_up: list[Block], today: date, now: datetime
) -> bool:
    """Take ``spans`` for an entry; the block that it gave up moves, where there is one for one."""
    if len(spans) == 1 and len(given_up) == 1 and _move(given_up[0], spans[0], today):
        return True
    return all([_insert(listing, event, span, now) for span in spans])


def _move(block: Block, span: Span, today: date) -> bool:
    """Let a block stand for ``span`` again, nights that are over included. False where that cannot be."""
    lower = span[0]
    if block.active:  # what of it is over stays; only what follows on that can be added to it
        if block.nights.upper != span[0]:
            return False
        lower = block.nights.lower
    try:
        with constraint_errors({"blocks_no_overlap": availability.DatesUnavailable}):
            Block.objects.filter(pk=block.pk).update(
                nights=DateRange(lower, span[1]), active=True, released_at=None
            )
    except availability.DatesUnavailable:
        return False
    return True


_INSERT = """
    INSERT INTO blocks (listing_id, nights, reason, active, note, created_at, event_id)
    VALUES (%s, %s, 'feed', true, %s, %s, %s)
    ON CONFLICT DO NOTHING
    RETURNING id
"""


def _insert(listing: Listing, event: FeedEvent, span: Span, now: datetime) -> bool:
    values: list[Any] = [listing.pk, DateRange(*span), event.summary, now, event.pk]
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, values)
        return cursor.fetchone() is not None


def _note_conflicts(
    listing: Listing, events: Sequence[FeedEvent], stays: Sequence[_Stay], today: date, now: datetime
) -> None:
    """Open a conflict for every entry over a stay, close those that are over, and tell the host of the new ones.

    A window is no conflict: it says where the other site stops selling.
    """
    clashes = {
        (event.pk, stay.block_id): (event, stay)
        for event in events
        for stay in stays
        if event.kind != EventKind.WINDOW
        and max(event.starts_on, today) < stay.span[1]
        and stay.span[0] < event.ends_on
    }
    for key in _echoes(listing, clashes, stays, today):
        del clashes[key]
    known = {
        (each.event_id, each.block_id): each
        for each in FeedConflict.objects.filter(event__feed__listing_id=listing.pk)
    }
    for key, conflict in known.items():
        is_open = key in clashes
        if is_open != (conflict.closed_at is None):
            FeedConflict.objects.filter(pk=conflict.pk).update(closed_at=None if is_open else now)
    for key, (event, stay) in clashes.items():
        if key not in known:
            conflict = FeedConflict.objects.create(event=event, block_id=stay.block_id, found_at=now)
            _tell(listing, event, conflict, now)


def _echoes(
    listing: Listing,
    clashes: dict[tuple[int, int], tuple[FeedEvent, _Stay]],
    stays: Sequence[_Stay],
    today: date,
) -> list[tuple[int, int]]:
    """The clashes that are our own stays coming back: Airbnb closes what it reads in ours, under another name."""
    ours = _union((stay.span for stay in stays), today)
    suspects = [
        key
        for key, (event, _) in clashes.items()
        if event.kind == EventKind.BLOCK
        and event.feed.kind == FeedKind.AIRBNB
        and not _bits((event.starts_on, event.ends_on), today) & ~ours
    ]
    if not suspects:
        return []
    read_at = CalendarSubscriber.objects.filter(listing_id=listing.pk).aggregate(at=Max("last_used_at"))["at"]
    return [key for key in suspects if read_at is not None and read_at >= clashes[key][1].created_at]


def _tell(listing: Listing, event: FeedEvent, conflict: FeedConflict, now: datetime) -> None:
    notifications.notify(
        user=listing.host,
        kind="calendar.conflict",
        object_key=f"feed_conflict:{conflict.pk}",
        now=now,
        params={
            "listing": listing.title,
            "feed": event.feed.name,
            "check_in": event.starts_on.isoformat(),
            "check_out": event.ends_on.isoformat(),
        },
        data={"property_id": listing.pk, "feed_id": event.feed_id, "conflict_id": conflict.pk},
        url=f"/host/properties/{listing.pk}/calendar",
    )
