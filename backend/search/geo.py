"""Boxes on the map and the cells that cover them. Pure. Degrees, latitudes -90 … 90, longitudes -180 … 180.

A cell is numbered along bands of latitude (``search_cell`` in the database): a box is one run of cells per band, and
the rows of a town lie in a few runs of the heap.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import asin, cos, degrees, floor, pi, radians, sin, sqrt
from typing import NamedTuple

EARTH_RADIUS_KM = 6371.0088
HALF_EARTH_KM = pi * EARTH_RADIUS_KM
"""The distance to the opposite point: nothing is further away."""

BANDS_PER_DEGREE = 40
COLUMNS_PER_DEGREE = 100
COLUMNS = 36_001
MAX_BANDS = 64
"""A box over more bands (1.6 degrees of latitude) is searched as the whole belt between its latitudes."""


@dataclass(frozen=True, slots=True)
class Box:
    """West to east without crossing the date line; the edges belong to it."""

    west: float
    south: float
    east: float
    north: float


def boxes(west: float, south: float, east: float, north: float) -> list[Box]:
    """The box from ``west`` eastwards to ``east``: two of them where it crosses the date line."""
    if west <= east:
        return [Box(west, south, east, north)]
    return [Box(west, south, 180.0, north), Box(-180.0, south, east, north)]


def around(lat: float, lon: float, radius_km: float) -> list[Box]:
    """Boxes that hold every point within ``radius_km`` of a point, and few others."""
    angle = radius_km / EARTH_RADIUS_KM
    south, north = lat - degrees(angle), lat + degrees(angle)
    if angle >= pi / 2 or south <= -90 or north >= 90:
        # A pole is inside: every longitude is.
        return [Box(-180.0, max(south, -90.0), 180.0, min(north, 90.0))]
    reach = degrees(asin(min(1.0, sin(angle) / cos(radians(lat)))))
    if reach >= 180:
        return [Box(-180.0, south, 180.0, north)]
    return boxes(_turned(lon - reach), south, _turned(lon + reach), north)


class Bound(NamedTuple):
    """A bound for an ellipse of degrees, multiplied out so that its middle costs nothing: see ``of``."""

    north: float
    stretch: float
    east: float
    limit: float

    def of(self, lat: float, lon: float) -> float:
        """What is compared with ``limit``."""
        return lat * (lat - self.north) + lon * (lon * self.stretch - self.east)


@dataclass(frozen=True, slots=True)
class Flat:
    """Bounds for a circle on a flat map.

    Not over the limit of ``inside`` are only points in the circle, over that of ``outside`` only points that are not.
    """

    inside: Bound
    outside: Bound


def flattened(lat: float, lon: float, radius_km: float) -> Flat | None:
    """The bounds of a circle; None for those that are not small, lie at a pole or may cross the date line.

    The square of half the chord is sin²(rise/2) + cos(lat) cos(its lat) sin²(run/2). A sine is at most its angle, and its
    square at least (1 - m²/12) of the angle's for halves of angles up to m; a cosine lies between those of the circle's edges.
    So rise² + k run² is compared, k from the cosines, less what is the same for all points.
    """
    angle = radius_km / EARTH_RADIUS_KM
    if radius_km > 100 or abs(lat) > 80:
        return None
    reach = asin(sin(angle) / cos(radians(lat)))
    if abs(lon) + degrees(reach) >= 180:
        return None
    near, far = max(0.0, radians(abs(lat)) - angle), radians(abs(lat)) + angle
    square = degrees(2 * sin(angle / 2)) ** 2
    outside = square / (1 - max(angle, reach) ** 2 / 12)

    def bound(stretch: float, limit: float) -> Bound:
        middle = lat * lat + stretch * lon * lon
        return Bound(2 * lat, stretch, 2 * stretch * lon, limit - middle)

    return Flat(
        inside=bound(cos(radians(lat)) * cos(near), square - ROUNDING),
        outside=bound(cos(radians(lat)) * cos(far), outside + ROUNDING),
    )


ROUNDING = 1e-9
"""Square degrees: more than floats lose in a few terms of up to 180². Degrees: more than they lose of an angle."""


def runs_around(lat: float, lon: float, radius_km: float) -> list[tuple[int, int]]:
    """As ``cell_ranges`` of the box around a circle that ``flattened`` takes, in each band as wide as the circle is there."""
    angle = radius_km / EARTH_RADIUS_KM
    south, north = lat - degrees(angle), lat + degrees(angle)
    first, last = (floor((edge + 90) * BANDS_PER_DEGREE) for edge in (south, north))
    if last - first >= MAX_BANDS:
        return cell_ranges(around(lat, lon, radius_km))
    # On a sphere a circle is widest a little nearer to the pole than its middle.
    widest = degrees(asin(sin(radians(lat)) / cos(angle)))
    runs = []
    for band in range(first, last + 1):
        low, high = (edge / BANDS_PER_DEGREE - 90 for edge in (band, band + 1))
        at = min(max(widest, low - ROUNDING), high + ROUNDING)
        left = sin(angle / 2) ** 2 - sin(radians(at - lat) / 2) ** 2
        chord = sqrt(max(0.0, left) / (cos(radians(lat)) * cos(radians(at))))
        reach = degrees(2 * asin(min(1.0, chord))) + ROUNDING
        west, east = (floor((edge + 180) * COLUMNS_PER_DEGREE) for edge in (lon - reach, lon + reach))
        runs.append((band * COLUMNS + west, band * COLUMNS + east))
    return runs


def _turned(lon: float) -> float:
    return lon + 360 if lon < -180 else lon - 360 if lon > 180 else lon


def cell(lat: float, lon: float) -> int:
    """The number of the cell that a point lies in."""
    return floor((lat + 90) * BANDS_PER_DEGREE) * COLUMNS + floor((lon + 180) * COLUMNS_PER_DEGREE)


def cell_ranges(areas: list[Box]) -> list[tuple[int, int]]:
    """Runs of cells, both ends inclusive, that together hold every point of ``areas``."""
    runs: list[tuple[int, int]] = []
    for area in areas:
        first, last = (floor((lat + 90) * BANDS_PER_DEGREE) for lat in (area.south, area.north))
        west, east = (floor((lon + 180) * COLUMNS_PER_DEGREE) for lon in (area.west, area.east))
        if last - first >= MAX_BANDS:
            runs.append((first * COLUMNS, (last + 1) * COLUMNS - 1))
        else:
            runs.extend((band * COLUMNS + west, band * COLUMNS + east) for band in range(first, last + 1))
    return runs


def distance_km(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Great-circle distance on the mean sphere, as ``search_distance_km`` has it."""
    rise, run = radians(lat2 - lat1), radians(lon2 - lon1)
    chord = sin(rise / 2) ** 2 + cos(radians(lat1)) * cos(radians(lat2)) * sin(run / 2) ** 2
    return 2 * EARTH_RADIUS_KM * asin(min(1.0, sqrt(chord)))
