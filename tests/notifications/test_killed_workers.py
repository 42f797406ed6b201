"""Each notice once, although the workers that send them are killed again and again, wherever they are.

Between handing over and noting it lies a moment in which nobody can know. A mail goes out again then, under the same
Message-ID, by which its reader's program knows it. A short message does not: it is ``unknown``.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from backend.accounts.models import User
from backend.jobs import stalled
from backend.notifications import services as notifications
from backend.notifications.models import Delivery, LiveEvent, Notification
from tests.conftest import ROOT, _environment, _free_port
from tests.factories import make_user
from tests.notifications.carrier import Carrier, Handler
from tests.notifications.letters import read

pytestmark = pytest.mark.usefixtures("db")

PEOPLE = 50
DEATHS = [
    *("before the mail is taken", "after the mail is taken", "while the SMS is on its way", "at any time"),
] * 3


@dataclass
class Doom:
    """Where the present worker dies, at the n-th time that it comes there. Servers call ``pass_by``."""

    pid: int = 0
    place: str = ""
    left: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    struck: threading.Event = field(default_factory=threading.Event)
    met: threading.Event = field(default_factory=threading.Event)
    """Somebody has come by since."""

    def at(self, pid: int, place: str, nth: int) -> None:
        with self.lock:
            if pid:
                self.struck.clear()
                self.met.clear()
            self.pid, self.place, self.left = pid, place, nth

    def pass_by(self, place: str) -> None:
        with self.lock:
            self.met.set()
            if place != self.place or not self.pid:
                return
            self.left -= 1
            if self.left <= 0:
                os.kill(self.pid, signal.SIGKILL)
                self.pid = 0
                self.struck.set()


class Postbox:
    """A mail server that keeps what it took, and sees workers die."""

    def __init__(self, doom: Doom) -> None:
        self.doom = doom
        self.mails: list[tuple[str, str]] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.doom.pass_by("before the mail is taken")
        if self.doom.struck.is_set() and self.doom.place == "before the mail is taken":
            return "451 you are dead"
        mail = read(bytes(envelope.content or b""))
        self.mails.append((str(mail["Message-ID"]), envelope.rcpt_tos[0]))
        self.doom.pass_by("after the mail is taken")
        return "250 OK"


class MortalCarrier(Carrier):
    """A carrier that keeps what it took, and sees workers die."""

    doom: Doom

    @property
    def texts(self) -> list[str]:
        return [form["To"] for _path, form, _headers in self.asked]


class _Watching(Handler):
    server: MortalCarrier

    def do_POST(self) -> None:
        super().do_POST()

    def send_response(self, code: int, message: str | None = None) -> None:
        self.server.doom.pass_by("while the SMS is on its way")
        super().send_response(code, message)


@contextmanager
def servers(doom: Doom) -> Iterator[tuple[Postbox, int, MortalCarrier]]:
    box, port = Postbox(doom), _free_port()
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    carrier = MortalCarrier()
    carrier.RequestHandlerClass = _Watching
    carrier.doom, carrier.answer = doom, (201, b'{"sid": ""}')
    thread = threading.Thread(target=carrier.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield box, port, carrier
    finally:
        carrier.shutdown()
        thread.join()
        carrier.server_close()
        controller.stop()


@contextmanager
def workers(tmp_path: Path, environment: dict[str, str]) -> Iterator[Callable[[], int]]:
    """Fork workers: each call starts one and answers its process id."""
    with (tmp_path / "workers.log").open("wb") as log:
        nursery = subprocess.Popen(
            [sys.executable, "-m", "tests.notifications.mortal_workers"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
        assert nursery.stdin is not None
        assert nursery.stdout is not None
        alive: list[int] = []

        def fork() -> int:
            nursery.stdin.write(b"\n")  # type: ignore[union-attr]
            nursery.stdin.flush()  # type: ignore[union-attr]
            alive.append(int(nursery.stdout.readline()))  # type: ignore[union-attr]
            return alive[-1]

        try:
            yield fork
        finally:
            if alive and _lives(alive[-1]):
                os.kill(alive[-1], signal.SIGKILL)
            nursery.stdin.close()
            nursery.wait(30)
            nursery.stdout.close()


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _take_over() -> None:
    """What the workers do each minute, at once: nobody else is alive."""
    stalled.take_over(silent_s=0)


def test_each_notice_arrives_once_although_workers_are_killed(tmp_path: Path) -> None:
    chance, doom, now = random.Random(7), Doom(), timezone.now()
    people = [make_user() for _ in range(PEOPLE)]
    for number, user in enumerate(people):
        user.profile.phone, user.profile.phone_verified_at = f"+2547123456{number:02}", now
        user.profile.save()
    # The second time is that of a request that is repeated.
    told = [_tell(user, now) for _time in range(2) for user in people]
    deaths: Counter[str] = Counter()

    with servers(doom) as (box, port, carrier):
        environment = {
            **_environment(port, tmp_path),
            "EMAIL_URL": f"smtp://127.0.0.1:{port}",
            "SMS_URL": f"twilio://me:secret@127.0.0.1:{carrier.server_port}?from=+1500&insecure=1",
        }
        with workers(tmp_path, environment) as fork:
            for place in chance.sample(DEATHS, len(DEATHS)):
                if not _left():
                    break
                pid = fork()
                doom.at(pid, place, chance.randint(1, 3))
                if place == "at any time":
                    doom.met.wait(10)
                    time.sleep(chance.uniform(0, 0.2))
                while not doom.struck.wait(0.1) and place != "at any time" and _left():
                    pass
                doom.at(0, "", 0)
                if not doom.struck.is_set():
                    os.kill(pid, signal.SIGKILL)
                deaths[place] += 1
                _take_over()
            fork()
            deadline = time.monotonic() + 90
            while _left() and time.monotonic() < deadline:
                time.sleep(0.2)

    assert told == [True] * PEOPLE + [False] * PEOPLE
    assert (Notification.objects.count(), LiveEvent.objects.count()) == (PEOPLE, PEOPLE)
    mails = _states("email")
    texts = _states("sms")
    log = (tmp_path / "workers.log").read_text()[-3000:]
    assert set(mails.values()) == {"sent"}, log
    assert set(texts.values()) <= {"sent", "unknown"}, log
    # Every mail has come to its own reader, and what came twice is the same mail: one for each worker that died there.
    assert {pk: to for message, to in box.mails for pk in [_number(message)]} == {
        row.pk: row.notification.user.email for row in _rows("email")
    }
    times = Counter(message for message, _to in box.mails)
    again = sum(count - 1 for count in times.values())
    assert deaths["after the mail is taken"] <= again
    assert 0 < again <= len(DEATHS)
    # No short message has come twice; those that nobody knows of are no more than workers that died.
    assert max(Counter(carrier.texts).values()) == 1
    sent = {row.notification.user.profile.phone for row in _rows("sms") if row.state == "sent"}
    assert sent <= set(carrier.texts)
    unknown = [pk for pk, state in texts.items() if state == "unknown"]
    assert 0 < len(unknown) <= 2 * len(DEATHS)
    assert len(set(carrier.texts)) + len(unknown) >= PEOPLE


def _tell(user: User, now: datetime) -> bool:
    told = notifications.notify(user=user, kind="booking.confirmed", object_key="booking:1", now=now)
    return told is not None


def _left() -> bool:
    """Whether a delivery waits, or a job that has not ended."""
    jobs = ProcrastinateJob.objects.filter(task_name__startswith="notifications.deliver_")
    return (
        Delivery.objects.filter(state__in=["queued", "sending"]).exists()
        or jobs.exclude(status="succeeded").exists()
    )


def _rows(channel: str) -> list[Any]:
    return list(Delivery.objects.filter(channel=channel).select_related("notification__user__profile"))


def _states(channel: str) -> dict[int, str]:
    return dict(Delivery.objects.filter(channel=channel).values_list("pk", "state"))


def _number(message_id: str) -> int:
    return int(message_id.partition("delivery-")[2].partition("@")[0])
