"""Read a foreign calendar in a process of its own, which may be as clumsy as it likes: it is small and mortal.

Run as ``python -I ical_child.py FIRST LAST`` with the calendar on standard input; recurring entries are unfolded from
FIRST to LAST (ISO dates). Prints one JSON object: ``prodid``, ``events`` as ``[uid, summary, start, end]`` and
``refused``, the UIDs of those that make no sense. An instant is written in UTC with ``+00:00``, a local time
without, a date as a date. Ends with one of the codes below when there is no answer. Imports nothing of ours.
"""

from __future__ import annotations

import json
import resource
import sys
from datetime import UTC, date, datetime, timedelta
from typing import Any

MEMORY = 256 * 1024 * 1024
CPU_S = 2
MAX_INPUT = 2 * 1024 * 1024
MAX_EVENTS = 3000
MAX_DEPTH = 8

NO_CALENDAR, INCOMPLETE, TOO_COMPLEX = 3, 4, 5
"""What is there is no calendar; it is cut off; it is larger or deeper than any calendar of a place."""

LINES = "\r\n"


def limit() -> None:
    """Take no more than ``MEMORY`` and ``CPU_S`` from here on; the system ends whoever does."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def text_of(raw: bytes) -> str:
    """The calendar's text, when it is whole and of a believable size; ends the process otherwise."""
    text = raw.decode("utf-8", "replace").replace("\0", "").lstrip("\ufeff").strip()
    if text[:15].upper() != "BEGIN:VCALENDAR":
        sys.exit(NO_CALENDAR)
    if text[-13:].upper() != "END:VCALENDAR":
        sys.exit(INCOMPLETE)
    depth = events = 0
    for line in text.splitlines():
        head = line[:12].upper()
        if head.startswith("BEGIN:"):
            depth += 1
            events += head == "BEGIN:VEVENT"
        elif head.startswith("END:"):
            depth -= 1
        if depth > MAX_DEPTH or events > MAX_EVENTS:
            sys.exit(TOO_COMPLEX)
    if depth:
        sys.exit(INCOMPLETE)
    return text


def written(value: date) -> str:
    """A date, an instant in UTC or a local time as ISO text."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        value = value.astimezone(UTC)
    return value.isoformat()


def first_of(event: Any, name: str) -> Any:
    value = event.get(name)
    return value[0] if isinstance(value, list) else value


def row(event: Any) -> list[str]:
    """``[uid, summary, start, end]`` of an entry. Raises: ValueError and its like when it makes no sense."""
    start = first_of(event, "DTSTART").dt
    end = first_of(event, "DTEND")
    duration = first_of(event, "DURATION")
    if end is not None:
        stop = end.dt
    elif duration is not None:
        stop = start + duration.dt
    else:
        stop = start if isinstance(start, datetime) else start + timedelta(days=1)
    uid, summary = first_of(event, "UID") or "", first_of(event, "SUMMARY") or ""
    return [str(uid)[:300], str(summary)[:200], written(start), written(stop)]


def is_canceled(event: Any) -> bool:
    return str(first_of(event, "STATUS") or "").upper() == "CANCELLED"


REPEATS = ("RRULE", "RDATE", "RECURRENCE-ID")


def unfolded(calendar: Any, series: list[Any], first: date, last: date) -> list[Any]:
    """The entries that ``series`` (all of one UID) stands for between two dates."""
    import icalendar
    import recurring_ical_events  # type: ignore[import-untyped]

    one = icalendar.Calendar()
    one.subcomponents = [each for each in calendar.subcomponents if each.name == "VTIMEZONE"] + series
    found: list[Any] = []
    for event in recurring_ical_events.of(one).between(first, last):
        found.append(event)
        if len(found) > MAX_EVENTS:
            sys.exit(TOO_COMPLEX)
    return found


def read(text: str, first: date, last: date) -> dict[str, Any]:
    """Everything that is said in the calendar about nights."""
    import icalendar

    try:
        calendars = icalendar.Calendar.from_ical(text, multiple=True)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        sys.exit(NO_CALENDAR)
    rows: list[list[str]] = []
    refused: list[str] = []
    for calendar in calendars:
        by_uid: dict[str, list[Any]] = {}
        for event in calendar.walk("VEVENT"):
            by_uid.setdefault(str(first_of(event, "UID") or ""), []).append(event)
        for uid, events in by_uid.items():
            if any(name in event for event in events for name in REPEATS):
                try:
                    events = unfolded(calendar, events, first, last)
                except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
                    refused.append(uid[:300])
            for event in events:
                try:
                    if not is_canceled(event):
                        rows.append(row(event))
                except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
                    refused.append(uid[:300])
    prodid = str(calendars[0].get("PRODID", ""))[:200] if calendars else ""
    return {"prodid": prodid, "events": rows, "refused": refused}


def main() -> None:
    limit()
    first, last = (date.fromisoformat(given) for given in sys.argv[1:3])
    raw = sys.stdin.buffer.read(MAX_INPUT + 1)
    if len(raw) > MAX_INPUT:
        sys.exit(TOO_COMPLEX)
    try:
        answer = read(text_of(raw), first, last)
    except (MemoryError, RecursionError):
        sys.exit(TOO_COMPLEX)
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
