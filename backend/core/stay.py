"""A stay: the nights from check-in to check-out, half-open, on the calendar of the place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

MAX_NIGHTS = 365
"""The longest stay that is sold (design: calendar and booking rules)."""

MAX_DAYS_AHEAD = 730
"""How far ahead a check-in may lie."""


class StayError(ValueError):
    """Dates that make no stay: check-out not after check-in, or more nights than are sold at once."""


@dataclass(frozen=True, slots=True)
class Stay:
    """``[check_in, check_out)`` in local dates; a night is named by its evening. At least one night."""

    check_in: date
    check_out: date

    def __post_init__(self) -> None:
        if self.check_out <= self.check_in:
            raise StayError("check-out must be after check-in")
        if self.nights > MAX_NIGHTS:
            raise StayError(f"a stay has at most {MAX_NIGHTS} nights")

    @property
    def nights(self) -> int:
        return (self.check_out - self.check_in).days

    def dates(self) -> Iterator[date]:
        """The evenings of the stay, in order: ``nights`` of them; the check-out day is none."""
        return (self.check_in + timedelta(days=index) for index in range(self.nights))

    def overlaps(self, other: Stay) -> bool:
        """Whether they share a night. A check-out and a check-in on the same day do not."""
        return self.check_in < other.check_out and other.check_in < self.check_out

    def __contains__(self, evening: date) -> bool:
        return self.check_in <= evening < self.check_out

    def __str__(self) -> str:
        return f"{self.check_in.isoformat()}/{self.check_out.isoformat()}"
