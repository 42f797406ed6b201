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


@pytest.fixture
def servers(state: State) -> Iterator[Servers]:
    """PostgreSQL and Valkey of that state, running."""
    with Servers(state, throwaway=True) as running:
        yield running
    assert list(processes.marked(state.marker)) == []


@pytest.fixture
def lasting(state: State) -> Iterator[Servers]:
    """The same with the durability of a real run: a throw-away server may lose its last half second when killed."""
    with Servers(state) as running:
        yield running
    assert list(processes.marked(state.marker)) == []
