"""Embedded PostgreSQL and Valkey: started, killed, found again. Real processes, each test on a state of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import psycopg
import pytest

from backend.local import binaries, processes
from backend.local.errors import LocalError
from backend.local.postgres import Postgres
from backend.local.servers import Servers, end_leftovers, running_urls
from backend.local.state import State, open_state
from backend.local.valkey import Valkey


def postgres_of(servers: Servers) -> Postgres:
    assert servers.postgres
    return servers.postgres


def valkey_of(servers: Servers) -> Valkey:
    assert servers.valkey
    return servers.valkey


def pid_of(server: Postgres | Valkey) -> int:
    assert server.process
    return server.process.pid


def test_start_gives_a_plain_role_its_database_with_the_extensions(servers: Servers) -> None:
    with psycopg.connect(postgres_of(servers).url) as connection:
        role = connection.execute(
            "SELECT current_user, rolsuper, current_setting('server_encoding') FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        extensions = connection.execute("SELECT extname FROM pg_extension").fetchall()

    assert role == ("karibu", False, "UTF8")
    assert {"btree_gist", "pg_trgm", "unaccent"} <= {name for (name,) in extensions}


def test_servers_listen_on_loopback_with_a_password(servers: Servers) -> None:
    postgres, valkey = postgres_of(servers), valkey_of(servers)

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(host="127.0.0.1", port=postgres.port, user="karibu", dbname="karibu", password="x")
    with socket.create_connection(("127.0.0.1", valkey.port), timeout=2) as connection:
        connection.sendall(b"PING\r\n")
        assert connection.recv(100).startswith(b"-NOAUTH")
    for server in (postgres, valkey):
        addresses = {item.laddr.ip for item in psutil.Process(pid_of(server)).net_connections("tcp")}
        assert addresses == {"127.0.0.1"}


def test_running_urls_are_those_of_the_owner(servers: Servers) -> None:
    assert running_urls(servers.state) == servers.urls()


def test_running_urls_are_none_when_the_owner_has_gone(state: State) -> None:
    assert running_urls(state) is None


def test_killed_servers_come_back_on_their_ports_with_their_data(lasting: Servers) -> None:
    postgres, valkey = postgres_of(lasting), valkey_of(lasting)
    before = (postgres.port, valkey.port)
    with psycopg.connect(postgres.url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    for server in (postgres, valkey):
        os.kill(pid_of(server), signal.SIGKILL)
        assert server.process
        server.process.wait()

    dead = lasting.dead()
    for server in dead:
        server.start()

    assert dead == [postgres, valkey]
    assert (postgres.port, valkey.port) == before
    assert valkey.answers()
    with psycopg.connect(postgres.url) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_start_survives_a_pid_file_that_names_a_stranger(state: State) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as stranger:
        first = Postgres(state, throwaway=True)
        first.start()
        os.kill(pid_of(first), signal.SIGKILL)
        assert first.process
        first.process.wait()
        pid_file = first._data_folder() / "postmaster.pid"
        lines = pid_file.read_text().splitlines(keepends=True)
        pid_file.write_text("".join([f"{stranger.pid}\n", *lines[1:]]))

        second = Postgres(state, throwaway=True)
        second.start()

        assert second.process
        assert second.process.poll() is None
        assert stranger.poll() is None
        second.stop()
        stranger.kill()


def test_leftovers_of_a_killed_run_are_ended_and_strangers_are_not(state: State, tmp_path: Path) -> None:
    copied = tmp_path / "copy"
    shutil.copytree(state.path, copied)
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    ours = processes.start(sleep, env={processes.MARKER: state.marker})
    theirs = processes.start(sleep, env={processes.MARKER: open_state(copied).marker})
    # The marker is in the environment once the new program runs; until then the child is a copy of this process.
    while not list(processes.marked(state.marker)):
        time.sleep(0.01)

    end_leftovers(state)

    assert processes.alive(ours.pid) is None
    assert ours.wait() is not None
    assert theirs.poll() is None
    theirs.kill()
    theirs.wait()


def test_orphaned_postgres_is_ended_by_the_next_start(state: State) -> None:
    orphan = Postgres(state, throwaway=True)
    orphan.start()

    with Servers(state, throwaway=True) as servers:
        assert orphan.process
        assert orphan.process.poll() == 0
        assert pid_of(postgres_of(servers)) != orphan.process.pid


def test_child_dies_with_its_parent(state: State) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux tells a process that its parent has died; elsewhere the next start ends it")
    parent = (
        "import os, signal, sys, time\nfrom backend.local import processes\n"
        "child = processes.start([sys.executable, '-c', 'import time; time.sleep(60)'], env={})\n"
        "print(child.pid, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", parent], capture_output=True, text=True, timeout=20, check=False
    )

    deadline = time.monotonic() + 5
    while processes.alive(int(done.stdout)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert processes.alive(int(done.stdout)) is None


def test_start_refuses_data_of_another_postgresql_and_keeps_it(state: State) -> None:
    postgres = Postgres(state)
    data = postgres._data_folder()
    data.mkdir()
    (data / "PG_VERSION").write_text("9\n")

    with pytest.raises(LocalError, match="was made by PostgreSQL 9"):
        postgres.start()

    assert [entry.name for entry in data.iterdir()] == ["PG_VERSION"]
    assert postgres.process is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server keeps its data outside of the state")
def test_new_state_at_the_place_of_a_deleted_one_takes_its_data_away(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    first = open_state(closed / "world")
    data = Postgres(first)._data_folder()
    shutil.rmtree(first.path)

    second = open_state(closed / "world")
    new_data = Postgres(second)._data_folder()

    assert data.parent == binaries.ROOT_HOME / first.id
    assert not data.parent.exists()
    assert new_data.parent == binaries.ROOT_HOME / second.id
    Postgres(second).remove()
    assert not new_data.parent.exists()
