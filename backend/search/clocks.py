"""Which clocks allow a check-in: the rules that depend on what time it is at the listing, asked once per search.

Listings share few combinations of time zone, notice, cut-off and booking window. Each is judged by the calendar's own
rules (``availability.rules``), so that search cannot read them differently; the rows then only compare a number.
Most check-ins are far enough away, or too far, whatever the time zone: those need no clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.db import connection

from backend.availability import rules as calendar_rules
from backend.availability.rules import Rules
from backend.core.stay import MAX_DAYS_AHEAD
from backend.search.models import SearchClock

EARLIEST, LATEST = timedelta(hours=12), timedelta(hours=14)
"""No local time is further behind or ahead of UTC."""

_known: dict[int, Rules] = {}
"""Clock → its rules, kept by each process. The id is a hash of the content, so that nothing here can become stale."""

_zones: dict[str, ZoneInfo] = {}
"""Every zone in use: ``ZoneInfo`` itself remembers eight and reads the others from disk again."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """The clocks on which a check-in can be sold; ``all`` when there are no others. ``past``: it is over on every one."""

    allowed: list[int]
    all: bool
    past: bool


def allowing(check_in: date, now: datetime) -> Clocks:
    """The clocks on which a stay may begin on ``check_in``, asked at ``now`` (UTC). One query once they are known."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM search_clocks")
        present = [pk for (pk,) in cursor.fetchall()]
    _learn([pk for pk in present if pk not in _known])
    first, last = (now - EARLIEST).date(), (now + LATEST).date()
    notice = (datetime.combine(check_in, time(0), UTC) - LATEST - now) / timedelta(hours=1)
    far = check_in > last
    allowed = []
    for pk in present:
        rules = _known.get(pk)
        if rules is None:
            continue
        window = timedelta(days=min(rules.booking_window_days, MAX_DAYS_AHEAD))
        surely = far and check_in <= first + window and rules.advance_notice_hours <= notice
        if surely or (check_in <= last + window and _allows(rules, check_in, now)):
            allowed.append(pk)
    past = not far and not any(check_in >= _known[pk].today(now) for pk in present if pk in _known)
    return Clocks(allowed, len(allowed) == len(present), past if present else check_in < now.date())


def _learn(clocks: list[int]) -> None:
    for clock in SearchClock.objects.filter(pk__in=clocks) if clocks else ():
        _zones.setdefault(clock.timezone, ZoneInfo(clock.timezone))
        _known[clock.pk] = Rules(
            timezone=clock.timezone,
            check_in_time=clock.check_in_time,
            advance_notice_hours=clock.advance_notice_hours,
            same_day_cutoff_hour=clock.same_day_cutoff_hour,
            booking_window_days=clock.booking_window_days,
            allow_request_inside_notice=clock.allow_request_inside_notice,
        )


def _allows(rules: Rules, check_in: date, now: datetime) -> bool:
    if not rules.today(now) <= check_in <= rules.last_check_in(now):
        return False
    return rules.allow_request_inside_notice or not calendar_rules.inside_notice(rules, check_in, now)
