"""A throw-away world for a benchmark: its own PostgreSQL (durable, as in production), Valkey and web server."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

import django
import psutil
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

    @property
    def log(self) -> Path:
        """What its web processes have written."""
        return self.folder / "web.log"


MADE_ANEW = {"Cookie": "sessionid=benchmark"}
"""Headers of who gets no page that was kept for everybody: to measure how answers are made."""


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
    platform.put("limit_reads_user", 10_000_000)
    platform.put("limit_holds_user", 1_000)


@contextmanager
def web(made: World, *, workers: int = 1, log_level: str = "ERROR") -> Iterator[int]:
    """Web processes as ``run.py serve --workers N`` starts them; gives their port. They log to ``made.log``."""
    port = processes.free_port()
    command = [*WEB, "--port", str(port), "--log-level", "warning", *(["--shared"] if workers > 1 else [])]
    environ = {**made.env, "LOG_LEVEL": log_level}
    with made.log.open("wb") as output:
        servers = [
            subprocess.Popen(command, env=environ, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
            for _ in range(workers)
        ]
    try:
        for server in servers:
            wait(server, port, made.log)
        yield port
    finally:
        for server in servers:
            server.terminate()
        for server in servers:
            server.wait(20)


def wait(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Until this very process listens: on a shared port any other one could answer."""
    for _ in range(900):
        if server.poll() is not None:
            break
        found = psutil.Process(server.pid).net_connections()
        if any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in found):
            return
        time.sleep(0.1)
    raise RuntimeError(f"the web server did not come up:\n{log.read_text()[-2000:]}")


def servers_cpu_ms() -> float:
    """Milliseconds of processor time that the servers of this world (our child processes) have used until now."""
    spent = 0.0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            spent += times.user + times.system
    return spent * 1000


def percentile(values: list[float], share: float) -> float:
    """The value that ``share`` (0 … 1) of ``values`` do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
