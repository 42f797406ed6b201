"""The outside world for tests: a pretend payment provider as a real HTTP server on loopback.

A subclass says what each address does (``@on("POST", "/v1/refunds")``), how it signs webhooks and what its errors look
like. This module gives it what every provider has: a journal of all requests and of all money that really moved, a memory
of idempotency keys, faults on call, and webhooks that come doubled, shuffled, late, forged or not at all.

In a test::

    with StripeFake() as fake:
        fake.faults.script(Fault.TIMEOUT_AFTER, on="POST /v1/transfers")
        ...
        assert fake.moved("transfer") == [(key, 10_000, "EUR")]

As a process of its own, which outlives the processes that a test kills::

    with process.started("tests.fakes.stripe", "--webhooks", url) as remote:
        remote.faults(random={"timeout_after": 0.2}, seed=7)
        remote.movements()
"""

from __future__ import annotations

import heapq
import json
import random
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

import httpx

from tests.fakes.door import CONTROL, Server, routes
from tests.fakes.parts import (
    BEFORE,
    Call,
    Fault,
    Faults,
    Moved,
    Plan,
    Refused,
    Reply,
    Request,
    Webhook,
    act,
    on,
)

__all__ = [
    "Call",
    "Fake",
    "Fault",
    "Faults",
    "Moved",
    "Plan",
    "Refused",
    "Reply",
    "Request",
    "Webhook",
    "act",
    "on",
]

KEY_REMEMBERED_S = 24 * 3600


class Fake:
    """A pretend provider. Handlers run one at a time, as if the provider locked everything."""

    name: ClassVar[str]

    def __init__(self, *, port: int = 0, webhooks: str = "", clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.webhooks = webhooks
        """Where events go. Empty: they stay in ``outbox``."""
        self.detour = ""
        """The server that is asked instead of the one that an event's own address names."""
        self.faults = Faults()
        self.patience_s = 30.0
        """How long a timeout lasts before the line is cut; longer than a caller waits."""
        self.slow_s = 0.2
        self.requests: list[Request] = []
        self.movements: list[Moved] = []
        self.outbox: list[Webhook] = []
        """What waits for ``deliver``."""
        self.sent: list[tuple[str, int]] = []
        """Every delivery tried: event id and status, 0 for no answer."""
        self.lock = threading.RLock()
        self._remembered: dict[str, tuple[float, tuple[str, str], Reply]] = {}
        self._plan: Plan | None = None
        self._chance = random.Random(0)
        self._travelling: list[tuple[float, int, Webhook, int, bool]] = []
        self._ticket = 0
        self._closing = threading.Event()
        self._news = threading.Condition()
        self._table = routes(type(self))
        self._server = Server(self, port)
        self.port = int(self._server.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._threads = [
            threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True),
            threading.Thread(target=self._travel, daemon=True),
        ]

    # What a subclass says.

    def key_of(self, call: Call) -> str:
        """The idempotency key of a request; empty when it has none."""
        return call.headers.get("idempotency-key", "")

    def params_of(self, call: Call) -> str:
        """What must be the same under the same key."""
        return call.body.decode()

    def error(self, refused: Refused) -> Reply:
        """An error as this provider words it."""
        return Reply({"error": refused.code, "message": refused.message, **refused.more}, refused.status)

    def reused(self, call: Call) -> Refused:
        """The answer to another order under a known key."""
        return Refused(400, "idempotency_key_reused")

    def replayed_headers(self) -> dict[str, str]:
        """Headers that tell an answer out of memory."""
        return {}

    def remembers(self, reply: Reply) -> bool:
        """Whether an answer is kept for its key."""
        return True

    def sign(self, webhook: Webhook, *, forged: bool = False) -> dict[str, str]:
        """The headers of a webhook sent now; ``forged`` signs with what is not the secret."""
        return {}

    # What a subclass uses.

    def now(self) -> int:
        """Seconds since 1970 on the fake's clock."""
        return int(self.clock())

    def move(
        self, kind: str, *, key: str, reference: str, amount_minor: int, currency: str, parent: str = ""
    ) -> None:
        """Enter money that has really moved."""
        self.movements.append(
            Moved(self.clock(), kind, key, reference, amount_minor, currency.upper(), parent)
        )

    def emit(self, event_id: str, body: Any, *, channel: str = "", url: str = "") -> None:
        """Let an event go out: it travels by the plan, or waits for ``deliver``."""
        encoded = body if isinstance(body, bytes) else json.dumps(body, separators=(",", ":")).encode()
        webhook = Webhook(event_id, encoded, channel, url)
        with self.lock:
            if self._plan is None:
                self.outbox.append(webhook)
                return
            plan, luck = self._plan, self._chance.random
            if luck() < plan.dropped:
                return
            copies = [False] + [False] * (luck() < plan.doubled) + [True] * (luck() < plan.forged)
            for is_forged in copies:
                self._send_in(luck() * plan.late_s, webhook, 1, is_forged)

    # What a test uses.

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.close()

    def start(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def close(self) -> None:
        self._closing.set()
        with self._news:
            self._news.notify_all()
        self._server.shutdown()
        self._server.server_close()
        for thread in self._threads:
            thread.join(5)

    def moved(self, *kinds: str) -> list[tuple[str, int, str]]:
        """(key, minor units, currency) of the money that was moved, of these kinds or of all, in order."""
        with self.lock:
            return [
                (each.key, each.amount_minor, each.currency)
                for each in self.movements
                if not kinds or each.kind in kinds
            ]

    def asked(self, line: str = "") -> list[Request]:
        """The journal's requests whose ``METHOD /path`` holds ``line``."""
        with self.lock:
            return [request for request in self.requests if line in request.line]

    @act
    def forget_keys(self) -> None:
        """As a day later: no key is remembered."""
        with self.lock:
            self._remembered.clear()

    @act
    def drop_webhooks(self) -> int:
        """Lose all that waits for ``deliver``; says how much it was."""
        with self.lock:
            lost, self.outbox = len(self.outbox), []
            return lost

    @act
    def deliver(
        self, *, doubled: bool = False, shuffled: bool = False, forged: bool = False, seed: int = 0
    ) -> list[int]:
        """Send all that waits, now and in this thread; the statuses of the answers, in the order sent."""
        with self.lock:
            going, self.outbox = self.outbox, []
        going = [each for each in going for _copy in range(2 if doubled else 1)]
        if shuffled:
            random.Random(seed).shuffle(going)
        return [self._post(each, forged) for each in going]

    def travel(self, plan: Plan | None) -> None:
        """From now on webhooks go by themselves (None: they wait again)."""
        with self.lock:
            self._plan = plan
            self._chance = random.Random(plan.seed if plan else 0)

    @act
    def settled(self) -> bool:
        """Whether no webhook is under way."""
        with self.lock, self._news:
            return not self._travelling

    # How it works.

    def respond(self, call: Call) -> tuple[Reply | None, Fault]:
        """Decide about a call: what is heard (None: nothing) and what goes wrong with it."""
        fault = self.faults.take(call.line)
        if fault in BEFORE:
            self._enter(call, 0, fault, False)
            if fault == Fault.ERROR_BEFORE:
                return self.error(Refused(500, "server_error")), fault
            if fault == Fault.THROTTLED:
                return replace(self.error(Refused(429, "rate_limit")), headers={"Retry-After": "1"}), fault
            return None, fault
        with self.lock:
            reply, replayed = self._decide(call, fault)
            self._enter(call, reply.status, fault, replayed)
        if fault in (Fault.TIMEOUT_AFTER, Fault.RESET_AFTER):
            return None, fault
        if fault in (Fault.ERROR_AFTER, Fault.ERROR_KEPT):
            return self.error(Refused(500, "server_error")), fault
        if fault == Fault.GARBAGE:
            return Reply(b"<html>Bad gateway</html>", reply.status), fault
        return reply, fault

    def wait(self, seconds: float) -> None:
        """Let a caller wait; not beyond the end of the fake."""
        self._closing.wait(seconds)

    def _decide(self, call: Call, fault: Fault) -> tuple[Reply, bool]:
        key = self.key_of(call)
        fingerprint = (call.line, self.params_of(call))
        known = self._remembered.get(key) if key else None
        if known is not None and self.clock() - known[0] < KEY_REMEMBERED_S:
            if known[1] != fingerprint:
                return self.error(self.reused(call)), True
            return replace(known[2], headers={**known[2].headers, **self.replayed_headers()}), True
        reply = self._handle(call)
        if key and self.remembers(reply):
            kept = self.error(Refused(500, "server_error")) if fault == Fault.ERROR_KEPT else reply
            # An answer is kept as it was, whatever becomes of its object later.
            self._remembered[key] = (self.clock(), fingerprint, replace(kept, body=kept.encoded()))
        return reply, False

    def _handle(self, call: Call) -> Reply:
        for method, pattern, handler in self._table:
            found = pattern.fullmatch(call.path)
            if method == call.method and found:
                try:
                    return handler(self, call, **found.groupdict())
                except Refused as refused:
                    return self.error(refused)
        return self.error(Refused(404, "not_found", f"{call.line} is not known here"))

    def _enter(self, call: Call, status: int, fault: Fault, replayed: bool) -> None:
        with self.lock:
            self.requests.append(
                Request(
                    at=self.clock(),
                    line=call.line,
                    key=self.key_of(call),
                    body=call.body.decode(errors="replace"),
                    status=status,
                    fault=fault.value,
                    replayed=replayed,
                )
            )

    def _post(self, webhook: Webhook, forged: bool) -> int:
        headers = {"Content-Type": "application/json", **self.sign(webhook, forged=forged)}
        try:
            answer = httpx.post(
                self._address(webhook),
                content=webhook.body,
                headers=headers,
                timeout=20,
                trust_env=False,
            )
            status = answer.status_code
        except httpx.HTTPError:
            status = 0
        with self.lock:
            self.sent.append((webhook.id, status))
        return status

    def _address(self, webhook: Webhook) -> str:
        if webhook.url and self.detour:
            return self.detour + urlsplit(webhook.url).path
        return webhook.url or self.webhooks

    def _send_in(self, wait_s: float, webhook: Webhook, attempt: int, forged: bool) -> None:
        with self._news:
            self._ticket += 1
            heapq.heappush(
                self._travelling, (time.monotonic() + wait_s, self._ticket, webhook, attempt, forged)
            )
            self._news.notify_all()

    def _travel(self) -> None:
        while not self._closing.is_set():
            with self._news:
                wait = self._travelling[0][0] - time.monotonic() if self._travelling else 60.0
                if wait > 0:
                    self._news.wait(min(wait, 60.0))
                    continue
                _at, ticket, webhook, attempt, forged = self._travelling[0]
            status = self._post(webhook, forged)
            with self._news:
                self._travelling = [each for each in self._travelling if each[1] != ticket]
                heapq.heapify(self._travelling)
            plan = self._plan or Plan()
            if not forged and not 200 <= status < 300 and attempt < plan.tries:
                self._send_in(plan.again_s * attempt, webhook, attempt + 1, False)

    def steer(self, call: Call) -> Reply:
        """A test in another process reads the journal or plays its part."""
        verb, given = call.path.removeprefix(CONTROL), call.json()
        with self.lock:
            if verb == "requests":
                return Reply([asdict(each) for each in self.requests])
            if verb == "movements":
                return Reply([asdict(each) for each in self.movements])
            if verb == "sent":
                return Reply(self.sent)
        if verb == "faults":
            if given.get("clear"):
                self.faults.clear()
            if given.get("script"):
                self.faults.script(*given["script"], on=given.get("on", ""))
            if given.get("random"):
                self.faults.at_random(given["random"], seed=given["seed"], on=given.get("on", "POST "))
            self.patience_s = given.get("patience_s", self.patience_s)
            return Reply(None)
        if verb == "webhooks":
            self.webhooks = given.get("url", self.webhooks)
            self.detour = given.get("detour", self.detour)
            self.travel(Plan(**given["plan"]) if given.get("plan") is not None else None)
            return Reply(None)
        method = getattr(self, verb, None)
        if not getattr(method, "is_act", False):
            return Reply({"error": f"{verb} is nothing to do here"}, 404)
        try:
            return Reply(method(*given.get("args", []), **given.get("kwargs", {})))
        except (LookupError, StopIteration, AssertionError) as error:
            return Reply({"error": f"{verb}: {error!r}"}, 409)
