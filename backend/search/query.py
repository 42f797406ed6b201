"""What is asked of search, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from django.utils.translation import gettext_lazy as _

from backend.core.errors import Invalid, Text
from backend.core.stay import MAX_NIGHTS, Stay

Ordering = Literal["recommended", "price", "-price", "rating", "distance", "newest"]

PAGE_SIZE = 20
MAX_FLEXIBLE_DAYS = 7


class InvalidSearch(Invalid):
    """Parameters that make no question together."""

    code = "invalid_search"
    title = _("This search makes no sense.")


class CheckInPast(InvalidSearch):
    """The check-in is over wherever there are listings."""

    code = "check_in_past"
    title = _("Check-in lies in the past.")


@dataclass(frozen=True, slots=True)
class Position:
    """A place between two results: ``after`` or before the one with these key values. None: before the end."""

    after: bool
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """A search. Empty fields ask nothing. ``price_min`` and ``price_max`` are major units of ``currency`` a night.

    ``point`` is (latitude, longitude); ``bbox`` (west, south, east, north), crossing the date line when west > east.
    ``amenities`` is a mask. ``currency`` empty: the platform's. ``flexible_days``: a stay of the same length that begins
    at most so many days earlier or later will do too. ``published_after``: only what was first published later.
    """

    q: str = ""
    location: str = ""
    point: tuple[float, float] | None = None
    radius_km: float | None = None
    bbox: tuple[float, float, float, float] | None = None
    price_min: Decimal | None = None
    price_max: Decimal | None = None
    currency: str = ""
    guests: int | None = None
    bedrooms: int | None = None
    beds: int | None = None
    bathrooms: Decimal | None = None
    amenities: int = 0
    property_type: str = ""
    room_type: str = ""
    instant_book: bool | None = None
    cancellation_policy: str = ""
    rating_min: Decimal | None = None
    superhost: bool | None = None
    check_in: date | None = None
    check_out: date | None = None
    flexible_days: int | None = None
    published_after: datetime | None = None
    ordering: Ordering = "recommended"
    page: int = 1
    page_size: int = PAGE_SIZE
    position: Position | None = None

    @property
    def by_amenities(self) -> bool:
        """Whether amenities are asked for, and no place, area or words that would narrow the search first."""
        elsewhere = self.location or self.q or self.bbox or self.radius_km is not None
        return bool(self.amenities) and not elsewhere

    def stays(self) -> list[Stay]:
        """The stays that will do, the nearest to the wish first; of two equally near ones the earlier."""
        if self.check_in is None or self.check_out is None:
            return []
        shifts = [0, *(shift for days in range(1, (self.flexible_days or 0) + 1) for shift in (-days, days))]
        return [
            Stay(self.check_in + timedelta(days=shift), self.check_out + timedelta(days=shift))
            for shift in shifts
        ]

    def require_sense(self) -> None:
        """Raises: InvalidSearch for parameters that need or contradict each other."""
        if (self.check_in is None) != (self.check_out is None):
            missing = "check_out" if self.check_out is None else "check_in"
            raise _refused(missing, "required", _("Both dates are needed."))
        if self.check_in and self.check_out:
            if self.check_out <= self.check_in:
                raise _refused("check_out", "invalid_stay", _("Check-out must come after check-in."))
            if (self.check_out - self.check_in).days > MAX_NIGHTS:
                raise _refused(
                    "check_out",
                    "max_nights",
                    _("A stay has at most %(count)d nights.") % {"count": MAX_NIGHTS},
                )
        elif self.flexible_days is not None:
            raise _refused(
                "flexible_days", "dates_required", _("Days around need dates: check_in and check_out.")
            )
        if self.radius_km is not None and self.point is None:
            raise _refused("radius_km", "point_required", _("A radius needs a point: lat and lng."))
        if self.ordering == "distance" and self.point is None:
            raise _refused(
                "ordering", "point_required", _("To order by distance a point is needed: lat and lng.")
            )
        if self.bbox and self.bbox[1] > self.bbox[3]:
            raise _refused("bbox", "invalid_bbox", _("The south of the box must not lie north of its north."))


def _refused(name: str, code: str, message: Text) -> Invalid:
    return InvalidSearch.field(name, code, message)


@dataclass(frozen=True, slots=True)
class Hit:
    """A listing that was found; ``distance_km`` in a search around a point, ``stay`` in one with dates."""

    listing_id: int
    distance_km: float | None = None
    stay: Stay | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A page of hits in their order. ``count`` of all, at least so many when it is not ``exact``."""

    hits: Sequence[Hit] = ()
    count: int = 0
    exact: bool = True
    next: Position | None = None
    previous: Position | None = None
