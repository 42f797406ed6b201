"""Lay the search row out for reading: what a search looks at comes first, of fixed width and never null.

PostgreSQL finds a column by walking over those before it, and past the first null or text it does so slowly: a third
of the time of an exact count went there. Hence a hold that never lapses is a far instant instead of a null. ``easy``
and ``closed`` answer for most rows at once what took a dozen comparisons. Cells have half the height they had, so that
fewer rows beyond the edges of a map are read; the places' index continues by score, to be walked in order.

The table is made anew, in the order of its cells: about twenty seconds for a million listings.
"""

from datetime import UTC, datetime

from django.db import migrations, models
from django.db.models import F, Q, Value

NEVER = "TIMESTAMPTZ '9999-12-31 00:00:00+00'"

CELLS = """
CREATE OR REPLACE FUNCTION search_cell(lat float8, lon float8) RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT floor((lat + 90) * {bands})::int * 36001 + floor((lon + 180) * 100)::int
$$;
"""

COLUMNS = [
    *("listing_id", "amenities", *(f"w{slot}" for slot in range(8)), "min_nights"),
    *("lat", "lon", "price_euro", "place", "clock", "score", "first_word", "max_guests", "max_nights", "gap"),
    *("day_rules", "listed", "instant", "superhost", "reviews", "rating", "bedrooms", "beds", "bathrooms"),
    *("arrivals", "departures", "room_type", "policy", "property_type"),
]
LIST = ", ".join(COLUMNS)

LAY_OUT = f"""
DROP VIEW search_nights_truth;
ALTER TABLE search_row RENAME TO search_row_before;
ALTER TABLE search_row_before DROP CONSTRAINT search_row_pkey;
DROP INDEX search_row_cell, search_row_place, search_row_score, search_row_price, search_row_rating, search_row_listed;

CREATE TABLE search_row (
    listing_id bigint NOT NULL,
    amenities bigint NOT NULL,
    {"".join(f"w{slot} bigint NOT NULL, " for slot in range(8))}
    min_nights bigint NOT NULL,
    hold_lapses_at timestamptz NOT NULL DEFAULT {NEVER},
    lat float8,
    lon float8,
    price_euro float8 NOT NULL,
    place bigint NOT NULL,
    clock bigint NOT NULL,
    cell int,
    score int NOT NULL,
    closed int NOT NULL GENERATED ALWAYS AS ((127 # arrivals::int) | ((127 # departures::int) << 7)) STORED,
    first_word smallint NOT NULL,
    max_guests smallint NOT NULL,
    max_nights smallint NOT NULL,
    gap smallint NOT NULL,
    easy boolean NOT NULL GENERATED ALWAYS AS (gap = 0 AND NOT day_rules AND hold_lapses_at = {NEVER}) STORED,
    day_rules boolean NOT NULL,
    listed boolean NOT NULL,
    instant boolean NOT NULL,
    superhost boolean NOT NULL,
    reviews int NOT NULL,
    rating smallint NOT NULL,
    bedrooms smallint NOT NULL,
    beds smallint NOT NULL,
    bathrooms smallint NOT NULL,
    arrivals smallint NOT NULL,
    departures smallint NOT NULL,
    room_type smallint NOT NULL,
    policy smallint NOT NULL,
    property_type varchar(40) NOT NULL
) WITH (fillfactor = 85, parallel_workers = 0,
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

INSERT INTO search_row (cell, hold_lapses_at, {LIST})
SELECT search_cell(lat, lon), coalesce(hold_lapses_at, {NEVER}), {LIST}
FROM search_row_before ORDER BY listed, search_cell(lat, lon), score DESC;
DROP TABLE search_row_before;

ALTER TABLE search_row ADD CONSTRAINT search_row_pkey PRIMARY KEY (listing_id);
CREATE INDEX search_row_cell ON search_row (listed, cell, score DESC);
CREATE INDEX search_row_place ON search_row (place, score, listing_id) WHERE listed;
CREATE INDEX search_row_score ON search_row (score, listing_id) WHERE listed;
CREATE INDEX search_row_price ON search_row (price_euro, listing_id) WHERE listed;
CREATE INDEX search_row_rating ON search_row (rating, reviews, listing_id) WHERE listed;
CREATE INDEX search_row_listed ON search_row (listing_id) WHERE listed;
ANALYZE search_row;
"""  # noqa: S608 - column names of our own

UNDO_LAY_OUT = f"""
DROP VIEW search_nights_truth;
ALTER TABLE search_row DROP COLUMN easy, DROP COLUMN closed, ALTER COLUMN hold_lapses_at DROP NOT NULL,
    ALTER COLUMN hold_lapses_at DROP DEFAULT;
UPDATE search_row SET cell = search_cell(lat, lon),
    hold_lapses_at = CASE WHEN hold_lapses_at < {NEVER} THEN hold_lapses_at END;
DROP INDEX search_row_place;
CREATE INDEX search_row_place ON search_row (place) WHERE listed;
"""  # noqa: S608 - column names of our own

WORDS = ",\n    ".join(
    f"coalesce(bit_or(search_mask(b.first, b.past, search_word_at({slot}, r.first_word))), 0) AS w{slot}"
    for slot in range(8)
)
TRUTH = f"""
CREATE VIEW search_nights_truth AS
SELECT
    r.listing_id,
    {WORDS},
    {{lapse}} AS hold_lapses_at,
    search_has_day_rules(r.listing_id) AS day_rules
FROM search_row r
LEFT JOIN LATERAL (
    SELECT search_day(lower(nights)) AS first, search_day(upper(nights)) AS past,
        CASE WHEN reason = 'hold' THEN expires_at END AS lapses_at
    FROM blocks WHERE listing_id = r.listing_id AND active
) AS b ON true
GROUP BY r.listing_id;
"""  # noqa: S608 - column names of our own

SET_WORDS = ",\n        ".join(
    f"w{slot} = (s.w{slot} & ~search_mask(gone_first, gone_past, search_word_at({slot}, s.first_word)))"
    f" | search_mask(come_first, come_past, search_word_at({slot}, s.first_word))"
    for slot in range(8)
)
FOLLOW_BLOCK = f"""
CREATE OR REPLACE FUNCTION search_follow_block() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    was boolean := TG_OP <> 'INSERT' AND OLD.active;
    now_is boolean := TG_OP <> 'DELETE' AND NEW.active;
    listing bigint := coalesce(NEW.listing_id, OLD.listing_id);
    gone_first int := CASE WHEN was THEN search_day(lower(OLD.nights)) ELSE 0 END;
    gone_past int := CASE WHEN was THEN search_day(upper(OLD.nights)) ELSE 0 END;
    come_first int := CASE WHEN now_is THEN search_day(lower(NEW.nights)) ELSE 0 END;
    come_past int := CASE WHEN now_is THEN search_day(upper(NEW.nights)) ELSE 0 END;
    held_until timestamptz := CASE WHEN now_is AND NEW.reason = 'hold' THEN NEW.expires_at END;
BEGIN
    UPDATE search_row s SET
        {SET_WORDS},
        hold_lapses_at = least(s.hold_lapses_at, held_until)
    WHERE s.listing_id = listing;
    IF was AND OLD.reason = 'hold' AND (held_until IS NULL OR held_until > OLD.expires_at) THEN
        -- The first hold to run out may have been this one. The row is locked by now, so this reads what is committed.
        UPDATE search_row s SET hold_lapses_at = (
            SELECT {{lapse}} FROM blocks WHERE listing_id = listing AND active AND reason = 'hold')
        WHERE s.listing_id = listing;
    END IF;
    RETURN NULL;
END $$;
"""  # noqa: S608 - column names of our own


class Migration(migrations.Migration):
    dependencies = [("search", "0006_follow_seasons")]
    operations = [
        migrations.RunSQL(CELLS.format(bands=40), CELLS.format(bands=20)),
        migrations.RunSQL(
            LAY_OUT,
            UNDO_LAY_OUT + TRUTH.format(lapse="min(b.lapses_at)"),
            state_operations=[
                migrations.AlterField(
                    model_name="searchrow",
                    name="hold_lapses_at",
                    field=models.DateTimeField(
                        db_default=Value(datetime(9999, 12, 31, tzinfo=UTC)),
                        help_text="When the first active hold runs out; without one the end of 9999.",
                    ),
                ),
                migrations.AlterField(
                    model_name="searchrow",
                    name="day_rules",
                    field=models.BooleanField(
                        default=False, help_text="Single dates or seasons have rules of their own."
                    ),
                ),
                migrations.AddField(
                    model_name="searchrow",
                    name="closed",
                    field=models.GeneratedField(
                        db_persist=True,
                        expression=F("arrivals")
                        .bitxor(127)
                        .bitor(F("departures").bitxor(127).bitleftshift(7)),  # type: ignore[arg-type]
                        help_text="A bit for each weekday on which no stay may begin, above them those on which none may end.",
                        output_field=models.IntegerField(),
                    ),
                ),
                migrations.AddField(
                    model_name="searchrow",
                    name="easy",
                    field=models.GeneratedField(
                        db_persist=True,
                        expression=Q(  # type: ignore[arg-type]
                            gap=0, day_rules=False, hold_lapses_at=datetime(9999, 12, 31, tzinfo=UTC)
                        ),
                        help_text="The night words and the row's own rules say all about a stay.",
                        output_field=models.BooleanField(),
                    ),
                ),
                migrations.RemoveIndex("searchrow", "search_row_place"),
                migrations.AddIndex(
                    "searchrow",
                    models.Index(
                        "place", "score", "listing", condition=Q(listed=True), name="search_row_place"
                    ),
                ),
            ],
        ),
        migrations.RunSQL(TRUTH.format(lapse=f"coalesce(min(b.lapses_at), {NEVER})"), migrations.RunSQL.noop),
        migrations.RunSQL(
            FOLLOW_BLOCK.format(lapse=f"coalesce(min(expires_at), {NEVER})"),
            FOLLOW_BLOCK.format(lapse="min(expires_at)"),
        ),
    ]
