"""Fields of dialogs. Inside a dialog no script of Django's runs, so dates and times are the browser's own inputs."""

from __future__ import annotations

from datetime import UTC, datetime
from datetime import date as day
from datetime import time as clock
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator
from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from admin_site.frame import finding

FIRST, LAST = day(2000, 1, 1), day(2099, 12, 31)


def _input(kind: str, **attrs: Any) -> UnfoldAdminTextInputWidget:
    return UnfoldAdminTextInputWidget(attrs={"type": kind, **attrs})


def date(label: Any, **options: Any) -> forms.DateField:
    """A date of this century."""
    bounds = [MinValueValidator(FIRST), MaxValueValidator(LAST)]
    widget = _input("date", min=FIRST.isoformat(), max=LAST.isoformat())
    return forms.DateField(label=label, widget=widget, validators=bounds, **options)


def moment(label: Any, **options: Any) -> forms.DateTimeField:
    """Date and time of day; an instant in UTC unless the form reads it on another clock."""
    bounds = [
        MinValueValidator(datetime.combine(FIRST, clock(), UTC)),
        MaxValueValidator(datetime.combine(LAST, clock(), UTC)),
    ]
    widget = _Moment(attrs={"type": "datetime-local"})
    return forms.DateTimeField(label=label, widget=widget, validators=bounds, **options)


class _Moment(UnfoldAdminTextInputWidget):
    def format_value(self, value: Any) -> Any:
        return f"{value:%Y-%m-%dT%H:%M}" if hasattr(value, "strftime") else value


def time(label: Any, **options: Any) -> forms.TimeField:
    """A time of day."""
    return forms.TimeField(label=label, widget=_Time(attrs={"type": "time"}), **options)


class _Time(UnfoldAdminTextInputWidget):
    def format_value(self, value: Any) -> Any:
        return f"{value:%H:%M}" if hasattr(value, "strftime") else value


def whole(label: Any, low: int, high: int, **options: Any) -> forms.IntegerField:
    """A whole number from ``low`` to ``high``."""
    bounds = [MinValueValidator(low), MaxValueValidator(high)]
    widget = _input("number", min=low, max=high, step=1)
    return forms.IntegerField(label=label, validators=bounds, widget=widget, **options)


def number(label: Any, **options: Any) -> forms.DecimalField:
    """An amount in major units, or a percentage."""
    return forms.DecimalField(
        label=label, max_digits=18, widget=_input("text", inputmode="decimal"), **options
    )


def words(label: Any, longest: int, **options: Any) -> forms.CharField:
    """A line of text."""
    return forms.CharField(label=label, max_length=longest, widget=_input("text"), **options)


def text(label: Any, longest: int, rows: int = 3, **options: Any) -> forms.CharField:
    """Several lines of text."""
    return forms.CharField(
        label=label, max_length=longest, widget=UnfoldAdminTextareaWidget(attrs={"rows": rows}), **options
    )


def choice(label: Any, choices: Any, **options: Any) -> forms.ChoiceField:
    """One of ``choices`` (value, words)."""
    return forms.ChoiceField(label=label, choices=choices, widget=UnfoldAdminSelectWidget(), **options)


def switch(label: Any, **options: Any) -> forms.BooleanField:
    """Yes or no."""
    return forms.BooleanField(label=label, required=False, widget=UnfoldBooleanWidget(), **options)


def maybe(label: Any, **options: Any) -> forms.TypedChoiceField:
    """Yes, no, or nothing said."""
    return forms.TypedChoiceField(
        label=label,
        required=False,
        choices=[("", _("not said")), ("true", _("yes")), ("false", _("no"))],
        coerce=lambda word: {"true": True, "false": False}[word],
        empty_value=None,
        widget=UnfoldAdminSelectWidget(),
        **options,
    )


def several(label: Any, choices: Any, **options: Any) -> forms.MultipleChoiceField:
    """Any of ``choices``."""
    return forms.MultipleChoiceField(
        label=label,
        choices=choices,
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget(),
        **options,
    )


def weekdays(label: Any, **options: Any) -> forms.TypedMultipleChoiceField:
    """ISO weekdays: 1 is Monday."""
    return forms.TypedMultipleChoiceField(
        label=label,
        choices=[(number + 1, WEEKDAYS[number]) for number in range(7)],
        coerce=int,
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget(),
        **options,
    )


def zone(label: Any, **options: Any) -> forms.ChoiceField:
    """A time zone of the IANA list."""
    return choice(label, [(name, name) for name in ZONES], **options)


class PersonField(forms.CharField):
    """A user by username or email; None for nothing."""

    def clean(self, value: Any) -> Any:
        named = super().clean(value)
        if not named:
            return None
        person = finding.one(named)
        if person is None:
            raise forms.ValidationError(_("There is nobody of this name."))
        return person


def person(label: Any, **options: Any) -> PersonField:
    """Somebody, by username or email."""
    return PersonField(label=label, max_length=254, required=False, widget=_input("text"), **options)


ZONES = [
    *sorted(
        name for name in available_timezones() if "/" in name and not name.startswith(("Etc/", "SystemV/"))
    ),
    "UTC",
]
