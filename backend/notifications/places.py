"""What a place is called in the other languages that it has titles in.

The titles are kept with a notice when it is told, as its own title is: whoever reads it is told of the place in their
language by every channel, without a question, and by what it was called then.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from backend.core.db import prepared

NAME, IN_LANGUAGES = "listing", "listing_in"
"""The value of a notice that is a place's title in its own language, and the one with the others: language → title."""

PLACE = "property_id"
"""The id among a notice's ``data`` of the place that it names."""

_known: list[str] = []


def told_by(titles: str) -> None:
    """Let the package that has listings say how titles are read: SQL with one ``%s`` for the ids of listings, a value
    of JSON, id → language → title."""
    _known[:] = [titles]


def question(listing_ids: Collection[int]) -> tuple[str, list[Any]]:
    """The titles of these as an SQL value to be asked along with something else, and its parameters."""
    if not listing_ids or not _known:
        return "NULL", []
    return f"({_known[0]})", [sorted(listing_ids)]


def titles(listing_ids: Collection[int]) -> dict[str, dict[str, str]]:
    """Id (as text) → language → title. One query."""
    sql, values = question(listing_ids)
    with prepared() as cursor:
        cursor.execute(f"SELECT {sql}", values)
        row = cursor.fetchone()
    return read(row[0] if row else None)


def read(value: Any) -> dict[str, dict[str, str]]:
    """The answer to ``question``."""
    found: dict[str, dict[str, str]] = (json.loads(value) if isinstance(value, str) else value) or {}
    return found


def named(params: Mapping[str, Any], data: Mapping[str, Any]) -> int | None:
    """The id of the place that a notice with these values names; None where it names none."""
    place = data.get(PLACE)
    return place if params.get(NAME) and isinstance(place, int) else None


def spoken(params: Mapping[str, Any], language: str) -> dict[str, Any]:
    """The values of a notice with its place's title in ``language`` where there is one."""
    values = dict(params)
    translated = values.pop(IN_LANGUAGES, None)
    if isinstance(translated, Mapping) and translated.get(language):
        values[NAME] = translated[language]
    return values
