"""One trouble after the other, under load: what its clients heard, when all worked again, and whether all is still true."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field

from bench.cluster.load import Count, Visitors, mended_after, since
from bench.cluster.site import Site
from bench.faults.clients import Cast, Guest, Probe, Sandbox
from bench.faults.history import Verdict, judge, sandbox_differs
from bench.faults.journal import Heard
from bench.faults.place import until
from bench.faults.trial import BACK_S, GIVE_UP_S, PROBE_TIMEOUT_S

AWAY_S = 3.0
"""How long a socket may be away in a rolling restart: its back-off, a ticket, and the opening on a busy machine."""

SETTLED_S = 120.0
"""A movement whose sender died is taken up again when its lease has ended."""


def _calm(_site: Site) -> AbstractContextManager[None]:
    return nullcontext()


@dataclass(frozen=True)
class Trial:
    """Something that is done to a cluster. ``trouble`` gives back what went wrong in doing it, in words."""

    name: str
    trouble: Callable[[Site], list[str]]
    around: Callable[[Site], AbstractContextManager[None]] = _calm
    """What is so before it and until the end."""
    after: Callable[[Site], None] | None = None
    """What an operator does when all works again."""
    is_rolling: bool = False
    """Nobody may notice."""
    may_lose: bool = False
    """What was acknowledged a moment before may be gone; it is counted."""


@dataclass
class Row:
    """What became of one trial."""

    name: str
    is_rolling: bool = False
    may_lose: bool = False
    count: Count = field(default_factory=Count)
    mended_s: float | None = None
    whole_s: float = 0.0
    away: list[float] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)
    books: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def dropped(self) -> int:
        """Requests that were left without an answer that counts."""
        return self.count.dropped.total()

    @property
    def longest_away(self) -> float:
        """Of all sockets, in seconds."""
        return max(self.away, default=0.0)

    @property
    def is_met(self) -> bool:
        return not self.missed()

    def missed(self) -> list[str]:
        """In words, what was not as it must be."""
        found = [*self.complaints, *(f"{times} × {words}" for words, times in self.count.wrong.items())]
        found += [f"doubled: {each}" for each in self.verdict.doubled]
        found += [f"books: {each}" for each in self.books]
        if not self.may_lose:
            found += [f"lost: {each}" for each in self.verdict.lost]
            found += [f"differs: {each}" for each in self.verdict.differs]
        if self.mended_s is None or self.mended_s > BACK_S:
            found.append("requests never were answered well again in a row")
        if self.whole_s > BACK_S:
            found.append(f"everything worked after {self.whole_s:.0f} s")
        if self.longest_away > (AWAY_S if self.is_rolling else BACK_S):
            found.append(f"a socket was away for {self.longest_away:.1f} s")
        if self.is_rolling:
            found += [f"dropped: {times} × {words}" for words, times in self.count.dropped.items()]
            found += [f"{self.count.declared} × 503"] if self.count.declared else []
        return found


class Stage:
    """A cluster with its people."""

    def __init__(self, site: Site, cast: Cast, visitors: Visitors, probe: Probe, seconds: float) -> None:
        self.site, self.cast, self.visitors, self.probe, self.seconds = site, cast, visitors, probe, seconds
        self._known: set[str] = set()

    def attempt(self, trial: Trial) -> Row:
        """Do it while everybody is busy, wait until all works again, and hold the journals against the tables."""
        row = Row(trial.name, trial.is_rolling, trial.may_lose)
        with trial.around(self.site):
            self.cast.go()
            self.visitors.go()
            time.sleep(self.seconds / 2)
            broke = time.monotonic()
            row.complaints = trial.trouble(self.site)
            ended = broke if not trial.is_rolling else time.monotonic()
            row.whole_s, step = self.whole_again(ended)
            if step:
                row.complaints.append(f"at last: no {step}")
            if trial.after is not None:
                trial.after(self.site)
            time.sleep(self.seconds / 2)
            self.visitors.rest()
            row.complaints += self.cast.rest()
            row.verdict = judge(self.site, self.cast)
        heard = self._heard(broke)
        row.count, row.mended_s = Count.of(heard), mended_after(heard, broke)
        row.away = [
            away
            for ear in self.cast.ears
            for left, away in ear.away
            if left + away >= broke and ear.connections > 1
        ]
        row.verdict.differs += [*self.visitors.wrong(), *self._money_differs()]
        row.books = self.site.broken_books()
        row.complaints += self._failures()
        self._tell_once(row)
        return row

    def _money_differs(self) -> list[str]:
        """Movements that one side alone knows of, when whoever died with one has been stood in for."""
        with suppress(TimeoutError):
            until(lambda: not sandbox_differs(self.site), "money is known to both", within_s=SETTLED_S)
        return sandbox_differs(self.site)

    def _heard(self, moment: float) -> list[Heard]:
        return since([*self.cast.journals(), *self.visitors.journals()], moment)

    def _failures(self) -> list[str]:
        found, self.site.parts.keeper.failures = self.site.parts.keeper.failures, []
        return found

    def whole_again(self, ended: float) -> tuple[float, str]:
        """Seconds until somebody went through everything without a hitch; or when we gave up, and where it failed."""
        while True:
            step = self.probe.round()
            took = time.monotonic() - ended
            if not step or took > GIVE_UP_S:
                return took, step
            time.sleep(0.2)

    def _tell_once(self, row: Row) -> None:
        """What an earlier trial has left wrong is that one's doing."""
        for words in (row.verdict.lost, row.verdict.doubled, row.verdict.differs, row.books):
            words[:] = [each for each in words if each not in self._known]
            self._known.update(words)


@contextmanager
def stage(site: Site, *, name: str, seconds: float, guests: int, visitors: int) -> Iterator[Stage]:
    """People in their places, and somebody who looks whether all works. Raises: TimeoutError when it does not."""
    till = Sandbox()
    cast = Cast.assemble(site.url, till, guests=guests, name=name)
    mine, *others = [host.listing for host in cast.hosts]
    walker = Guest(
        site.url, f"probe_{name}", [mine], till, timeout=PROBE_TIMEOUT_S, patience_s=PROBE_TIMEOUT_S
    )
    # Nobody else books where the walker does: the nights that it wants are free.
    for guest in cast.guests:
        guest.listings = others
    walker.register()

    def mailed() -> int:
        return int(site.rows("SELECT count(*) FROM deliveries WHERE state = 'sent'")[0][0])

    looking = Visitors(site.url, others, visitors)
    with cast, looking, closing(walker.line):
        made = Stage(site, cast, looking, Probe(walker, mailed), seconds)
        took, step = made.whole_again(time.monotonic())
        if step:
            raise TimeoutError(f"it did not work in {took:.0f} s before anything broke: {step}")
        yield made
