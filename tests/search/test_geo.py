"""The flat map's bounds for a circle never contradict the sphere."""

from __future__ import annotations

from math import asin, atan2, cos, degrees, radians, sin

from hypothesis import example, given
from hypothesis import strategies as st

from backend.search import geo


@given(
    lat=st.floats(-80, 80),
    lon=st.floats(-170, 170),
    radius_km=st.floats(0.01, 100),
    north=st.floats(-1.2, 1.2),
    east=st.floats(-1.2, 1.2),
)
def test_flattened_says_only_what_the_sphere_says(
    lat: float, lon: float, radius_km: float, north: float, east: float
) -> None:
    flat = geo.flattened(lat, lon, radius_km)
    assert flat is not None
    (box,) = geo.around(lat, lon, radius_km)
    # Points around the edge of the circle, and somewhat outside of the box that holds it.
    rise, run = north * (box.north - lat), east * (box.east - lon)

    within = geo.distance_km(lat, lon, lat + rise, lon + run) <= radius_km

    if flat.inside.of(lat + rise, lon + run) <= flat.inside.limit:
        assert within
    if flat.outside.of(lat + rise, lon + run) > flat.outside.limit:
        assert not within


def test_flattened_leaves_little_open() -> None:
    flat = geo.flattened(31.2, 121.5, 5)

    assert flat is not None
    for bearing in range(0, 360, 5):
        assert flat.inside.of(*moved(31.2, 121.5, 4.998, bearing)) <= flat.inside.limit
        assert flat.outside.of(*moved(31.2, 121.5, 5.002, bearing)) > flat.outside.limit


def moved(lat: float, lon: float, km: float, bearing: float) -> tuple[float, float]:
    """The point ``km`` away from another."""
    angle, towards, phi = km / geo.EARTH_RADIUS_KM, radians(bearing), radians(lat)
    there = asin(sin(phi) * cos(angle) + cos(phi) * sin(angle) * cos(towards))
    turn = atan2(sin(towards) * sin(angle) * cos(phi), cos(angle) - sin(phi) * sin(there))
    return degrees(there), lon + degrees(turn)


@given(
    lat=st.floats(-80, 80),
    lon=st.floats(-170, 170),
    radius_km=st.floats(0.001, 100),
    share=st.floats(0, 0.999999),
    bearing=st.floats(0, 360),
)
@example(lat=31.2, lon=121.5, radius_km=5, share=0.999999, bearing=0)
@example(lat=0.025, lon=0, radius_km=2.7, share=0.999999, bearing=90)
def test_runs_around_hold_every_point_of_the_circle(
    lat: float, lon: float, radius_km: float, share: float, bearing: float
) -> None:
    runs = geo.runs_around(lat, lon, radius_km)

    cell = geo.cell(*moved(lat, lon, radius_km * share, bearing))

    assert any(first <= cell <= last for first, last in runs)


def test_runs_around_leave_out_the_corners_of_the_box() -> None:
    box = geo.cell_ranges(geo.around(31.2222, 121.4581, 50))
    runs = geo.runs_around(31.2222, 121.4581, 50)

    assert len(runs) == len(box)
    assert all(first >= west and last <= east for (first, last), (west, east) in zip(runs, box, strict=True))
    assert sum(last - first + 1 for first, last in runs) < 0.85 * sum(east - west + 1 for west, east in box)


def test_flattened_leaves_poles_and_the_date_line_to_the_sphere() -> None:
    assert geo.flattened(85, 0, 5) is None
    assert geo.flattened(0, 179.99, 5) is None
    assert geo.flattened(0, 0, 500) is None
