"""Everybody who is there while something breaks: guests, hosts and their sockets, each in a thread of their own."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field

from bench.faults.journal import Journal, Unanswered
from bench.faults.people import PASSWORD, Booked, Guest, Host, Person, Sandbox, Till, settled
from bench.faults.place import until
from bench.faults.probe import Probe
from bench.faults.sockets import FAILURES, Ear, open_socket

__all__ = [
    "FAILURES",
    "PASSWORD",
    "Booked",
    "Cast",
    "Ear",
    "Guest",
    "Host",
    "Person",
    "Probe",
    "Sandbox",
    "Till",
    "open_socket",
    "settled",
]

PAUSE_S = 0.2


@dataclass
class Cast:
    """Everybody, each in a thread of their own, while the ``with`` lasts."""

    url: str
    till: Till
    guests: list[Guest] = field(default_factory=list)
    hosts: list[Host] = field(default_factory=list)
    ears: list[Ear] = field(default_factory=list)
    died: list[str] = field(default_factory=list)

    @classmethod
    def assemble(cls, url: str, till: Till, *, guests: int, name: str, hosts: int = 3) -> Cast:
        """People with accounts and places; ``name`` makes them new ones."""
        made = cls(url, till)
        for number in range(hosts):
            host = Host(url, f"host_{name}_{number}")
            host.register()
            host.list_place()
            made.hosts.append(host)
        listings = [host.listing for host in made.hosts]
        for number in range(guests):
            guest = Guest(url, f"guest_{name}_{number}", listings, till)
            guest.register()
            made.guests.append(guest)
        made.ears = [Ear(url, person) for person in (*made.guests, *made.hosts)]
        return made

    def __post_init__(self) -> None:
        self._going, self._stopped = threading.Event(), threading.Event()
        self._busy: set[str] = set()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Cast:
        for ear in self.ears:
            ear.start()
        for actor in (*self.guests, *self.hosts):
            thread = threading.Thread(target=self._live, args=(actor,), daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *error: object) -> None:
        self._stopped.set()
        self._going.set()
        for ear in self.ears:
            ear.stop()
        for thread in self._threads:
            thread.join(30)
        for person in (*self.guests, *self.hosts):
            person.line.close()

    def go(self) -> None:
        """Let everybody act."""
        self._going.set()

    def rest(self) -> list[str]:
        """Wait until everybody has had a last word and does nothing more; who had none after minutes, in words."""
        self._going.clear()
        with suppress(TimeoutError):
            until(lambda: not self._busy, "everybody has been answered", within_s=300)
        return [f"{name} still waits for an answer" for name in sorted(self._busy)]

    def journals(self) -> list[Journal]:
        return [person.line.journal for person in (*self.guests, *self.hosts)]

    def wrong(self) -> list[str]:
        """What somebody was told that cannot be, in words."""
        found = [*self.died]
        for person in (*self.guests, *self.hosts):
            found += person.wrong
        for ear in self.ears:
            found += ear.wrong
        return found

    def _live(self, actor: Guest | Host) -> None:
        while not self._stopped.is_set():
            self._going.wait()
            if self._stopped.is_set():
                return
            self._busy.add(actor.name)
            try:
                if self._going.is_set():
                    actor.act()
            except Unanswered as error:
                self.died.append(f"{actor.name} was never answered: {error}")
            finally:
                self._busy.discard(actor.name)
            time.sleep(PAUSE_S)
