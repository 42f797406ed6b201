"""Whose answers are kept (``api.page_store``), and what proves one right that has lain for a while.

Where an answer is made of rows that one statement by primary keys can tell to be the same, it is proved: the reference
lists, and the page of a listing. Search and a listing's calendar are moved by bookings, holds, prices and the clock; a
version of that would be one row that all bookings queue on. They are given for a moment and then made anew. Not kept are
prices that are promised (quotes) and whether a stay can be booked: whoever asks goes on to book.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.http import HttpRequest
from django.urls import ResolverMatch, resolve
from django.utils import timezone

from api.auth import ANONYMOUS
from api.visiting import visitor
from backend.analytics import visits
from backend.core import fx, table_versions
from backend.listings import page_version, reading
from backend.listings.states import ListingStatus


@dataclass(frozen=True)
class Shelf:
    """Where the answers of one operation are kept.

    ``example`` is a path of it. ``version`` asks the database for the version of what the page of a number (0 where there is
    but one) is made of, None where there is no page; without it nothing can be proved. ``also``: what else the answer depends
    on. ``given`` is told of each answer that was given for the operation, which does not hear of it.
    """

    example: str
    version: Callable[[int], str | None] | None = None
    also: Callable[[], Any] = lambda: None
    given: Callable[[HttpRequest, int], None] = lambda _request, _number: None

    @cached_property
    def operation(self) -> ResolverMatch:
        """Which operation this is, for the access log."""
        found = resolve(self.example)
        return ResolverMatch(found.func, (), {}, route=found.route)


@dataclass(frozen=True, slots=True)
class Place:
    """The place of one path on its shelf."""

    shelf: Shelf
    number: int = 0

    @property
    def can_be_proved(self) -> bool:
        """Whether there is a version."""
        return self.shelf.version is not None

    def version(self) -> str | None:
        """The version of what the answer is made of, now, in one statement; None where there is nothing to be shown."""
        return "" if self.shelf.version is None else self.shelf.version(self.number)

    def also(self) -> Any:
        """What else the answer depends on."""
        return self.shelf.also()

    def given(self, request: HttpRequest) -> None:
        """The answer is given from the store."""
        self.shelf.given(request, self.number)


def _of_tables(*tables: str) -> Callable[[int], str]:
    return lambda _number: table_versions.of(*tables)


def _looked_at(request: HttpRequest, number: int) -> None:
    """Count the look at a listing, as its operation does. A page that is kept is that of a published one."""
    request.auth = ANONYMOUS  # type: ignore[attr-defined]
    shown = reading.Shown({"pk": number, "status": ListingStatus.PUBLISHED})
    visits.viewed(shown, visitor(request), now=timezone.now())


_ALONE = {
    shelf.example: Place(shelf)
    for shelf in (
        Shelf("/api/amenities/", _of_tables("amenities")),
        Shelf("/api/currencies/", _of_tables("currencies", "exchange_rates"), also=fx.chosen_codes),
        Shelf("/api/locations/", _of_tables("locations", "location_names")),
        Shelf("/api/properties/"),
    )
}
_OF_LISTINGS = {
    "": Shelf("/api/properties/1/", page_version.of, given=_looked_at),
    "calendar/": Shelf("/api/properties/1/calendar/"),
}
_LISTING = re.compile(r"/api/properties/([1-9][0-9]{0,17})/(calendar/)?")


def find(path: str) -> Place | None:
    """The place of a path as it is written canonically; None where nothing is kept."""
    place = _ALONE.get(path)
    if place is None and path.startswith("/api/properties/"):
        match = _LISTING.fullmatch(path)
        place = Place(_OF_LISTINGS[match[2] or ""], int(match[1])) if match else None
    return place
