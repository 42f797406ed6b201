"""How notices learn what a place is called in other languages than its own."""

from __future__ import annotations

from backend.notifications import places

TITLES = """
    SELECT jsonb_object_agg(named.listing_id, named.titles) FROM (
        SELECT listing_id, jsonb_object_agg(language, title) AS titles FROM property_texts
        WHERE listing_id = ANY(%s) AND title <> '' GROUP BY listing_id
    ) AS named
"""

places.told_by(TITLES)
