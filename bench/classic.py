"""The query that everyone writes first, on the tables it needs: city, a table of amenities, NOT EXISTS a booking.

It gets what an experienced person would give it: an index for each filter, and a count and a page as two statements.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db import connection

TABLES = """
CREATE TABLE classic_properties AS
SELECT id, city, public_latitude AS lat, public_longitude AS lon, price_minor, max_guests, rating, review_count, min_nights
FROM properties WHERE status = 'published';
ALTER TABLE classic_properties ADD PRIMARY KEY (id);
CREATE INDEX ON classic_properties (city);
CREATE INDEX ON classic_properties (lat, lon);
CREATE INDEX ON classic_properties (rating DESC NULLS LAST, id);
CREATE TABLE classic_amenities AS
SELECT p.id AS property_id, a.slug FROM properties p JOIN amenities a ON p.amenities_mask >> a.bit & 1 = 1;
ALTER TABLE classic_amenities ADD PRIMARY KEY (property_id, slug);
CREATE INDEX ON classic_amenities (slug);
CREATE TABLE classic_bookings AS
SELECT id, listing_id AS property_id, lower(nights) AS check_in, upper(nights) AS check_out FROM blocks WHERE active;
CREATE INDEX ON classic_bookings (property_id, check_in, check_out);
"""


@dataclass(frozen=True)
class Classic:
    """One search in the classic form."""

    city: str = ""
    box: tuple[float, float, float, float] | None = None
    around: tuple[float, float, float] | None = None
    amenities: tuple[str, ...] = ()
    guests: int = 1
    price_max: int | None = None
    stay: tuple[date, date] | None = None

    def run(self) -> None:
        """Count and first page."""
        where, params = self._where()
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM classic_properties p WHERE {where}", params)
            cursor.fetchall()
            cursor.execute(
                f"SELECT p.* FROM classic_properties p WHERE {where} ORDER BY rating DESC NULLS LAST, id LIMIT 20",
                params,
            )
            cursor.fetchall()

    def _where(self) -> tuple[str, list[Any]]:
        parts: list[tuple[str, list[Any]]] = [("max_guests >= %s", [self.guests])]
        if self.city:
            parts.append(("city = %s", [self.city]))
        if self.box:
            west, south, east, north = self.box
            parts.append(("lat BETWEEN %s AND %s AND lon BETWEEN %s AND %s", [south, north, west, east]))
        if self.around:
            lat, lon, km = self.around
            degrees = km / 111.2
            parts.append(("lat BETWEEN %s AND %s", [lat - degrees, lat + degrees]))
            parts.append(("search_distance_km(lat, lon, %s, %s) <= %s", [lat, lon, km]))
        if self.price_max is not None:
            parts.append(("price_minor <= %s", [self.price_max]))
        for slug in self.amenities:
            parts.append(
                (
                    "EXISTS (SELECT FROM classic_amenities a WHERE a.property_id = p.id AND a.slug = %s)",
                    [slug],
                )
            )
        if self.stay:
            check_in, check_out = self.stay
            parts.append(("min_nights <= %s", [(check_out - check_in).days]))
            parts.append(
                (
                    "NOT EXISTS (SELECT FROM classic_bookings b WHERE b.property_id = p.id"
                    " AND b.check_in < %s AND b.check_out > %s)",
                    [check_out, check_in],
                )
            )
        return " AND ".join(sql for sql, _params in parts), [
            value for _sql, values in parts for value in values
        ]


def prepare() -> None:
    """Make the tables from the generated ones."""
    with connection.cursor() as cursor:
        cursor.execute(TABLES)
        for table in ("classic_properties", "classic_amenities", "classic_bookings"):
            cursor.execute(f"VACUUM ANALYZE {table}")
