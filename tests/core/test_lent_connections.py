"""The connections of the pool: a dead one is never lent, and a living one is not asked each time."""

from __future__ import annotations

import select
from typing import Any

import psycopg
import pytest
from django.db import connection

from backend.core import postgres
from backend.core.postgres import Connection

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture(autouse=True)
def _new_pool(db: None) -> None:
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]


def lent() -> Connection:
    """The connection that this thread has just got from the pool."""
    connection.close()
    connection.ensure_connection()
    assert isinstance(connection.connection, Connection)
    return connection.connection


def another() -> psycopg.Connection[Any]:
    """A connection that is not the pool's."""
    given = connection.get_connection_params()
    names = ("dbname", "user", "password", "host", "port")
    return psycopg.connect(**{name: given[name] for name in names}, autocommit=True)


def asked(pid: int) -> str:
    """What the server has heard last on the connection ``pid``."""
    with another() as other:
        row = other.execute("SELECT query FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone()
        assert row is not None
        return str(row[0])


def test_a_connection_that_was_just_used_is_lent_without_a_question() -> None:
    first = lent()
    first.execute("SELECT 'mine'")

    first.execute(postgres.PROOF)

    assert asked(first.info.backend_pid) == "SELECT 'mine'"


def test_a_connection_that_has_rested_is_asked_first(monkeypatch: pytest.MonkeyPatch) -> None:
    first = lent()
    first.execute("SELECT 'mine'")
    monkeypatch.setattr(postgres, "BELIEVED_FOR_S", 0.0)

    first.execute(postgres.PROOF)

    assert asked(first.info.backend_pid) == ""


def test_a_connection_that_the_server_has_ended_is_not_lent() -> None:
    first = lent()
    pid = first.info.backend_pid
    connection.close()
    with another() as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])

    again = lent()

    assert again.info.backend_pid != pid
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)


def test_a_connection_on_which_the_server_has_spoken_is_asked_first() -> None:
    first = lent()
    first.execute("LISTEN karibu_test")
    with another() as other:
        other.execute("NOTIFY karibu_test")
    assert select.select([first.fileno()], [], [], 10.0)[0] == [first.fileno()]

    first.execute(postgres.PROOF)

    assert asked(first.info.backend_pid) == ""
