"""Counting looks at listings and prices asked for, at no cost for whoever looks.

A look is noted in this process' memory, under a key that nobody can read back; a thread adds what has come together to
``ListingVisits`` every ``FLUSH_S`` seconds, and once more when the process ends. A process that is killed loses what it
noted since, at most ``FLUSH_S`` seconds of statistics; while the database is away nothing is lost until ``MOST`` listings
wait.

Not counted: the host and co-hosts, staff, robots that say so, places that are not published, and the same person at the
same place again within ``AGAIN_S``. Each process remembers people by itself, so that one whose requests are answered by
two of them may count twice. Who looked is kept nowhere.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, Literal

import structlog
from django.db import Error, connection, transaction

from backend.accounts.models import STAFF_ROLES
from backend.listings.cohosts import stands_in
from backend.listings.states import ListingStatus

FLUSH_S = 5.0
AGAIN_S = 30 * 60.0

MOST = 100_000
"""Listings and days that may wait to be written, and people at places that are remembered."""

KEPT = timedelta(days=1095)
"""How long visits are kept; the summaries that count them stay."""

VIEW: Final = 0
QUOTE: Final = 1
Kind = Literal[0, 1]

_ROBOTS = re.compile(
    r"bot\b|bots?[/;)-]|crawl|spider|slurp|archiver|lighthouse|facebookexternalhit|embedly|preview|monitor",
    re.I,
)
"""Robots that say what they are. The others are few enough, or pass for people whatever is done."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who looks: the user, or the address and browser of nobody in particular. Kept in no table and no log."""

    user: Any
    address: str
    agent: str


@lru_cache(maxsize=512)
def is_robot(agent: str) -> bool:
    """Whether a user agent says that nobody looks at what it fetches."""
    return bool(_ROBOTS.search(agent))


class Notebook:
    """What was seen in this process and not written yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[int, date], list[int]] = {}
        self._lately: OrderedDict[int, float] = OrderedDict()

    def note(self, kind: Kind, listing_id: int, who: str, day: date, at: float) -> bool:
        """Count once, unless ``who`` did the same within ``AGAIN_S`` of ``at`` (seconds of any clock); whether it did."""
        # Salted anew in each process: the number says nothing outside of it.
        key = hash((kind, listing_id, who))
        with self._lock:
            if self._lately.get(key, 0.0) > at:
                return False
            self._lately[key] = at + AGAIN_S
            self._lately.move_to_end(key)
            while len(self._lately) > MOST or next(iter(self._lately.values())) <= at:
                self._lately.popitem(last=False)
            counts = self._counts.get((listing_id, day))
            if counts is None:
                if len(self._counts) >= MOST:
                    return False
                counts = self._counts[listing_id, day] = [0, 0]
            counts[kind] += 1
        return True

    def take(self) -> dict[tuple[int, date], list[int]]:
        """All that is noted; it is noted no longer."""
        with self._lock:
            taken, self._counts = self._counts, {}
        return taken

    def put_back(self, taken: dict[tuple[int, date], list[int]]) -> None:
        """Note again what could not be written."""
        with self._lock:
            for key, (views, quotes) in taken.items():
                counts = self._counts.setdefault(key, [0, 0])
                counts[VIEW] += views
                counts[QUOTE] += quotes

    def waiting(self, listing_ids: Collection[int]) -> list[tuple[int, date, int, int]]:
        """What is noted of these listings: id, day, views, quotes."""
        wanted = set(listing_ids)
        with self._lock:
            return [
                (listing_id, day, counts[VIEW], counts[QUOTE])
                for (listing_id, day), counts in self._counts.items()
                if listing_id in wanted
            ]

    def forget(self) -> None:
        """Forget everything, people too."""
        with self._lock:
            self._counts, self._lately = {}, OrderedDict()


notebook = Notebook()


def viewed(listing: Any, visitor: Visitor, *, now: datetime) -> bool:
    """Count a look at ``listing`` (its row, or what was read of it) at ``now`` (UTC); whether it counted."""
    return _count(VIEW, listing, visitor, now)


def quoted(listing: Any, visitor: Visitor, *, now: datetime) -> bool:
    """Count a price that was asked for, as ``viewed``."""
    return _count(QUOTE, listing, visitor, now)


def _count(kind: Kind, listing: Any, visitor: Visitor, now: datetime) -> bool:
    user = visitor.user
    if listing.status != ListingStatus.PUBLISHED or is_robot(visitor.agent):
        return False
    if user.is_authenticated:
        if user.has_role(*STAFF_ROLES) or stands_in(user, listing):
            return False
        who = f"user {user.pk}"
    else:
        who = f"{visitor.address} {visitor.agent}"
    return notebook.note(kind, listing.pk, who, now.astimezone(UTC).date(), now.timestamp())


def flush(book: Notebook = notebook) -> int:
    """Write what ``book`` has noted; how many rows of a listing and day. What cannot be written is noted again, and the error passes on.

    The days are noted as changed in the same transaction, so that no summary can miss them.
    """
    taken = book.take()
    if not taken:
        return 0
    rows = sorted((listing_id, day, *counts) for (listing_id, day), counts in taken.items())
    ids, days, views, quotes = (list(column) for column in zip(*rows, strict=True))
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            # In the order of the rows: two processes that write the same ones never wait for each other in a circle.
            cursor.execute(
                """
                INSERT INTO listing_visits AS kept (listing_id, day, views, quotes)
                SELECT seen.* FROM unnest(%s::bigint[], %s::date[], %s::int[], %s::int[])
                    AS seen (listing_id, day, views, quotes)
                WHERE EXISTS (SELECT FROM properties p WHERE p.id = seen.listing_id)
                ORDER BY listing_id, day
                ON CONFLICT (listing_id, day) DO UPDATE
                SET views = kept.views + excluded.views, quotes = kept.quotes + excluded.quotes
                """,
                [ids, days, views, quotes],
            )
            cursor.execute(
                "INSERT INTO market_changes (first, after) SELECT day, day + 1 FROM unnest(%s::date[]) AS day",
                [sorted(set(days))],
            )
    except Error:
        book.put_back(taken)
        raise
    return len(rows)


class Writer:
    """The thread that writes down what was seen."""

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; called once by a process that serves."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="visits", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End, and write what is left."""
        if self._thread is not None:
            self._ended.set()
            self._thread.join(timeout=10)
            self._thread = None
            self._ended.clear()

    def _run(self) -> None:
        while True:
            over = self._ended.wait(FLUSH_S)
            try:
                flush()
            except Error as error:
                log.warning("visits.not_written", error=type(error).__name__)
            finally:
                connection.close()
            if over:
                return


writer = Writer()
