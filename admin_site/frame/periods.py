"""Which days a page of figures shows, and for whom: the form in its address, and the pieces that a period is cut into."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from admin_site.frame import fields
from admin_site.frame.display import day, short_day
from admin_site.frame.display import month as month_name
from backend.analytics.reading import Choices, Scope, Window

USUAL = "30"
MOST_DAYS = 1095
LONGEST_BY_DAY, LONGEST_BY_WEEK = 31, 183
CITIES = 200
"""How many cities can be chosen from the list; the largest ones."""

ONE = timedelta(days=1)

PERIODS = [
    ("7", _("last 7 days")),
    ("30", _("last 30 days")),
    ("90", _("last 90 days")),
    ("365", _("last 365 days")),
    ("month", _("this month")),
    ("year", _("this year")),
    ("own", _("from … to …")),
]


class FiguresForm(forms.Form):
    """What the address asks for. Both days of a period of one's own are in it."""

    period = fields.choice(_("Period"), PERIODS, initial=USUAL, required=False)
    since = fields.date(_("From"), required=False)
    until = fields.date(_("To (included)"), required=False)
    city = fields.choice(_("City"), [], required=False)
    kind = fields.choice(_("Property type"), [], required=False)
    currency = fields.choice(_("Currency"), [], required=False)

    def __init__(self, *args: Any, choices: Choices, last: date, platform: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.last = last
        self.cities = {f"{country} {city}": (country, city) for country, city in choices.cities}
        self._offer("city", [("", _("all"))], [(key, f"{city}, {country}" if country else city) for key, (country, city) in self.cities.items()])  # fmt: skip
        self._offer(
            "kind", [("", _("all"))], [(kind, kind.replace("_", " ")) for kind in choices.types if kind]
        )
        self._offer(
            "currency", [("", _("all, in %s") % platform)], [(code, code) for code in choices.currencies]
        )

    def _offer(self, name: str, first: list[Any], rest: list[Any]) -> None:
        field: Any = self.fields[name]
        chosen = self.data.get(name, "")
        # A city that is no longer among the largest stays chosen.
        if name == "city" and chosen and chosen not in self.cities and " " in chosen[:3]:
            country, _blank, city = chosen.partition(" ")
            self.cities[chosen] = (country, city)
            rest = [(chosen, f"{city}, {country}" if country else city), *rest]
        field.choices = [*first, *rest]

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        first, last = given.get("since"), given.get("until")
        if first and last and last < first:
            self.add_error("until", _("The end must come after the beginning."))
        elif first and ((last or self.last) - first).days >= MOST_DAYS:
            self.add_error("since", _("At most three years at once."))
        return given

    @property
    def scope(self) -> Scope:
        """Whom the figures are of; of a form with errors, of all."""
        given = self.cleaned_data if self.is_valid() else {}
        country, city = self.cities.get(given.get("city", ""), ("", ""))
        return Scope(country, city, given.get("kind", ""), given.get("currency", ""))

    @property
    def window(self) -> Window:
        """The days ``[first, after)``, none of them after the last summarized one."""
        given = self.cleaned_data if self.is_valid() else {}
        chosen, last = given.get("period") or USUAL, self.last
        if chosen == "own" or given.get("since") or given.get("until"):
            last = min(last, given.get("until") or last)
            first = given.get("since") or last - (int(USUAL) - 1) * ONE
            return min(first, last), last + ONE
        if chosen == "month":
            return last.replace(day=1), last + ONE
        if chosen == "year":
            return last.replace(month=1, day=1), last + ONE
        return last - (int(chosen) - 1) * ONE, last + ONE


@dataclass(frozen=True, slots=True)
class Cut:
    """A period in pieces: by day, by week or by month, whichever gives a chart that can be read."""

    unit: str
    pieces: list[Window]
    name: Callable[[date], str]
    """What a piece is called by its first day, on an axis."""

    full_name: Callable[[date], str]


def before(window: Window) -> Window:
    """The period of the same length before ``window``."""
    first, after = window
    return first - (after - first), first


def cut(window: Window) -> Cut:
    """``window`` in pieces; the first and the last one end where it ends."""
    first, after = window
    length = (after - first).days
    if length <= LONGEST_BY_DAY:
        return Cut("day", _pieces(window, lambda begin: begin + ONE), short_day, day)
    if length <= LONGEST_BY_WEEK:
        weeks = _pieces(window, lambda begin: begin + (7 - begin.weekday()) * ONE)
        return Cut("week", weeks, short_day, day)
    months = _pieces(window, lambda begin: (begin.replace(day=1) + 32 * ONE).replace(day=1))
    return Cut("month", months, month_name, month_name)


def _pieces(window: Window, next_begin: Callable[[date], date]) -> list[Window]:
    begin, after = window
    found = []
    while begin < after:
        end = min(after, next_begin(begin))
        found.append((begin, end))
        begin = end
    return found
