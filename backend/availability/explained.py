"""Every reason why a stay cannot be booked, and the nearest dates when it could. Pure: values in, values out.

``Picture`` holds all that decides about the stays of one listing in a range of dates, read at one instant. What it
answers is what a claim would: the rules first, then the nights.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from backend.availability import rules as calendar_rules
from backend.availability.rules import DayRule, Refusal, Rules
from backend.core.stay import Stay

NEAR_DAYS = 14
"""How many days earlier or later other dates are looked for."""

SUGGESTED = 3
"""How many of them are shown at most."""

NIGHTS_BETWEEN = ngettext_lazy(
    "The host needs %(count)d night between two stays.",
    "The host needs %(count)d nights between two stays.",
    "count",
)

Nights = tuple[date, date]
"""A half-open range of nights."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Nights ``[start, end)`` that somebody has. Until ``guarded_until`` no other stay may begin, if it is one."""

    start: date
    end: date
    guarded_until: date | None
    reason: str
    note: str = ""

    def preparation(self, gap: int) -> tuple[Nights, ...]:
        """The nights before and after that must stay free of other stays when ``gap`` lie between two."""
        if self.guarded_until is None or not gap:
            return ()
        return (self.start - timedelta(days=gap), self.start), (self.end, self.guarded_until)


@dataclass(frozen=True, slots=True)
class Picture:
    """What decides about the stays of one listing at ``now`` (UTC). ``sold``: whether anything of it can be booked.

    ``days`` and ``taken`` must cover the stays that are asked about, their preparation included.
    """

    rules: Rules
    sold: bool
    days: Mapping[date, DayRule]
    taken: Sequence[Taken]
    now: datetime

    def why(self, stay: Stay, guests: int, *, for_host: bool = False) -> list[Refusal]:
        """Every reason against ``stay``, in the order in which a booking asks; empty when it can be booked.

        Only the host learns what took the nights: for them there is one refusal a reason.
        """
        found = [] if self.sold else [_not_available()]
        found += calendar_rules.refusals(self.rules, self.days, stay, guests, self.now)
        shared, near = self._in_the_way(stay)
        reasons = sorted({reason for reason, _nights in shared}) if for_host else [None] if shared else []
        for reason in reasons:
            nights = merged(nights for why, nights in shared if reason in (None, why))
            message = _("Some of these nights are no longer free.")
            found.append(Refusal("dates_unavailable", "check_in", message, nights=nights, reason=reason))
        if near:
            found.append(
                Refusal(
                    "preparation",
                    "check_in",
                    calendar_rules.counted(NIGHTS_BETWEEN, self.rules.gap),
                    self.rules.gap,
                    nights=merged(near),
                    reason="preparation" if for_host else None,
                )
            )
        return found

    def _in_the_way(self, stay: Stay) -> tuple[list[tuple[str, Nights]], list[Nights]]:
        """The nights of ``stay`` that are taken, each run with its reason, and those of others' preparation."""
        shared, near = [], []
        for taken in self.taken:
            if nights := _common(stay, (taken.start, taken.end)):
                shared.append((taken.reason, nights))
            else:
                ranges = (_common(stay, nights) for nights in taken.preparation(self.rules.gap))
                near += [nights for nights in ranges if nights]
        return shared, near

    def nearest(self, stay: Stay, guests: int) -> list[Stay]:
        """The stays of the same length next to ``stay`` that can be booked, the nearest first, later before earlier."""
        steps = sorted(
            (step for step in range(-NEAR_DAYS, NEAR_DAYS + 1) if step), key=lambda step: (abs(step), -step)
        )
        found: list[Stay] = []
        for step in steps:
            moved = Stay(stay.check_in + timedelta(days=step), stay.check_out + timedelta(days=step))
            if not self.why(moved, guests):
                found.append(moved)
            if len(found) == SUGGESTED:
                break
        return found


def _not_available() -> Refusal:
    return Refusal("not_available", "", _("This place cannot be booked at the moment."))


def _common(stay: Stay, nights: Nights) -> Nights | None:
    start, end = max(stay.check_in, nights[0]), min(stay.check_out, nights[1])
    return (start, end) if start < end else None


def merged(ranges: Iterable[Nights]) -> tuple[Nights, ...]:
    """The ranges in order, with those that touch or overlap as one."""
    runs: list[Nights] = []
    for start, end in sorted(ranges):
        if runs and start <= runs[-1][1]:
            runs[-1] = (runs[-1][0], max(end, runs[-1][1]))
        else:
            runs.append((start, end))
    return tuple(runs)
