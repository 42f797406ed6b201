"""A fake as a process of its own, which outlives the processes that a test kills."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx

from tests.fakes.base import Fake, Moved, Plan, Request
from tests.fakes.door import CONTROL

ROOT = Path(__file__).resolve().parent.parent.parent


class Remote:
    """A fake in another process, as a test sees it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def _ask(self, verb: str, given: Any = None) -> Any:
        answer = httpx.post(f"{self.url}{CONTROL}{verb}", json=given or {}, timeout=30, trust_env=False)
        answer.raise_for_status()
        return answer.json()

    def requests(self) -> list[Request]:
        return [Request(**each) for each in self._ask("requests")]

    def movements(self) -> list[Moved]:
        return [Moved(**each) for each in self._ask("movements")]

    def faults(self, **given: Any) -> None:
        """``script=[…]``, ``random={fault: share}`` with ``seed``, ``on``, ``patience_s``, ``clear=True``."""
        self._ask("faults", given)

    def webhooks(self, url: str, plan: Plan | None = None, *, detour: str = "") -> None:
        """Where webhooks go, and that they go by themselves when there is a plan.

        ``detour`` is the server that hears those which name an address of their own.
        """
        given = {"url": url, "plan": None if plan is None else asdict(plan)}
        self._ask("webhooks", {**given, **({"detour": detour} if detour else {})})

    def act(self, verb: str, *args: Any, **kwargs: Any) -> Any:
        """Play the guest, the bank or the provider's staff."""
        return self._ask(verb, {"args": args, "kwargs": kwargs})


@contextmanager
def started(module: str, *options: str) -> Iterator[Remote]:
    """A fake as a process of its own on a free port: ``started("tests.fakes.stripe", "--webhooks", url)``."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, "--port", "0", *options], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url.startswith("http://"), f"{module} did not start"
        yield Remote(url)
    finally:
        process.terminate()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


def serve(fake: type[Fake], arguments: Sequence[str] | None = None) -> None:
    """Run a fake as this process: prints its address and ends with SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(description=fake.__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--webhooks", default="", help="where events go, at once")
    given = parser.parse_args(arguments)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with fake(port=given.port, webhooks=given.webhooks) as running:
        if given.webhooks:
            running.travel(Plan())
        sys.stdout.write(f"{running.url}\n")
        sys.stdout.flush()
        ended.wait()
