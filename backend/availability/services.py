"""The nights as stock: claim them, keep them, let them go, close and price single dates.

How a claim is safe: one ``INSERT … ON CONFLICT DO NOTHING`` against the exclusion constraints of ``blocks``. No row
back means that somebody has the nights. It cannot oversell (the database refuses), and unlike a plain insert it
does not deadlock with overlapping claims. What claims nothing takes the listing's lock instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from psycopg.types.range import DateRange

from backend.availability import rules as calendar_rules
from backend.availability.explained import NEAR_DAYS, Picture, Taken
from backend.availability.models import Block, Reason
from backend.availability.rules import DayRule, Refusal, Rules
from backend.core.db import prepared
from backend.core.errors import Conflict, Invalid
from backend.core.stay import Stay
from backend.listings.models import Listing, ListingStatus


class DatesUnavailable(Conflict):
    """Some of the nights are taken."""

    code = "dates_unavailable"
    title = _("Some of these nights are no longer free.")


class Preparation(Invalid):
    """The nights are free, but the host needs some between two stays."""

    code = "preparation"
    title = _("The host needs time to prepare between two stays.")


class NotAvailable(Invalid):
    """The listing is not published, so that nothing of it can be booked."""

    code = "not_available"
    title = _("This place cannot be booked at the moment.")


def rules_of(listing: Listing) -> Rules:
    """The listing's own rules as a value."""
    return Rules(
        timezone=listing.timezone,
        check_in_time=listing.check_in_time,
        max_guests=listing.max_guests,
        min_nights=listing.min_nights,
        max_nights=listing.max_nights,
        min_nights_by_weekday={int(day): nights for day, nights in listing.min_nights_by_weekday.items()},
        arrival_weekdays=frozenset(listing.arrival_weekdays),
        departure_weekdays=frozenset(listing.departure_weekdays),
        advance_notice_hours=listing.advance_notice_hours,
        same_day_cutoff_hour=listing.same_day_cutoff_hour,
        booking_window_days=listing.booking_window_days,
        preparation_days_before=listing.preparation_days_before,
        preparation_days_after=listing.preparation_days_after,
        allow_request_inside_notice=listing.allow_request_inside_notice,
        instant_book=listing.instant_book,
    )


_DAYS = """
    SELECT date, date + 1, false, price_minor, min_nights, max_nights, closed_to_arrival, closed_to_departure, note
    FROM calendar_days WHERE listing_id = %(listing)s AND date BETWEEN %(first)s AND %(last)s
    UNION ALL
    SELECT starts_on, ends_on, true, NULL, min_nights, max_nights, closed_to_arrival, closed_to_departure, ''
    FROM price_rules
    WHERE listing_id = %(listing)s AND kind = 'season' AND starts_on <= %(last)s AND ends_on > %(first)s
        AND num_nonnulls(min_nights, max_nights, closed_to_arrival, closed_to_departure) > 0
"""


def days(listing_id: int, first: date, last: date) -> dict[date, DayRule]:
    """What is set for the dates from ``first`` to ``last``, both inclusive, by themselves or by their season. One query.

    Where a date leaves a calendar rule open it has the season's. The price is the date's own alone.
    """
    found: dict[date, DayRule] = {}
    seasons: list[tuple[date, date, DayRule]] = []
    with prepared() as cursor:
        cursor.execute(_DAYS, {"listing": listing_id, "first": first, "last": last})
        for start, end, is_season, *values in cursor.fetchall():
            if is_season:
                seasons.append((start, end, DayRule(*values)))
            else:
                found[start] = DayRule(*values)
    for start, end, season in seasons:
        for ordinal in range(max(start, first).toordinal(), min(end.toordinal(), last.toordinal() + 1)):
            on = date.fromordinal(ordinal)
            found[on] = found[on].over(season) if on in found else season
    return found


def is_sold(listing: Listing) -> bool:
    """Whether anything of the listing can be booked: it is published, and its host may do business."""
    host = listing.host
    return listing.status == ListingStatus.PUBLISHED and host.is_active and host.suspended_at is None


def require_bookable(
    *,
    listing: Listing,
    stay: Stay,
    guests: int,
    now: datetime,
    set_days: Mapping[date, DayRule] | None = None,
) -> Rules:
    """Refuse a stay that breaks a rule of its listing at ``now`` (UTC). Taken nights are not looked at.

    ``set_days`` saves the query where the caller has read ``days`` already. Raises: NotAvailable, StayRefused.
    """
    if not is_sold(listing):
        raise NotAvailable
    rules = rules_of(listing)
    if set_days is None:
        set_days = days(listing.pk, stay.check_in, stay.check_out)
    if found := calendar_rules.refusals(rules, set_days, stay, guests, now):
        raise calendar_rules.StayRefused(found)
    return rules


def _nights(stay: Stay) -> DateRange:
    return DateRange(stay.check_in, stay.check_out)


def _guarded(stay: Stay, gap: int) -> DateRange | None:
    return DateRange(stay.check_in, _later(stay.check_out, gap)) if gap else None


def _later(on: date, count: int) -> date:
    return on + timedelta(days=count)


def living(now: datetime) -> Q:
    """The blocks that take nights at ``now``: active ones, except holds that have run out."""
    return Q(active=True) & (~Q(reason=Reason.HOLD) | Q(expires_at__gt=now))


def taken(listing_id: int, first: date, last: date, *, gap: int, now: datetime) -> list[Taken]:
    """What takes nights of ``[first, last)`` at ``now``, and what lies so near that its preparation does. One query."""
    reach = DateRange(_later(first, -gap), _later(last, gap))
    rows = (
        Block.objects.filter(living(now), listing_id=listing_id)
        .filter(Q(nights__overlap=reach) | Q(guarded__overlap=reach))
        .order_by("nights")
        .values_list("nights", "guarded", "reason", "note")
    )
    return [
        Taken(nights.lower, nights.upper, guarded.upper if guarded and gap else None, reason, note)
        for nights, guarded, reason, note in rows
    ]


def picture(*, listing: Listing, first: date, last: date, now: datetime, asks_host: bool = False) -> Picture:
    """All that decides about stays between ``first`` and ``last`` (a check-out) at ``now`` (UTC). Two queries.

    ``asks_host``: the host must say yes first for a reason that is not in the listing's rules.
    """
    rules = rules_of(listing)
    if asks_host:
        rules = replace(rules, instant_book=False)
    return Picture(
        rules=rules,
        sold=is_sold(listing),
        days=days(listing.pk, first, last),
        taken=taken(listing.pk, first, last, gap=rules.gap, now=now),
        now=now,
    )


def why(*, listing: Listing, stay: Stay, guests: int, now: datetime, for_host: bool = False) -> list[Refusal]:
    """Every reason why ``stay`` cannot be booked by ``guests`` people at ``now`` (UTC); empty when it can. Two queries.

    The first one is what a booking would be refused with. ``for_host`` tells what took the nights.
    """
    seen = picture(listing=listing, first=stay.check_in, last=stay.check_out, now=now)
    return seen.why(stay, guests, for_host=for_host)


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether a stay can be booked: every reason against it, and where there are any, the nearest that can be."""

    why: list[Refusal]
    nearest: list[Stay]


def explain(
    *,
    listing: Listing,
    stay: Stay,
    guests: int,
    now: datetime,
    for_host: bool = False,
    asks_host: bool = False,
) -> Answer:
    """``why``, with other dates for a stay of this length that can be booked at ``now`` (UTC). Two queries."""
    seen = picture(
        listing=listing,
        first=_later(stay.check_in, -NEAR_DAYS),
        last=_later(stay.check_out, NEAR_DAYS),
        now=now,
        asks_host=asks_host,
    )
    found = seen.why(stay, guests, for_host=for_host)
    return Answer(found, seen.nearest(stay, guests) if found else [])


def refusal_of_nights(
    *, listing: Listing, stay: Stay, now: datetime, besides: Block | None = None
) -> Conflict | Invalid | None:
    """What ``claim`` would answer at ``now``, without claiming: DatesUnavailable, Preparation or nothing.

    ``besides`` is a block that does not count, since it would be given up for this one.
    """
    blocks = Block.objects.filter(living(now), listing_id=listing.pk)
    if besides is not None:
        blocks = blocks.exclude(pk=besides.pk)
    if blocks.filter(nights__overlap=_nights(stay)).exists():
        return DatesUnavailable()
    guarded = _guarded(stay, rules_of(listing).gap)
    if guarded and blocks.filter(guarded__overlap=guarded).exists():
        return Preparation()
    return None


def require_free(*, listing: Listing, stay: Stay, now: datetime, besides: Block | None = None) -> None:
    """As ``refusal_of_nights``, but Raises: DatesUnavailable, Preparation."""
    if refusal := refusal_of_nights(listing=listing, stay=stay, now=now, besides=besides):
        raise refusal


_CLAIM = """
    INSERT INTO blocks (listing_id, nights, guarded, reason, active, expires_at, note, pinned, created_at)
    SELECT p.id, wish.nights,
        CASE WHEN wish.is_stay AND greatest(p.preparation_days_before, p.preparation_days_after) > 0 THEN daterange(
            lower(wish.nights),
            upper(wish.nights) + greatest(p.preparation_days_before, p.preparation_days_after)::int)
        END,
        wish.reason, true, wish.expires_at, wish.note, wish.pinned, wish.created_at
    FROM (
        SELECT %s::bigint AS listing_id, %s::daterange AS nights, %s::boolean AS is_stay, %s::varchar AS reason,
            %s::timestamptz AS expires_at, %s::varchar AS note, %s::boolean AS pinned, %s::timestamptz AS created_at
    ) AS wish
    JOIN properties p ON p.id = wish.listing_id
    ON CONFLICT DO NOTHING
    RETURNING id, guarded
"""
"""The gap is read here once more: a host may have changed it since the listing was read."""


def claim(
    *,
    listing: Listing,
    stay: Stay,
    reason: Reason,
    now: datetime,
    expires_at: datetime | None = None,
    note: str = "",
    pinned: bool = False,
) -> Block:
    """Take the nights of ``stay``, or say that they are taken. To be called inside the caller's transaction.

    Holds that have run out by ``now`` (UTC) make room. Stays (holds and bookings) keep the listing's preparation
    gap to each other; a host's own blocks and imported ones may touch them. A ``pinned`` block is not the host's to
    open. Waits for a rival transaction that is about to take the same nights. Raises: DatesUnavailable, Preparation.
    """
    is_stay = reason in (Reason.HOLD, Reason.BOOKING)
    values: list[Any] = [listing.pk, _nights(stay), is_stay, str(reason), expires_at, note, pinned, now]
    row = _insert_block(values)
    if row is None:
        if _is_taken(listing, stay, now):
            raise DatesUnavailable
        # Also when nothing is let go: a rival may have done so just now, for other nights than these.
        listing.refresh_from_db(fields=["preparation_days_before", "preparation_days_after"])
        guarded = _guarded(stay, rules_of(listing).gap) if is_stay else None
        _release_lapsed(listing, stay, guarded, now)
        row = _insert_block(values)
        if row is None:
            raise Preparation if guarded and not _is_taken(listing, stay, now) else DatesUnavailable
    block_id, guards = row
    return Block(
        id=block_id,
        listing=listing,
        nights=_nights(stay),
        guarded=guards,
        reason=reason,
        active=True,
        expires_at=expires_at,
        note=note,
        pinned=pinned,
        created_at=now,
    )


def _insert_block(values: list[Any]) -> tuple[int, DateRange | None] | None:
    """The new block's id and what it guards; nothing when somebody has the nights."""
    with prepared() as cursor:
        cursor.execute(_CLAIM, values)
        row: tuple[int, DateRange | None] | None = cursor.fetchone()
    return row


def _is_taken(listing: Listing, stay: Stay, now: datetime) -> bool:
    """Whether one of the nights is taken at ``now``. Asked by everybody who comes second to a place that many want."""
    values: list[Any] = [listing.pk, _nights(stay), now]
    with prepared() as cursor:
        cursor.execute(_TAKEN, values)
        (is_taken,) = cursor.fetchone()
    return bool(is_taken)


_TAKEN = """
    SELECT EXISTS (
        SELECT FROM blocks
        WHERE listing_id = %s AND active AND nights && %s AND (reason <> 'hold' OR expires_at > %s)
    )
"""


def _release_lapsed(listing: Listing, stay: Stay, guarded: DateRange | None, now: datetime) -> None:
    """Let go the holds in the way of ``stay`` that have run out by ``now``."""
    in_the_way = Q(nights__overlap=_nights(stay))
    if guarded:
        in_the_way |= Q(guarded__overlap=guarded)
    Block.objects.filter(
        in_the_way, listing_id=listing.pk, active=True, reason=Reason.HOLD, expires_at__lte=now
    ).update(active=False, released_at=now)


def keep(*, block: Block, now: datetime, expires_at: datetime | None = None) -> None:
    """Turn a hold into a booking, or give it until ``expires_at``. Compare-and-set on its being active.

    Raises: DatesUnavailable when it was released in the meantime.
    """
    reason = Reason.HOLD if expires_at else Reason.BOOKING
    changed = Block.objects.filter(pk=block.pk, active=True).update(reason=reason, expires_at=expires_at)
    if not changed:
        raise DatesUnavailable
    block.reason, block.expires_at = reason, expires_at


def release(*, block: Block, now: datetime) -> bool:
    """Let the nights go. True when they were taken until now; a second release does nothing."""
    changed = Block.objects.filter(pk=block.pk, active=True).update(active=False, released_at=now)
    block.active = False
    return bool(changed)


def shorten(*, block: Block, until: date) -> None:
    """Let go the nights from ``until`` on (at least the first one stays taken); the gap after them moves along.

    Raises: DatesUnavailable when it was released in the meantime.
    """
    stay = Stay(block.nights.lower, until)
    gap = (block.guarded.upper - block.nights.upper).days if block.guarded else 0
    nights, guarded = _nights(stay), _guarded(stay, gap)
    if not Block.objects.filter(pk=block.pk, active=True).update(nights=nights, guarded=guarded):
        raise DatesUnavailable
    block.nights, block.guarded = nights, guarded


def has_living_stays(*, listing: Listing, from_date: date, now: datetime) -> bool:
    """Whether a booking or a living hold of the listing reaches beyond ``from_date`` (a local date)."""
    return Block.objects.filter(
        living(now),
        listing_id=listing.pk,
        reason__in=(Reason.HOLD, Reason.BOOKING),
        nights__endswith__gt=from_date,
    ).exists()
