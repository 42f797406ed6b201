"""What fakes are made of: calls and answers, the journal's lines, what goes wrong, how webhooks travel."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qsl


class Fault(StrEnum):
    """What goes wrong with one call. ``…_before``: nothing is done. ``…_after``: it is done, but not heard of."""

    NONE = "none"
    TIMEOUT_BEFORE = "timeout_before"
    TIMEOUT_AFTER = "timeout_after"
    RESET_BEFORE = "reset_before"
    RESET_AFTER = "reset_after"
    ERROR_BEFORE = "error_before"
    ERROR_AFTER = "error_after"
    """500 once; the same key gives the true answer afterwards."""
    ERROR_KEPT = "error_kept"
    """500 although it is done, and 500 again for the same key."""
    THROTTLED = "throttled"
    SLOW = "slow"
    GARBAGE = "garbage"
    """Done; the answer is no JSON."""


BEFORE = {Fault.TIMEOUT_BEFORE, Fault.RESET_BEFORE, Fault.ERROR_BEFORE, Fault.THROTTLED}


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it came. Header names are in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def line(self) -> str:
        return f"{self.method} {self.path}"

    def json(self) -> Any:
        return json.loads(self.body or b"{}")

    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; a body that is no bytes goes as JSON."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class Refused(Exception):
    """Raised by a handler: the answer is an error in the provider's own form."""

    def __init__(self, status: int, code: str, message: str = "", **more: Any) -> None:
        super().__init__(code)
        self.status, self.code, self.message, self.more = status, code, message, more


@dataclass(frozen=True, slots=True)
class Request:
    """A line of the journal. ``status`` is what the provider decided, 0 when it decided nothing, whatever was heard."""

    at: float
    line: str
    key: str
    body: str
    status: int
    fault: str
    replayed: bool


@dataclass(frozen=True, slots=True)
class Moved:
    """Money that the provider really moved. ``key`` is the caller's own key for it."""

    at: float
    kind: str
    key: str
    reference: str
    amount_minor: int
    currency: str
    parent: str = ""


@dataclass(frozen=True, slots=True)
class Webhook:
    """An event on its way. ``channel`` is the provider's endpoint (its secret); ``url`` wins over the fake's own."""

    id: str
    body: bytes
    channel: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """How webhooks travel when nobody delivers them by hand. Shares are between 0 and 1.

    Each waits up to ``late_s``, so that they overtake one another. One that is not answered by 2xx comes again.
    """

    seed: int = 0
    doubled: float = 0.0
    dropped: float = 0.0
    forged: float = 0.0
    late_s: float = 0.0
    tries: int = 5
    again_s: float = 0.3


class Faults:
    """Which call goes wrong: a script first, then chance."""

    def __init__(self) -> None:
        self._scripts: list[tuple[str, list[Fault]]] = []
        self._chances: list[tuple[str, dict[Fault, float]]] = []
        self._random = random.Random(0)
        self._lock = threading.Lock()

    def script(self, *faults: Fault, on: str = "") -> None:
        """The next calls whose ``METHOD /path`` holds ``on`` go so, one after the other; then all is well again."""
        with self._lock:
            self._scripts.append((on, [Fault(fault) for fault in faults]))

    def at_random(self, shares: Mapping[Any, float], *, seed: int, on: str = "POST ") -> None:
        """From now on each call that holds ``on`` goes wrong with these shares; the same seed gives the same luck."""
        with self._lock:
            self._random = random.Random(seed)
            self._chances.append((on, {Fault(fault): share for fault, share in shares.items()}))

    def clear(self) -> None:
        """All is well from now on."""
        with self._lock:
            self._scripts, self._chances = [], []

    def take(self, line: str) -> Fault:
        """What happens to this call."""
        with self._lock:
            for on, left in self._scripts:
                if on in line and left:
                    return left.pop(0)
            for on, shares in self._chances:
                if on in line:
                    luck = self._random.random()
                    for fault, share in shares.items():
                        luck -= share
                        if luck < 0:
                            return fault
        return Fault.NONE


Handler = Callable[..., Reply]


def on(method: str, path: str) -> Callable[[Handler], Handler]:
    """A method of a fake that answers ``path``; ``{name}`` in it is a keyword argument."""

    def mark(handler: Handler) -> Handler:
        handlers = [*getattr(handler, "answers", []), (method, path)]
        handler.answers = handlers  # type: ignore[attr-defined]
        return handler

    return mark


def act(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method by which a test plays the guest, the bank or the provider's staff; callable from another process."""
    method.is_act = True  # type: ignore[attr-defined]
    return method
