"""Whether this process is about to end: it still answers, and tells proxies to go elsewhere from now on."""

from __future__ import annotations

import threading

_begun = threading.Event()


def begin() -> None:
    """Readiness is refused from now on, and connections end with the answer that they carry."""
    _begun.set()


def has_begun() -> bool:
    """Whether the process was told to end."""
    return _begun.is_set()


def take_back() -> None:
    """Go on as if nothing had been said."""
    _begun.clear()
