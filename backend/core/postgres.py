"""The connection to PostgreSQL: psycopg's, with plans that live as long as the connection does.

Django writes the values into the text of every statement, so that PostgreSQL parses and plans each one anew; for
the statements that every request or every booking makes, that takes longer than running them. ``db.prepared`` sends
such statements with their values apart, and they are planned once on each connection.
"""

from __future__ import annotations

import select
import time
from typing import Any, Self

import psycopg
from psycopg._preparing import Key, Prepare, PrepareManager
from psycopg._queries import PostgresQuery
from psycopg.adapt import Dumper, PyFormat
from psycopg.types.numeric import IntDumper


class Plans(PrepareManager):
    """The prepared statements of one connection: those that were asked for, and no others.

    psycopg forgets them all at every rollback, since a rollback could undo the making of a table. We make none while
    we serve, PostgreSQL itself notices what changed under a plan, and a refused booking ends in a rollback: the next
    one would have to plan everything again.
    """

    def get(self, query: PostgresQuery, prepare: bool | None = None) -> tuple[Prepare, bytes]:
        return super().get(query, prepare) if prepare else (Prepare.NO, b"")

    def maybe_add_to_cache(self, query: PostgresQuery, prep: Prepare, name: bytes) -> Key | None:
        return None if prep is Prepare.NO else super().maybe_add_to_cache(query, prep, name)

    def clear(self) -> bool:
        return False


class WideIntDumper(IntDumper):
    """Numbers with the width of ids: with the width of each value, 5 and 50,000 would make two plans."""

    def upgrade(self, obj: int, format: PyFormat) -> Dumper:
        return self._int8_dumper if -(2**63) <= obj < 2**63 else self._int_numeric_dumper


BELIEVED_FOR_S = 30.0
"""How long a connection that was lent counts as living unless something came from the server since."""

PROOF = ""
"""The statement with which the pool asks whether a connection still lives, before it lends it."""


class Connection(psycopg.Connection[Any]):
    """What the pool opens (settings, ``connection_class``)."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._prepared = Plans()
        self._proven_at = float("-inf")

    def execute(self, query: Any, params: Any = None, **options: Any) -> psycopg.Cursor[Any]:
        """As psycopg's; the pool's ``PROOF`` is sent only where there is a doubt.

        That trip to the server would cost every request as much as finding a small page. A server that ends a connection
        says so, and what it said lies here to be read. Only what a network between forgot without a word does
        not show; therefore the server is asked once in a while.
        """
        if query == PROOF:
            now = time.monotonic()
            if now - self._proven_at < BELIEVED_FOR_S and not self._has_unread():
                return self.cursor()
            answered = super().execute(query, params, **options)
            self._proven_at = now
            return answered
        return super().execute(query, params, **options)

    def _has_unread(self) -> bool:
        """Whether the server has sent something, if only the end of the connection. Raises: OperationalError when closed."""
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    @classmethod
    def connect(cls, *arguments: Any, **options: Any) -> Self:
        made = super().connect(*arguments, **options)
        made.adapters.register_dumper(int, WideIntDumper)
        made.prepare_threshold = 0
        return made


class PassingConnection(Connection):
    """For PgBouncer in transaction mode: values still travel apart from statements, but no plan is left behind.

    The next transaction may run on another connection of the server, which knows no plan of ours.
    """

    @classmethod
    def connect(cls, *arguments: Any, **options: Any) -> Self:
        made = super().connect(*arguments, **options)
        made.prepare_threshold = None
        return made
