"""Processes that die: killed at a chosen step on money's way, the n-th time they come there.

Nothing of this is in the product: the steps are its own functions, wrapped here before a process begins to serve.
"""

from __future__ import annotations

import json
import os
import random
import signal
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import wraps
from typing import Any


@dataclass(frozen=True, slots=True)
class Step:
    """A place to die at: before or after a function that is found as ``owner.name`` when it is called."""

    name: str
    owner: str
    function: str
    dies: str = "after"


WEB_STEPS = [
    Step("booked", "backend.bookings.services", "create"),
    Step("canceled", "backend.bookings.services", "cancel"),
    Step("intended", "backend.bookings.payment", "_start"),
    Step("answered", "backend.core.idempotency", "finish", "before"),
    Step("event_kept", "backend.payments.inbox", "receive"),
]
"""What only web processes come by: an intent is written and not sent, an answer is ready and not given."""

MONEY_STEPS = [
    Step("leased", "backend.payments.sending", "lease"),
    Step("asking", "backend.payments.providers.base:Provider", "carry_out", "before"),
    Step("carried_out", "backend.payments.providers.base:Provider", "carry_out"),
    Step("heard", "backend.payments.sending", "send"),
    Step("recording", "backend.payments.services", "record"),
    Step("recorded", "backend.bookings.settlement", "_record"),
]
"""What every sender comes by, from the lease to the commit. At ``recording`` the transaction is open and is lost."""

WORKER_STEPS = [Step("event_applied", "backend.payments.inbox", "mark", "before")]


@dataclass(frozen=True, slots=True)
class Doom:
    """Where a process dies, and at which time that it comes there."""

    step: Step
    nth: int


def die_at(doom: Doom, report: int) -> None:
    """Let this process kill itself at ``doom``; it says where on the pipe ``report`` first."""
    passed = 0

    def pass_by() -> None:
        nonlocal passed
        passed += 1
        if passed >= doom.nth:
            os.write(report, json.dumps({"event": "step", "name": doom.step.name}).encode() + b"\n")
            os.kill(os.getpid(), signal.SIGKILL)

    def dying(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if doom.step.dies == "before":
                pass_by()
            result = function(*args, **kwargs)
            if doom.step.dies == "after":
                pass_by()
            return result

        return wrapped

    _patch(doom.step.owner, doom.step.function, dying)


def hurry() -> None:
    """Let leases run out in seconds, so that what the dead have left is taken over within a test."""
    from backend.core import idempotency
    from backend.jobs import stalled
    from backend.notifications import deliveries
    from backend.payments import recording, sending
    from backend.payments.providers import stripe, wire

    sending.LEASE = idempotency.LEASE = deliveries.LEASE = timedelta(seconds=4)
    recording.PATIENCE = timedelta(seconds=4)
    stripe.TOTAL_S = wire.TOTAL_S = 2.0
    stalled.take_over.__kwdefaults__["silent_s"] = 6


def compare_by_the_real_clock() -> None:
    """A provider in another process lives now, however far ahead the clock of a sweep is set."""
    from django.utils import timezone

    for module, function in (
        ("backend.payments.reconciliation", "reconcile"),
        ("backend.bookings.disputing", "catch_up"),
    ):
        _patch(module, function, lambda asks: lambda *, now: asks(now=min(now, timezone.now())))


def forget_keys() -> None:
    """The control: a key of its own for every call, as an SDK makes it that is not told otherwise."""
    _patch(
        "backend.payments.sending",
        "_order",
        lambda order: lambda *args, **kwargs: replace(order(*args, **kwargs), key=str(uuid.uuid4())),
    )


def lose_webhooks(share: float, seed: int) -> None:
    """Drop this share of the webhooks that the sandbox sends; other providers' fakes lose their own."""
    chance = random.Random(seed)

    def losing(receive: Callable[..., bool]) -> Callable[..., bool]:
        @wraps(receive)
        def wrapped(*, provider: str, **given: Any) -> bool:
            if provider == "sandbox" and chance.random() < share:
                return False
            return receive(provider=provider, **given)

        return wrapped

    _patch("backend.payments.inbox", "receive", losing)


def _patch(owner: str, name: str, change: Callable[[Any], Any]) -> None:
    from importlib import import_module

    module, _, attribute = owner.partition(":")
    found: Any = import_module(module)
    if attribute:
        found = getattr(found, attribute)
    setattr(found, name, change(getattr(found, name)))
