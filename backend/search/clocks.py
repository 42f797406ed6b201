"""Which clocks allow a check-in: the rules that depend on what time it is at the listing, asked once per search.

Listings share few combinations of time zone, notice, cut-off and booking window. Each is judged by the calendar's own
rules (``availability.rules``), so that search cannot read them differently; the rows then only compare a number.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from backend.availability import rules as calendar_rules
from backend.availability.rules import Rules
from backend.search.models import SearchClock

_known: dict[int, Rules] = {}
"""Clock → its rules, kept by each process. The id is a hash of the content, so that nothing here can become stale."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """The clocks on which a check-in can be sold; ``all`` when there are no others. ``past``: it is over on every one."""

    allowed: list[int]
    all: bool
    past: bool


def _rules() -> list[tuple[int, Rules]]:
    present = list(SearchClock.objects.values_list("pk", flat=True))
    missing = [pk for pk in present if pk not in _known]
    for clock in SearchClock.objects.filter(pk__in=missing) if missing else ():
        _known[clock.pk] = Rules(
            timezone=clock.timezone,
            check_in_time=clock.check_in_time,
            advance_notice_hours=clock.advance_notice_hours,
            same_day_cutoff_hour=clock.same_day_cutoff_hour,
            booking_window_days=clock.booking_window_days,
            allow_request_inside_notice=clock.allow_request_inside_notice,
        )
    return [(pk, _known[pk]) for pk in present if pk in _known]


def allowing(check_in: date, now: datetime) -> Clocks:
    """The clocks on which a stay may begin on ``check_in``, asked at ``now`` (UTC). One query once they are known."""
    clocks = _rules()
    allowed = [pk for pk, rules in clocks if _allows(rules, check_in, now)]
    dates = [rules.today(now) for _pk, rules in clocks] or [now.date()]
    past = all(check_in < today for today in dates)
    return Clocks(allowed, len(allowed) == len(clocks), past)


def _allows(rules: Rules, check_in: date, now: datetime) -> bool:
    if not rules.today(now) <= check_in <= rules.last_check_in(now):
        return False
    return rules.allow_request_inside_notice or not calendar_rules.inside_notice(rules, check_in, now)
