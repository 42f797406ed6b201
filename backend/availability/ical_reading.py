"""Have a foreign calendar read by a process that is ended when it takes too much."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from backend.availability import ical_child

WALL_S = 2.0
"""How long the reading may take, start of the process included."""

_CHILD = str(Path(ical_child.__file__).resolve())


class FeedBroken(Exception):
    """There is nothing in an answer that could be believed. ``code``: ``no_calendar``, ``incomplete``, ``too_complex``."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


_CODES = {ical_child.NO_CALENDAR: "no_calendar", ical_child.INCOMPLETE: "incomplete"}


@dataclass(frozen=True, slots=True)
class Parsed:
    """A whole calendar: its maker, its entries as ``(uid, summary, start, end)`` in ISO text, and the UIDs of those that
    make no sense."""

    prodid: str
    events: tuple[tuple[str, str, str, str], ...]
    refused: tuple[str, ...]


def read(body: bytes, *, first: date, last: date) -> Parsed:
    """The entries of the calendar ``body``; those that recur, from ``first`` to ``last``. At most ``WALL_S`` seconds.

    Raises: FeedBroken.
    """
    with subprocess.Popen(
        [sys.executable, "-I", _CHILD, first.isoformat(), last.isoformat()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"PYTHONDONTWRITEBYTECODE": "1"},
        cwd="/",
    ) as child:
        try:
            out, _ = child.communicate(body, timeout=WALL_S)
        except subprocess.TimeoutExpired:
            child.kill()
            raise FeedBroken("too_complex") from None
    if child.returncode:
        raise FeedBroken(_CODES.get(child.returncode, "too_complex"))
    answer = json.loads(out)
    return Parsed(answer["prodid"], tuple(tuple(row) for row in answer["events"]), tuple(answer["refused"]))
