"""A throw-away world for a benchmark: its own PostgreSQL (durable, as in production), Valkey and web server."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import django
import httpx
from django.core.management import call_command

from backend.local import processes
from backend.local.commands import throwaway_state
from backend.local.servers import Servers, environment
from backend.local.state import ROOT, State, open_state
from backend.local.supervisor import WEB


@dataclass(frozen=True)
class World:
    """Where it lies and what its processes get as their environment."""

    state: State
    env: dict[str, str]

    @property
    def folder(self) -> Path:
        """Where its logs lie."""
        return self.state.path


@contextmanager
def world(kept: Path | None = None) -> Iterator[World]:
    """Servers with a migrated database; Django of this process works on it.

    It is empty and gone afterwards, unless a folder is given that keeps it for the next time.
    """
    with nullcontext(open_state(kept)) if kept else throwaway_state() as state, Servers(state) as servers:
        env = {
            **environment(state, servers.urls()),
            "DJANGO_SETTINGS_MODULE": "backend.settings",
            "LOG_LEVEL": "ERROR",
        }
        os.environ.update(env)
        django.setup()
        call_command("migrate", verbosity=0)
        _lift_limits()
        try:
            yield World(state, env)
        finally:
            from django.db import connections

            connections.close_all()
            for connection in connections.all(initialized_only=True):
                connection.close_pool()  # type: ignore[attr-defined]


def _lift_limits() -> None:
    """A benchmark asks more often than people do; what a limit costs stays in."""
    from django.db import connection

    from backend.core import platform

    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
    platform.put("limit_reads_address", 10_000_000)
    platform.put("limit_holds_user", 1_000)


@contextmanager
def web(made: World) -> Iterator[int]:
    """A web server as ``run.py serve`` starts it; gives its port."""
    port = processes.free_port()
    with (made.folder / "web.log").open("wb") as log:
        server = subprocess.Popen(
            [*WEB, "--port", str(port), "--log-level", "warning"],
            env=made.env,
            cwd=ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait(f"http://127.0.0.1:{port}/health/live", server, made.folder / "web.log")
        yield port
    finally:
        server.terminate()
        server.wait(20)


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        if server.poll() is not None:
            break
        try:
            if httpx.get(url, timeout=1).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise RuntimeError(f"the web server did not come up:\n{log.read_text()[-2000:]}")


def percentile(values: list[float], share: float) -> float:
    """The value that ``share`` (0 … 1) of ``values`` do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
