"""``run.py serve`` and ``manage``: what they refuse, and how they watch."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from backend.local import cli, commands, processes, web
from backend.local.servers import Servers, environment
from backend.local.state import ROOT, State
from backend.local.supervisor import Child, describe, look_after, web_processes


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "run.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_serve_refuses_a_taken_port_before_anything_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        done = run("serve", "--port", str(port), "--state", str(tmp_path / "state"), "--no-demo")

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        f"run.py: Port {port} on 127.0.0.1 cannot be used (Address already in use);"
        " choose another one: run.py serve --port N.\n"
    )
    assert not (tmp_path / "state" / "postgres").exists()
    assert not (tmp_path / "state" / "postgres.log").exists()


def test_serve_refuses_a_state_in_use(state: State) -> None:
    with state.lock("servers", who="run.py serve --port 1 (process 2)"):
        done = run("serve", "--port", str(processes.free_port()), "--state", str(state.path))

    assert done.returncode == 1
    assert done.stderr == (
        f"run.py: {state.path} is in use by run.py serve --port 1 (process 2); choose another --state.\n"
    )
    assert not (state.path / "postgres.log").exists()


def test_child_is_started_again_with_growing_pauses(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    child = Child("thing", (sys.executable, "-c", "raise SystemExit(3)"), dict(os.environ), tmp_path / "log")
    pauses = []
    now = 1000.0
    for _ in range(4):
        child.tend(now)
        assert child.process
        child.process.wait()
        child.tend(now)
        pauses.append(child.retry_at - now)
        now = child.retry_at

    child.tend(now - 0.5)

    assert child.process is None
    assert pauses == [1, 2, 4, 8]
    assert "The thing ended (exit code 3); starting it again in 8 s." in capfd.readouterr().err


def test_child_that_ran_long_starts_counting_again(tmp_path: Path) -> None:
    child = Child("thing", (sys.executable, "-c", ""), dict(os.environ), tmp_path / "log", deaths=5)
    child.tend(1000.0)
    assert child.process
    child.process.wait()

    child.tend(1061.0)

    assert child.deaths == 1


def test_full_disk_ends_nothing_and_is_told(state: State) -> None:
    log = state.logs / "gone" / "log"
    unlucky = Child("unlucky", ("sleep", "60"), dict(os.environ), log)
    lucky = Child("lucky", ("sleep", "60"), dict(os.environ), state.logs / "lucky.log")
    half = state.path / f"servers.json.{os.getpid()}.new"
    half.symlink_to("/dev/full")
    servers, children = Servers(state), [unlucky, lucky]
    try:
        told = look_after(servers, children, public_url="http://here", tick=0).splitlines()

        assert told == [f"[Errno 2] No such file or directory: '{log}'", "[Errno 28] No space left on device"]
        assert (unlucky.process, state.servers()) == (None, {})
        assert lucky.process

        half.unlink()
        log.parent.mkdir()
        first = lucky.process

        assert look_after(servers, children, public_url="http://here", tick=0) == ""
        assert lucky.process is first
        assert unlucky.process
        assert state.servers() == {
            "owner": os.getpid(),
            "public_url": "http://here",
            "unlucky": unlucky.process.pid,
            "lucky": first.pid,
        }
    finally:
        for child in children:
            if child.process:
                processes.stop_child(child.process, wait_s=5)


def test_describe_names_the_signal() -> None:
    assert describe(-9) == "killed by SIGKILL"
    assert describe(3) == "exit code 3"


@pytest.mark.parametrize(
    ("script", "code"), [("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 9)", 137)]
)
def test_call_returns_the_exit_code_as_a_shell_would(script: str, code: int) -> None:
    assert commands.call([sys.executable, "-c", script], dict(os.environ)) == code


def test_throwaway_state_is_gone_afterwards_and_clears_the_killed_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands.tempfile, "tempdir", str(tmp_path))
    killed = tmp_path / f"{commands.THROWAWAY_PREFIX}killed"
    killed.mkdir()
    (killed / "alive").touch()
    foreign = tmp_path / "other"
    foreign.mkdir()

    with commands.throwaway_state() as first, commands.throwaway_state() as second:
        assert not killed.exists()
        assert first.path.exists()
        assert second.path.exists()

    assert list(tmp_path.iterdir()) == [foreign]


def test_manage_runs_with_the_servers_of_the_state_and_ends_them(state: State) -> None:
    if not (ROOT / "backend" / "settings.py").exists():
        pytest.fail("backend/settings.py is missing")
    script = "from django.db import connection as c; k = c.cursor(); k.execute('SELECT current_user'); print(k.fetchone())"
    env = {
        name: value
        for name, value in os.environ.items()
        if name not in ("DATABASE_URL", "REDIS_URL", "ENVIRONMENT")
    }
    started = time.monotonic()

    done = subprocess.run(
        [sys.executable, str(ROOT / "run.py"), "manage", "shell", "-c", script, "--state", str(state.path)],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "('karibu',)"
    assert list(processes.marked(state.marker)) == []
    assert state.servers() == {}
    assert time.monotonic() - started < 30


def test_serve_arguments_take_a_bounded_number_of_workers() -> None:
    assert cli.serve_arguments([]).workers == 1
    assert cli.serve_arguments(["--workers", "3"]).workers == 3
    for refused in ("0", "6", "two"):
        with pytest.raises(SystemExit):
            cli.serve_arguments(["--workers", refused])


def test_listen_shares_a_port_only_with_those_who_share() -> None:
    with web.listen("127.0.0.1", 0, shared=True) as first:
        port = first.getsockname()[1]
        with web.listen("127.0.0.1", port, shared=True) as second:
            assert second.getsockname()[1] == port
        with pytest.raises(OSError, match="Address already in use"):
            web.listen("127.0.0.1", port, shared=False)


def test_web_processes_share_one_port(state: State) -> None:
    port = processes.free_port()
    with Servers(state, throwaway=True) as servers:
        env = environment(state, servers.urls())
        env[processes.MARKER] = state.marker
        children = web_processes("127.0.0.1", port, 2, env, state.logs)
        for child in children:
            child.tend(time.monotonic())
        try:
            answered = _both_answer(port, children)
            first, second = (child.process for child in children)
            assert first
            assert second
            first.kill()
            first.wait()

            left = [_status(port) for _ in range(10)]
        finally:
            for child in children:
                if child.process:
                    processes.stop_child(child.process)

    assert [child.name for child in children] == ["web server", "web server2"]
    assert answered == {child.process.pid for child in children if child.process}
    assert left == [200] * 10


def _status(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/health/live")
        return connection.getresponse().status
    finally:
        connection.close()


def _both_answer(port: int, children: list[Child]) -> set[int]:
    """The ids of the processes that listen on the port, once all of ``children`` do."""
    found: set[int] = set()
    deadline = time.monotonic() + 60
    while len(found) < len(children) and time.monotonic() < deadline:
        time.sleep(0.2)
        for child in children:
            assert child.process
            assert child.process.poll() is None, child.log.read_text()
            sockets = psutil.Process(child.process.pid).net_connections()
            if any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in sockets):
                found.add(child.process.pid)
    assert {_status(port) for _ in range(10)} == {200}
    return found
