"""Which fault is tried in which world: one state folder, served again with other settings."""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.faults import clock, deaths, disk, outside, pressure
from bench.faults.clients import Cast, Sandbox, Till
from bench.faults.history import moved_twice, sandbox_differs
from bench.faults.place import Place, place, until
from bench.faults.trial import Fault, Row, Stage, stage

SETTLED_S = 150.0
"""The lease of an order that was sent, and the next round of those who look for such orders, with time to spare."""

PLAIN = [*deaths.DEATHS, *pressure.PRESSURE]


def names() -> list[str]:
    """Every fault's name, as ``--only`` takes it."""
    every = [each.name for each in (*PLAIN, *disk.DISK)] + clock.NAMES + outside.NAMES
    return [_word(name) for name in every]


class Worlds:
    """The faults that were asked for, family by family, on one state folder that is made once."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.folder, self.options = folder, options
        self.wanted = options.only or names()

    def run(self) -> Iterator[Row]:
        """Try them; gives a row for each fault, in order."""
        with disk.small_disk(self.folder / "disk") as is_small:
            if self.options.state:
                made = self.folder / "disk" / "state"
                subprocess.run(["cp", "-a", self.options.state, made], check=True)
            yield from self._plain(PLAIN)
            yield from self._plain(disk.DISK) if is_small else self._left_out(disk.DISK, "no right to mount")
            yield from self._clock()
            yield from self._outside()

    def _plain(self, faults: list[Fault]) -> Iterator[Row]:
        chosen = self._chosen(faults)
        if chosen:
            with self._stage({}, Sandbox(), _word(chosen[0].name)) as on:
                yield from self._each(on, chosen, sandbox_differs)

    def _clock(self) -> Iterator[Row]:
        made = clock.Clock(self.folder)
        chosen = self._chosen(clock.jumps(made))
        if not chosen:
            return
        if not made.build():
            yield from self._left_out(chosen, "no C compiler")
            return
        with self._stage(made.environment, Sandbox(), "clock") as on:
            yield from self._each(on, chosen, sandbox_differs)

    def _outside(self) -> Iterator[Row]:
        if not any(_word(name) in self.wanted for name in outside.NAMES):
            return
        with outside.outside() as made:

            def differs(where: Place) -> list[str]:
                return [*moved_twice(where, made.moved()), *made.mailed_twice()]

            with self._stage(made.environment, made, "outside") as on:
                yield from self._each(on, self._chosen(outside.absences(made)), differs)

    def _each(self, on: Stage, faults: list[Fault], differs: Callable[[Place], list[str]]) -> Iterator[Row]:
        for fault in faults:
            row = on.attempt(fault, control=falsify if self.options.control else None)
            if not row.is_lost:
                row.verdict.differs += _settled(differs, on.place)
            if not row.is_met:
                self._keep_logs(on.place, fault)
            yield row
            if row.is_lost:
                # Nothing that is tried on these ruins says anything.
                return

    @contextmanager
    def _stage(self, env: dict[str, str], till: Till, name: str) -> Iterator[Stage]:
        random.seed(self.options.seed)
        with place(self.folder / "disk" / "state", env, log=self.folder / "serve.log") as made:
            if isinstance(till, outside.Outside):
                till.listen_at(made.url)
            people = f"{name}_{self.options.seed}".replace("-", "_")
            with stage(
                made, till, name=people, seconds=self.options.seconds, guests=self.options.guests
            ) as on:
                yield on

    def _keep_logs(self, where: Place, fault: Fault) -> None:
        """Put away what everybody had to say until a fault was missed."""
        if self.options.logs:
            target = self.options.logs / _word(fault.name)
            shutil.copytree(where.path / "logs", target, dirs_exist_ok=True)
            for log in (where.path / "postgres.log", self.folder / "serve.log"):
                shutil.copy(log, target)

    def _chosen(self, faults: list[Fault]) -> list[Fault]:
        return [fault for fault in faults if _word(fault.name) in self.wanted]

    def _left_out(self, faults: list[Fault], why: str) -> Iterator[Row]:
        for fault in self._chosen(faults):
            yield Row(f"{fault.name} (not tried: {why})", 0.0, is_tried=False)


def _settled(differs: Callable[[Place], list[str]], place: Place) -> list[str]:
    """On what the two sides still do not agree when whoever sent an order and died has been missed."""
    with suppress(TimeoutError):
        until(lambda: not differs(place), "both sides agree", within_s=SETTLED_S, every_s=1.0)
    return differs(place)


def _word(name: str) -> str:
    return name.replace(" ", "-")


def falsify(place: Place, cast: Cast) -> None:
    """The control: what somebody was promised is taken away behind everybody's back."""
    guest = random.choice([each for each in cast.guests if each.said])
    message = random.choice(list(guest.said.values()))
    with place.connection() as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("DELETE FROM messages WHERE id = %s", [message])
