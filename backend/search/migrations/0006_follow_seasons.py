"""A season's calendar rules: they mark the search row and stand between those of the date and those of the weekday.

Deferred, and evaluated after the row is locked, for the reasons given in ``follow_listings``.
"""

from django.db import migrations

RULED = "num_nonnulls({0}min_nights, {0}max_nights, {0}closed_to_arrival, {0}closed_to_departure) > 0"

MARK = f"""
-- Whether some date or season of the listing has rules of its own.
CREATE FUNCTION search_has_day_rules(listing bigint) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT EXISTS (SELECT FROM calendar_days d WHERE d.listing_id = listing AND {RULED.format("d.")})
        OR EXISTS (SELECT FROM price_rules r WHERE r.listing_id = listing AND r.kind = 'season' AND {RULED.format("r.")})
$$;

CREATE OR REPLACE FUNCTION search_follow_day() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    listing bigint := coalesce(NEW.listing_id, OLD.listing_id);
    marked boolean;
    ruled boolean := {RULED.format("NEW.")};
BEGIN
    SELECT day_rules INTO marked FROM search_row WHERE listing_id = listing FOR UPDATE;
    IF ruled AND NOT marked THEN
        UPDATE search_row SET day_rules = true WHERE listing_id = listing;
    ELSIF marked AND NOT ruled AND NOT search_has_day_rules(listing) THEN
        UPDATE search_row SET day_rules = false WHERE listing_id = listing;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION search_follow_season() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    listings bigint[] := ARRAY[OLD.listing_id, NEW.listing_id];
BEGIN
    PERFORM FROM search_row WHERE listing_id = ANY (listings) ORDER BY listing_id FOR UPDATE;
    UPDATE search_row SET day_rules = NOT day_rules
    WHERE listing_id = ANY (listings) AND day_rules <> search_has_day_rules(listing_id);
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER search_follow_new_season AFTER INSERT ON price_rules
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.kind = 'season' AND {RULED.format("NEW.")})
    EXECUTE FUNCTION search_follow_season();
CREATE CONSTRAINT TRIGGER search_follow_season AFTER UPDATE ON price_rules
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN ((OLD.listing_id, OLD.kind, {RULED.format("OLD.")})
        IS DISTINCT FROM (NEW.listing_id, NEW.kind, {RULED.format("NEW.")}))
    EXECUTE FUNCTION search_follow_season();
CREATE CONSTRAINT TRIGGER search_follow_gone_season AFTER DELETE ON price_rules
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.kind = 'season' AND {RULED.format("OLD.")})
    EXECUTE FUNCTION search_follow_season();
"""  # noqa: S608 - column names of our own
UNDO_MARK = f"""
DROP TRIGGER search_follow_gone_season ON price_rules;
DROP TRIGGER search_follow_season ON price_rules;
DROP TRIGGER search_follow_new_season ON price_rules;
DROP FUNCTION search_follow_season();

CREATE OR REPLACE FUNCTION search_follow_day() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    listing bigint := coalesce(NEW.listing_id, OLD.listing_id);
    marked boolean;
    ruled boolean := {RULED.format("NEW.")};
BEGIN
    SELECT day_rules INTO marked FROM search_row WHERE listing_id = listing FOR UPDATE;
    IF ruled AND NOT marked THEN
        UPDATE search_row SET day_rules = true WHERE listing_id = listing;
    ELSIF marked AND NOT ruled AND NOT EXISTS (
            SELECT FROM calendar_days d WHERE d.listing_id = listing AND {RULED.format("d.")}) THEN
        UPDATE search_row SET day_rules = false WHERE listing_id = listing;
    END IF;
    RETURN NULL;
END $$;
DROP FUNCTION search_has_day_rules(bigint);
"""  # noqa: S608 - column names of our own

WORDS = ",\n    ".join(
    f"coalesce(bit_or(search_mask(b.first, b.past, search_word_at({slot}, r.first_word))), 0) AS w{slot}"
    for slot in range(8)
)
TRUTH = """
CREATE OR REPLACE VIEW search_nights_truth AS
SELECT
    r.listing_id,
    {words},
    min(b.lapses_at) AS hold_lapses_at,
    {ruled} AS day_rules
FROM search_row r
LEFT JOIN LATERAL (
    SELECT search_day(lower(nights)) AS first, search_day(upper(nights)) AS past,
        CASE WHEN reason = 'hold' THEN expires_at END AS lapses_at
    FROM blocks WHERE listing_id = r.listing_id AND active
) AS b ON true
GROUP BY r.listing_id;
"""
RULED_DAYS = (
    f"EXISTS (SELECT FROM calendar_days d WHERE d.listing_id = r.listing_id AND {RULED.format('d.')})"
)
RULED_SEASONS = (
    "EXISTS (SELECT FROM price_rules k WHERE k.listing_id = r.listing_id AND k.kind = 'season'"
    f" AND {RULED.format('k.')})"
)

ALLOW = """
-- Whether the rules of single dates and seasons allow the stay; what they leave open the listing's own rules answer.
-- Arrival is judged on the check-in date, departure on the check-out date.
CREATE OR REPLACE FUNCTION search_days_allow(listing bigint, check_in date, check_out date, fewest int, most int,
    no_arrival boolean, no_departure boolean) RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE COST 100 AS $$
DECLARE
    arrival calendar_days;
    departure calendar_days;
    arrival_season price_rules;
    departure_season price_rules;
BEGIN
    SELECT * INTO arrival FROM calendar_days WHERE listing_id = listing AND date = check_in;
    SELECT * INTO departure FROM calendar_days WHERE listing_id = listing AND date = check_out;
    SELECT * INTO arrival_season FROM price_rules
    WHERE listing_id = listing AND kind = 'season' AND starts_on <= check_in AND ends_on > check_in;
    SELECT * INTO departure_season FROM price_rules
    WHERE listing_id = listing AND kind = 'season' AND starts_on <= check_out AND ends_on > check_out;
    RETURN check_out - check_in BETWEEN coalesce(arrival.min_nights, arrival_season.min_nights, fewest)
            AND coalesce(arrival.max_nights, arrival_season.max_nights, most)
        AND NOT coalesce(arrival.closed_to_arrival, arrival_season.closed_to_arrival, no_arrival)
        AND NOT coalesce(departure.closed_to_departure, departure_season.closed_to_departure, no_departure);
END $$;
"""
UNDO_ALLOW = """
CREATE OR REPLACE FUNCTION search_days_allow(listing bigint, check_in date, check_out date, fewest int, most int,
    no_arrival boolean, no_departure boolean) RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE COST 100 AS $$
DECLARE
    arrival calendar_days;
    departure calendar_days;
BEGIN
    SELECT * INTO arrival FROM calendar_days WHERE listing_id = listing AND date = check_in;
    SELECT * INTO departure FROM calendar_days WHERE listing_id = listing AND date = check_out;
    RETURN check_out - check_in BETWEEN coalesce(arrival.min_nights, fewest) AND coalesce(arrival.max_nights, most)
        AND NOT coalesce(arrival.closed_to_arrival, no_arrival)
        AND NOT coalesce(departure.closed_to_departure, no_departure);
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("search", "0005_follow_blocks"), ("rates", "0001_initial")]
    operations = [
        migrations.RunSQL(MARK, UNDO_MARK),
        migrations.RunSQL(
            TRUTH.format(words=WORDS, ruled=f"{RULED_DAYS} OR {RULED_SEASONS}"),
            TRUTH.format(words=WORDS, ruled=RULED_DAYS),
        ),
        migrations.RunSQL(ALLOW, UNDO_ALLOW),
    ]
