"""Migrations and demo data at a start, with a manage.py that keeps a journal."""

from __future__ import annotations

import os
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from backend.local import world
from backend.local.errors import LocalError
from backend.local.servers import Servers
from backend.local.state import State

MANAGE = """
import os, pathlib, sys
import psycopg
with open(pathlib.Path(__file__).with_name("journal"), "a") as journal:
    journal.write(sys.argv[1] + "\\n")
if sys.argv[1] == "migrate":
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS django_migrations (id int)")
        connection.execute("INSERT INTO django_migrations SELECT count(*) + 1 FROM django_migrations")
else:
    print("anna@example.com / secret")
    raise SystemExit(int(os.environ.get("DEMO_EXIT", "0")))
"""


class Project:
    """A project whose manage.py writes down how it is called."""

    def __init__(self, root: Path, database_url: str) -> None:
        self.root = root
        self.env = {**os.environ, "DATABASE_URL": database_url, "ENVIRONMENT": "development"}

    def calls(self) -> list[str]:
        journal = self.root / "journal"
        return journal.read_text().split() if journal.exists() else []


@pytest.fixture
def project(tmp_path: Path, servers: Servers, state: State, monkeypatch: pytest.MonkeyPatch) -> Project:
    root = tmp_path / "project"
    (root / "backend" / "x" / "migrations").mkdir(parents=True)
    (root / "requirements.lock").write_text("")
    (root / "manage.py").write_text(MANAGE)
    monkeypatch.setattr(world, "ROOT", root)
    database = f"world_{state.id}"
    assert servers.postgres
    with psycopg.connect(servers.postgres.url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
    return Project(root, f"{servers.postgres.url.rpartition('/')[0]}/{database}")


def test_prepare_migrates_and_makes_demo_data_once(project: Project, state: State) -> None:
    first = world.prepare(state, project.env, demo=True)
    second = world.prepare(state, project.env, demo=True)

    assert first == "anna@example.com / secret"
    assert second == ""
    assert project.calls() == ["migrate", "demo"]


def test_prepare_migrates_again_for_a_new_migration_and_for_a_changed_database(
    project: Project, state: State
) -> None:
    world.prepare(state, project.env, demo=False)
    (project.root / "backend" / "x" / "migrations" / "0001_initial.py").touch()
    world.prepare(state, project.env, demo=False)
    with psycopg.connect(project.env["DATABASE_URL"]) as connection:
        connection.execute("DELETE FROM django_migrations WHERE id = 2")

    world.prepare(state, project.env, demo=False)
    world.prepare(state, project.env, demo=False)

    assert project.calls() == ["migrate", "migrate", "migrate"]


def test_prepare_remembers_that_a_world_was_to_be_empty(project: Project, state: State) -> None:
    world.prepare(state, project.env, demo=False)

    world.prepare(state, project.env, demo=True)

    assert project.calls() == ["migrate"]


def test_prepare_tries_the_demo_data_again_after_it_failed(project: Project, state: State) -> None:
    failed = world.prepare(state, {**project.env, "DEMO_EXIT": "1"}, demo=True)

    made = world.prepare(state, project.env, demo=True)

    assert failed == ""
    assert made == "anna@example.com / secret"
    assert project.calls() == ["migrate", "demo", "demo"]


@pytest.mark.parametrize("reason", ["production", "filled"])
def test_prepare_keeps_demo_data_out_of_what_is_not_a_new_world(
    project: Project, state: State, reason: str
) -> None:
    if reason == "filled":
        with psycopg.connect(project.env["DATABASE_URL"]) as connection:
            connection.execute("CREATE TABLE django_migrations AS SELECT 1 AS id")
    else:
        project.env["ENVIRONMENT"] = "production"

    world.prepare(state, project.env, demo=True)

    assert project.calls() == ["migrate"]


def test_prepare_says_that_the_database_does_not_answer(project: Project, state: State) -> None:
    project.env["DATABASE_URL"] = "postgresql://x@127.0.0.1:1/x"

    with pytest.raises(LocalError, match="does not answer"):
        world.prepare(state, project.env, demo=True)

    assert project.calls() == []
    assert state.world() == {}
