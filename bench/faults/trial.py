"""One fault after the other: people go about their business, something breaks, and then it is seen what became of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg

from bench.faults.clients import Cast, Guest, Probe, Till
from bench.faults.history import Verdict, judge
from bench.faults.journal import Heard
from bench.faults.place import Place, until

BACK_S = 30.0
"""How long it may take until everything works again, without a hand."""

GIVE_UP_S = 180.0
HEARD_S = 30.0
SWEPT_S = 90.0
PROBE_TIMEOUT_S = 10.0

Trouble = Callable[[Place], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Fault:
    """Something that breaks. It is broken while ``trouble`` lasts, for ``seconds`` or not at all longer than it takes.

    ``unharmed`` are the verbs that must go on meanwhile as if nothing were; ``seconds`` None: as long as the run says.
    """

    name: str
    trouble: Trouble
    seconds: float | None = None
    unharmed: tuple[str, ...] = ()
    check: Callable[[Place], list[str]] | None = None
    """What must be so afterwards besides; says what is not."""


@dataclass
class Row:
    """What became of one fault."""

    name: str
    back_s: float
    heard: Counter[str] = field(default_factory=Counter)
    never: list[str] = field(default_factory=list)
    """Answers that must never be given."""
    harmed: list[str] = field(default_factory=list)
    longest: tuple[float, str] = (0.0, "")
    verdict: Verdict = field(default_factory=Verdict)
    books: list[str] = field(default_factory=list)
    is_tried: bool = True
    is_lost: bool = False
    """The database did not come back."""

    @property
    def is_met(self) -> bool:
        return (
            self.back_s <= BACK_S and self.verdict.is_clean and not (self.never or self.harmed or self.books)
        )

    def missed(self) -> list[str]:
        """In words, what was not as it must be."""
        late = [f"back after {self.back_s:.0f} s"] if self.back_s > BACK_S else []
        return [
            *late,
            *(f"heard {each}" for each in self.never),
            *(f"harmed: {each}" for each in self.harmed),
            *(f"lost: {each}" for each in self.verdict.lost),
            *(f"doubled: {each}" for each in self.verdict.doubled),
            *(f"differs: {each}" for each in self.verdict.differs),
            *(f"books: {each}" for each in self.books),
        ]


class Stage:
    """A place with its people, on which faults are tried one after the other."""

    def __init__(self, place: Place, cast: Cast, probe: Probe, seconds: float) -> None:
        self.place, self.cast, self.probe, self.seconds = place, cast, probe, seconds
        self._known: set[str] = set()

    def attempt(self, fault: Fault, *, control: Callable[[Place, Cast], None] | None = None) -> Row:
        """Break one thing under load and judge what came of it; ``control`` falsifies the tables before."""
        self.cast.go()
        time.sleep(self.seconds / 2)
        broke = time.monotonic()
        with fault.trouble(self.place):
            time.sleep(self.seconds if fault.seconds is None else fault.seconds)
            self._hear(fault.unharmed, broke)
        ended = time.monotonic()
        back_s, step = self.back_after(ended)
        mended = time.monotonic()
        time.sleep(self.seconds / 4)
        stuck = self.cast.rest()
        heard = [
            each
            for journal in self.cast.journals()
            for each in journal.heard
            if each.began + each.took >= broke
        ]
        row = Row(fault.name, back_s, *_tally([each for each in heard if each.began <= mended], heard))
        during = [each for each in heard if broke <= each.began <= ended - 0.2]
        row.harmed = _harmed(during, fault.unharmed)
        row.never += [f"at last: no {step}"] if step else []
        waits = [
            each for journal in self.cast.journals() for each in journal.waited if each[0] + each[1] >= broke
        ]
        row.longest = max(((took, verb) for _began, took, verb in waits), default=(0.0, ""))
        if control is not None:
            control(self.place, self.cast)
        try:
            row.verdict = judge(self.place, self.cast)
        except psycopg.OperationalError as error:
            row.verdict, row.is_lost = Verdict(lost=[f"the tables: {error}"]), True
            return row
        row.verdict.differs += stuck
        if fault.check is not None:
            row.verdict.differs += fault.check(self.place)
        row.books = self._settled_books()
        self._tell_once(row)
        return row

    def _hear(self, verbs: tuple[str, ...], since: float) -> None:
        """Let the trouble go on until each of these was tried: on a busy machine people do little in a few seconds."""

        def tried() -> set[str]:
            journals = self.cast.journals()
            return {each.verb for journal in journals for each in list(journal.heard) if each.began >= since}

        if verbs:
            with suppress(TimeoutError):
                until(lambda: set(verbs) <= tried(), "all was tried", within_s=HEARD_S)

    def _settled_books(self) -> list[str]:
        """The invariants that still do not hold when the sweeps have had their turn, once a minute."""
        deadline = time.monotonic() + SWEPT_S
        while True:
            broken = self.place.broken_books()
            if not broken or time.monotonic() > deadline:
                return broken
            time.sleep(5)

    def _tell_once(self, row: Row) -> None:
        """What an earlier fault has left wrong is that one's doing."""
        for words in (row.verdict.lost, row.verdict.doubled, row.verdict.differs, row.books):
            words[:] = [each for each in words if each not in self._known]
            self._known.update(words)

    def back_after(self, ended: float) -> tuple[float, str]:
        """Seconds until somebody went through everything without a hitch; or when we gave up, and where it failed."""
        while True:
            step = self.probe.round()
            took = time.monotonic() - ended
            if not step or took > GIVE_UP_S:
                return took, step
            time.sleep(0.2)


def _tally(during: list[Heard], all_of_it: list[Heard]) -> tuple[Counter[str], list[str]]:
    """What was heard until it worked again, by kind; and what must never be heard, then or later."""
    kinds: Counter[str] = Counter()
    for each in during:
        if each.status == 0:
            kinds["nothing"] += 1
        elif each.status < 400:
            kinds["good"] += 1
        elif each.status == 503:
            kinds["503"] += 1
        else:
            kinds["refused"] += 1
    return kinds, [
        f"{count} × {words}"
        for words, count in Counter(f"{each.verb}: {each.wrong}" for each in all_of_it if each.wrong).items()
    ]


def _harmed(during: list[Heard], verbs: tuple[str, ...]) -> list[str]:
    """The verbs that should have gone on and did not: refused for no reason of theirs, or none of them ever done."""
    found = []
    for verb in verbs:
        heard = [each for each in during if each.verb == verb]
        failed = [each for each in heard if each.status == 0 or each.status >= 500]
        if failed:
            found.append(f"{verb} ({len(failed)} of {len(heard)} failed)")
    # Who waits for a payment does nothing else meanwhile, so that one verb may be missing by chance.
    if verbs and not any(each.verb in verbs for each in during):
        found.append("nothing that should have gone on was tried")
    return found


@contextmanager
def stage(place: Place, till: Till, *, name: str, seconds: float, guests: int) -> Iterator[Stage]:
    """People in their places, and somebody who looks whether all works."""
    cast = Cast.assemble(place.url, till, guests=guests, name=name)
    visitor = Guest(
        place.url,
        f"probe_{name}",
        [cast.hosts[0].listing],
        till,
        timeout=PROBE_TIMEOUT_S,
        patience_s=PROBE_TIMEOUT_S,
    )
    # Nobody else books there: the nights that it wants are free.
    cast_listings = [host.listing for host in cast.hosts[1:]]
    for guest in cast.guests:
        guest.listings = cast_listings
    visitor.register()

    def mailed() -> int:
        return int(place.rows("SELECT count(*) FROM deliveries WHERE state = 'sent'")[0][0])

    with cast, closing(visitor.line):
        made = Stage(place, cast, Probe(visitor, mailed), seconds)
        took, step = made.back_after(time.monotonic())
        if step:
            raise TimeoutError(f"it did not work in {took:.0f} s before anything broke: {step}")
        yield made
