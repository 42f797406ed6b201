"""``run.py serve``: the servers, the web and the job worker of one state, watched until told to end."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType

import psycopg

from backend.local import processes, world
from backend.local.errors import LocalError
from backend.local.postgres import Postgres
from backend.local.servers import Servers, end_leftovers, environment
from backend.local.state import ROOT, State, say
from backend.local.valkey import Valkey

WEB = (sys.executable, "-m", "backend.local.web")
WORKER = (sys.executable, str(ROOT / "manage.py"), "procrastinate", "worker")

GIVE_UP_AFTER = 3
LONGEST_PAUSE_S = 30.0
# A process that ran this long was well: its next death is the first again.
WELL_AFTER_S = 60.0
LOG_LIMIT = 20 * 2**20
WORKER_WAITS_S = 3.0


class Ended(BaseException):
    """Somebody asked us to end, by a signal. Not an Exception, so that nothing on the way swallows it."""


@dataclass
class Child:
    """A process that is started again when it ends."""

    name: str
    command: tuple[str, ...]
    env: dict[str, str]
    log: Path
    death_signal: int = signal.SIGTERM
    process: subprocess.Popen[bytes] | None = None
    deaths: int = 0
    started_at: float = 0.0
    retry_at: float = 0.0

    def tend(self, now: float) -> None:
        """Start it, or start it again after a pause that grows with each death; ``now`` is a monotonic second."""
        if self.process is not None and self.process.poll() is None:
            return
        if self.process is not None:
            self.deaths = 1 if now - self.started_at > WELL_AFTER_S else self.deaths + 1
            pause = min(2.0 ** (self.deaths - 1), LONGEST_PAUSE_S)
            say(
                f"The {self.name} ended ({describe(self.process.returncode)}); starting it again in {pause:.0f} s."
            )
            self.process, self.retry_at = None, now + pause
        if now >= self.retry_at:
            self.started_at = now
            self.process = processes.start(
                self.command, env=self.env, log=self.log, cwd=ROOT, death_signal=self.death_signal
            )


def describe(code: int | None) -> str:
    """How a process ended, in words."""
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"


def serve(state: State, *, host: str, port: int, demo: bool, workers: int = 1) -> int:
    """Serve this state with ``workers`` web processes until a signal ends it; returns 0 then.

    Raises: LocalError when the state or the port is in use, or something does not come up.
    """
    started = time.monotonic()
    # A signal may arrive between any two lines: it becomes an exception, and the sweep at the end finds the rest.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    wait_s = 10.0 if "manage" in state.lock_owner("servers") else 0.0
    try:
        with state.lock(
            "servers", wait_s=wait_s, who=f"run.py serve --port {port} (process {os.getpid()})"
        ) as ours:
            if not ours:
                raise LocalError(
                    f"{state.path} is in use by {state.lock_owner('servers')}; choose another --state."
                )
            try:
                _serve(state, host=host, port=port, demo=demo, workers=workers, started=started)
            finally:
                for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                    signal.signal(number, signal.SIG_IGN)
                processes.stop(processes.marked(state.marker))
    except Ended:
        say("Karibu has ended.")
    return 0


def _end(number: int, frame: FrameType | None) -> None:
    for other in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(other, signal.SIG_IGN)
    raise Ended


def web_processes(host: str, port: int, workers: int, env: dict[str, str], logs: Path) -> list[Child]:
    """The web processes on one port, each with a log of its own."""
    command = (*WEB, "--host", host, "--port", str(port), *(["--shared"] if workers > 1 else []))
    return [
        Child(f"web server{number}", command, env, logs / f"web{number}.log")
        for number in ("", *range(2, workers + 1))
    ]


def _serve(state: State, *, host: str, port: int, demo: bool, workers: int, started: float) -> None:
    end_leftovers(state)
    processes.require_free_port(host, port)
    address = "127.0.0.1" if host in ("0.0.0.0", "") else host  # noqa: S104
    public_url = f"http://{f'[{address}]' if ':' in address else address}:{port}"
    say("Starting PostgreSQL and Valkey …")
    with Servers(state) as servers:
        env = environment(state, servers.urls(), public_url=public_url)
        if not os.environ.get("ALLOWED_HOSTS") and host not in ("127.0.0.1", "localhost", "::1"):
            # Who opens the door to the network reaches it by names that we do not know.
            env["ALLOWED_HOSTS"] = "*"
        env[processes.MARKER] = state.marker
        if workers > 1 and not env.get("REDIS_URL"):
            raise LocalError(
                "Several web processes need a Valkey in common, and there is none: say --workers 1."
            )
        accounts = world.prepare(state, env, demo=demo)
        # If we are killed, our PostgreSQL ends with us, and a worker told to finish its jobs would wait for it for ever.
        worker_signal = signal.SIGKILL if servers.postgres else signal.SIGTERM
        children = [
            *web_processes(host, port, workers, env, state.logs),
            Child("job worker", WORKER, env, state.logs / "worker.log", worker_signal),
        ]
        # All load the same code; on few cores the first web, which a person waits for, is ready sooner alone.
        for child in children[1:]:
            child.retry_at = time.monotonic() + WORKER_WAITS_S
        try:
            _watch(
                servers, children, address, port, public_url=public_url, accounts=accounts, started=started
            )
        finally:
            for child in children:
                if child.process and child.process.poll() is None:
                    child.process.terminate()
            for child in children:
                if child.process:
                    processes.stop_child(child.process, wait_s=12)


def _watch(
    servers: Servers,
    children: list[Child],
    address: str,
    port: int,
    *,
    public_url: str,
    accounts: str,
    started: float,
) -> None:
    """Keep everything running, for ever; says once when it can be used."""
    web, ready, patience, tick, told = children[0], False, started + 60, 0, ""
    while True:
        trouble = look_after(servers, children, public_url=public_url, tick=tick)
        if trouble and trouble != told:
            say(trouble)
        told = trouble
        if not ready and answers(address, port):
            ready = True
            announce(servers.state, public_url, accounts=accounts, seconds=time.monotonic() - started)
        elif not ready and web.deaths >= GIVE_UP_AFTER:
            raise LocalError(
                f"The web server does not start; its last words in {web.log}:\n{processes.tail(web.log)}"
            )
        elif not ready and time.monotonic() > patience:
            patience += 60
            say(f"Not ready yet: {public_url}/health/ready does not say so; see {servers.state.logs}.")
        tick += 1
        time.sleep(0.2)


def look_after(servers: Servers, children: list[Child], *, public_url: str, tick: int) -> str:
    """Start what has ended, now and then write down what runs and cut logs; in words what could not be done.

    What fails, as on a disk without room, ends nothing that runs: the next look tries again.
    """
    steps: list[Callable[[], object]] = [partial(child.tend, time.monotonic()) for child in children]
    steps += [partial(_start_again, server) for server in servers.dead()]
    if tick % 10 == 0:
        steps.append(partial(_write_down, servers, children, public_url))
    if tick % 300 == 0:
        logs = (*servers.state.logs.glob("*.log"), servers.state.path / "postgres.log")
        steps += [partial(shorten, log) for log in logs]
    troubles = []
    for step in steps:
        try:
            step()
        except (LocalError, OSError, psycopg.Error) as error:
            troubles.append(str(error))
    return "\n".join(troubles)


def _start_again(server: Postgres | Valkey) -> None:
    say(f"{server.name} ended; starting it again …")
    try:
        server.start()
    except (LocalError, OSError, psycopg.Error):
        time.sleep(2)
        raise


def _write_down(servers: Servers, children: list[Child], public_url: str) -> None:
    pids = {child.name.split()[-1]: child.process.pid for child in children if child.process}
    servers.write_down(public_url=public_url, **pids)


def answers(address: str, port: int) -> bool:
    """Whether the web server says that it can be used."""
    connection = http.client.HTTPConnection(address, port, timeout=3)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def announce(state: State, public_url: str, *, accounts: str, seconds: float) -> None:
    """Say where to look, and who may sign in when the demo data is new."""
    is_production = os.environ.get("ENVIRONMENT") == "production"
    lines = [
        "",
        f"Karibu is ready ({seconds:.0f} s). Ctrl-C ends it.",
        f"  API documentation  {public_url}/api/docs",
        f"  Back office        {public_url}/admin/",
        *([] if is_production else [f"  Example front end  {public_url}/demo/"]),
        f"  Live events        {public_url.replace('http', 'ws', 1)}/ws/",
        f"  State and logs     {state.path}",
    ]
    print("\n".join([*lines, *(["", accounts] if accounts else [])]), flush=True)


def shorten(log: Path, limit: int = LOG_LIMIT) -> None:
    """Move a log aside that has grown over ``limit`` bytes.

    Its writers keep it open for appending, so it is copied and cut; lines written in between may be lost.
    """
    if log.exists() and log.stat().st_size > limit:
        shutil.copyfile(log, log.with_suffix(".log.1"))
        os.truncate(log, 0)
