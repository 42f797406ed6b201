"""Write imported calendars: closed nights become blocks, nights that differ from their listing become calendar days."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db import transaction

from backend.availability import services as availability
from backend.availability.models import Block, CalendarDay, Reason
from backend.core.db import lock
from backend.core.errors import Conflict
from backend.core.money import Money, MoneyError
from backend.core.stay import MAX_NIGHTS, Stay
from backend.jobs.imports.loading import SOURCE
from backend.jobs.imports.reading import CalendarNight
from backend.listings.models import Listing

NOTE = "Inside Airbnb"

Range = tuple[date, date]


@dataclass(slots=True)
class CalendarSummary:
    """What became of the calendars, counted in listings, ranges of closed nights and single dates."""

    listings: int = 0
    closed: int = 0
    opened: int = 0
    kept_for_stays: int = 0
    dates: int = 0


def shift(first: date, today: date) -> timedelta:
    """How far to move a calendar so that its first day is today or up to six days ago: weekdays stay weekdays."""
    return timedelta(days=(today - first).days // 7 * 7)


def write(
    source_id: str, nights: Sequence[CalendarNight], moved: timedelta, now: datetime, summary: CalendarSummary
) -> None:
    """Bring one listing's calendar to what the file says, from today at the listing on. The same file twice changes nothing.

    Nights that a stay, a host or another feed has stay as they are.
    """
    with transaction.atomic():
        found = (
            Listing.objects.filter(source=SOURCE, source_id=source_id).values_list("pk", flat=True).first()
        )
        if found is None:
            return
        listing = lock(Listing.objects.all(), pk=found)
        today = availability.rules_of(listing).today(now)
        ahead = {night.date + moved: night for night in nights if night.date + moved >= today}
        if not ahead:
            return
        summary.listings += 1
        _close(
            listing, [evening for evening, night in ahead.items() if not night.available], today, now, summary
        )
        _set(listing, ahead, today, summary)


def _ranges(evenings: Iterable[date]) -> list[Range]:
    """Neighbouring evenings as half-open ranges, none longer than a stay."""
    ranges: list[Range] = []
    for evening in sorted(set(evenings)):
        follows = ranges and ranges[-1][1] == evening and (evening - ranges[-1][0]).days < MAX_NIGHTS
        start = ranges.pop()[0] if follows else evening
        ranges.append((start, evening + timedelta(days=1)))
    return ranges


def _close(
    listing: Listing, evenings: list[date], today: date, now: datetime, summary: CalendarSummary
) -> None:
    living = Block.objects.filter(availability.living(now), listing_id=listing.pk)
    ours = list(living.filter(reason=Reason.FEED, note=NOTE, nights__endswith__gt=today))
    taken: set[date] = set()
    others = living.exclude(pk__in=[block.pk for block in ours]).filter(nights__endswith__gt=today)
    for nights in others.values_list("nights", flat=True):
        taken.update(Stay(nights.lower, nights.upper).dates())
    summary.kept_for_stays += len(taken.intersection(evenings))
    wanted = set(_ranges(set(evenings) - taken))
    for block in ours:
        # What began before today is compared from today on: the past drops out of a calendar by itself.
        held = (max(block.nights.lower, today), block.nights.upper)
        if held in wanted:
            wanted.discard(held)
        else:
            availability.release(block=block, now=now)
            summary.opened += 1
    for start, end in sorted(wanted):
        try:
            availability.claim(listing=listing, stay=Stay(start, end), reason=Reason.FEED, now=now, note=NOTE)
        except Conflict:
            summary.kept_for_stays += (end - start).days
        else:
            summary.closed += 1


def _set(listing: Listing, ahead: dict[date, CalendarNight], today: date, summary: CalendarSummary) -> None:
    rows = []
    for evening, night in ahead.items():
        day = CalendarDay(
            listing_id=listing.pk,
            date=evening,
            price_minor=_price(night, listing),
            min_nights=night.min_nights if night.min_nights != listing.min_nights else None,
            max_nights=night.max_nights if night.max_nights != listing.max_nights else None,
        )
        if (day.price_minor, day.min_nights, day.max_nights) != (None, None, None):
            rows.append(day)
    summary.dates += len(rows)
    last = max(ahead)
    CalendarDay.objects.filter(
        listing_id=listing.pk,
        date__range=(today, last),
        closed_to_arrival=None,
        closed_to_departure=None,
        note="",
    ).exclude(date__in=[row.date for row in rows]).delete()
    CalendarDay.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["listing", "date"],
        update_fields=["price_minor", "min_nights", "max_nights"],
    )


def _price(night: CalendarNight, listing: Listing) -> int | None:
    """The night's own price in minor units; None where it is the listing's, or none that its currency can say."""
    if night.price is None:
        return None
    try:
        minor = Money.from_major(night.price.normalize(), listing.currency).minor
    except MoneyError:
        return None
    return minor if minor != listing.price_minor else None
