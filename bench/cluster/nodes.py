"""Processes of a cluster, and who starts them again when they end, as an orchestrator does on many machines."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import psutil

from backend.local import processes
from backend.local.errors import LocalError
from backend.local.state import ROOT

RESTART_S = 1.0
"""How long an orchestrator waits before it starts again what has ended."""

START_S = 60.0


class Part(Protocol):
    """What a keeper tends."""

    name: str

    @property
    def is_running(self) -> bool:
        """Whether its process is there."""

    def start(self) -> None:
        """Start it and wait until it answers. Raises: LocalError."""

    def kill(self) -> None:
        """``kill -9`` it, with all that it has started."""

    def stop(self) -> None:
        """End it in order."""


class Node:
    """One process with a port of its own; none (0) for a worker. ``answers`` says whether it can be used."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        env: dict[str, str],
        log: Path,
        port: int = 0,
        answers: Callable[[], bool] | None = None,
        user: tuple[int, int] | None = None,
        number: int = signal.SIGTERM,
        drain_s: float = 20.0,
    ) -> None:
        self.name, self.command, self.env, self.log, self.port = name, command, env, log, port
        self.process: subprocess.Popen[bytes] | None = None
        self._answers = answers or (lambda: port == 0 or listens(port))
        self._user, self._number, self._drain_s = user, number, drain_s

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        # A port may be held for a moment by what a killed process had open.
        for _ in range(10):
            self.process = processes.start(
                self.command, env=self.env, log=self.log, cwd=ROOT, user=self._user
            )
            if processes.came_up(self.process, self._answers, seconds=START_S):
                return
            if self.process.poll() is None:
                break
            time.sleep(0.3)
        self.stop()
        raise LocalError(f"{self.name} did not come up:\n{processes.tail(self.log)}")

    def kill(self) -> None:
        if self.process is not None:
            # Each node is a session of its own: its children are in its group.
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def stop(self) -> None:
        if self.is_running:
            self.drain()

    def drain(self) -> int:
        """Ask it to end and wait until it has done what it had begun; its exit code. Killed, where it does not."""
        assert self.process is not None
        self.process.send_signal(self._number)
        try:
            return self.process.wait(self._drain_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return -signal.SIGKILL

    def pids(self) -> list[int]:
        """Its process and its children's."""
        if self.process is None:
            return []
        try:
            children = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        return [self.process.pid, *(each.pid for each in children)]

    def cpu_s(self) -> float:
        """Seconds of processor time that it and its children have used."""
        spent = 0.0
        for pid in self.pids():
            with suppress(psutil.NoSuchProcess):
                times = psutil.Process(pid).cpu_times()
                spent += times.user + times.system
        return spent

    def pin(self, processors: set[int]) -> None:
        """Let it run on these processors alone, with its children and all their threads."""
        for pid in self.pids():
            with suppress(psutil.NoSuchProcess):
                for thread in psutil.Process(pid).threads():
                    with suppress(ProcessLookupError):
                        os.sched_setaffinity(thread.id, processors)


def quiet_port() -> int:
    """A free port that the kernel gives to no client: it must be ours again after a restart."""
    while True:
        port = random.randrange(20_000, 32_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def listens(port: int) -> bool:
    """Whether somebody takes connections there."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


class Keeper:
    """Starts what has ended again; a context manager. What is told to rest is left alone."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.failures: list[str] = []
        self._resting: set[Part] = set()
        self._lock = threading.RLock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Keeper:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopped.set()
        self._thread.join(START_S)
        for part in reversed(self.parts):
            part.stop()

    def add(self, *parts: Part) -> None:
        """Start these and tend them from now on. Raises: LocalError."""
        for part in parts:
            part.start()
            self.parts.append(part)

    def rest(self, part: Part) -> None:
        """Leave a part alone, whatever becomes of it."""
        with self._lock:
            self._resting.add(part)

    def tend(self, part: Part) -> None:
        """See to a part again."""
        with self._lock:
            self._resting.discard(part)

    def forget(self, part: Part) -> None:
        """It is gone for good."""
        with self._lock:
            self.parts.remove(part)
            self._resting.discard(part)

    def _run(self) -> None:
        while not self._stopped.wait(0.05):
            for part in [each for each in list(self.parts) if self._is_due(each)]:
                if self._stopped.wait(RESTART_S):
                    return
                with self._lock:
                    if not self._is_due(part):
                        continue
                    try:
                        part.start()
                    except LocalError as error:
                        self.failures.append(str(error))

    def _is_due(self, part: Part) -> bool:
        return part not in self._resting and not part.is_running
