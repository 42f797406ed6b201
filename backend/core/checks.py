"""Invariants: statements that must be true of the whole database at any moment, each as a query."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Ask = Callable[[datetime, bool], list[dict[str, Any]]]
"""Answers the violations as column → value, at an instant (UTC); the flag asks for the whole of what is usually looked at in parts."""


@dataclass(frozen=True, slots=True)
class Check:
    """One invariant. ``sql`` selects the violations, so it must return nothing; ``meaning`` says what a row would mean.

    ``sql`` may use ``%(now)s``, the instant (UTC) at which ages are judged: the latest clock that a sweep has run
    with. That may lie ahead of the real one; what was written after ``%(seen)s``, when the sweep ran, it has not met.
    What one statement cannot tell is asked of ``ask`` instead.
    """

    name: str
    sql: str
    meaning: str
    ask: Ask | None = None
