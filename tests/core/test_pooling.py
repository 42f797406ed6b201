"""Behind PgBouncer in transaction mode: nothing of ours stays in a session, and what needs one goes past it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connection, connections, transaction
from pytest_django.fixtures import Settings

from backend.core import health, pooling
from backend.core.databases import DIRECT, SESSION, databases
from backend.core.db import asking, past_the_pooler, prepared
from backend.core.jobs import TransactionalConnector
from backend.core.postgres import Connection, PassingConnection
from backend.settings import Environment

POOLED = "postgresql://karibu:a%2Fb@bouncer:6432/karibu"
PAST = "postgresql://karibu:a%2Fb@postgres:5432/karibu"

PREPARED = "SELECT count(*) FROM pg_prepared_statements"


@pytest.fixture
def direct(db: None) -> Iterator[None]:
    """A way past the pooler to the same database, as DATABASE_DIRECT_URL makes it."""
    connections.settings[DIRECT] = connections.settings["default"]
    yield
    connections[DIRECT].close()
    connections[DIRECT].close_pool()  # type: ignore[attr-defined]
    del connections[DIRECT]
    del connections.settings[DIRECT]


def test_pooled_connections_say_nothing_that_pgbouncer_would_drop_and_keep_no_plans() -> None:
    made = databases(url=POOLED, pooled=True, direct_url=PAST)

    at, past = made["default"], made["direct"]
    assert (at["HOST"], at["PORT"], at["PASSWORD"]) == ("bouncer", "6432", "a/b")
    assert at["OPTIONS"]["pool"]["connection_class"] is PassingConnection
    assert "options" not in at["OPTIONS"]
    assert at["DISABLE_SERVER_SIDE_CURSORS"] is True
    assert (past["HOST"], past["PORT"]) == ("postgres", "5432")
    assert past["OPTIONS"]["pool"]["connection_class"] is Connection
    assert past["OPTIONS"]["options"] == " ".join(f"-c {name}={value}" for name, value in SESSION.items())


def test_one_machine_has_one_database_and_a_replica_is_another() -> None:
    assert list(databases(url=PAST)) == ["default"]

    made = databases(url=PAST, replica_url=POOLED)

    assert list(made) == ["default", "replica"]
    assert made["replica"]["OPTIONS"]["pool"]["timeout"] == 1
    assert made["default"]["OPTIONS"]["pool"]["timeout"] == 5


@pytest.mark.parametrize("given", [{"DATABASE_POOLED": "yes"}, {"DATABASE_POOLED": "1"}])
def test_half_a_pooler_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(ImproperlyConfigured, match="DATABASE_"):
        Environment.read({"DATABASE_URL": POOLED, **given})

    assert Environment.read({"DATABASE_POOLED": "1", "DATABASE_DIRECT_URL": PAST}).database_pooled == "1"


def test_prepared_statements_leave_nothing_behind_on_a_pooled_connection(db: None) -> None:
    given = {**connection.get_connection_params(), "cursor_factory": psycopg.Cursor}
    with PassingConnection.connect(**given) as passing, Connection.connect(**given) as usual:
        for each in (passing, usual):
            answers = [
                each.execute("SELECT %s::int + 1", [value], prepare=True).fetchone() for value in (1, 2)
            ]
            assert answers == [(2,), (3,)]

        assert passing.execute(PREPARED).fetchone() == (0,)
        assert usual.execute(PREPARED).fetchone() == (1,)


def test_the_hot_statements_work_on_a_connection_that_keeps_no_plans(
    db: None, direct: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = connections[DIRECT].settings_dict["OPTIONS"]
    pool = {**options["pool"], "connection_class": PassingConnection}
    monkeypatch.setitem(connections[DIRECT].settings_dict, "OPTIONS", {**options, "pool": pool})

    with asking(DIRECT):
        with prepared() as cursor:
            cursor.execute("SELECT %s::int, %s::text[]", [1, ["a", "b"]])
            assert cursor.fetchone() == (1, ["a", "b"])
        with prepared(raw=True) as cursor:
            cursor.execute("SELECT $1::int", [2])
            assert cursor.fetchone() == (2,)
            cursor.execute(PREPARED, [])
            assert cursor.fetchone() == (0,)


def test_the_way_past_the_pooler_is_another_connection_and_only_for_the_block(direct: None) -> None:
    usual = _pid()

    with past_the_pooler():
        past = _pid()
        with past_the_pooler():
            assert _pid() == past

    assert past != usual
    assert _pid() == usual


def test_without_a_pooler_there_is_no_way_past_it(db: None) -> None:
    usual = _pid()

    with past_the_pooler():
        assert _pid() == usual


def test_a_transaction_does_not_move(direct: None) -> None:
    with transaction.atomic(), pytest.raises(RuntimeError, match="stays"), past_the_pooler():
        pass

    assert connection.alias == "default"


def test_the_worker_listens_past_the_pooler(direct: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connections[DIRECT].settings_dict, "HOST", "past")

    worker = TransactionalConnector().get_worker_connector()

    assert worker._pool_args["kwargs"]["host"] == "past"  # type: ignore[attr-defined]


def test_migrations_leave_our_settings_to_every_session_of_our_role(db: None, settings: Settings) -> None:
    settings.DATABASE_POOLED = True
    bare = {**connection.get_connection_params(), "options": ""}
    try:
        with Connection.connect(**bare) as before:
            assert _limits(before) != SESSION
        assert health.CHECKS["database"]() == {"status": "ok"}

        call_command("migrate", verbosity=0)

        with Connection.connect(**bare) as after:
            assert _limits(after) == SESSION
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_database()")
            (name,) = cursor.fetchone()
            cursor.execute(f'ALTER ROLE CURRENT_USER IN DATABASE "{name}" RESET ALL')


def test_readiness_tells_which_limits_a_pooled_session_lacks(db: None, settings: Settings) -> None:
    settings.DATABASE_POOLED = True
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = 0")
    try:
        assert pooling.differences() == ["lock_timeout"]
    finally:
        connection.close()
        connection.close_pool()  # type: ignore[attr-defined]


def _pid() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def _limits(session: Any) -> dict[str, str]:
    rows = session.execute("SELECT name, setting FROM pg_settings WHERE name = ANY (%s)", [list(SESSION)])
    return dict(rows.fetchall())
