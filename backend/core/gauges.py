"""Figures that a monitoring system reads off now and then: those of the moment, and those that only rise."""

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


@dataclass(frozen=True, slots=True)
class Counter:
    """A figure that only rises. ``name`` ends in ``_total``."""

    name: str
    help: str
    samples: Sequence[Sample]


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many things fell below each of ``bounds``, with their sum; for every set of labels (labels, counts, sum).

    ``counts`` are those between one bound and the next, one more than there are bounds.
    """

    name: str
    help: str
    bounds: Sequence[float]
    samples: Sequence[tuple[Mapping[str, str], Sequence[int], float]]


Figure = Gauge | Counter | Histogram
