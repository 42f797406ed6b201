"""States and servers for the tests of the local run: real ones, in a folder of their own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.local import processes
from backend.local.binaries import ROOT_HOME
from backend.local.servers import Servers
from backend.local.state import State, open_state


@pytest.fixture(autouse=True)
def no_foreign_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test run itself has servers in its environment; here we start our own."""
    for name in ("DATABASE_URL", "REDIS_URL", "PUBLIC_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    """An empty state whose path holds a space."""
    made = open_state(tmp_path / "a state")
    yield made
    # pytest's folders are closed to other users, so root's server keeps its data elsewhere.
    shutil.rmtree(ROOT_HOME / made.id, ignore_errors=True)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """PostgreSQL and Valkey of one state, running for the tests of a module, which leave them as they were."""
    state = open_state(tmp_path_factory.mktemp("shared") / "a state")
    with pytest.MonkeyPatch.context() as environment:
        for name in ("DATABASE_URL", "REDIS_URL"):
            environment.delenv(name, raising=False)
        with Servers(state, throwaway=True) as running:
            yield running
    assert list(processes.marked(state.marker)) == []


@pytest.fixture
def lasting(state: State) -> Iterator[Servers]:
    """Servers of a test's own with the durability of a real run: throw-away ones may lose a half second when killed."""
    with Servers(state) as running:
        yield running
    assert list(processes.marked(state.marker)) == []
