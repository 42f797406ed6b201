"""The night words follow the blocks: bits are set and cleared by trigger at commit, in the order of the changes.

Blocks of one listing never overlap while they are active, so the bits of a block are its own: letting it go clears
them. The statement reads the row as it stands once it is locked, so two claims of one listing do not lose each
other's bits. Deferred for the reason given in ``follow_listings``; a claim that loses never touches the row.
"""

from django.db import migrations

SET_WORDS = ",\n        ".join(
    f"w{slot} = (s.w{slot} & ~search_mask(gone_first, gone_past, search_word_at({slot}, s.first_word)))"
    f" | search_mask(come_first, come_past, search_word_at({slot}, s.first_word))"
    for slot in range(8)
)

FOLLOW_BLOCK = f"""
CREATE FUNCTION search_follow_block() RETURNS trigger LANGUAGE plpgsql AS $$
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
            SELECT min(expires_at) FROM blocks WHERE listing_id = listing AND active AND reason = 'hold')
        WHERE s.listing_id = listing;
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER search_follow_new_block AFTER INSERT ON blocks
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.active) EXECUTE FUNCTION search_follow_block();
CREATE CONSTRAINT TRIGGER search_follow_block AFTER UPDATE ON blocks
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN ((OLD.active, OLD.nights, OLD.reason, OLD.expires_at)
        IS DISTINCT FROM (NEW.active, NEW.nights, NEW.reason, NEW.expires_at))
    EXECUTE FUNCTION search_follow_block();
CREATE CONSTRAINT TRIGGER search_follow_gone_block AFTER DELETE ON blocks
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.active) EXECUTE FUNCTION search_follow_block();
"""  # noqa: S608 - column names of our own
UNDO_FOLLOW_BLOCK = """
DROP TRIGGER search_follow_gone_block ON blocks;
DROP TRIGGER search_follow_block ON blocks;
DROP TRIGGER search_follow_new_block ON blocks;
DROP FUNCTION search_follow_block();
"""

# The exact questions, for what the words cannot answer. By their cost the planner asks them last.
EXACT = """
-- Whether the nights are free at `at`: no active block (a hold that has run out is none), no stay too near.
CREATE FUNCTION search_is_free(listing bigint, check_in date, check_out date, gap int, at timestamptz) RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE COST 100 AS $$
BEGIN
    RETURN NOT EXISTS (
        SELECT FROM blocks b
        WHERE b.listing_id = listing AND b.active AND (b.reason <> 'hold' OR b.expires_at > at)
            AND (b.nights && daterange(check_in, check_out)
                OR (gap > 0 AND b.guarded && daterange(check_in, check_out + gap))));
END $$;

-- Whether the rules of single dates allow the stay; what a date leaves open the listing's own rules answer.
CREATE FUNCTION search_days_allow(listing bigint, check_in date, check_out date, fewest int, most int,
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
UNDO_EXACT = """
DROP FUNCTION search_days_allow(bigint, date, date, int, int, boolean, boolean);
DROP FUNCTION search_is_free(bigint, date, date, int, timestamptz);
"""


class Migration(migrations.Migration):
    dependencies = [("search", "0004_follow_listings")]
    operations = [
        migrations.RunSQL(FOLLOW_BLOCK, UNDO_FOLLOW_BLOCK),
        migrations.RunSQL(EXACT, UNDO_EXACT),
    ]
