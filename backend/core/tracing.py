"""The trace that a request belongs to (https://www.w3.org/TR/trace-context/): into logs, jobs and calls to providers.

A trace begins in front of us, at a proxy that is trusted; where none begins one, there is none, and the id of the request
does. We keep no spans: our logs and our calls name the trace, so that whoever keeps spans finds them.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import structlog

HEADER = "traceparent"

_FORM = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_VERSION_0 = 55
"""How long the header is in the version that is known; later ones may be longer."""


@dataclass(frozen=True, slots=True)
class Trace:
    """The number of a trace (32 hexadecimal digits), and whether whoever began it keeps it."""

    number: str
    is_kept: bool


_current: ContextVar[Trace | None] = ContextVar("trace", default=None)


def read(header: str) -> Trace | None:
    """The trace that a header names; None for what is none, so that nothing else gets into logs."""
    found = _FORM.fullmatch(header) if len(header) < 256 else None
    if found is None or header.startswith("ff") or (header.startswith("00") and len(header) != _VERSION_0):
        return None
    number, parent, flags, _rest = found.groups()
    if not number.strip("0") or not parent.strip("0"):
        return None
    return Trace(number, bool(int(flags, 16) & 1))


def written() -> str:
    """The header for a call that belongs to the current trace, with a new number for the call; "" without a trace."""
    trace = _current.get()
    return (
        "" if trace is None else f"00-{trace.number}-{secrets.token_hex(8)}-{'01' if trace.is_kept else '00'}"
    )


def headers() -> dict[str, str]:
    """``written`` as headers of a call; none without a trace."""
    value = written()
    return {HEADER: value} if value else {}


@contextmanager
def within(trace: Trace | None) -> Iterator[None]:
    """Let what happens inside belong to ``trace``, or to none."""
    token = _current.set(trace)
    try:
        if trace is None:
            yield
        else:
            with structlog.contextvars.bound_contextvars(trace_id=trace.number):
                yield
    finally:
        _current.reset(token)
