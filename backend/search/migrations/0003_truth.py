"""What each search row must say, as views over the tables it repeats.

The triggers copy from these views, ``rebuild_search`` fills from them, and ``rebuild_search --verify`` and
``check_books`` compare with them: there is one definition of the truth.
"""

from django.db import migrations

LISTINGS = """
CREATE FUNCTION search_min_nights(own int, by_weekday jsonb) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce((by_weekday->>'1')::bigint, own)
        | (coalesce((by_weekday->>'2')::bigint, own) << 9)
        | (coalesce((by_weekday->>'3')::bigint, own) << 18)
        | (coalesce((by_weekday->>'4')::bigint, own) << 27)
        | (coalesce((by_weekday->>'5')::bigint, own) << 36)
        | (coalesce((by_weekday->>'6')::bigint, own) << 45)
        | (coalesce((by_weekday->>'7')::bigint, own) << 54)
$$;

-- A bit for each ISO weekday (Monday lowest); none named means all.
CREATE FUNCTION search_weekdays(days smallint[]) RETURNS smallint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(bit_or(1 << (day - 1)), 127)::smallint FROM unnest(days) AS day
$$;

-- What is recommended first: a rating that few reviews cannot move far, then experience, then ease.
CREATE FUNCTION search_score(rating numeric, reviews int, superhost boolean, instant boolean) RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT round(1000 * (45 + coalesce(rating, 0) * reviews) / (10 + reviews) + 60 * ln(1 + reviews)
        + CASE WHEN superhost THEN 150 ELSE 0 END + CASE WHEN instant THEN 50 ELSE 0 END)::int
$$;

CREATE VIEW search_listing_truth AS
SELECT
    p.id AS listing_id,
    p.status = 'published' AND u.is_active AND u.suspended_at IS NULL AS listed,
    search_cell(p.public_latitude, p.public_longitude) AS cell,
    p.public_latitude AS lat,
    p.public_longitude AS lon,
    place.folded AS place_text,
    p.country AS place_country,
    hashtextextended(place.folded || '|' || lower(p.country), 0) AS place,
    hashtextextended(concat_ws('|', p.timezone, p.check_in_time, p.advance_notice_hours,
        coalesce(p.same_day_cutoff_hour, -1), p.booking_window_days, p.allow_request_inside_notice), 0) AS clock,
    p.price_minor::float8 / (power(10, coalesce(c.minor_units, 2)) * coalesce(r.per_euro, 1)) AS price_euro,
    p.max_guests,
    p.bedrooms,
    p.beds,
    (p.bathrooms * 10)::smallint AS bathrooms,
    p.amenities_mask AS amenities,
    coalesce((p.rating * 100)::smallint, 0::smallint) AS rating,
    p.review_count AS reviews,
    search_score(p.rating, p.review_count, coalesce(h.is_superhost, false), p.instant_book) AS score,
    search_min_nights(p.min_nights, p.min_nights_by_weekday) AS min_nights,
    p.max_nights,
    search_weekdays(p.arrival_weekdays) AS arrivals,
    search_weekdays(p.departure_weekdays) AS departures,
    greatest(p.preparation_days_before, p.preparation_days_after) AS gap,
    (array_position(ARRAY['entire_place', 'private_room', 'shared_room']::varchar[], p.room_type) - 1)::smallint
        AS room_type,
    (array_position(ARRAY['flexible', 'moderate', 'limited', 'firm', 'strict', 'non_refundable']::varchar[],
        p.cancellation_policy) - 1)::smallint AS policy,
    p.instant_book AS instant,
    coalesce(h.is_superhost, false) AS superhost,
    p.property_type
FROM properties p
JOIN users u ON u.id = p.host_id
LEFT JOIN profiles h ON h.user_id = p.host_id
LEFT JOIN currencies c ON c.code = p.currency
LEFT JOIN search_rates r ON r.currency = p.currency
CROSS JOIN LATERAL (SELECT search_fold(concat_ws(' ', p.location, p.city, p.region)) AS folded) AS place;

CREATE VIEW search_text_truth AS
SELECT
    p.id AS listing_id,
    setweight(to_tsvector('listing_text', p.title), 'A')
        || setweight(to_tsvector('listing_text', concat_ws(' ', p.location, p.city, p.region)), 'B')
        || setweight(to_tsvector('listing_text', p.description), 'C') AS words
FROM properties p;
"""
UNDO_LISTINGS = """
DROP VIEW search_text_truth;
DROP VIEW search_listing_truth;
DROP FUNCTION search_score(numeric, int, boolean, boolean);
DROP FUNCTION search_weekdays(smallint[]);
DROP FUNCTION search_min_nights(int, jsonb);
"""

# A slot at a time: ranges of active blocks never overlap, so their masks are disjoint.
WORDS = ",\n    ".join(
    f"coalesce(bit_or(search_mask(b.first, b.past, search_word_at({slot}, r.first_word))), 0) AS w{slot}"
    for slot in range(8)
)
NIGHTS = f"""
CREATE VIEW search_nights_truth AS
SELECT
    r.listing_id,
    {WORDS},
    min(b.lapses_at) AS hold_lapses_at,
    EXISTS (SELECT FROM calendar_days d WHERE d.listing_id = r.listing_id AND num_nonnulls(
        d.min_nights, d.max_nights, d.closed_to_arrival, d.closed_to_departure) > 0) AS day_rules
FROM search_row r
LEFT JOIN LATERAL (
    SELECT search_day(lower(nights)) AS first, search_day(upper(nights)) AS past,
        CASE WHEN reason = 'hold' THEN expires_at END AS lapses_at
    FROM blocks WHERE listing_id = r.listing_id AND active
) AS b ON true
GROUP BY r.listing_id;
"""  # noqa: S608 - column names of our own


class Migration(migrations.Migration):
    dependencies = [
        ("search", "0002_words_and_cells"),
        ("accounts", "0001_initial"),
        ("availability", "0001_initial"),
        ("core", "0001_initial"),
    ]
    operations = [
        migrations.RunSQL(LISTINGS, UNDO_LISTINGS),
        migrations.RunSQL(NIGHTS, "DROP VIEW search_nights_truth"),
    ]
