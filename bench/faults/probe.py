"""Somebody who walks through everything, to see whether it works again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress

import psycopg
from websockets.sync.client import ClientConnection

from bench.faults.journal import Unanswered
from bench.faults.people import PASSWORD, Guest
from bench.faults.place import until
from bench.faults.sockets import FAILURES, open_socket


class Probe:
    """Whether everything works: somebody signs in, searches, books, pays, writes, hears of it, and mails go out.

    ``mailed`` says how many mails have gone out until now.
    """

    def __init__(self, guest: Guest, mailed: Callable[[], int]) -> None:
        self.guest, self._mailed = guest, mailed
        self._day = 10

    def round(self) -> str:
        """The step at which it did not work; empty when all did."""
        try:
            return self._round()
        except Unanswered as error:
            return str(error)

    def _round(self) -> str:
        guest = self.guest
        self._day += 3
        try:
            before = self._mailed()
        except Exception as error:
            return f"database: {type(error).__name__}"
        answer = guest.line.ask(
            "sign in", "POST", "/api/login/", {"username": guest.name, "password": PASSWORD}
        )
        if answer is None or answer.status_code != 200:
            return "sign in"
        guest.line.token = str(answer.json()["token"])
        answer = guest.line.ask("search", "GET", "/api/properties/?location=Lisbon")
        if answer is None or answer.status_code != 200 or not answer.json()["results"]:
            return "search"
        try:
            with open_socket(guest.line) as connection:
                mine = guest.book(day=self._day)
                if mine is None or not mine.is_paid:
                    return "book and pay"
                word = guest.write()
                if not _hears(connection, word):
                    return "hear"
        except FAILURES:
            return "socket"
        try:
            until(lambda: self._mailed() > before, "a mail", within_s=10, every_s=0.2)
        except (TimeoutError, psycopg.Error):
            return "mail"
        return ""


def _hears(connection: ClientConnection, word: str) -> bool:
    deadline = time.monotonic() + 5
    with suppress(*FAILURES):
        while time.monotonic() < deadline:
            frame = json.loads(connection.recv(timeout=max(0.01, deadline - time.monotonic())))
            if frame["type"] == "message" and frame["data"].get("client_id") == word:
                return True
    return False
