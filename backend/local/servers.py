"""The two servers of one state and the environment that the project's processes get from them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from backend.local import binaries, processes, valkey
from backend.local.errors import LocalError
from backend.local.postgres import Postgres
from backend.local.state import ROOT, State, say
from backend.local.valkey import Valkey

DEFAULT_PUBLIC_URL = "http://127.0.0.1:8000"


class Servers:
    """PostgreSQL and Valkey of one state, unless DATABASE_URL and REDIS_URL name others.

    A context manager: they run inside of it. The caller holds the state's ``servers`` lock.
    """

    def __init__(self, state: State, *, throwaway: bool = False) -> None:
        self.state = state
        self.throwaway = throwaway
        self.postgres: Postgres | None = None
        self.valkey: Valkey | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start what the environment does not provide and write down where it listens.

        Raises: LocalError when one of them does not come up.
        """
        end_leftovers(self.state)
        if not os.environ.get("DATABASE_URL"):
            self.postgres = Postgres(self.state, throwaway=self.throwaway)
            self.postgres.start()
        if not os.environ.get("REDIS_URL"):
            binary = valkey.find_server()
            if binary is None:
                say(
                    "WARNING: no Valkey for this machine and no REDIS_URL: cache, limits and live events stay inside one"
                    " process, live events do not reach the job worker's side."
                )
            else:
                self.valkey = Valkey(self.state, binary)
                self.valkey.start()
        self.write_down()

    def stop(self) -> None:
        """End both; what is not running is left alone."""
        for server in (self.valkey, self.postgres):
            if server is not None:
                server.stop()
        if self.throwaway and self.postgres is not None:
            self.postgres.remove()
        self.state.write_servers({})

    def write_down(self, **more: object) -> None:
        """Note where the servers listen, for other commands on the same state."""
        content: dict[str, object] = {"owner": os.getpid()}
        for server in (self.postgres, self.valkey):
            if server is not None and server.process is not None:
                content[type(server).__name__.lower()] = {"pid": server.process.pid, "port": server.port}
        self.state.write_servers({**content, **more})

    def dead(self) -> list[Postgres | Valkey]:
        """Those of ours that have ended by themselves."""
        ours = [server for server in (self.postgres, self.valkey) if server is not None]
        return [server for server in ours if server.process is None or server.process.poll() is not None]

    def urls(self) -> dict[str, str]:
        """DATABASE_URL and REDIS_URL of our own servers."""
        urls = {"DATABASE_URL": self.postgres.url} if self.postgres else {}
        return {**urls, "REDIS_URL": self.valkey.url} if self.valkey else urls


def running_urls(state: State, *, wait_s: float = 90.0) -> dict[str, str] | None:
    """The addresses of servers that another ``run.py`` of this state runs, once they are up; None when it has ended.

    Raises: LocalError when they do not come up.
    """
    deadline = time.monotonic() + wait_s
    while not (known := state.servers()):
        with state.lock("servers") as nobody_has_it:
            if nobody_has_it:
                return None
        if time.monotonic() > deadline:
            raise LocalError(
                f"Another run.py has {state.path} but its servers did not come up; see {state.logs}."
            )
        time.sleep(0.1)
    urls = {}
    if "postgres" in known:
        server = Postgres(state)
        server.port = known["postgres"]["port"]
        urls["DATABASE_URL"] = server.url
    if "valkey" in known:
        cache = Valkey(state, Path())
        cache.port = known["valkey"]["port"]
        urls["REDIS_URL"] = cache.url
    return urls


def end_leftovers(state: State) -> None:
    """End what a killed ``run.py`` of this state left behind: web server, worker, Valkey (PostgreSQL sees to itself)."""
    leftovers = [process for process in processes.marked(state.marker) if "postgres" not in process.name()]
    if leftovers:
        say(f"Ending {len(leftovers)} processes that an earlier start had left behind …")
        processes.stop(leftovers)
    state.write_servers({})


def environment(
    state: State, urls: dict[str, str], *, public_url: str = DEFAULT_PUBLIC_URL
) -> dict[str, str]:
    """The environment of the project's processes; what the person has set wins.

    STATE_DIR alone is always ours: two truths about where the state lies would mix two worlds.
    """
    ours = {
        "ENVIRONMENT": "development",
        "SECRET_KEY": state.secret_key,
        "PUBLIC_URL": public_url,
        "ALLOWED_HOSTS": "127.0.0.1,localhost,[::1]",
        "PYTHONUNBUFFERED": "1",
        **urls,
    }
    given = {name: value for name, value in os.environ.items() if value or name not in ours}
    # psql, pg_dump and their like, for dbshell and backups; a PATH of the person's own comes first.
    programs = (
        [] if "DATABASE_URL" not in urls else [str(binaries.postgres_folder(binaries.server_account()))]
    )
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *programs])
    return {**ours, **given, "PATH": path, "STATE_DIR": str(state.path), "KARIBU_HOME": str(ROOT)}
