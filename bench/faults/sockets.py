"""Sockets that break and come back, and what is heard on them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect

from bench.faults.journal import Line
from bench.faults.people import Person

FAILURES = (ConnectionClosed, InvalidHandshake, OSError, TimeoutError, EOFError)
BACK_OFF_S = 0.3
"""How long somebody who was cut off waits before they come back."""


class Ear:
    """A socket that comes back: every event once, in order, whatever happens in between."""

    def __init__(self, url: str, person: Person) -> None:
        self.url, self.person = url, person
        self.told: list[tuple[str, Any]] = []
        self.wrong: list[str] = []
        self.connections = 0
        self.away: list[tuple[float, float]] = []
        """(when it was cut off, seconds until it was greeted again)."""
        self._left = time.monotonic()
        self._line = Line(url, journal=person.line.journal)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(30)
        self._line.close()

    def _run(self) -> None:
        while not self._stopped.is_set():
            with suppress(*FAILURES):
                self._listen()
            self._stopped.wait(BACK_OFF_S)

    def _listen(self) -> None:
        self._line.token = self.person.line.token
        with open_socket(self._line) as connection:
            self.connections += 1
            self.away.append((self._left, time.monotonic() - self._left))
            try:
                connection.send(json.dumps({"type": "resume", "data": {"last_event_id": len(self.told)}}))
                while not self._stopped.is_set():
                    with suppress(TimeoutError):
                        self.take(json.loads(connection.recv(timeout=0.5)))
            finally:
                self._left = time.monotonic()

    def take(self, frame: dict[str, Any]) -> None:
        """Note an event; its number must be the next one."""
        if frame["type"] == "error":
            if frame["data"]["code"] not in ("unavailable", "rate_limited"):
                self.wrong.append(f"{self.person.name}'s socket: {frame['data']}")
            elif frame["data"]["code"] == "unavailable":
                # What was asked for could not be read: come back and ask again.
                raise ConnectionResetError
        elif frame["id"] is not None:
            if frame["id"] == len(self.told) + 1:
                self.told.append((frame["type"], frame["data"].get("id")))
            elif frame["type"] != "hello":
                self.wrong.append(f"{self.person.name} heard {frame['id']} after {len(self.told)}")


@contextmanager
def open_socket(line: Line) -> Iterator[ClientConnection]:
    """A socket that has said hello. Raises: one of ``FAILURES``, also where no ticket was given."""
    answer = line.ask("ticket", "POST", "/api/realtime/ticket/")
    if answer is None or answer.status_code != 200:
        raise ConnectionRefusedError
    with connect(str(answer.json()["url"]), open_timeout=10, max_size=2**24, proxy=None) as connection:
        if json.loads(connection.recv(timeout=10))["type"] != "hello":
            raise ConnectionResetError
        yield connection
