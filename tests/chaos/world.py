"""The product as processes that die, seen from a test: its address, its deaths, its clock."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent.parent

PATIENCE_S = 120.0


class World:
    """What runs, and what became of it: ``steps`` counts who died where, ``ended`` every end by role and code."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, report: int, log: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.steps: Counter[str] = Counter()
        self.ended: Counter[tuple[str, int]] = Counter()
        self._process, self._log = process, log
        self._due: list[int] = []
        self._ready = threading.Event()
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, args=(report,), daemon=True)
        self._reader.start()

    @property
    def deaths(self) -> int:
        """How many processes were killed until now."""
        return sum(count for (_role, code), count in self.ended.items() if code < 0)

    def wait_until_ready(self) -> None:
        assert self._ready.wait(PATIENCE_S), self._log.read_text()[-3000:]

    def kill(self, role: str) -> None:
        """Kill the ``web`` process or the ``worker``, wherever it is; another one follows."""
        self._tell(do="kill", role=role)

    def calm(self) -> None:
        """From now on nobody dies and no webhook is lost."""
        self._tell(do="calm")

    def run_due(self, now: datetime) -> int:
        """Run every sweep with this clock in a process of its own; its exit code, below zero when it was killed."""
        with self._news:
            self._due.clear()
            self._tell(do="due", now=now.isoformat())
            assert self._news.wait_for(lambda: bool(self._due), PATIENCE_S), self._log.read_text()[-3000:]
            return self._due[0]

    def due(self, now: datetime, *, tries: int = 60) -> None:
        """As ``run_due``, again until one comes to its end."""
        codes = []
        for _try in range(tries):
            codes.append(self.run_due(now))
            if codes[-1] == 0:
                return
        raise AssertionError(f"no sweep came to its end: {codes}\n{self._log.read_text()[-5000:]}")

    def _tell(self, **command: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        self._process.stdin.flush()

    def _read(self, report: int) -> None:
        with os.fdopen(report, "rb") as lines:
            for line in lines:
                self._take(json.loads(line))

    def _take(self, event: dict[str, Any]) -> None:
        if event["event"] == "ready":
            self._ready.set()
        elif event["event"] == "step":
            self.steps[event["name"]] += 1
        elif event["event"] == "ended":
            with self._news:
                self.ended[event["role"], event["code"]] += 1
                if event["role"] == "due":
                    self._due.append(event["code"])
                self._news.notify_all()


@contextmanager
def mortal_world(
    environment: Mapping[str, str],
    *,
    port: int,
    folder: Path,
    seed: int,
    deaths: int,
    lost_webhooks: float = 0.3,
    fresh_keys: bool = False,
) -> Iterator[World]:
    """The product on ``port`` with these settings; ``deaths`` of its processes die at steps of their own."""
    read, write = os.pipe()
    log = folder / "nursery.log"
    command = [
        *(sys.executable, "-m", "tests.chaos.nursery", "--port", str(port), "--report", str(write)),
        *("--seed", str(seed), "--deaths", str(deaths), "--lost-webhooks", str(lost_webhooks)),
        *(["--fresh-keys"] if fresh_keys else []),
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**environment, "DJANGO_SETTINGS_MODULE": "backend.settings"},
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[write],
        )
    os.close(write)
    world = World(process, port, read, log)
    try:
        world.wait_until_ready()
        yield world
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Rival:
    """Somebody with ``kill -9``, as long as the ``with`` lasts: the web process or the worker at any moment.

    Each time some more requests must have been answered, so that a slow machine gets on, too.
    """

    def __init__(
        self, world: World, answers: Callable[[], int], *, after: tuple[int, int], seed: int
    ) -> None:
        self.world, self.answers, self.after, self.chance = world, answers, after, random.Random(seed)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopped.set()
        self._thread.join(5)

    def _run(self) -> None:
        goal = self.chance.randint(*self.after)
        while not self._stopped.wait(self.chance.uniform(0.02, 0.2)):
            if self.answers() >= goal:
                self.world.kill(self.chance.choice(["web", "worker"]))
                goal = self.answers() + self.chance.randint(*self.after)


class Clockwork:
    """The sweeps one after the other with the real clock, as long as the ``with`` lasts: minutes go by in seconds."""

    def __init__(self, world: World, *, pause_s: float) -> None:
        self.world, self.pause_s = world, pause_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopped.set()
        self._thread.join(PATIENCE_S)

    def _run(self) -> None:
        while not self._stopped.wait(self.pause_s):
            self.world.run_due(datetime.now(UTC))
