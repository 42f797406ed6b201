"""A real streaming replica: what it may answer, for whom, and what happens when it lags, breaks off or is none."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.conf import settings as configured
from django.db import connection, connections, transaction
from django.test import Client

from backend.core import replicas
from backend.core.databases import REPLICA, databases
from backend.core.replicas import may_lag, reading_for, watch
from backend.local.postgres import Postgres
from backend.local.state import State, open_state
from bench.cluster.database import Standby
from tests.api.client import ApiClient
from tests.factories import make_listing, make_user

LONG_S = 3600.0


class UnderTest(Postgres):
    """The cluster under test, which others have started."""

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.port = int(connection.settings_dict["PORT"])


@may_lag
def answers_from_replica() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_is_in_recovery()")
        return bool(cursor.fetchone()[0])


@pytest.fixture(scope="module")
def standby(django_db_setup: None, django_db_blocker: Any) -> Iterator[Standby]:
    """A copy of the cluster under test that follows it."""
    folder = configured.STATE_DIR
    state = open_state(folder if (folder / "secrets.json").exists() else folder.parent)
    made = Standby(state, UnderTest(state), number=os.getpid())
    made.scratch = True
    try:
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(made.data, ignore_errors=True)
        with UnderTest(state).connect() as server:
            server.execute(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s",
                [f"standby_{os.getpid()}"],
            )


@pytest.fixture
def replica(db: None, standby: Standby, monkeypatch: pytest.MonkeyPatch) -> Iterator[Standby]:
    """The replica as DATABASE_REPLICA_URL makes it, believed for as long as the test says; measured by hand."""
    at = connection.settings_dict
    url = f"postgresql://{at['USER']}:{at['PASSWORD']}@127.0.0.1:{standby.port}/{at['NAME']}"
    made = connections.configure_settings(databases(url="", replica_url=url))[REPLICA]
    monkeypatch.setitem(connections.settings, REPLICA, made)
    monkeypatch.setattr(replicas, "MOST_BEHIND_S", LONG_S)
    watch._pid = os.getpid()
    yield standby
    watch.stop()
    watch._marks.clear()
    connections[REPLICA].close()
    connections[REPLICA].close_pool()  # type: ignore[attr-defined]
    del connections[REPLICA]


def flush() -> None:
    """Have everything on disk that is committed: the cluster under test does not wait for that."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = on")
        cursor.execute("SELECT pg_logical_emit_message(true, 'tests', '')")


def caught_up() -> None:
    """Measure until the replica has come to what is committed now."""
    flush()
    watch._marks.clear()
    deadline = time.monotonic() + 60
    while True:
        watch.measure()
        if watch.reaches > float("-inf"):
            return
        assert time.monotonic() < deadline
        time.sleep(0.02)


def paused(standby: Standby, pause: bool = True) -> None:
    with standby.connect() as server:
        server.execute("SELECT pg_wal_replay_pause()" if pause else "SELECT pg_wal_replay_resume()")
        while pause and server.execute("SELECT pg_get_wal_replay_pause_state()").fetchone() != ("paused",):
            time.sleep(0.01)


def test_only_requests_outside_of_transactions_are_answered_by_the_replica(replica: Standby) -> None:
    assert not answers_from_replica()
    caught_up()
    assert not answers_from_replica()

    with reading_for(lambda: None):
        assert answers_from_replica()
        with transaction.atomic():
            assert not answers_from_replica()
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_is_in_recovery()")
            assert cursor.fetchone() == (False,)


def test_the_first_question_of_a_process_begins_to_watch_and_the_replica_serves_soon(
    replica: Standby,
) -> None:
    flush()
    watch.stop()

    with reading_for(lambda: None):
        assert not answers_from_replica()
        deadline = time.monotonic() + 60
        while not answers_from_replica():
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_who_has_just_written_reads_the_primary_and_others_do_not(replica: Standby) -> None:
    caught_up()
    replicas.wrote(7)

    with reading_for(lambda: 7):
        assert not answers_from_replica()
    with reading_for(lambda: 8):
        assert answers_from_replica()
    assert replicas.OWN_WRITES_S > 2.0


def test_without_a_shared_memory_of_who_wrote_users_read_the_primary(replica: Standby, settings: Any) -> None:
    caught_up()
    settings.REDIS_URL = ""

    with reading_for(lambda: 8):
        assert not answers_from_replica()
    with reading_for(lambda: None):
        assert answers_from_replica()


def test_a_replica_that_lags_is_passed_over_and_used_again(
    replica: Standby, monkeypatch: pytest.MonkeyPatch
) -> None:
    caught_up()
    paused(replica)
    try:
        make_user()
        flush()
        before = watch.reaches
        watch.measure()
        watch.measure()
        assert watch.reaches == before

        with reading_for(lambda: None):
            assert answers_from_replica()
            monkeypatch.setattr(replicas, "MOST_BEHIND_S", 0.0)
            assert not answers_from_replica()
    finally:
        paused(replica, False)

    monkeypatch.setattr(replicas, "MOST_BEHIND_S", LONG_S)
    caught_up()
    with reading_for(lambda: None):
        assert watch.reaches > before
        assert answers_from_replica()


def test_a_server_that_follows_nobody_is_no_replica(replica: Standby) -> None:
    at = connection.settings_dict
    connections.settings[REPLICA].update(HOST=at["HOST"], PORT=at["PORT"])
    connections[REPLICA].settings_dict.update(HOST=at["HOST"], PORT=at["PORT"])

    watch.measure()
    watch.measure()

    assert watch.reaches == float("-inf")


def test_what_the_replica_breaks_off_is_asked_of_the_primary(replica: Standby) -> None:
    caught_up()
    asked: list[bool] = []

    @may_lag
    def read() -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_is_in_recovery(), pg_backend_pid()")
            in_recovery, pid = cursor.fetchone()
            asked.append(in_recovery)
            if in_recovery:
                with replica.connect() as server:
                    server.execute("SELECT pg_terminate_backend(%s)", [pid])
            cursor.execute("SELECT 1")
        return bool(in_recovery)

    with reading_for(lambda: None):
        assert read() is False
        assert asked == [True, False]
        # It is left alone for a while.
        assert not answers_from_replica()


def test_a_statement_that_takes_too_long_is_not_tried_twice(replica: Standby) -> None:
    caught_up()
    asked: list[bool] = []

    @may_lag
    def read() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_is_in_recovery()")
            asked.append(cursor.fetchone()[0])
            cursor.execute("SET statement_timeout = 1")
            cursor.execute("SELECT pg_sleep(10)")

    with reading_for(lambda: None), pytest.raises(Exception, match="statement timeout"):
        read()
    assert asked == [True]


def test_a_write_on_the_replica_is_a_defect_and_changes_nothing(replica: Standby) -> None:
    caught_up()
    write = may_lag(make_user)

    with reading_for(lambda: None), pytest.raises(Exception, match="read-only"):
        write(username="nobody")

    with psycopg.connect(**_way(connection.settings_dict)) as primary:
        assert primary.execute("SELECT count(*) FROM users").fetchone() == (0,)


def test_search_shows_a_host_their_own_change_at_once_and_others_soon(replica: Standby) -> None:
    host = make_user("host")
    listing = make_listing(host, title="Before")
    caught_up()
    paused(replica)
    try:
        caller = ApiClient(host)
        assert caller.patch(f"/api/properties/{listing.pk}/", {"title": "After"}).status_code == 200

        assert _titles(caller.get("/api/properties/").json()) == ["After"]
        assert _titles(Client().get("/api/properties/").json()) == ["Before"]
    finally:
        paused(replica, False)

    caught_up()
    assert _titles(Client().get("/api/properties/").json()) == ["After"]


def _titles(page: dict[str, Any]) -> list[str]:
    return [row["title"] for row in page["results"]]


def _way(at: dict[str, Any]) -> dict[str, Any]:
    names = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD", "dbname": "NAME"}
    return {name: at[key] for name, key in names.items()}
