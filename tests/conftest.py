"""Fixtures for all tests: a real PostgreSQL that is emptied between tests, clients, a live server.

Transactions are real: operations commit, deferred constraints and ``on_commit`` run as in production. After each
test that used the database the changed tables are emptied; reference data from migrations stays.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

import httpx
import hypothesis
import pytest
from django.core.cache import cache
from django.db import connection, connections

# No test looks at a clock, and a run that fails fails again: chance is looked for with ``--hypothesis-profile=default``.
hypothesis.settings.register_profile(
    "karibu", deadline=None, derandomize=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("karibu")

ROOT = Path(__file__).resolve().parent.parent

KEPT = {
    "amenities",
    "auth_group",
    "auth_group_permissions",
    "auth_permission",
    "cancellation_policies",
    "currencies",
    "django_content_type",
    "django_migrations",
    "exchange_rates",
    "location_names",
    "locations",
    "search_window",
    "spatial_ref_sys",
}


EMPTY = """
DO $$
DECLARE
    name text;
BEGIN
    -- Rights, foreign keys and append-only triggers rest meanwhile. DELETE, since TRUNCATE makes every file of every
    -- table anew.
    SET LOCAL ROLE karibu_unbound;
    SET LOCAL session_replication_role = replica;
    FOREACH name IN ARRAY {filled}::text[] LOOP
        EXECUTE format('DELETE FROM %I', name);
    END LOOP;
    -- What is shipped stays, what a test has published goes.
    DELETE FROM cancellation_policies WHERE version > 1;
    PERFORM setval(format('%I.%I', schemaname, sequencename)::regclass, 1, false)
    FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL
        AND left(sequencename, -length('_id_seq')) <> ALL ({kept});
END $$;
"""


def _array(names: Iterable[str]) -> str:
    return "ARRAY[" + ", ".join(f"'{name}'" for name in names) + "]"


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """Where ``run.py test`` has migrated the database beside which ours is made, ours is a copy of it."""
    if os.environ.get("TEST_TEMPLATE"):
        at = connections["default"].settings_dict
        at["TEST"]["TEMPLATE"] = at["NAME"]


@lru_cache(maxsize=1)
def _filled() -> str:
    """The statement that names the tables with rows: asked after every test, so that it is planned but once."""
    with connection.cursor() as cursor:
        # Parts of a table come and go; the table itself tells of them.
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
            " AND NOT relispartition ORDER BY 1"
        )
        names = [name for (name,) in cursor.fetchall() if name not in KEPT]
    return " UNION ALL ".join(
        f"SELECT '{name}' WHERE EXISTS (SELECT FROM \"{name}\")"  # noqa: S608 - names of our own tables
        for name in names
    )


def _empty_tables() -> None:
    from backend.bookings import policy_versions
    from backend.core import firewall, fx, platform
    from backend.core.db import prepared
    from backend.search.models import SearchWindow

    with prepared() as cursor:
        cursor.execute(_filled())
        filled = [name for (name,) in cursor.fetchall()]
    with connection.cursor() as cursor:
        cursor.execute(EMPTY.replace("{filled}", _array(filled)).replace("{kept}", _array(sorted(KEPT))))
    SearchWindow.objects.update(**_window())
    _restore_rates()
    cache.clear()
    firewall.forget()
    platform.forget()
    fx.forget()
    policy_versions.forget()


@lru_cache(maxsize=1)
def _window() -> dict[str, int]:
    """Where the search's window stood before the first test: a sweep with a far clock moves it on."""
    from backend.search.models import SearchWindow

    return dict(SearchWindow.objects.values("first_word", "reached").get())


@lru_cache(maxsize=1)
def _shipped_rates() -> list[dict[str, object]]:
    """The exchange rates that the project ships, as they stood before the first test."""
    from backend.core.models import ExchangeRate

    return list(ExchangeRate.objects.order_by("pk").values())


def _digest_of_rates() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT md5(string_agg(rate::text, ',' ORDER BY id)) FROM exchange_rates rate")
        return str(cursor.fetchone()[0])


@lru_cache(maxsize=1)
def _shipped_digest() -> str:
    return _digest_of_rates()


def _restore_rates() -> None:
    from backend.core.models import Currency, ExchangeRate

    shipped = _shipped_rates()
    if _digest_of_rates() != _shipped_digest():
        ExchangeRate.objects.all().delete()
        ExchangeRate.objects.bulk_create(ExchangeRate(**row) for row in shipped)
        Currency.objects.exclude(pk__in=[row["currency_id"] for row in shipped]).delete()


COUNTS_QUERIES = re.compile("quer|statement|_asks?_|_costs?_|_reads_no_more_")
"""What tests are called that count what the database is asked."""


@pytest.fixture(autouse=True)
def unhurried(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that count queries meet none that the clock asks for: what a process knows for a second stays known.

    What tests write past the API shows at once: pages are given only where they are proved to be right.
    """
    from api import page_store

    monkeypatch.setattr(page_store, "FRESH_FOR_S", 0.0)
    if COUNTS_QUERIES.search(request.node.name):
        from backend.bookings import policy_versions
        from backend.core import firewall, fx, platform

        for module in (policy_versions, firewall, fx, platform):
            monkeypatch.setattr(module, "FRESH_FOR_S", 3600.0)


@pytest.fixture
def db(django_db_setup: None, django_db_blocker: pytest.FixtureRequest) -> Iterator[None]:
    """The database with real commits. Overrides pytest-django's, which would roll back."""
    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        _window()
        _shipped_rates()
        _shipped_digest()
        yield
        if connection.in_atomic_block:
            connection.close()
        _empty_tables()
        connections.close_all()


@dataclass(frozen=True)
class Server:
    """A running Karibu: where it answers, and its processes."""

    url: str
    port: int
    web: subprocess.Popen[bytes]
    worker: subprocess.Popen[bytes] | None


UVICORN = [
    *(sys.executable, "-m", "uvicorn", "backend.asgi:application", "--ws", "realtime.protocol:Protocol"),
    *("--ws-max-size", "65536", "--no-proxy-headers", "--log-level", "warning", "--no-access-log"),
]

START_S = 90
"""How long a server may take to answer: a machine under load imports slowly."""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _environment(port: int, state: Path) -> dict[str, str]:
    at = connections["default"].settings_dict
    user, password = quote(str(at["USER"])), quote(str(at["PASSWORD"]))
    return {
        **os.environ,
        "ENVIRONMENT": "development",
        "DATABASE_URL": f"postgresql://{user}:{password}@{at['HOST']}:{at['PORT']}/{at['NAME']}",
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "STATE_DIR": str(state),
    }


def _start(command: list[str], environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)


@contextmanager
def servers(folder: Path) -> Iterator[Callable[..., Server]]:
    """Start servers on the test database with their state in ``folder``; they end with the ``with``."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(*, worker: bool = False, env: dict[str, str] | None = None) -> Server:
        port = _free_port()
        environment = {**_environment(port, folder), **(env or {})}
        log = folder / f"web-{port}.log"
        web = _start([*UVICORN, "--port", str(port)], environment, log)
        processes.append(web)
        jobs = None
        if worker:
            manage = [sys.executable, "manage.py", "procrastinate", "worker"]
            jobs = _start(manage, environment, folder / f"worker-{port}.log")
            processes.append(jobs)
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"http://127.0.0.1:{port}/health/live", timeout=1).status_code == 200:
                    return Server(f"http://127.0.0.1:{port}", port, web, jobs)
            except httpx.HTTPError:
                time.sleep(0.1)
        raise AssertionError(log.read_text()[-3000:])

    try:
        yield start
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture
def start_server(db: None, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start real servers on the test database: ``start_server(worker=True)``; they end with the test."""
    with servers(tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def running(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One web server for all tests of a module: it keeps nothing that the emptied database does not know."""
    with servers(tmp_path_factory.mktemp("server")) as start:
        yield start()


@pytest.fixture
def server(db: None, running: Server) -> Server:
    """The module's server with an empty database."""
    return running
