"""The flat map's bounds for a circle never contradict the sphere."""

from __future__ import annotations

from hypothesis import given
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

    if rise * rise + flat.widest * run * run <= flat.inside:
        assert within
    if rise * rise + flat.narrowest * run * run > flat.outside:
        assert not within


def test_flattened_leaves_little_open() -> None:
    flat = geo.flattened(31.2, 121.5, 5)

    assert flat is not None
    assert flat.inside / flat.outside > 0.9999
    assert flat.narrowest / flat.widest > 0.999


def test_flattened_leaves_poles_and_the_date_line_to_the_sphere() -> None:
    assert geo.flattened(85, 0, 5) is None
    assert geo.flattened(0, 179.99, 5) is None
    assert geo.flattened(0, 0, 500) is None
