"""The calendar of a listing: read it night by night, and let its host close, open and price ranges of dates."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from hashlib import blake2b
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from psycopg.types.range import DateRange

from backend.audit import services as audit
from backend.availability import rules as calendar_rules
from backend.availability import services as availability
from backend.availability.models import Block, CalendarDay, Reason
from backend.availability.rules import NO_RULE, DayRule
from backend.core import access
from backend.core.db import constraint_errors, lock, retrying
from backend.core.errors import Invalid, Stale
from backend.core.stay import Stay
from backend.listings import access as listing_access
from backend.listings.cohosts import CALENDAR, stands_in
from backend.listings.correcting import tell_host
from backend.listings.models import Listing
from backend.rates import reading
from backend.rates.models import PriceRule, RuleKind
from backend.rates.terms import NO_RATES, WEEKEND_EVENINGS, Rates

MAX_ROWS = 730
"""The longest calendar that is read or written at once, in nights (contract, rulings)."""

WEEKEND = tuple(sorted(WEEKEND_EVENINGS))
"""The evenings that carry the weekend price unless a rule names others (ISO weekdays)."""


@access.rule("listing.calendar")
def may_change_calendar(actor: Any, listing: Listing) -> bool:
    """The host of the listing, and who keeps its calendar."""
    return stands_in(actor, listing, CALENDAR)


class RangeRefused(Invalid):
    """A range of dates that is empty, too long, or outside of what is sold."""

    code = "invalid_range"
    title = _("This range of dates is not possible.")


class NightsOutOfOrder(Invalid):
    """A date's fewest nights would be more than its most."""

    code = "nights_out_of_order"
    title = _("The fewest nights must not be more than the most.")


@dataclass(frozen=True, slots=True)
class Night:
    """One evening of a listing's calendar. The price is in minor units; ``reason`` is why it is closed."""

    date: date
    available: bool
    price_minor: int
    min_nights: int
    max_nights: int
    closed_to_arrival: bool
    closed_to_departure: bool
    reason: str | None
    note: str


def night_price(listing: Listing, day: DayRule, evening: date, rates: Rates = NO_RATES) -> int:
    """The price of one evening before fees, in minor units: the date's own, else the season's, the weekend's, the base."""
    return rates.night(
        evening,
        base_minor=listing.price_minor,
        weekend_minor=listing.weekend_price_minor,
        date_minor=day.price_minor,
    ).minor


def today(listing: Listing, now: datetime) -> date:
    """The date at the listing at ``now`` (UTC)."""
    return availability.rules_of(listing).today(now)


def _range(start: date, end: date) -> None:
    if end <= start:
        raise RangeRefused.field("to", "invalid_range", _("The end must come after the beginning."))
    if (end - start).days > MAX_ROWS:
        raise RangeRefused.field(
            "to", "range_too_long", _("At most %(count)d nights at once.") % {"count": MAX_ROWS}
        )


def read(*, listing: Listing, start: date, end: date, now: datetime) -> list[Night]:
    """The evenings of ``[start, end)`` at ``now`` (UTC), one row each, with what holds for it in the end. Three queries.

    A night is closed by a block, by the preparation of a neighbouring stay, by the host's notice, or by lying in
    the past or beyond the booking window. Raises: RangeRefused.
    """
    _range(start, end)
    rules = availability.rules_of(listing)
    set_days = availability.days(listing.pk, start, end)
    rates = reading.of(listing, now=now)
    closed: dict[date, tuple[str, str]] = {}
    taken = availability.taken(listing.pk, start, end, gap=rules.gap, now=now)
    for block in taken:
        for lower, upper in block.preparation(rules.gap):
            _mark(closed, lower, upper, ("preparation", ""))
    for block in taken:
        _mark(closed, block.start, block.end, (block.reason, block.note))

    first, last = rules.today(now), rules.last_check_in(now)
    rows = []
    for evening in (start + timedelta(days=index) for index in range((end - start).days)):
        day = set_days.get(evening, NO_RULE)
        why: str | None
        why, note = closed.get(evening, (None, ""))
        if why is None:
            if not first <= evening <= last:
                why = "window"
            elif calendar_rules.notice_refusal(rules, evening, now):
                why = "notice"
        rows.append(
            Night(
                date=evening,
                available=why is None,
                price_minor=night_price(listing, day, evening, rates),
                min_nights=calendar_rules.min_nights(rules, day, evening),
                max_nights=calendar_rules.max_nights(rules, day),
                closed_to_arrival=calendar_rules.closed_to_arrival(rules, day, evening),
                closed_to_departure=calendar_rules.closed_to_departure(rules, day, evening),
                reason=why,
                note=day.note or note,
            )
        )
    return rows


def _mark(closed: dict[date, tuple[str, str]], lower: date, upper: date, value: tuple[str, str]) -> None:
    for index in range((upper - lower).days):
        closed[lower + timedelta(days=index)] = value


def revision(listing: Listing) -> str:
    """A word that changes with all that the listing's calendar is made of: blocks, dates, price rules, the listing."""
    blocks = Block.objects.filter(listing_id=listing.pk, active=True).order_by("pk")
    set_days = CalendarDay.objects.filter(listing_id=listing.pk).order_by("date")
    rules = PriceRule.objects.filter(
        listing_id=listing.pk, kind__in=(RuleKind.SEASON, RuleKind.WEEKEND)
    ).order_by("pk")
    digest = blake2b(str(listing.version).encode(), digest_size=8)
    digest.update(repr(list(blocks.values_list("pk", "nights", "reason", "expires_at"))).encode())
    digest.update(repr(list(set_days.values_list())).encode())
    digest.update(repr(list(rules.values_list())).encode())
    return digest.hexdigest()


@retrying
def change(
    *,
    actor: Any,
    listing: Listing,
    start: date,
    end: date,
    changes: dict[str, Any],
    now: datetime,
    revisions: Collection[str] | None = None,
    reason: str = "",
) -> None:
    """Set rules for the dates ``[start, end)`` and close or open their nights, all or nothing.

    ``changes`` holds any of ``available`` (False closes the nights that are still open, True opens what the host had
    closed), ``price_minor``, ``min_nights``, ``max_nights``, ``closed_to_arrival``, ``closed_to_departure``, ``note``;
    ``None`` clears a date's own value. ``revisions`` are the ones that the caller has seen; any other refuses. Staff who
    act in the host's stead say why in ``reason``.

    Raises: NotAllowed, Stale, RangeRefused, NightsOutOfOrder, DatesUnavailable where a stay stands or another
    calendar has the nights.
    """
    listing_access.require_change(actor, "listing.calendar", listing, reason)
    _range(start, end)
    rules = availability.rules_of(listing)
    if start < rules.today(now):
        raise RangeRefused.field("from", "invalid_range", _("The past cannot be changed."))
    if end > rules.today(now) + timedelta(days=MAX_ROWS + 366):
        raise RangeRefused.field("to", "invalid_range", _("This lies too far ahead."))
    with transaction.atomic(durable=True):
        current = lock(Listing.objects.all(), pk=listing.pk)
        if revisions is not None and revision(current) not in revisions:
            raise Stale
        available = changes.get("available")
        values = {name: value for name, value in changes.items() if name != "available"}
        if available is not None:
            _open(listing, start, end, now)
        if available is False:
            for lower, upper in _to_close(listing, start, end, now):
                _close(listing, lower, upper, now, note=changes.get("note") or "")
        if values:
            with constraint_errors({"calendar_days_nights_in_order": NightsOutOfOrder}):
                _set(listing, start, end, values)
        audit.record(
            actor=actor,
            action="listing.calendar",
            subject=listing,
            now=now,
            after={
                **changes,
                # A note may say anything of anybody; the log says that there is one.
                **({"note": bool(changes["note"])} if "note" in changes else {}),
                **{"from": start.isoformat(), "to": end.isoformat()},
            },
            reason=reason,
            in_stead_of=listing.host_id,
        )
        tell_host(actor=actor, listing=current, action="listing.calendar", reason=reason, now=now)


def _to_close(listing: Listing, start: date, end: date, now: datetime) -> list[tuple[date, date]]:
    """What of ``[start, end)`` the host has to close: all but the nights that the platform keeps closed already.

    Raises: DatesUnavailable where a stay stands or another calendar has the nights.
    """
    blocks = Block.objects.filter(
        availability.living(now), listing_id=listing.pk, nights__overlap=DateRange(start, end)
    )
    ranges = []
    for nights, pinned in blocks.order_by("nights").values_list("nights", "pinned"):
        if not pinned:
            raise availability.DatesUnavailable
        ranges.append((start, nights.lower))
        start = nights.upper
    return [(lower, upper) for lower, upper in [*ranges, (start, end)] if lower < upper]


def _open(listing: Listing, start: date, end: date, now: datetime) -> None:
    """Take the host's own blocks out of the range, keeping what of them lies outside of it; pinned ones stay."""
    own = Block.objects.filter(
        Q(nights__overlap=DateRange(start, end)),
        listing_id=listing.pk,
        active=True,
        reason=Reason.HOST,
        pinned=False,
    )
    for block in list(own):
        availability.release(block=block, now=now)
        for lower, upper in ((block.nights.lower, start), (end, block.nights.upper)):
            if lower < upper:
                _close(listing, lower, upper, now, note=block.note)


def _close(listing: Listing, start: date, end: date, now: datetime, *, note: str) -> None:
    """Close ``[start, end)`` in blocks of at most a stay's length."""
    while start < end:
        upper = min(end, start + timedelta(days=365))
        availability.claim(listing=listing, stay=Stay(start, upper), reason=Reason.HOST, now=now, note=note)
        start = upper


def _set(listing: Listing, start: date, end: date, changes: dict[str, Any]) -> None:
    values = {name: ("" if name == "note" and value is None else value) for name, value in changes.items()}
    CalendarDay.objects.bulk_create(
        [
            CalendarDay(listing_id=listing.pk, date=start + timedelta(days=index), **values)
            for index in range((end - start).days)
        ],
        update_conflicts=True,
        unique_fields=["listing", "date"],
        update_fields=list(values),
    )
    CalendarDay.objects.filter(
        listing_id=listing.pk,
        date__gte=start,
        date__lt=end,
        price_minor=None,
        min_nights=None,
        max_nights=None,
        closed_to_arrival=None,
        closed_to_departure=None,
        note="",
    ).delete()
