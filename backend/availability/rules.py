"""The calendar rules of a listing, read for one stay. Pure: values in, refusals out.

Where the same thing is set more than once, the most specific wins. What is left open there goes to the next:

=====================  =======  =======  ======================  ===================
asked                  1. date  2. season  3. weekday            4. the listing's own
=====================  =======  =======  ======================  ===================
price (``calendar``)   yes      yes      weekend                 yes
fewest nights          yes      yes      of the check-in         yes
most nights            yes      yes                              yes
closed to arrival      yes      yes      arrival weekdays        open
closed to departure    yes      yes      departure weekdays      open
=====================  =======  =======  ======================  ===================

Both ways: an open date inside a closed season takes arrivals. The fewest and most nights and the arrival are read on
the check-in date, the departure on the check-out date; the dates between do not matter. Seasons reach from their first
date to the one before their end. Notice, cut-off, booking window, preparation and guests are the listing's own and know
no dates. All dates and hours are on the listing's clock; hours of notice are elapsed ones, so that a clock change
neither gives nor takes one.

Whether nights are *taken* is no rule: blocks answer that (``services``, ``explained``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.functional import lazy
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from backend.core.errors import FieldError, Invalid, Text
from backend.core.stay import MAX_DAYS_AHEAD, Stay


@dataclass(frozen=True, slots=True)
class Rules:
    """What a listing asks of a stay. Weekdays are ISO (1 = Monday); an empty set of weekdays allows all."""

    timezone: str = "UTC"
    check_in_time: time = time(15)
    max_guests: int = 1
    min_nights: int = 1
    max_nights: int = 365
    min_nights_by_weekday: Mapping[int, int] = field(default_factory=dict)
    arrival_weekdays: frozenset[int] = frozenset()
    departure_weekdays: frozenset[int] = frozenset()
    advance_notice_hours: int = 0
    same_day_cutoff_hour: int | None = None
    booking_window_days: int = MAX_DAYS_AHEAD
    preparation_days_before: int = 0
    preparation_days_after: int = 0
    allow_request_inside_notice: bool = False
    instant_book: bool = True

    @property
    def gap(self) -> int:
        """Nights that must lie free between two stays: one gap serves what both sides ask for."""
        return max(self.preparation_days_before, self.preparation_days_after)

    def today(self, now: datetime) -> date:
        """The date at the listing at ``now`` (UTC)."""
        return now.astimezone(ZoneInfo(self.timezone)).date()

    def last_check_in(self, now: datetime) -> date:
        """The furthest check-in that is sold at ``now``."""
        return self.today(now) + timedelta(days=min(self.booking_window_days, MAX_DAYS_AHEAD))


@dataclass(frozen=True, slots=True)
class DayRule:
    """What is set for one date; ``None`` leaves it to the more general rule. The price is in minor units."""

    price_minor: int | None = None
    min_nights: int | None = None
    max_nights: int | None = None
    closed_to_arrival: bool | None = None
    closed_to_departure: bool | None = None
    note: str = ""

    def over(self, season: DayRule) -> DayRule:
        """These rules, with a season's where the date leaves something open. Price and note are the date's own."""
        return replace(
            self,
            **{name: getattr(season, name) for name in CALENDAR_RULES if getattr(self, name) is None},
        )


CALENDAR_RULES = ("min_nights", "max_nights", "closed_to_arrival", "closed_to_departure")
"""What dates and seasons can set besides the price."""

NO_RULE = DayRule()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a stay cannot be booked: the rule's code, the field of the wire it speaks of, the sentence for people.

    ``limit`` is the number that the rule allows or asks for: nights, guests, days ahead, hours of notice. Of taken
    nights also which, as half-open ranges, and for the host what took them.
    """

    code: str
    field: str
    message: Text
    limit: int | None = None
    nights: tuple[tuple[date, date], ...] = ()
    reason: str | None = None


def min_nights(rules: Rules, day: DayRule, check_in: date) -> int:
    """The fewest nights that a stay from ``check_in`` may have: date, then weekday, then the listing's own."""
    if day.min_nights is not None:
        return day.min_nights
    return rules.min_nights_by_weekday.get(check_in.isoweekday(), rules.min_nights)


def max_nights(rules: Rules, day: DayRule) -> int:
    """The most nights that a stay from the date of ``day`` may have."""
    return day.max_nights if day.max_nights is not None else rules.max_nights


def closed_to_arrival(rules: Rules, day: DayRule, on: date) -> bool:
    """Whether no stay may begin on the date; what is set for the date overrides the weekdays."""
    if day.closed_to_arrival is not None:
        return day.closed_to_arrival
    return bool(rules.arrival_weekdays) and on.isoweekday() not in rules.arrival_weekdays


def closed_to_departure(rules: Rules, day: DayRule, on: date) -> bool:
    """Whether no stay may end on the date."""
    if day.closed_to_departure is not None:
        return day.closed_to_departure
    return bool(rules.departure_weekdays) and on.isoweekday() not in rules.departure_weekdays


def inside_notice(rules: Rules, check_in: date, now: datetime) -> bool:
    """Whether ``check_in`` is too near: fewer elapsed hours to the check-in hour than the notice, or today past the cut-off."""
    return _inside_hours(rules, check_in, now) or _past_cutoff(rules, check_in, now)


def _inside_hours(rules: Rules, check_in: date, now: datetime) -> bool:
    hours = rules.advance_notice_hours
    return bool(hours) and _arrival(rules, check_in) - now.timestamp() < hours * 3600


def _past_cutoff(rules: Rules, check_in: date, now: datetime) -> bool:
    if rules.same_day_cutoff_hour is None:
        return False
    local = now.astimezone(ZoneInfo(rules.timezone))
    return check_in == local.date() and local.hour >= rules.same_day_cutoff_hour


def _arrival(rules: Rules, check_in: date) -> float:
    """The check-in hour of the date as a POSIX timestamp."""
    return datetime.combine(check_in, rules.check_in_time, tzinfo=ZoneInfo(rules.timezone)).timestamp()


def needs_request(rules: Rules, check_in: date, now: datetime) -> bool:
    """Whether the stay may only be asked for, since it is inside the notice of a host who lets guests ask."""
    return rules.allow_request_inside_notice and inside_notice(rules, check_in, now)


def notice_refusal(rules: Rules, check_in: date, now: datetime) -> Refusal | None:
    """Why it is too late to book or to ask for a stay from ``check_in``; nothing while it is not."""
    by_hours = _inside_hours(rules, check_in, now)
    inside = by_hours or _past_cutoff(rules, check_in, now)
    if inside and not rules.allow_request_inside_notice:
        if by_hours:
            hours = rules.advance_notice_hours
            return Refusal("advance_notice", "check_in", counted(HOURS_OF_NOTICE, hours), hours)
        until = counted(SAME_DAY_UNTIL, rules.same_day_cutoff_hour or 0)
        return Refusal("advance_notice", "check_in", until)
    if (inside or not rules.instant_book) and _arrival(rules, check_in) <= now.timestamp():
        # The host would have no time at all to answer.
        return Refusal("advance_notice", "check_in", _("It is too late to ask the host for this day."))
    return None


DAYS_AHEAD = ngettext_lazy(
    "Check-in can be at most %(count)d day ahead.", "Check-in can be at most %(count)d days ahead.", "count"
)
AT_MOST_GUESTS = ngettext_lazy(
    "At most %(count)d guest can stay here.", "At most %(count)d guests can stay here.", "count"
)
AT_LEAST_NIGHTS = ngettext_lazy(
    "The stay must have at least %(count)d night.", "The stay must have at least %(count)d nights.", "count"
)
AT_MOST_NIGHTS = ngettext_lazy(
    "The stay may have at most %(count)d night.", "The stay may have at most %(count)d nights.", "count"
)
HOURS_OF_NOTICE = ngettext_lazy(
    "The host needs at least %(count)d hour before check-in.",
    "The host needs at least %(count)d hours before check-in.",
    "count",
)
SAME_DAY_UNTIL = _("A stay from the same day on can be booked until %(count)d:00 only.")


def _filled(sentence: Any, count: int) -> str:
    return str(sentence % {"count": count})


counted = lazy(_filled, str)
"""A sentence with its number that chooses its language when it is shown; ``%`` alone would choose at once."""


def refusals(
    rules: Rules, days: Mapping[date, DayRule], stay: Stay, guests: int, now: datetime
) -> list[Refusal]:
    """Every rule that ``stay`` breaks at ``now`` (UTC), the most basic first; empty when it can be booked.

    ``days`` holds what is set for single dates and by seasons, from check-in to check-out inclusive. The codes are
    those of the HTTP contract.
    """
    arrival, departure = days.get(stay.check_in, NO_RULE), days.get(stay.check_out, NO_RULE)
    found: list[Refusal] = []
    past = stay.check_in < rules.today(now)
    if past:
        found.append(Refusal("check_in_past", "check_in", _("Check-in lies in the past.")))
    if stay.check_in > rules.last_check_in(now):
        ahead = min(rules.booking_window_days, MAX_DAYS_AHEAD)
        found.append(Refusal("booking_window", "check_in", counted(DAYS_AHEAD, ahead), ahead))
    if guests > rules.max_guests:
        message = counted(AT_MOST_GUESTS, rules.max_guests)
        found.append(Refusal("too_many_guests", "guests", message, rules.max_guests))
    fewest, most = min_nights(rules, arrival, stay.check_in), max_nights(rules, arrival)
    if stay.nights < fewest:
        found.append(Refusal("min_nights", "check_out", counted(AT_LEAST_NIGHTS, fewest), fewest))
    if stay.nights > most:
        found.append(Refusal("max_nights", "check_out", counted(AT_MOST_NIGHTS, most), most))
    if closed_to_arrival(rules, arrival, stay.check_in):
        found.append(Refusal("closed_to_arrival", "check_in", _("No stay can begin on this day.")))
    if closed_to_departure(rules, departure, stay.check_out):
        found.append(Refusal("closed_to_departure", "check_out", _("No stay can end on this day.")))
    if not past and (late := notice_refusal(rules, stay.check_in, now)):
        found.append(late)
    return found


class StayRefused(Invalid):
    """A stay breaks a rule of the listing; ``code`` is the rule's."""

    title = _("This stay cannot be booked.")

    def __init__(self, found: list[Refusal]) -> None:
        super().__init__(
            found[0].message,
            errors=[FieldError(refusal.field, refusal.code, refusal.message) for refusal in found],
        )
        self.code = found[0].code
