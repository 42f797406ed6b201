"""What must be true of the search rows at any moment: they say what the tables say that they repeat."""

from __future__ import annotations

from backend.core.checks import Check

COPIED = (
    *(
        "listed",
        "cell",
        "lat",
        "lon",
        "place",
        "clock",
        "price_euro",
        "max_guests",
        "bedrooms",
        "beds",
        "bathrooms",
    ),
    *("amenities", "rating", "reviews", "score", "min_nights", "max_nights", "arrivals", "departures", "gap"),
    *("room_type", "policy", "instant", "superhost", "property_type"),
)
"""The columns of the row that follow the listing and its host."""

NIGHTS = (*(f"w{slot}" for slot in range(8)), "hold_lapses_at", "day_rules")
"""The columns that follow the blocks and the rules of single dates."""


def _columns(alias: str, names: tuple[str, ...]) -> str:
    return ", ".join(f"{alias}.{name}" for name in names)


CHECKS = [
    Check(
        name="search_rows_follow_listings",
        sql=f"""
            SELECT coalesce(s.listing_id, t.listing_id) AS listing_id, to_jsonb(s) AS says, to_jsonb(t) AS should_say
            FROM search_row s FULL JOIN search_listing_truth t ON t.listing_id = s.listing_id
            WHERE s.listing_id IS NULL OR t.listing_id IS NULL
                OR ({_columns("s", COPIED)}) IS DISTINCT FROM ({_columns("t", COPIED)})
        """,  # noqa: S608 - column names of our own
        meaning="A listing would be found for what it no longer is, or not be found. rebuild_search mends it.",
    ),
    # The truth is worked out once, by itself: joined in a loop, which the planner may choose while it does not know yet
    # how much an import has brought, it took minutes for four hundred listings.
    Check(
        name="search_rows_follow_nights",
        sql=f"""
            WITH truth AS MATERIALIZED (SELECT * FROM search_nights_truth)
            SELECT s.listing_id, to_jsonb(s) AS says, to_jsonb(t) AS should_say
            FROM search_row s JOIN truth t ON t.listing_id = s.listing_id
            WHERE ({_columns("s", NIGHTS)}) IS DISTINCT FROM ({_columns("t", NIGHTS)})
        """,  # noqa: S608 - column names of our own
        meaning="A dated search would show taken nights or hide free ones. rebuild_search mends it.",
    ),
    Check(
        name="search_text_follows_listings",
        sql="""
            SELECT coalesce(s.listing_id, t.listing_id) AS listing_id
            FROM search_text s FULL JOIN search_text_truth t ON t.listing_id = s.listing_id
            WHERE s.words IS DISTINCT FROM t.words
        """,
        meaning="A listing would be found by words that it does not have. rebuild_search mends it.",
    ),
    Check(
        name="search_rows_know_their_place_and_clock",
        sql="""
            SELECT s.listing_id, s.place, s.clock FROM search_row s
            WHERE NOT EXISTS (SELECT FROM search_places p WHERE p.id = s.place)
                OR NOT EXISTS (SELECT FROM search_clocks c WHERE c.id = s.clock)
        """,
        meaning="A listing could not be found by its location, or in no dated search. rebuild_search mends it.",
    ),
]
