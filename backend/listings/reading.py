"""Read listings to show them: everything that a page of one needs, by one hand-written query.

The page of a listing is the hottest read but search. The ORM spends several milliseconds on composing its three
queries; here the text of one is put together once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from backend.accounts.models import STAFF_ROLES, User
from backend.core.db import Columns, prepared
from backend.core.sealed import SealedTextField
from backend.listings.cohosts import stands_in
from backend.listings.models import Listing
from backend.listings.states import ListingStatus

_HOST = ("id", "username", "first_name", "created_at")
_PROFILE = ("photo", "is_superhost", "identity_verified_at", "response_rate", "response_time_hours")
_PHOTO = ("pk", "file", "sizes", "caption", "position", "is_cover")

_QUERY = """
SELECT {columns},
    (SELECT json_agg(json_build_array(f.id, f.file, f.sizes, f.caption, f.position, f.is_cover)
                     ORDER BY f.position, f.id)
     FROM photos f WHERE f.listing_id = l.id),
    {words}
FROM (SELECT %s::text AS language) AS asked,
    properties l JOIN users u ON u.id = l.host_id JOIN profiles p ON p.user_id = l.host_id
WHERE l.id = ANY(%s)
"""


WORDS = ("title", "description", "house_rules")
"""What a listing may say in several languages."""


def words_in(listing: str, language: str) -> str:
    """SQL: what ``listing`` (alias) says in ``language`` as a JSON array of ``WORDS``; null when that is its own or none.

    The table of texts is looked into only for another language than the listing's own.
    """
    return f"""CASE WHEN {language} <> '' AND {language} <> {listing}.language THEN
        (SELECT json_build_array(t.title, t.description, t.house_rules) FROM property_texts t
        WHERE t.listing_id = {listing}.id AND t.language = {language}) END"""  # noqa: S608 - names of our own


def speak(values: dict[str, Any], words: Sequence[str] | None, language: str) -> None:
    """Put the words that a listing has in ``language`` in the place of its own; what is empty there stays.

    ``text_language`` says in which language it speaks then.
    """
    values["text_language"] = language if words else values["language"]
    values.update((name, text) for name, text in zip(WORDS, words or (), strict=False) if text)


class Shown:
    """A listing as it was read: the attributes of ``Listing``, with ``host``, its ``profile``, and ``photos`` as a list.

    What is sealed is opened when it is asked for: most readers may not know the address.
    """

    def __init__(self, values: dict[str, Any], sealed: dict[str, str] | None = None) -> None:
        self.__dict__.update(values, _sealed=sealed)

    def __getattr__(self, name: str) -> Any:
        """Asked for what is not there (yet)."""
        sealed: dict[str, str] = self.__dict__.get("_sealed") or {}
        if name not in sealed:
            raise AttributeError(name)
        opened = self.__dict__[name] = _sealed_fields()[name].opened(sealed[name]) if sealed[name] else ""
        return opened


@cache
def _listing_columns() -> tuple[str, ...]:
    return tuple(str(field.column) for field in Listing._meta.concrete_fields)


@cache
def _sealed_fields() -> dict[str, SealedTextField]:
    return {
        field.attname: field for field in Listing._meta.concrete_fields if isinstance(field, SealedTextField)
    }


@cache
def _query() -> str:
    columns = [
        *(f"l.{name}" for name in _listing_columns()),
        *(f"u.{name}" for name in _HOST),
        *(f"p.{name}" for name in _PROFILE),
    ]
    return _QUERY.format(columns=", ".join(columns), words=words_in("l", "asked.language"))


def by_ids(ids: Sequence[int], language: str = "", *, sources_for: Any = None) -> dict[int, Shown]:
    """The listings of ``ids`` that exist, whatever their state, by id. One query.

    They speak ``language`` where they can, else their own; "" is their own. Those that ``sources_for`` keeps speak their
    own to them, who would write a translation over it otherwise.
    """
    with prepared() as cursor:
        cursor.execute(_query(), [language, list(ids)])
        return {row[0]: _shown(row, language, sources_for) for row in cursor.fetchall()}


def by_id(listing_id: int, viewer: Any) -> Shown | None:
    """The listing if ``viewer`` may know of it. One query."""
    found = by_ids([listing_id]).get(listing_id)
    return found if found is not None and may_know(viewer, found) else None


def may_know(viewer: Any, listing: Any) -> bool:
    """``Listing.objects.visible_to`` for one listing that has been read already."""
    if listing.status == ListingStatus.PUBLISHED:
        return True
    if not viewer.is_authenticated:
        return False
    own = listing.status != ListingStatus.ARCHIVED and stands_in(viewer, listing)
    return bool(own or viewer.has_role(*STAFF_ROLES, "system"))


def may_ask(viewer: Any, listing: Any) -> bool:
    """``Listing.objects.known_to`` for one listing that has been read already."""
    once_public = listing.published_at is not None and listing.status != ListingStatus.ARCHIVED
    return once_public or may_know(viewer, listing)


_LISTING, _USER = Columns(Listing), Columns(User)
_PINNED = f"""
    SELECT {_LISTING.of("p")}, {_USER.of("u")}
    FROM properties p JOIN users u ON u.id = p.host_id
    WHERE p.id = %s
    FOR KEY SHARE OF p
"""  # noqa: S608 - column names of the models


def pinned(listing_id: int, viewer: Any) -> Listing | None:
    """The listing with its host, if ``viewer`` may ask to stay there; it is not withdrawn until the transaction ends.

    ``FOR KEY SHARE`` collides with ``FOR UPDATE`` only: claims, answers and edits pass. One query.
    """
    with prepared() as cursor:
        cursor.execute(_PINNED, [listing_id])
        row = cursor.fetchone()
    if row is None:
        return None
    listing = _LISTING.read(row[: len(_LISTING.names)])
    listing.host = _USER.read(row[len(_LISTING.names) :])
    return listing if may_ask(viewer, listing) else None


def _shown(row: Sequence[Any], language: str, sources_for: Any) -> Shown:
    names = _listing_columns()
    values = dict(zip(names, row, strict=False))
    rest = row[len(names) :]
    # Django leaves jsonb to its fields; without them it is text.
    values["min_nights_by_weekday"] = json.loads(values["min_nights_by_weekday"])
    values["pk"] = values["id"]
    sealed = {name: values.pop(name) for name in _sealed_fields()}
    host = dict(zip(_HOST, rest, strict=False))
    host["pk"] = host["id"]
    host["profile"] = Shown(dict(zip(_PROFILE, rest[len(_HOST) :], strict=False)))
    values["host"] = Shown(host)
    photos = rest[-2] or []
    if isinstance(photos, str):
        photos = json.loads(photos)
    values["photos"] = [Shown(dict(zip(_PHOTO, photo, strict=True))) for photo in photos]
    shown = Shown(values, sealed)
    words = rest[-1]
    if isinstance(words, str):
        words = json.loads(words)
    if words and sources_for is not None and stands_in(sources_for, shown):
        words = None
    speak(shown.__dict__, words, language)
    return shown
