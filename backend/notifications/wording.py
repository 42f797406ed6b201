"""The words of notices and letters as staff have them: what is shipped with the program, or their own in its place, by language.

Own words are platform settings (``text.<kind>.<language>``) and so have versions, plans and a history as all settings do.
They name the values of a notice in braces (``{listing}``); only the names that the shipped texts of the kind have are
known, and nothing else in braces is looked at. What is put in is text, and escaped where a mail or a page shows it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from django.utils.translation import override

from backend.core import platform
from backend.core.errors import FieldError, Invalid, Text
from backend.core.setting import Setting
from backend.notifications.kinds import KINDS
from backend.notifications.letter_kinds import LETTERS, NEEDED

SUBJECT, TITLE, BODY, WITH_REASON, SHORT = "subject", "title", "body", "body_with_reason", "short"
WORDED = {**KINDS, **LETTERS}
"""All that has words of its own: what people are told of, and what proves something to them."""

PARTS: dict[str, Text] = {
    TITLE: _("Title"),
    SUBJECT: _("Subject of the mail"),
    BODY: _("Text"),
    WITH_REASON: _("Text with a reason"),
    SHORT: _("Short message"),
}
LONGEST = {TITLE: 200, SUBJECT: 180, BODY: 4000, WITH_REASON: 4000, SHORT: 320}
"""Characters, with the names of values as they stand in the text."""

_VALUE = re.compile(r"\{(\w+)\}")
_SHIPPED_VALUE = re.compile(r"%\((\w+)\)s")


@dataclass(frozen=True, slots=True)
class Wording(Setting):
    """The own texts of a kind in a language, as a setting: part → text. What is not in it is as shipped."""

    notice: str = ""
    language: str = ""

    def parse(self, raw: Any) -> dict[str, str]:
        """The texts, without those that are empty. Raises: Invalid, on the part that is wrong."""
        if not isinstance(raw, Mapping) or not set(raw) <= set(parts_of(self.notice)):
            raise Invalid.field(self.key, "invalid_setting", _("This value does not fit the setting."))
        given = {part: str(text).replace("\r\n", "\n").strip() for part, text in raw.items()}
        errors = [
            error for part, text in given.items() if (error := _fault(self.notice, part, text)) is not None
        ]
        if errors:
            raise Invalid(errors[0].message if len(errors) == 1 else "", errors=errors)
        return {part: text for part, text in given.items() if text}

    def stored(self, value: Any) -> Any:
        return value

    def said(self, value: Any) -> Text:
        return "\n".join(f"{PARTS[part]}: {text}" for part, text in value.items()) or _("as shipped")


def key_of(kind: str, language: str) -> str:
    return f"text.{kind}.{language}"


def parts_of(kind: str) -> list[str]:
    """The parts that a kind has: those of a mail where it is mailed at all, and a text for reasons and a short message only
    where one is shipped."""
    found = WORDED[kind]
    return [part for part in PARTS if getattr(found, TITLE if part == SUBJECT else part)]


@cache
def values_of(kind: str) -> tuple[str, ...]:
    """The names of the values that texts of a kind may have in them: those that the shipped ones have."""
    found = WORDED[kind]
    with override("en"):
        texts = " ".join(str(each) for each in (found.title, found.body, found.body_with_reason, found.short))
    return tuple(sorted(set(_SHIPPED_VALUE.findall(texts))))


def shipped(kind: str, part: str, language: str) -> str:
    """The text that the program ships, with its values in braces; a subject is the title."""
    found = getattr(WORDED[kind], TITLE if part == SUBJECT else part)
    with override(language):
        return _SHIPPED_VALUE.sub(r"{\1}", str(found)).replace("%%", "%")


def own(kind: str, language: str) -> dict[str, str]:
    """The own texts of a kind that hold in a language: part → text."""
    found: dict[str, str] = platform.get(key_of(kind, language))
    return found


def said(
    kind: str, part: str, language: str, values: Mapping[str, str], drafts: Mapping[str, str] | None = None
) -> str:
    """A text of a kind in a supported language with its values: ``drafts`` or own words where there are any, else as shipped."""
    words = own(kind, language) if drafts is None else drafts
    if part in words:
        return _VALUE.sub(lambda found: values[found[1]], words[part])
    with override(language):
        return str(getattr(WORDED[kind], part)) % values


def _fault(kind: str, part: str, text: str) -> FieldError | None:
    if len(text) > LONGEST[part]:
        return FieldError(part, "too_long", _("At most %(high)s characters.") % {"high": LONGEST[part]})
    lines = part in (BODY, WITH_REASON)
    if not (text.replace("\n", "") if lines else text).isprintable():
        return FieldError(part, "invalid_text", _("There are characters in it that cannot be shown."))
    named = set(_VALUE.findall(text))
    unknown = sorted(named - set(values_of(kind)))
    if unknown:
        said = _("There is no value called %(name)s here.") % {"name": f"{{{unknown[0]}}}"}
        return FieldError(part, "unknown_value", said)
    if missing := [name for name in NEEDED.get(kind, ()) if text and name not in named]:
        said = _("It is worth nothing without %(name)s.") % {"name": f"{{{missing[0]}}}"}
        return FieldError(part, "missing_value", said)
    if "{" in (rest := _VALUE.sub("", text)) or "}" in rest:
        return FieldError(part, "stray_brace", _("A brace stands alone. Values are written as {listing}."))
    return None


for _kind in WORDED:
    for _language, _name in settings.LANGUAGES:
        platform.declare(
            Wording(
                key=key_of(_kind, _language),
                kind="texts",
                default={},
                description=_("What people are told."),
                title=f"{_kind} ({_language})",
                notice=_kind,
                language=_language,
            )
        )
