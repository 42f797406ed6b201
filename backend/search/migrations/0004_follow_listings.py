"""The search row follows listings, their hosts and their dates' rules, by triggers that run at commit.

Why at commit: a search row is then always the last thing that a transaction locks. Whoever claims nights or edits a
listing waits for other things before that, so that nobody who holds a search row waits for anything but another
search row, and claims do not queue behind a slow edit of the same listing.

What a row repeats is read again when the trigger runs, after the row is locked: of two transactions the later one
sees what the earlier one did. A listing that is just being created has no row to queue on yet; it takes its host's
lock (advisory, until the end of the transaction), as a change of the host does.
"""

from django.db import migrations

COPIED = [
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
]
COLUMNS = ", ".join(COPIED)
SET_COLUMNS = ", ".join(f"{name} = excluded.{name}" for name in COPIED)
OURS = ", ".join(f"s.{name}" for name in COPIED)
THEIRS = ", ".join(f"excluded.{name}" for name in COPIED)
SET_WORDS = ", ".join(f"w{slot} = t.w{slot}" for slot in range(8))

REFRESH = f"""
-- Rates, places and clocks that the listings need and that are not there yet.
CREATE FUNCTION search_learn(listings bigint[]) RETURNS void LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    INSERT INTO search_rates (currency, per_euro)
    SELECT DISTINCT ON (e.currency_id) e.currency_id, e.per_euro FROM exchange_rates e
    WHERE e.currency_id IN (SELECT currency FROM properties WHERE id = ANY (listings))
        AND NOT EXISTS (SELECT FROM search_rates r WHERE r.currency = e.currency_id)
    ORDER BY e.currency_id, e.rate_on DESC
    ON CONFLICT DO NOTHING;

    WITH new_places AS (
        INSERT INTO search_places (id, text, words)
        SELECT DISTINCT ON (t.place) t.place, t.place_text, search_place_words(t.place_text, t.place_country)
        FROM search_listing_truth t
        WHERE t.listing_id = ANY (listings) AND NOT EXISTS (SELECT FROM search_places k WHERE k.id = t.place)
        ORDER BY t.place
        ON CONFLICT DO NOTHING RETURNING text
    )
    INSERT INTO search_words (word)
    SELECT DISTINCT part FROM new_places, string_to_table(text, ' ') AS part
    WHERE part <> '' AND NOT EXISTS (SELECT FROM search_words WHERE word = part) ORDER BY part
    ON CONFLICT DO NOTHING;

    INSERT INTO search_clocks (id, timezone, check_in_time, advance_notice_hours, same_day_cutoff_hour,
        booking_window_days, allow_request_inside_notice)
    SELECT DISTINCT ON (t.clock) t.clock, p.timezone, p.check_in_time, p.advance_notice_hours, p.same_day_cutoff_hour,
        p.booking_window_days, p.allow_request_inside_notice
    FROM search_listing_truth t JOIN properties p ON p.id = t.listing_id
    WHERE t.listing_id = ANY (listings) AND NOT EXISTS (SELECT FROM search_clocks k WHERE k.id = t.clock)
    ORDER BY t.clock
    ON CONFLICT DO NOTHING;
END $$;

CREATE FUNCTION search_refresh_listings(listings bigint[]) RETURNS void LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    PERFORM FROM search_row WHERE listing_id = ANY (listings) ORDER BY listing_id FOR UPDATE;
    PERFORM search_learn(listings);
    INSERT INTO search_row AS s (listing_id, first_word, w0, w1, w2, w3, w4, w5, w6, w7, day_rules, {COLUMNS})
    SELECT listing_id, (SELECT first_word FROM search_window), 0, 0, 0, 0, 0, 0, 0, 0, false, {COLUMNS}
    FROM search_listing_truth WHERE listing_id = ANY (listings) ORDER BY cell, score DESC
    ON CONFLICT (listing_id) DO UPDATE SET {SET_COLUMNS} WHERE ({OURS}) IS DISTINCT FROM ({THEIRS});
END $$;

CREATE FUNCTION search_refresh_nights(listings bigint[]) RETURNS void LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    PERFORM FROM search_row WHERE listing_id = ANY (listings) ORDER BY listing_id FOR UPDATE;
    UPDATE search_row s SET {SET_WORDS}, hold_lapses_at = t.hold_lapses_at, day_rules = t.day_rules
    FROM search_nights_truth t
    -- Both sides named: the view is grouped by listing and would be computed for all of them.
    WHERE t.listing_id = s.listing_id AND s.listing_id = ANY (listings) AND t.listing_id = ANY (listings)
        AND (s.w0, s.w1, s.w2, s.w3, s.w4, s.w5, s.w6, s.w7, s.hold_lapses_at, s.day_rules)
            IS DISTINCT FROM (t.w0, t.w1, t.w2, t.w3, t.w4, t.w5, t.w6, t.w7, t.hold_lapses_at, t.day_rules);
END $$;

CREATE FUNCTION search_refresh_text(listings bigint[]) RETURNS void LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    INSERT INTO search_text AS s (listing_id, words)
    SELECT listing_id, words FROM search_text_truth WHERE listing_id = ANY (listings) ORDER BY listing_id
    ON CONFLICT (listing_id) DO UPDATE SET words = excluded.words WHERE s.words IS DISTINCT FROM excluded.words;
END $$;

CREATE FUNCTION search_lock_host(host bigint) RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(hashtextextended('search host ' || host, 0))
$$;
"""  # noqa: S608 - column names of our own
UNDO_REFRESH = """
DROP FUNCTION search_lock_host(bigint);
DROP FUNCTION search_refresh_text(bigint[]);
DROP FUNCTION search_refresh_nights(bigint[]);
DROP FUNCTION search_refresh_listings(bigint[]);
DROP FUNCTION search_learn(bigint[]);
"""

FOLLOW_LISTING = """
CREATE FUNCTION search_follow_listing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        DELETE FROM search_row WHERE listing_id = OLD.id;
        DELETE FROM search_text WHERE listing_id = OLD.id;
        RETURN NULL;
    END IF;
    PERFORM search_refresh_listings(ARRAY[NEW.id]);
    IF (OLD.title, OLD.description, OLD.location, OLD.city, OLD.region)
            IS DISTINCT FROM (NEW.title, NEW.description, NEW.location, NEW.city, NEW.region) THEN
        PERFORM search_refresh_text(ARRAY[NEW.id]);
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER search_follow_listing AFTER UPDATE OR DELETE ON properties
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION search_follow_listing();

-- Nobody waits for a row that only its maker can see, so new listings are taken at once and all of a statement
-- together: an import of hundreds costs little more than one.
CREATE FUNCTION search_follow_new_listings() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    listings bigint[] := ARRAY(SELECT id FROM made);
BEGIN
    PERFORM search_lock_host(host) FROM (SELECT DISTINCT host_id AS host FROM made ORDER BY host_id) AS hosts;
    PERFORM search_refresh_listings(listings);
    PERFORM search_refresh_nights(listings);
    PERFORM search_refresh_text(listings);
    RETURN NULL;
END $$;

CREATE TRIGGER search_follow_new_listings AFTER INSERT ON properties
    REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION search_follow_new_listings();
"""
UNDO_FOLLOW_LISTING = """
DROP TRIGGER search_follow_new_listings ON properties;
DROP FUNCTION search_follow_new_listings();
DROP TRIGGER search_follow_listing ON properties;
DROP FUNCTION search_follow_listing();
"""

FOLLOW_HOST = """
CREATE FUNCTION search_follow_host() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    host bigint := (to_jsonb(NEW)->>TG_ARGV[0])::bigint;
BEGIN
    PERFORM search_lock_host(host);
    PERFORM search_refresh_listings(ARRAY(SELECT id FROM properties WHERE host_id = host));
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER search_follow_host AFTER UPDATE ON users
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN ((OLD.is_active, OLD.suspended_at) IS DISTINCT FROM (NEW.is_active, NEW.suspended_at))
    EXECUTE FUNCTION search_follow_host('id');
CREATE CONSTRAINT TRIGGER search_follow_profile AFTER UPDATE ON profiles
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.is_superhost IS DISTINCT FROM NEW.is_superhost)
    EXECUTE FUNCTION search_follow_host('user_id');
CREATE CONSTRAINT TRIGGER search_follow_new_profile AFTER INSERT ON profiles
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.is_superhost)
    EXECUTE FUNCTION search_follow_host('user_id');
"""
UNDO_FOLLOW_HOST = """
DROP TRIGGER search_follow_new_profile ON profiles;
DROP TRIGGER search_follow_profile ON profiles;
DROP TRIGGER search_follow_host ON users;
DROP FUNCTION search_follow_host();
"""

FOLLOW_DAYS = """
-- A range of dates comes as a row each: the first one sets the mark, the others find it set.
CREATE FUNCTION search_follow_day() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    listing bigint := coalesce(NEW.listing_id, OLD.listing_id);
    marked boolean;
    ruled boolean := num_nonnulls(
        NEW.min_nights, NEW.max_nights, NEW.closed_to_arrival, NEW.closed_to_departure) > 0;
BEGIN
    SELECT day_rules INTO marked FROM search_row WHERE listing_id = listing FOR UPDATE;
    IF ruled AND NOT marked THEN
        UPDATE search_row SET day_rules = true WHERE listing_id = listing;
    ELSIF marked AND NOT ruled AND NOT EXISTS (SELECT FROM calendar_days WHERE listing_id = listing AND num_nonnulls(
            min_nights, max_nights, closed_to_arrival, closed_to_departure) > 0) THEN
        UPDATE search_row SET day_rules = false WHERE listing_id = listing;
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER search_follow_new_day AFTER INSERT ON calendar_days
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (num_nonnulls(NEW.min_nights, NEW.max_nights, NEW.closed_to_arrival, NEW.closed_to_departure) > 0)
    EXECUTE FUNCTION search_follow_day();
CREATE CONSTRAINT TRIGGER search_follow_day AFTER UPDATE ON calendar_days
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (num_nonnulls(OLD.min_nights, OLD.max_nights, OLD.closed_to_arrival, OLD.closed_to_departure)
        IS DISTINCT FROM num_nonnulls(NEW.min_nights, NEW.max_nights, NEW.closed_to_arrival, NEW.closed_to_departure))
    EXECUTE FUNCTION search_follow_day();
CREATE CONSTRAINT TRIGGER search_follow_gone_day AFTER DELETE ON calendar_days
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (num_nonnulls(OLD.min_nights, OLD.max_nights, OLD.closed_to_arrival, OLD.closed_to_departure) > 0)
    EXECUTE FUNCTION search_follow_day();
"""
UNDO_FOLLOW_DAYS = """
DROP TRIGGER search_follow_gone_day ON calendar_days;
DROP TRIGGER search_follow_day ON calendar_days;
DROP TRIGGER search_follow_new_day ON calendar_days;
DROP FUNCTION search_follow_day();
"""

# Listings that were there before their search rows.
FILL = """
SELECT search_refresh_listings(ids), search_refresh_nights(ids), search_refresh_text(ids)
FROM (SELECT array_agg(id) AS ids FROM properties) AS present WHERE ids IS NOT NULL;
"""


class Migration(migrations.Migration):
    dependencies = [("search", "0003_truth")]
    operations = [
        migrations.RunSQL(REFRESH, UNDO_REFRESH),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.RunSQL(FOLLOW_LISTING, UNDO_FOLLOW_LISTING),
        migrations.RunSQL(FOLLOW_HOST, UNDO_FOLLOW_HOST),
        migrations.RunSQL(FOLLOW_DAYS, UNDO_FOLLOW_DAYS),
    ]
