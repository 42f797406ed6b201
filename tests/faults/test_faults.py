"""The benchmark of faults: it judges a family of them, and sees it when something that was promised is taken away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connection

from backend.jobs import books
from bench.faults.clients import Sandbox
from bench.faults.history import sandbox_differs
from bench.faults.place import Place
from bench.faults.pressure import POISONED
from bench.faults.settings import falsify
from bench.faults.trial import stage
from tests.conftest import Server


class Shop(Place):
    """The test's own servers in the place of those that a supervisor starts."""

    def __init__(self, server: Server) -> None:
        self.port, self.url = server.port, server.url

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[Any]]:
        at = connection.get_connection_params()
        wanted = {name: at[name] for name in ("host", "port", "user", "password", "dbname") if at.get(name)}
        with psycopg.connect(**wanted, autocommit=True) as made:
            made.execute("SET ROLE karibu_unbound")
            yield made

    def broken_books(self) -> list[str]:
        return [finding.check.name for finding in books.check_books() if finding.count]


def test_faults_are_judged_and_a_lost_message_is_noticed(start_server: Callable[..., Server]) -> None:
    shop = Shop(start_server(worker=True))
    with stage(shop, Sandbox(), name="test", seconds=1, guests=2) as on:
        on.cast.guests[0].write()

        row = on.attempt(POISONED)

        assert (row.verdict.lost, row.verdict.doubled, row.verdict.differs) == ([], [], [])
        assert (row.never, row.books, sandbox_differs(shop)) == ([], [], [])
        assert row.heard["good"] > 0

        falsified = on.attempt(POISONED, control=falsify)

    assert len(falsified.verdict.lost) == 1
    assert falsified.verdict.lost[0].startswith("message ")
    assert not falsified.is_met
