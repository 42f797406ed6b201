"""The gap that a stay keeps to the next one is the listing's present one, also for stays that were booked before.

Each stay guards its nights and the gap after them, but never further than to the next stay: two stays that lie nearer
than a gap which the host asks for later are both good, and nothing comes between them. When one of them goes, the
other's guard grows again.
"""

from django.db import migrations

KEEP = """
CREATE FUNCTION blocks_keep_preparation(listing bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    gap int := (SELECT greatest(preparation_days_before, preparation_days_after) FROM properties WHERE id = listing);
BEGIN
    FOR attempt IN 1..3 LOOP
        BEGIN
            -- A guard that must change may stand where another one is to grow: first they go, then they come.
            UPDATE blocks b SET guarded = NULL
            FROM blocks_guards(listing, gap) w WHERE b.id = w.id AND b.guarded <> w.guarded;
            UPDATE blocks b SET guarded = w.guarded
            FROM blocks_guards(listing, gap) w WHERE b.id = w.id AND b.guarded IS DISTINCT FROM w.guarded;
            RETURN;
        EXCEPTION WHEN exclusion_violation THEN
            -- A claim was under way. It is written by now, and the next look sees it.
            IF attempt = 3 THEN
                RAISE;
            END IF;
        END;
    END LOOP;
END $$;

CREATE FUNCTION blocks_guards(listing bigint, gap int) RETURNS TABLE (id bigint, guarded daterange)
LANGUAGE sql STABLE AS $$
    SELECT b.id, CASE WHEN gap > 0 THEN daterange(
        lower(b.nights), least(upper(b.nights) + gap, lead(lower(b.nights)) OVER (ORDER BY lower(b.nights)))
    ) END
    FROM blocks b WHERE b.listing_id = listing AND b.active AND b.reason IN ('hold', 'booking')
$$;

CREATE FUNCTION blocks_follow_preparation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Bookings pin the listing (FOR KEY SHARE) before they read it: those under way are waited for, with their old gap,
    -- and those that come wait for the new one.
    PERFORM FROM properties WHERE id = NEW.id FOR UPDATE;
    PERFORM blocks_keep_preparation(NEW.id);
    RETURN NULL;
END $$;

CREATE FUNCTION blocks_follow_each_other() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM blocks_keep_preparation(NEW.listing_id);
    RETURN NULL;
END $$;

CREATE TRIGGER blocks_follow_preparation
    AFTER UPDATE OF preparation_days_before, preparation_days_after ON properties FOR EACH ROW
    WHEN (greatest(OLD.preparation_days_before, OLD.preparation_days_after)
        <> greatest(NEW.preparation_days_before, NEW.preparation_days_after))
    EXECUTE FUNCTION blocks_follow_preparation();

CREATE TRIGGER blocks_follow_each_other AFTER UPDATE OF active, nights ON blocks FOR EACH ROW
    WHEN (OLD.active AND OLD.guarded IS NOT NULL
        AND (NOT NEW.active OR upper(NEW.nights) < upper(OLD.nights) OR lower(NEW.nights) > lower(OLD.nights)))
    EXECUTE FUNCTION blocks_follow_each_other();

SELECT blocks_keep_preparation(id) FROM properties
WHERE greatest(preparation_days_before, preparation_days_after) > 0
    OR EXISTS (SELECT FROM blocks WHERE listing_id = properties.id AND active AND guarded IS NOT NULL);
"""
UNDO_KEEP = """
DROP TRIGGER blocks_follow_each_other ON blocks;
DROP TRIGGER blocks_follow_preparation ON properties;
DROP FUNCTION blocks_follow_each_other();
DROP FUNCTION blocks_follow_preparation();
DROP FUNCTION blocks_keep_preparation(bigint);
DROP FUNCTION blocks_guards(bigint, int);
"""


class Migration(migrations.Migration):
    dependencies = [("availability", "0004_pinned_blocks")]
    operations = [migrations.RunSQL(KEEP, UNDO_KEEP)]
