"""``python3 -m bench.notices``: how fast people are told: notices queued, and mails handed over by one worker."""

from __future__ import annotations

import argparse
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psutil
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from backend.local import processes
from backend.local.state import ROOT
from backend.local.supervisor import WORKER
from bench.world import World, world

BARS = {"queued": 1_000.0, "mails": 50.0}
"""A second, at least."""

NOTICES = 10_000
BATCH = 500
"""How many are told in one operation, as a sweep over many people does it."""

WARM = 20
"""Mails that do not count: the worker loads its templates and languages with the first ones."""


@dataclass
class Postbox:
    """A mail server that notes when each mail came, and over how many connections."""

    came: list[float] = field(default_factory=list)
    ids: Counter[str] = field(default_factory=Counter)
    peers: set[Any] = field(default_factory=set)
    size: int = 0

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = bytes(envelope.content or b"")
        self.came.append(time.perf_counter())
        self.peers.add(session.peer)
        self.size += len(content)
        head = content.partition(b"\r\n\r\n")[0].decode("ascii", "replace").splitlines()
        self.ids[next(line for line in head if line.lower().startswith("message-id:"))] += 1
        return "250 OK"


def people(count: int) -> list[Any]:
    """Users with their profiles, who have chosen nothing."""
    from backend.accounts.models import Profile, User

    users = User.objects.bulk_create(
        [
            User(username=f"user_{n}", email=f"user_{n}@example.com", first_name=f"Name{n}")
            for n in range(count)
        ],
        batch_size=1_000,
    )
    Profile.objects.bulk_create([Profile(user=user) for user in users], batch_size=1_000)
    return users


def telling(user: Any, key: str) -> Any:
    """A confirmation, as a booking sends it."""
    from backend.notifications.services import Telling

    params = {
        **{"reference": "KB7Q2M9X", "listing": "Flat over the river", "guest": "Ana", "host": "Bo"},
        **{"check_in": "2027-05-03", "check_out": "2027-05-07", "guests": 2},
        **{"total": 40_000, "amount": 40_000, "currency": "EUR"},
    }
    return Telling(user, "booking.confirmed", key, params, {"property_id": 1}, "/bookings/1")


def queue(users: list[Any], *, batch: int, key: str) -> float:
    """Tell everybody, ``batch`` in an operation; how many a second."""
    from backend.notifications import services as notifications

    now = datetime.now(UTC)
    start = time.perf_counter()
    told = 0
    for first in range(0, len(users), batch):
        told += len(
            notifications.tell([telling(user, key) for user in users[first : first + batch]], now=now)
        )
    assert told == len(users)
    return told / (time.perf_counter() - start)


@contextmanager
def worker(made: World, port: int, concurrency: int) -> Iterator[subprocess.Popen[bytes]]:
    """A job worker as ``run.py serve`` starts it, whose mails go to the server at ``port``."""
    env = {**made.env, "EMAIL_URL": f"smtp://127.0.0.1:{port}"}
    command = [*WORKER, *(["--concurrency", str(concurrency)] if concurrency else [])]
    log = made.folder / "notices-worker.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=env, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def deliver(made: World, count: int, concurrency: int) -> tuple[Postbox, float]:
    """Let one worker hand ``count`` mails over; the mail server's journal, and the worker's processor time a mail in ms."""
    from backend.notifications.models import Delivery

    box, port = Postbox(), processes.free_port()
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        with worker(made, port, concurrency) as process:
            began = _after(box, WARM, process)
            spent = _cpu_s(process)
            _after(box, count, process)
            cpu_ms = (_cpu_s(process) - spent) * 1000 / (count - began)
            deadline = time.monotonic() + 60
            while Delivery.objects.exclude(state="sent").exists() and time.monotonic() < deadline:
                time.sleep(0.1)
    finally:
        controller.stop()
    return box, cpu_ms


def _after(box: Postbox, count: int, process: subprocess.Popen[bytes]) -> int:
    while len(box.came) < count:
        if process.poll() is not None:
            raise RuntimeError("the worker has ended")
        time.sleep(0.01)
    return len(box.came)


def _cpu_s(process: subprocess.Popen[bytes]) -> float:
    times = psutil.Process(process.pid).cpu_times()
    return times.user + times.system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--notices", type=int, default=NOTICES)
    parser.add_argument("--mails", type=int, default=2_000, help="how many of them are mailed while we look")
    parser.add_argument("--concurrency", type=int, default=0, help="jobs at once; 0: as the worker comes")
    options = parser.parse_args()
    with world() as made:
        from procrastinate.contrib.django.models import ProcrastinateJob

        from backend.notifications.models import Delivery

        users = people(options.notices)
        queue(users[:BATCH], batch=BATCH, key="warm")
        alone = queue(users[: min(1_000, len(users))], batch=1, key="alone")
        together = queue(users, batch=BATCH, key="together")
        # What is mailed while we look: the rest of the queue would only keep us waiting.
        kept = list(Delivery.objects.order_by("pk").values_list("pk", flat=True)[: options.mails])
        rows = Delivery.objects.exclude(pk__in=kept)
        jobs = ProcrastinateJob.objects.exclude(args__delivery_id__in=kept)
        rows.delete()
        _forget(jobs)
        box, cpu_ms = deliver(made, len(kept), options.concurrency)
        states = Counter(Delivery.objects.values_list("state", flat=True))
    seconds = box.came[-1] - box.came[WARM - 1]
    rate = (len(kept) - WARM) / seconds
    print(f"| {'notices':34} | a second | bar |")
    print("|---|---:|---:|")
    print(f"| queued, {BATCH} in an operation ({len(users):,}) | {together:,.0f} | {BARS['queued']:,.0f} |")
    print(f"| queued, an operation each | {alone:,.0f} | |")
    print(f"| mailed by one worker ({len(kept):,}) | {rate:,.0f} | {BARS['mails']:,.0f} |")
    print(
        f"\n{cpu_ms:.1f} ms of the worker's processor time a mail, {len(box.peers)} connections,"
        f" {box.size / len(kept) / 1024:.1f} KiB a mail; states {dict(states)},"
        f" {sum(box.ids.values()) - len(box.ids)} came twice"
    )
    missed = [name for name, value in (("queued", together), ("mails", rate)) if value < BARS[name]]
    print(f"missed: {', '.join(missed) or 'none'}")


def _forget(jobs: Any) -> None:
    """Drop jobs that nobody should do here; procrastinate's own models are read only."""
    from django.db import connection

    ids = list(jobs.values_list("pk", flat=True))
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_events WHERE job_id = ANY(%s)", [ids])
        cursor.execute("DELETE FROM procrastinate_jobs WHERE id = ANY(%s)", [ids])


if __name__ == "__main__":
    main()
