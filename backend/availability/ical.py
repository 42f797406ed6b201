"""What entries of foreign calendars mean for nights, and ours as a calendar for others. Pure: values in, values out.

What real calendars taught: the end is exclusive; a UID may come twice with different dates, and the same UID may come
back with others; DTSTAMP changes with every answer and says nothing; Booking.com names a stay and a closed date alike,
gives a running stay a new UID every day, and closes all beyond its window with an entry whose end moves daily;
Airbnb answers with "Not available" for what it has imported itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Generic, Protocol, TypeVar
from zoneinfo import ZoneInfo

from backend.availability.models import EventKind, FeedKind

FAR_DAYS = 300
"""An entry that reaches further ahead than this …"""

LONG_NIGHTS = 28
"""… and has at least so many nights is where the other site stops selling, not a stay."""

_SITES = (
    (FeedKind.AIRBNB, re.compile(r"airbnb", re.I)),
    (FeedKind.BOOKING_COM, re.compile(r"booking\.com", re.I)),
    (FeedKind.VRBO, re.compile(r"vrbo|homeaway|abritel|fewo-direkt|stayz|bookabach", re.I)),
)

_RESERVED = re.compile(r"reserv|réserv|prenota|booked|\bbooking\b|provisoire|tentative|\bstay\b", re.I)
"""How sites name an entry that is somebody's stay; anything else may be a closed date, or an echo of ours."""


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """Nights ``[starts_on, ends_on)`` in the listing's local dates that a foreign calendar says are taken."""

    starts_on: date
    ends_on: date
    uid: str
    summary: str


@dataclass(frozen=True, slots=True)
class Read:
    """The entries of a calendar, each once, in order, and the UIDs of those that make no sense."""

    entries: tuple[Entry, ...]
    refused: tuple[str, ...]


def site_of(url_host: str, prodid: str = "") -> FeedKind:
    """Which site a calendar comes from, by its maker's name and its host."""
    for text in (prodid, url_host):
        for kind, pattern in _SITES:
            if pattern.search(text):
                return kind
    return FeedKind.OTHER


def entries(rows: Iterable[Sequence[str]], *, zone: str) -> Read:
    """``(uid, summary, start, end)`` in ISO text as nights on the clock of ``zone``.

    Instants become the dates there, local times stay. An entry within one day takes its night; one that ends before
    it begins, or on the same date with dates alone, makes no sense.
    """
    found: set[Entry] = set()
    refused: list[str] = []
    for uid, summary, start, end in rows:
        try:
            starts_on, ends_on = _local(start, zone), _local(end, zone)
            if "T" in start and starts_on == ends_on and end >= start:
                ends_on += timedelta(days=1)
        except (ValueError, OverflowError):
            refused.append(uid)
            continue
        if ends_on <= starts_on:
            refused.append(uid)
        else:
            # Without a UID the dates are what an entry is known by.
            found.add(Entry(starts_on, ends_on, uid or f"{starts_on}/{ends_on}", " ".join(summary.split())))
    return Read(tuple(sorted(found)), tuple(refused))


def _local(text: str, zone: str) -> date:
    if "T" not in text:
        return date.fromisoformat(text)
    at = datetime.fromisoformat(text)
    return at.date() if at.tzinfo is None else at.astimezone(ZoneInfo(zone)).date()


def classify(entry: Entry, *, today: date) -> EventKind:
    """Whether an entry is somebody's stay for sure, closed nights, or all that lies beyond the other site's window.

    Closed nights may be a stay too (Booking.com says the same of both), never the other way round.
    """
    if (entry.ends_on - today).days > FAR_DAYS and (entry.ends_on - entry.starts_on).days >= LONG_NIGHTS:
        return EventKind.WINDOW
    return EventKind.STAY if _RESERVED.search(entry.summary) else EventKind.BLOCK


class Kept(Protocol):
    """An entry as it is kept."""

    uid: str
    starts_on: date
    ends_on: date


K = TypeVar("K", bound=Kept)


@dataclass(frozen=True, slots=True)
class Matched(Generic[K]):
    """What an answer says of the entries that are kept: still there, with the dates they have now; gone; and new ones."""

    present: list[tuple[K, Entry]]
    new: list[Entry]
    gone: list[K]


def match(kept: Sequence[K], found: Sequence[Entry], *, today: date) -> Matched[K]:
    """Pair what is kept with what was ``found``: the same UID and dates, then the same UID with others, as moved.

    What is left on both sides with the same nights from ``today`` on is the same too: a stay that has begun loses
    the nights that are over, and with them its UID.
    """
    present: list[tuple[K, Entry]] = []
    rows: list[K] = sorted(kept, key=lambda each: (each.starts_on, each.ends_on))
    left = sorted(found)

    def pair(key: Callable[[K | Entry], Hashable]) -> None:
        nonlocal rows, left
        by_key: dict[Hashable, list[Entry]] = {}
        for entry in reversed(left):
            by_key.setdefault(key(entry), []).append(entry)
        pairs = [(row, same.pop() if (same := by_key.get(key(row))) else None) for row in rows]
        present.extend((row, entry) for row, entry in pairs if entry is not None)
        rows = [row for row, entry in pairs if entry is None]
        left = sorted(entry for entries in by_key.values() for entry in entries)

    pair(lambda each: (each.uid, each.starts_on, each.ends_on))
    pair(lambda each: each.uid)
    pair(lambda each: (max(each.starts_on, today), each.ends_on))
    return Matched(present, left, rows)


@dataclass(frozen=True, slots=True)
class Told:
    """A range of nights as others are told of it. ``number`` never changes for the same nights; ``at``: since when."""

    number: str
    starts_on: date
    ends_on: date
    summary: str
    at: datetime


def written(name: str, host: str, told: Iterable[Told]) -> str:
    """A calendar of whole days (RFC 5545) that is the same text as long as the nights are. No word of any guest."""
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Karibu//Calendar 1.0//EN",
        "CALSCALE:GREGORIAN",
        "METHOD:PUBLISH",
        f"X-WR-CALNAME:{_escaped(name)}",
    ]
    for each in told:
        lines += [
            "BEGIN:VEVENT",
            f"UID:{each.number}@{host}",
            f"DTSTAMP:{each.at.astimezone(UTC):%Y%m%dT%H%M%SZ}",
            f"DTSTART;VALUE=DATE:{each.starts_on:%Y%m%d}",
            f"DTEND;VALUE=DATE:{each.ends_on:%Y%m%d}",
            f"SUMMARY:{_escaped(each.summary)}",
            "SEQUENCE:0",
            "TRANSP:OPAQUE",
            "END:VEVENT",
        ]
    lines.append("END:VCALENDAR")
    return "".join(f"{_folded(line)}\r\n" for line in lines)


def _escaped(text: str) -> str:
    for char in ("\\", ";", ","):
        text = text.replace(char, "\\" + char)
    return text.replace("\n", "\\n")


def _folded(line: str) -> str:
    """At most 75 bytes a line, never cut inside a character."""
    parts, size, start = [], 0, 0
    for index, char in enumerate(line):
        width = len(char.encode())
        if size + width > 75:
            parts.append(line[start:index])
            start, size = index, 1
        size += width
    return "\r\n ".join([*parts, line[start:]])
