"""Invariants: statements that must be true of the whole database at any moment, each as a query."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One invariant. ``sql`` selects the violations, so it must return nothing; ``meaning`` says what a row would mean.

    ``sql`` may use ``%(now)s``, the instant (UTC) at which ages are judged.
    """

    name: str
    sql: str
    meaning: str
