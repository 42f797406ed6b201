"""The Karibu that is broken: one state folder, run by ``run.py serve`` with its supervisor, asked from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg

from backend.local import processes
from backend.local.postgres import DATABASE, Postgres
from backend.local.state import ROOT, open_state

START_S = 240
"""How long a new world may take to come up; most of it are migrations."""

STANDING = {"web": "server", "worker": "worker"}
"""What the supervisor calls its children where it writes them down."""

LIMITS = """
from backend.core import platform
for name, value in {limits!r}.items():
    platform.put(name, value)
"""

LIFTED = {
    **{"limit_reads_address": 10_000_000, "limit_reads_user": 10_000_000, "limit_holds_user": 1_000},
    **{"limit_messages_user": 10_000, "limit_messages_new_user": 10_000, "limit_tickets_user": 10_000},
    **{
        "limit_register_address": 10_000,
        "limit_sign_in_address": 1_000_000,
        "limit_sign_in_account": 100_000,
    },
    **{"limit_conversations_new_user": 100_000, "limit_conversations_user": 100_000},
}
"""Clients here ask more often than people do."""


class Place:
    """Where it answers, and ways to it that do not go through the product: its processes and its tables."""

    def __init__(self, state: Path, port: int, env: Mapping[str, str] | None = None) -> None:
        self.path, self.port, self.env = state, port, env or {}
        self.url = f"http://127.0.0.1:{port}"
        self._state = open_state(state)

    def pid(self, name: str) -> int:
        """The process of ``web``, ``worker``, ``postgres`` or ``valkey`` that runs now.

        Raises: ProcessLookupError when it is not there.
        """
        known = self._state.servers()
        found = known[name]["pid"] if name in ("postgres", "valkey") else known.get(STANDING[name])
        if found is None or processes.alive(int(found)) is None:
            raise ProcessLookupError(name)
        return int(found)

    def kill(self, name: str) -> None:
        """``kill -9``, as soon as it is there."""
        os.kill(until(lambda: _or_none(lambda: self.pid(name)), f"{name} is running"), signal.SIGKILL)

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[Any]]:
        """The database, as its superuser, outside of transactions. Raises: psycopg.OperationalError."""
        with self._server().connect(DATABASE) as connection:
            yield connection

    @property
    def database_url(self) -> str:
        """Where the product itself connects to."""
        return self._server().url

    def _server(self) -> Postgres:
        server = Postgres(self._state)
        server.port = self._state.servers()["postgres"]["port"]
        return server

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """What a statement finds. Raises: psycopg.OperationalError while the database is away."""
        with self.connection() as connection:
            return connection.execute(query, values).fetchall()

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """``run.py manage`` on this state, beside what runs, with its settings and by its clock."""
        command = [sys.executable, str(ROOT / "run.py"), "manage", "--state", str(self.path), *arguments]
        return subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, **self.env},
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )

    def broken_books(self) -> list[str]:
        """The invariants that do not hold, with how often."""
        done = self.manage("check_books", "--json")
        with suppress(ValueError):
            checks = json.loads(done.stdout)["checks"]
            return [f"{check['name']}: {check['violations']}" for check in checks if check["count"]]
        return [f"check_books did not answer: {done.stderr[-500:]}"]

    def is_ready(self) -> bool:
        """Whether it says that it can be used."""
        try:
            return httpx.get(f"{self.url}/health/ready", timeout=5, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False


@contextmanager
def place(state: Path, env: Mapping[str, str], *, log: Path) -> Iterator[Place]:
    """Serve ``state`` with these settings on a free port, with web and worker; it ends with the ``with``."""
    port = processes.free_port()
    command = [sys.executable, str(ROOT / "run.py"), "serve", "--port", str(port), "--state", str(state)]
    settings = {
        name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")
    }
    with log.open("ab") as output:
        server = subprocess.Popen(
            [*command, "--no-demo"],
            cwd=ROOT,
            env={**settings, "LOG_LEVEL": "WARNING", **env},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        made = Place(state, port, env)
        until(
            lambda: server.poll() is None and made.is_ready(), f"Karibu is ready, see {log}", within_s=START_S
        )
        until(lambda: _or_none(lambda: made.pid("worker")), "the worker runs")
        lifted = made.manage("shell", "-c", LIMITS.format(limits=LIFTED))
        if lifted.returncode:
            raise RuntimeError(lifted.stderr)
        yield made
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(60)
        except subprocess.TimeoutExpired:
            for child in psutil.Process(server.pid).children(recursive=True):
                child.kill()
            server.kill()
            server.wait()


def until(asked: Callable[[], Any], what: str, *, within_s: float = 60.0, every_s: float = 0.1) -> Any:
    """Ask until the answer is true, and return it. Raises: TimeoutError with ``what`` was waited for."""
    deadline = time.monotonic() + within_s
    while True:
        found = asked()
        if found:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {within_s:.0f} s: {what}")
        time.sleep(every_s)


def _or_none(asked: Callable[[], int]) -> int | None:
    try:
        return asked()
    except (ProcessLookupError, KeyError):
        return None
