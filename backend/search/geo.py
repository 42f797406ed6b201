"""Boxes on the map and the cells that cover them. Pure. Degrees, latitudes -90 … 90, longitudes -180 … 180.

A cell is numbered along bands of latitude (``search_cell`` in the database): a box is one run of cells per band, and
the rows of a town lie in a few runs of the heap.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import asin, cos, degrees, floor, pi, radians, sin, sqrt

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


@dataclass(frozen=True, slots=True)
class Flat:
    """Bounds for a circle on a flat map, with rise and run from its centre in degrees.

    ``rise² + widest * run² <= inside`` holds only of points in the circle, ``rise² + narrowest * run² > outside`` only of
    points that are not.
    """

    widest: float
    inside: float
    narrowest: float
    outside: float


def flattened(lat: float, lon: float, radius_km: float) -> Flat | None:
    """The bounds of a circle; None for those that are not small, lie at a pole or may cross the date line.

    The square of half the chord is sin²(rise/2) + cos(lat) cos(its lat) sin²(run/2). A sine is at most its angle, and its
    square at least (1 - m²/12) of the angle's for halves of angles up to m; a cosine lies between those of the circle's edges.
    """
    angle = radius_km / EARTH_RADIUS_KM
    if radius_km > 100 or abs(lat) > 80:
        return None
    reach = asin(sin(angle) / cos(radians(lat)))
    if abs(lon) + degrees(reach) >= 180:
        return None
    near, far = max(0.0, radians(abs(lat)) - angle), radians(abs(lat)) + angle
    square = degrees(2 * sin(angle / 2)) ** 2
    return Flat(
        widest=cos(radians(lat)) * cos(near),
        inside=square * (1 - ROUNDING),
        narrowest=cos(radians(lat)) * cos(far),
        outside=square / (1 - max(angle, reach) ** 2 / 12) * (1 + ROUNDING),
    )


ROUNDING = 1e-9
"""More than floats lose in a few steps."""


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
