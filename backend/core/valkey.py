"""Living without Valkey: who finds it dead tells the others of this process, and nobody asks for a while."""

from __future__ import annotations

import time

import structlog

log = structlog.get_logger(__name__)

BREAK_S = 5.0
"""How long Valkey is left alone after it failed to answer."""


class Breaker:
    """A circuit breaker: open for ``BREAK_S`` seconds after each failure."""

    def __init__(self) -> None:
        self._open_until = 0.0

    @property
    def closed(self) -> bool:
        """Whether asking makes sense."""
        return time.monotonic() >= self._open_until

    def broke(self, error: Exception) -> None:
        """Note a failure."""
        self._open_until = time.monotonic() + BREAK_S
        log.warning("valkey.away", error=type(error).__name__, pause_s=BREAK_S)

    def mend(self) -> None:
        """Forget the last failure."""
        self._open_until = 0.0


breaker = Breaker()
