"""Points on the map: the one that everybody may see, and the clock that a point lives by. Pure but for the secret."""

from __future__ import annotations

import math

from django.utils.crypto import salted_hmac
from tzfpy import get_tz

NEAREST_M, FARTHEST_M = 150.0, 500.0
"""How far the public point lies from the exact one, in metres."""

_METRES_A_DEGREE = 111_320.0


def public_point(listing_id: int, latitude: float, longitude: float) -> tuple[float, float]:
    """The point that everybody may see: 150–500 m from the exact one, in a direction of the listing's own.

    Direction and distance depend only on the listing's id and the platform's secret, so that the answer is always
    the same and no number of looks narrows it down; moving the exact point a little moves this one as much.
    """
    digest = salted_hmac("listings.public_point", str(listing_id), algorithm="sha256").digest()
    angle = int.from_bytes(digest[:8]) / 2**64 * 2 * math.pi
    # Even over the area of the ring, not over its radius: no distance is likelier than its share of the ground.
    part = int.from_bytes(digest[8:16]) / 2**64
    distance = math.sqrt(NEAREST_M**2 + part * (FARTHEST_M**2 - NEAREST_M**2))
    north = distance * math.cos(angle) / _METRES_A_DEGREE
    moved = max(-89.99, min(89.99, latitude + north))
    east = distance * math.sin(angle) / (_METRES_A_DEGREE * math.cos(math.radians(moved)))
    return round(moved, 5), round((longitude + east + 180) % 360 - 180, 5)


def distance_m(one: tuple[float, float], other: tuple[float, float]) -> float:
    """The great-circle distance of two points (latitude, longitude in degrees), in metres."""
    lat_1, lat_2 = math.radians(one[0]), math.radians(other[0])
    half_lat, half_lon = (lat_2 - lat_1) / 2, math.radians(other[1] - one[1]) / 2
    chord = math.sin(half_lat) ** 2 + math.cos(lat_1) * math.cos(lat_2) * math.sin(half_lon) ** 2
    return 2 * 6_371_008.8 * math.asin(math.sqrt(min(1.0, chord)))


def timezone_at(latitude: float, longitude: float) -> str:
    """The IANA name of the time zone at a point; on the open sea one of ``Etc/GMT±n``."""
    return get_tz(longitude, latitude) or "UTC"
