"""Transition tables, in code and as triggers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import IntegrityError, connection, transaction

from backend.core.db import constraint_errors
from backend.core.errors import WrongState
from backend.core.states import Transitions, append_only_trigger, guard_trigger

DOOR = Transitions.of({"open": "shut locked", "shut": "open locked", "locked": "shut", "gone": ""})


def test_require_allows_edges_only() -> None:
    DOOR.require("open", "locked")

    with pytest.raises(WrongState) as refused:
        DOOR.require("locked", "open")
    with pytest.raises(WrongState):
        DOOR.require("open", "open")
    with pytest.raises(WrongState):
        DOOR.require("nowhere", "open")
    assert refused.value.extra == {"state": "locked"}
    assert refused.value.status == 409


def test_sources_are_the_states_before() -> None:
    assert DOOR.sources("locked") == ["open", "shut"]
    assert DOOR.sources("gone") == []
    assert DOOR.allows("shut", "open")
    assert not DOOR.allows("gone", "open")


@pytest.fixture
def doors(db: None) -> Iterator[None]:
    """A guarded table and an append-only one, made for the test."""
    guard, log = guard_trigger("test_doors", "state", DOOR), append_only_trigger("test_log")
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE test_doors (id int PRIMARY KEY, state text)")
        cursor.execute("CREATE TABLE test_log (id int)")
        cursor.execute(guard.sql)
        cursor.execute(log.sql)
        cursor.execute("INSERT INTO test_doors VALUES (1, 'open'); INSERT INTO test_log VALUES (1)")
    yield
    with connection.cursor() as cursor:
        cursor.execute(guard.reverse_sql)
        cursor.execute(log.reverse_sql)
        cursor.execute("DROP TABLE test_doors; DROP TABLE test_log")


def run(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def state() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT state FROM test_doors")
        return str(cursor.fetchone()[0])


@pytest.mark.usefixtures("doors")
def test_guard_trigger_lets_edges_pass_and_refuses_the_rest() -> None:
    run("UPDATE test_doors SET state = 'locked'")
    run("UPDATE test_doors SET state = 'locked'")

    with pytest.raises(IntegrityError) as refused:
        run("UPDATE test_doors SET state = 'open'")

    assert refused.value.__cause__.diag.constraint_name == "test_doors_state_edge"  # type: ignore[union-attr]
    assert state() == "locked"


@pytest.mark.usefixtures("doors")
def test_guard_trigger_speaks_through_its_constraint_name() -> None:
    with pytest.raises(WrongState), constraint_errors({"test_doors_state_edge": WrongState}):
        run("UPDATE test_doors SET state = 'gone'")

    assert state() == "open"


@pytest.mark.usefixtures("doors")
@pytest.mark.parametrize("sql", ["UPDATE test_log SET id = 2", "DELETE FROM test_log"])
def test_append_only_trigger_refuses_changes(sql: str) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        run(sql)

    run("INSERT INTO test_log VALUES (2)")
