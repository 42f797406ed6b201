"""The world outside is away: the payment provider, the mail server, the storage refuse, hang or answer nonsense."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from bench.faults.clients import Booked, Guest, settled
from bench.faults.pressure import GOES_ON
from bench.faults.trial import Fault
from tests.fakes.base import Plan
from tests.fakes.process import Remote, started
from tests.fakes.stripe_books import CONNECT_SECRET, KEY, SECRET

HTTP_500 = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
SMTP_421 = b"421 4.3.2 Service not available\r\n"

MANNERS = ("refuses", "hangs", "fails")


class Gate:
    """A door before a server, on a port that stays: open, or it refuses, hangs, or says that there is an error."""

    def __init__(self, port: int, error: bytes) -> None:
        self.manner, self._inner, self._error = "open", port, error
        self._listener: socket.socket | None = None
        self._lines: set[socket.socket] = set()
        self.port = 0
        self._open()

    def become(self, manner: str) -> None:
        """From now on be so; whoever is inside is cut off."""
        self.manner = manner
        if manner == "refuses":
            self._close()
        elif self._listener is None:
            self._open()
        for line in list(self._lines):
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def _open(self) -> None:
        listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self.port, self._listener = listener.getsockname()[1], listener
        threading.Thread(target=self._take, args=(listener,), daemon=True).start()

    def _close(self) -> None:
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None

    def close(self) -> None:
        self.become("refuses")

    def _take(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                line, _peer = listener.accept()
                self._lines.add(line)
                threading.Thread(target=self._serve, args=(line,), daemon=True).start()

    def _serve(self, line: socket.socket) -> None:
        try:
            with suppress(OSError), line:
                if self.manner == "open":
                    self._lead(line)
                elif self.manner == "fails":
                    if self._error is HTTP_500:
                        line.recv(65536)
                    line.sendall(self._error)
                    time.sleep(0.05)
                else:
                    while line.recv(65536):
                        pass
        finally:
            self._lines.discard(line)

    def _lead(self, line: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", self._inner)) as inner:
            back = threading.Thread(target=_copy, args=(inner, line), daemon=True)
            back.start()
            _copy(line, inner)
            back.join(60)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
    for line in (source, target):
        with suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)


@dataclass
class Postbox:
    """A mail server that counts each mail by its id."""

    ids: Counter[str] = field(default_factory=Counter)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        head = (
            bytes(envelope.content or b"").partition(b"\r\n\r\n")[0].decode("ascii", "replace").splitlines()
        )
        self.ids[next(line for line in head if line.lower().startswith("message-id:"))] += 1
        return "250 OK"


class Shelf(BaseHTTPRequestHandler):
    """As much of S3 as pictures need; it believes every signature."""

    protocol_version = "HTTP/1.1"
    kept: dict[str, tuple[bytes, str]] = {}

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.kept[self._name()] = (body, self.headers.get("Content-Type", "application/octet-stream"))
        self._say(200, b"", ETag='"1"')

    def do_GET(self) -> None:
        body, kind = self.kept.get(self._name(), (b"", ""))
        self._say(200 if kind else 404, body, **{"Content-Type": kind or "text/plain", "ETag": '"1"'})

    do_HEAD = do_GET

    def do_DELETE(self) -> None:
        self.kept.pop(self._name(), None)
        self._say(204, b"")

    def _name(self) -> str:
        return self.path.partition("?")[0]

    def _say(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        return


SETTLED = ("already_paid", "wrong_state")


@dataclass
class Outside:
    """The three with a gate before each, and the settings that lead there."""

    bank: Remote
    post: Postbox
    gates: dict[str, Gate]

    @property
    def environment(self) -> dict[str, str]:
        return {
            "STRIPE_SECRET_KEY": KEY,
            "STRIPE_WEBHOOK_SECRET": f"{SECRET},{CONNECT_SECRET}",
            "STRIPE_API_BASE": f"http://127.0.0.1:{self.gates['provider'].port}",
            "EMAIL_URL": f"smtp://127.0.0.1:{self.gates['mail'].port}",
            "STORAGE_BUCKET": "pictures",
            "STORAGE_ACCESS_KEY": "key",
            "STORAGE_SECRET_KEY": "secret",
            "STORAGE_REGION": "eu-west-1",
            "S3_ENDPOINT_URL": f"http://127.0.0.1:{self.gates['storage'].port}",
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
            "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
            "ALLOW_LOOPBACK_FETCH": "1",
        }

    def listen_at(self, url: str) -> None:
        """Send the provider's webhooks there."""
        self.bank.webhooks(f"{url}/api/webhooks/stripe/", Plan(late_s=0.2))

    def pay(self, guest: Guest, booked: Booked) -> None:
        """Get an intent as soon as there is one to be had, confirm it with a card, and wait for the outcome."""
        deadline = time.monotonic() + guest.line.patience_s
        while time.monotonic() < deadline:
            answer = guest.insist("pay", "POST", f"/api/bookings/{booked.id}/pay/", {"provider": "stripe"})
            if answer.status_code == 409 and answer.json()["code"] in SETTLED:
                break
            if not guest.expects("pay", answer, 200, 202, 409):
                return
            secret = answer.json().get("client_secret")
            if secret:
                self.bank.act("confirm", str(secret).split("_secret_")[0], "ok")
                break
            time.sleep(0.5)
        settled(guest, booked)

    def moved(self) -> list[tuple[str, str, int]]:
        """The money that really moved: key, kind, minor units."""
        return [
            (each.key, each.kind, each.amount_minor)
            for each in self.bank.movements()
            if each.kind in ("charge", "refund")
        ]

    def mailed_twice(self) -> list[str]:
        """Mails that came more than once."""
        return [f"{name} came {count} times" for name, count in self.post.ids.items() if count > 1]


@contextmanager
def outside() -> Iterator[Outside]:
    """A pretend Stripe, a mail server and a storage, each behind its gate."""
    post = Postbox()
    mail = Controller(post, hostname="127.0.0.1", port=_free_port())
    shelf = ThreadingHTTPServer(("127.0.0.1", 0), Shelf)
    shelf.daemon_threads = True
    threading.Thread(target=shelf.serve_forever, daemon=True).start()
    mail.start()
    with ExitStack() as stack:
        stack.callback(shelf.shutdown)
        stack.callback(mail.stop)
        bank = stack.enter_context(started("tests.fakes.stripe"))
        gates = {
            "provider": Gate(int(bank.url.rpartition(":")[2]), HTTP_500),
            "mail": Gate(mail.port, SMTP_421),
            "storage": Gate(shelf.server_address[1], HTTP_500),
        }
        for gate in gates.values():
            stack.callback(gate.close)
        yield Outside(bank, post, gates)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def absences(made: Outside) -> list[Fault]:
    """Each of the three, in each manner."""
    return [absence(made, name, manner) for name in NEEDED for manner in MANNERS]


NEEDED = {
    "provider": tuple(verb for verb in GOES_ON if verb != "pay"),
    "mail": GOES_ON,
    "storage": GOES_ON,
}
"""Who is outside, and what goes on without them."""

NAMES = [f"{name} {manner}" for name in NEEDED for manner in MANNERS]


def absence(made: Outside, name: str, manner: str) -> Fault:
    """One of them is away in one manner."""

    @contextmanager
    def trouble(_place: Any) -> Iterator[None]:
        made.gates[name].become(manner)
        try:
            yield
        finally:
            made.gates[name].become("open")

    return Fault(f"{name} {manner}", trouble, unharmed=NEEDED[name])
