"""Who is there while things break: the people of the faults, visitors who only look, and a count of what they hear."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from bench.faults.journal import Heard, Journal, Line

PACE_S = 0.05
"""Between two looks of one visitor."""

IN_A_ROW = 20
"""So many good answers, one after the other, count as mended."""


class Visitor:
    """Somebody without an account: searches, opens a listing, its calendar and its price, once each and never again."""

    def __init__(self, url: str, listings: list[int], number: int, going: threading.Event) -> None:
        self.line = Line(url, timeout=30)
        self.listings, self.chance, self._going = listings, random.Random(number), going
        self.wrong: list[str] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(40)
        self.line.close()

    def _run(self) -> None:
        while not self._stopped.wait(PACE_S):
            if self._going.wait(1.0):
                self._look()

    def _look(self) -> None:
        listing = self.chance.choice(self.listings)
        first = datetime.now(UTC).date() + timedelta(days=self.chance.randint(10, 300))
        last = first + timedelta(days=2)
        stay = {"check_in": first.isoformat(), "check_out": last.isoformat()}
        self._ask(
            "search", "GET", f"/api/properties/?location=Lisbon&guests=2&check_in={first}&check_out={last}"
        )
        self._ask("listing", "GET", f"/api/properties/{listing}/")
        self._ask("calendar", "GET", f"/api/properties/{listing}/calendar/?from={first}&to={last}")
        # Taken nights have no price; that is an answer.
        self._ask("quote", "POST", f"/api/properties/{listing}/quote/", stay, fine=(200, 409))

    def _ask(
        self, verb: str, method: str, path: str, given: object = None, *, fine: tuple[int, ...] = (200,)
    ) -> None:
        answer = self.line.ask(verb, method, path, given)
        if answer is not None and answer.status_code < 500 and answer.status_code not in fine:
            self.wrong.append(f"a visitor's {verb} answered {answer.status_code} {answer.text[:200]}")


@dataclass
class Count:
    """What was heard in a while."""

    answers: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    """No answer, or a server's error that does not say when to come again; in words."""
    declared: int = 0
    """503 with ``Retry-After``."""
    wrong: Counter[str] = field(default_factory=Counter)
    """What no server of ours may ever say."""

    @classmethod
    def of(cls, heard: Iterable[Heard]) -> Count:
        made = cls()
        for each in heard:
            made.answers += 1
            if each.status == 503 and each.says_when:
                made.declared += 1
            elif is_dropped(each):
                made.dropped[f"{each.verb}: {each.status or each.code}"] += 1
            elif each.wrong:
                made.wrong[f"{each.verb}: {each.wrong}"] += 1
            if each.status == 500:
                made.wrong[f"{each.verb}: {each.wrong}"] += 1
        return made


def is_dropped(each: Heard) -> bool:
    """Whether somebody asked and was left without an answer that counts."""
    return each.status == 0 or (each.status >= 500 and not (each.status == 503 and each.says_when))


def mended_after(heard: Iterable[Heard], broke: float) -> float | None:
    """Seconds from the break until the last answer that was not good, after which came 20 good ones in a row.

    0 where nobody heard anything bad, None where it never was good again.
    """
    in_order = sorted(heard, key=lambda each: each.began + each.took)
    last_bad, good = broke, 0
    for each in in_order:
        if each.status == 0 or each.status >= 500:
            last_bad, good = each.began + each.took, 0
        else:
            good += 1
    return last_bad - broke if good >= IN_A_ROW else None


def since(journals: Iterable[Journal], moment: float) -> list[Heard]:
    """All that was answered since then."""
    return [each for journal in journals for each in journal.heard if each.began + each.took >= moment]


class Visitors:
    """So many of them, while the ``with`` lasts."""

    def __init__(self, url: str, listings: list[int], count: int) -> None:
        self._going = threading.Event()
        self.people = [Visitor(url, listings, number, self._going) for number in range(count)]

    def __enter__(self) -> Visitors:
        for each in self.people:
            each.start()
        return self

    def __exit__(self, *error: object) -> None:
        for each in self.people:
            each.stop()

    def go(self) -> None:
        """Let them look around."""
        self._going.set()

    def rest(self) -> None:
        """Let them ask nothing more."""
        self._going.clear()

    def journals(self) -> list[Journal]:
        return [each.line.journal for each in self.people]

    def wrong(self) -> list[str]:
        """What they were told that cannot be, in words."""
        return [words for each in self.people for words in each.wrong]
