"""``python -m tests.chaos.nursery``: one process that loads the product once and forks the others, as often as they die.

It reads commands as lines of JSON from its input and writes events as such to the descriptor ``--report``. A web process
and a worker are always there; ``due`` forks one more that runs every sweep with a given clock.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

WAKE_S = 0.02


@dataclass
class Child:
    """A process that was forked here."""

    role: str
    pid: int


@dataclass
class Nursery:
    """The processes, and how they are to die. ``deaths_left`` bounds how many are doomed to."""

    listener: socket.socket
    report: int
    seed: int
    fresh_keys: bool
    lost_webhooks: float
    deaths_left: int
    chance: random.Random = field(init=False)
    children: dict[int, Child] = field(default_factory=dict)
    turn: dict[str, int] = field(default_factory=dict)
    born: int = 0

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)

    def say(self, **event: Any) -> None:
        os.write(self.report, json.dumps(event).encode() + b"\n")

    def fork(self, role: str, work: Callable[[], int]) -> None:
        """A child that does ``work``, doomed while deaths are left."""
        from tests.chaos import mortal

        self.born += 1
        doom = self._doom(role)
        pid = os.fork()
        if pid:
            self.children[pid] = Child(role, pid)
            self.say(event="born", role=role, pid=pid)
            return
        try:
            os.setpgid(0, 0)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            random.seed()
            mortal.lose_webhooks(self.lost_webhooks, self.seed + self.born)
            if doom is not None:
                mortal.die_at(doom, self.report)
            code = work()
        except BaseException:
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        os._exit(code)

    def _doom(self, role: str) -> Any:
        """The next step in turn, so that every one is died at."""
        from tests.chaos.mortal import MONEY_STEPS, WEB_STEPS, WORKER_STEPS, Doom

        if self.deaths_left <= 0:
            return None
        steps = MONEY_STEPS + {"web": WEB_STEPS, "worker": WORKER_STEPS, "due": []}[role]
        turn = self.turn.get(role, self.chance.randrange(len(steps)))
        self.turn[role] = turn + 1
        return Doom(steps[turn % len(steps)], self.chance.randint(1, 3))

    def tend(self) -> None:
        """Note who has died, and fork again what must be there."""
        while self.children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            child = self.children.pop(pid)
            killed = os.WIFSIGNALED(status)
            self.deaths_left -= killed
            code = -os.WTERMSIG(status) if killed else os.WEXITSTATUS(status)
            self.say(event="ended", role=child.role, pid=pid, code=code)
        roles = {child.role for child in self.children.values()}
        if "web" not in roles:
            self.fork("web", self._serve)
        if "worker" not in roles:
            self.fork("worker", _work)

    def obey(self, command: dict[str, Any]) -> None:
        verb = command["do"]
        if verb == "due":
            self.fork("due", lambda: _run_due(command["now"]))
        elif verb == "kill":
            for child in list(self.children.values()):
                if child.role == command["role"]:
                    os.kill(child.pid, signal.SIGKILL)
        elif verb == "calm":
            # The doomed go with this; those who come after them live.
            self.deaths_left, self.lost_webhooks = 0, 0.0
            for child in list(self.children.values()):
                os.kill(child.pid, signal.SIGKILL)
        else:
            raise ValueError(verb)

    def _serve(self) -> int:
        import uvicorn

        config = uvicorn.Config(
            "backend.asgi:application",
            lifespan="auto",
            ws="none",
            proxy_headers=False,
            access_log=False,
            log_level="warning",
        )
        server = uvicorn.Server(config)
        server.run(sockets=[self.listener])
        return 0


def _work() -> int:
    from procrastinate.contrib.django import app

    with app.replace_connector(app.connector.get_worker_connector()) as ready:  # type: ignore[attr-defined]
        ready.run_worker(update_heartbeat_interval=1.0, fetch_job_polling_interval=1.0, concurrency=2)
    return 0


def _run_due(now: str) -> int:
    from django.core.management import call_command

    call_command("run_due", now=now)
    return 0


def main() -> NoReturn:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--report", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--deaths", type=int, default=0)
    parser.add_argument("--lost-webhooks", type=float, default=0.0)
    parser.add_argument("--fresh-keys", action="store_true")
    options = parser.parse_args()

    import backend.asgi
    import backend.wsgi
    from tests.chaos import mortal

    # Loads the product, once for all children.
    backend.wsgi.start()
    mortal.hurry()
    if any(os.environ.get(name) for name in ("STRIPE_SECRET_KEY", "PAYPAL_SECRET", "MPESA_CONSUMER_KEY")):
        mortal.compare_by_the_real_clock()
    if options.fresh_keys:
        mortal.forget_keys()
    nursery = Nursery(
        listener=socket.create_server(("127.0.0.1", options.port), backlog=1024),
        report=options.report,
        seed=options.seed,
        fresh_keys=options.fresh_keys,
        lost_webhooks=options.lost_webhooks,
        deaths_left=options.deaths,
    )
    nursery.listener.set_inheritable(True)
    nursery.say(event="ready")
    waiting = b""
    while True:
        nursery.tend()
        if select.select([sys.stdin], [], [], WAKE_S)[0]:
            read = os.read(sys.stdin.fileno(), 65536)
            if not read:
                break
            *lines, waiting = (waiting + read).split(b"\n")
            for line in lines:
                nursery.obey(json.loads(line))
    for pid in nursery.children:
        os.kill(pid, signal.SIGKILL)
    time.sleep(0.05)
    sys.exit(0)


if __name__ == "__main__":
    main()
