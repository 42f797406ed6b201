"""A whole cluster on loopback: proxy, web, websockets, workers, pooler, primary, replica, Valkey."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from backend.local import valkey
from backend.local.errors import LocalError
from backend.local.postgres import DATABASE
from backend.local.servers import environment
from backend.local.state import ROOT, State, open_state
from bench.cluster import proxy as proxies
from bench.cluster.database import Database
from bench.cluster.nodes import Keeper, Node, quiet_port
from bench.cluster.pooler import REPLICA, Pooler
from bench.cluster.proxy import Proxy
from bench.faults.place import LIFTED, LIMITS, Place

MANAGE = (sys.executable, str(ROOT / "manage.py"))
WORKER = (*MANAGE, "procrastinate", "worker")

FILL = """
from django.db import connection
from django.utils import timezone
from bench.generate import generate
connection.cursor().execute("SET statement_timeout = 0")
generate({listings}, timezone.now().date(), calendars=False, say=lambda _sentence: None)
"""


class Cache(valkey.Valkey):
    """A Valkey as a part of ours."""

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@dataclass(frozen=True)
class Parts:
    """Everything that runs, by what it is."""

    database: Database
    cache: Cache
    replica_port: int
    pooler: Pooler
    web: list[Node]
    sockets: list[Node]
    workers: list[Node]
    proxy: Proxy
    keeper: Keeper


class Site(Place):
    """The cluster as its clients see it, and ways to its processes and tables that do not go through it."""

    def __init__(self, state: State, parts: Parts, env: dict[str, str]) -> None:
        self.path, self.parts, self.env = state.path, parts, env
        self.port = parts.proxy.port
        self.url = f"https://127.0.0.1:{self.port}"

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[Any]]:
        with self.parts.database.connection() as made:
            yield made

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """``manage.py`` as an operator runs it on one of the machines."""
        command = [*MANAGE, *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=self.env, capture_output=True, text=True, timeout=180, check=False
        )

    def logs(self) -> list[Path]:
        """What everybody has written."""
        return [*self.path.glob("*.log"), *(self.path / "logs").glob("*.log")]


@contextmanager
def site(
    folder: Path, *, nodes: int = 2, listings: int = 0, state_folder: Path | None = None
) -> Iterator[Site]:
    """Start it all, with ``nodes`` each of web, websockets and workers, and ``listings`` that nobody acts on.

    ``state_folder`` is that of a stopped world, of which a copy is served: no migrations then.
    """
    if state_folder is not None:
        subprocess.run(["cp", "-a", state_folder, folder / "state"], check=True)
    state = open_state(folder / "state")
    binary = valkey.find_server()
    if binary is None:
        raise LocalError("There is no Valkey for this machine.")
    with Keeper() as keeper:
        database, cache = Database(state), Cache(state, binary)
        database.primary.port, cache.port = quiet_port(), quiet_port()
        keeper.add(database.primary, cache)
        proxy = Proxy(folder / "proxy", state.logs, nodes=nodes)
        replica_port = quiet_port()
        pooler = Pooler(folder / "pooler", state, primary=database.primary.port, replica=replica_port)
        keeper.add(pooler)
        env = {
            **_without_servers(environment(state, {}, public_url=proxy.url)),
            "DATABASE_DIRECT_URL": database.primary.url,
            "DATABASE_URL": pooler.url(DATABASE),
            "DATABASE_POOLED": "1",
            "REDIS_URL": cache.url,
            "TRUSTED_PROXIES": "127.0.0.1",
            "LOG_LEVEL": "WARNING",
            "DJANGO_SETTINGS_MODULE": "backend.settings",
        }
        _run(env, "migrate", "--noinput")
        _run(env, "shell", "-c", LIMITS.format(limits=LIFTED))
        if listings:
            _run(env, "shell", "-c", FILL.format(listings=listings))
        keeper.add(database.follow(port=replica_port))
        env["DATABASE_REPLICA_URL"] = pooler.url(REPLICA)
        parts = Parts(
            database,
            cache,
            replica_port,
            pooler,
            [_web(env, state, number, port) for number, port in enumerate(proxy.web_ports, 1)],
            [_sockets(env, state, number, port) for number, port in enumerate(proxy.socket_ports, 1)],
            [Worker(env, state, number) for number in range(1, nodes + 1)],
            proxy,
            keeper,
        )
        keeper.add(*parts.web, *parts.sockets, *parts.workers, proxy)
        os.environ["SSL_CERT_FILE"] = str(proxy.certificate)
        yield Site(state, parts, env)


def _without_servers(env: dict[str, str]) -> dict[str, str]:
    """Nobody's own servers, whatever the environment names."""
    return {name: value for name, value in env.items() if not name.startswith(("DATABASE_", "REDIS_"))}


def _run(env: dict[str, str], *arguments: str) -> None:
    done = subprocess.run(
        [*MANAGE, *arguments], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise LocalError(f"manage.py {arguments[0]} failed:\n{done.stderr[-2000:]}")


def _web(env: dict[str, str], state: State, number: int, port: int) -> Node:
    return Node(
        f"web {number}",
        proxies.web_command(port),
        env=env,
        log=state.logs / f"web-{number}.log",
        port=port,
        answers=ready(port),
    )


def _sockets(env: dict[str, str], state: State, number: int, port: int) -> Node:
    return Node(
        f"websocket {number}",
        proxies.socket_command(port),
        env=env,
        log=state.logs / f"websocket-{number}.log",
        port=port,
        answers=ready(port),
    )


class Worker(Node):
    """A job worker. It can be used when it has entered itself among those that live."""

    def __init__(self, env: dict[str, str], state: State, number: int) -> None:
        self._known: set[int] = set()
        self._url = env["DATABASE_DIRECT_URL"]
        log = state.logs / f"worker-{number}.log"
        super().__init__(
            f"worker {number}", WORKER, env=env, log=log, answers=self._has_entered, drain_s=60.0
        )

    def start(self) -> None:
        self._known = self._living()
        super().start()

    def _has_entered(self) -> bool:
        return bool(self._living() - self._known)

    def _living(self) -> set[int]:
        try:
            with psycopg.connect(self._url, connect_timeout=3) as connection:
                return {pk for (pk,) in connection.execute("SELECT id FROM procrastinate_workers")}
        except psycopg.OperationalError:
            return set()


def ready(port: int) -> Callable[[], bool]:
    """Whether the web server at that port says that it can be used."""

    def answers() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/health/ready", headers={"X-Forwarded-Proto": "https"})
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return answers
