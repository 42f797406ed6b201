"""What a platform setting is: its kind, bounds and words, and how a value of it is read, stored and told. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from django.utils.translation import gettext_lazy as _

from backend.core.errors import Invalid, Text
from backend.core.money import MoneyError, exponent

KINDS = ("int", "decimal", "bool", "choice", "text", "codes")


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. ``kind`` is one of ``KINDS``; bounds are inclusive, those of a text are of its length.

    ``codes`` are ISO 4217 letters, kept as a sorted tuple. ``words`` say what each choice means; ``effect`` says what a
    change of the setting changes, where it is not what its group says; ``only_if`` names another setting and the value
    of it without which this one means nothing; ``available`` names the choices that this server is set up for, where it
    need not be set up for all.
    """

    key: str
    kind: str
    default: Any
    description: Text
    low: int | None = None
    high: int | None = None
    choices: tuple[str, ...] = ()
    title: Text = ""
    unit: Text = ""
    words: Mapping[str, Text] = field(default_factory=dict)
    effect: Text = ""
    only_if: tuple[str, Any] | None = None
    available: Callable[[], Sequence[str]] | None = None

    @property
    def offered(self) -> tuple[str, ...]:
        """The choices that can be made here; "" always can."""
        if self.available is None:
            return self.choices
        return tuple(each for each in self.choices if each in ("", *self.available()))

    def parse(self, raw: Any) -> Any:
        """The typed value of ``raw`` (JSON or form text). Raises: Invalid."""
        if self.kind == "bool" and isinstance(raw, bool):
            return raw
        if self.kind == "choice" and raw in self.choices:
            if raw not in self.offered:
                raise Invalid.field(self.key, "not_set_up", _("The server is not set up for this."))
            return raw
        if self.kind == "text" and isinstance(raw, str):
            text = unicodedata.normalize("NFC", raw.strip())
            if text.replace("\n", "").isprintable() and (self.low or 0) <= len(text) <= (self.high or 0):
                return text
        if self.kind == "codes":
            codes = _codes(raw)
            if codes is not None:
                return codes
        if self.kind in ("int", "decimal") and not isinstance(raw, bool):
            try:
                number = Decimal(str(raw))
            except InvalidOperation:
                number = Decimal("NaN")
            fits = number.is_finite() and (self.low is None or number >= self.low)
            fits = fits and (self.high is None or number <= self.high)
            if fits and (self.kind == "decimal" or number == number.to_integral_value()):
                return int(number) if self.kind == "int" else number
        raise Invalid.field(self.key, "invalid_setting", _("This value does not fit the setting."))

    def stored(self, value: Any) -> Any:
        """A typed value as JSON keeps it without losing anything."""
        if isinstance(value, Decimal):
            return str(value)
        return list(value) if isinstance(value, tuple) else value

    def said(self, value: Any) -> Text:
        """A typed value in words, without its unit; "–" for nothing."""
        if self.kind == "bool":
            return _("on") if value else _("off")
        if self.kind == "choice":
            return self.words.get(value, value or "–")
        if self.kind == "codes":
            return ", ".join(value) or "–"
        return str(value) or "–"


@dataclass(frozen=True, slots=True)
class Group:
    """Settings that belong together: what they are about, and what a change of one of them changes."""

    key: str
    title: Text
    icon: str
    description: Text
    effect: Text
    settings: Sequence[Setting]


def _codes(raw: Any) -> tuple[str, ...] | None:
    """Currency codes in a list, or written with blanks or commas between them; None where one is none."""
    given = raw.replace(",", " ").split() if isinstance(raw, str) else raw
    if not isinstance(given, list | tuple) or not all(isinstance(each, str) for each in given):
        return None
    codes = sorted({each.upper() for each in given})
    try:
        for code in codes:
            exponent(code)
    except MoneyError:
        return None
    return tuple(codes)
