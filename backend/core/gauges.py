"""Figures that a monitoring system reads off now and then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Sample = tuple[Mapping[str, str], float]
"""The labels of one value, and the value."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """One figure, with a value for every set of labels. ``help`` says what it is and in which unit."""

    name: str
    help: str
    samples: Sequence[Sample]
