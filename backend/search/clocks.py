"""Which clocks allow a check-in: the rules that depend on what time it is at the listing, asked once per search.

Listings share few combinations of time zone, notice, cut-off and booking window. Each is judged by the calendar's own
rules (``availability.rules``), so that search cannot read them differently; the rows then only compare a number.
Most check-ins are far enough away, or too far, whatever the time zone: those need no clock.

Every process keeps the combinations that it has read. A clock never changes (its id is a hash of its content), but a
new one may come at any time; the statement that finds the rows also answers ``MARK``, in the same snapshot, and when
that is not the mark of what is known here the search is asked again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.db import connection

from backend.availability import rules as calendar_rules
from backend.availability.rules import Rules
from backend.core.stay import MAX_DAYS_AHEAD
from backend.search.models import SearchClock

EARLIEST, LATEST = timedelta(hours=12), timedelta(hours=14)
"""No local time is further behind or ahead of UTC."""

MARK = "(SELECT coalesce(bit_xor(id), 0) # count(*) FROM search_clocks)"
"""In SQL: a number that tells one set of clocks from another."""


@dataclass(frozen=True, slots=True)
class Known:
    """The clocks as they were read: the mark of their set, their rules, and the least and most that any of them asks."""

    mark: int
    rules: dict[int, Rules]
    shortest_window: timedelta
    longest_window: timedelta
    longest_notice: timedelta


@dataclass(frozen=True, slots=True)
class Clocks:
    """The clocks on which a check-in can be sold; ``all`` when there are no others. ``past``: it is over on every one.

    ``askable``: those of them on which a host who wants to be asked still can be.
    """

    allowed: list[int]
    askable: list[int]
    all: bool
    past: bool


_known: Known | None = None

_zones: dict[str, ZoneInfo] = {}
"""Every zone in use: ``ZoneInfo`` itself remembers eight and reads the others from disk again."""


def known(*, again: bool = False) -> Known:
    """The clocks that there are, read by this process at some time, or right now with ``again``."""
    global _known
    if _known is None or again:
        _known = _read(_known.rules if _known else {})
    return _known


def _read(before: dict[int, Rules]) -> Known:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {MARK}, coalesce(array_agg(id), '{{}}') FROM search_clocks")  # noqa: S608 - our own
        mark, present = cursor.fetchone()
    new = [pk for pk in present if pk not in before]
    read = {clock.pk: _rules(clock) for clock in SearchClock.objects.filter(pk__in=new)} if new else {}
    rules = {pk: before[pk] if pk in before else read[pk] for pk in present}
    windows = [_window(each) for each in rules.values()]
    notices = [timedelta(hours=each.advance_notice_hours) for each in rules.values()]
    return Known(
        mark=mark,
        rules=rules,
        shortest_window=min(windows, default=timedelta(0)),
        longest_window=max(windows, default=timedelta(0)),
        longest_notice=max(notices, default=timedelta(0)),
    )


def _rules(clock: SearchClock) -> Rules:
    _zones.setdefault(clock.timezone, ZoneInfo(clock.timezone))
    return Rules(
        timezone=clock.timezone,
        check_in_time=clock.check_in_time,
        advance_notice_hours=clock.advance_notice_hours,
        same_day_cutoff_hour=clock.same_day_cutoff_hour,
        booking_window_days=clock.booking_window_days,
        allow_request_inside_notice=clock.allow_request_inside_notice,
    )


def _window(rules: Rules) -> timedelta:
    return timedelta(days=min(rules.booking_window_days, MAX_DAYS_AHEAD))


def allowing(check_in: date, now: datetime, clocks: Known) -> Clocks:
    """Those of ``clocks`` on which a stay may begin on ``check_in``, asked at ``now`` (UTC). No query."""
    first, last = (now - EARLIEST).date(), (now + LATEST).date()
    # The least time until the check-in, whatever its hour and zone.
    notice = datetime.combine(check_in, time(0), UTC) - LATEST - now
    far = check_in > last
    if far and clocks.rules:
        if check_in <= first + clocks.shortest_window and clocks.longest_notice <= notice:
            return Clocks([], [], all=True, past=False)
        if check_in > last + clocks.longest_window:
            return Clocks([], [], all=False, past=False)
    allowed, askable = [], []
    for pk, rules in clocks.rules.items():
        window = _window(rules)
        surely = far and check_in <= first + window and timedelta(hours=rules.advance_notice_hours) <= notice
        if surely or (check_in <= last + window and _allows(rules, check_in, now)):
            allowed.append(pk)
            if surely or _allows(replace(rules, instant_book=False), check_in, now):
                askable.append(pk)
    everyone = len(askable) == len(clocks.rules)
    past = not far and not any(check_in >= rules.today(now) for rules in clocks.rules.values())
    return Clocks(allowed, askable, all=everyone, past=past if clocks.rules else check_in < now.date())


def _allows(rules: Rules, check_in: date, now: datetime) -> bool:
    if not rules.today(now) <= check_in <= rules.last_check_in(now):
        return False
    return calendar_rules.notice_refusal(rules, check_in, now) is None
