"""The database refuses what no review may do, and writes down when the sides of a stay may begin.

A published review says for ever what it said when it was published: what can be taken away is its place (``hidden``)
and the words that only one person reads. The window follows bookings by a trigger, so that no way for a stay to end
can forget it; what it lasts is read from the listing's clock afterwards.
"""

from django.db import migrations

from backend.core.states import guard_trigger
from backend.reviews.states import TRANSITIONS

SETTLED = """
CREATE FUNCTION reviews_settled() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.booking_id, OLD.listing_id, OLD.about, OLD.author_id, OLD.subject_id, OLD.created_at)
            IS DISTINCT FROM
            (NEW.booking_id, NEW.listing_id, NEW.about, NEW.author_id, NEW.subject_id, NEW.created_at)
        OR OLD.status <> 'sealed' AND (OLD.rating, OLD.cleanliness, OLD.accuracy, OLD.check_in, OLD.communication,
                OLD.location, OLD.value, OLD.comment, OLD.published_at)
            IS DISTINCT FROM (NEW.rating, NEW.cleanliness, NEW.accuracy, NEW.check_in, NEW.communication,
                NEW.location, NEW.value, NEW.comment, NEW.published_at)
        OR OLD.status <> 'sealed' AND NEW.private_note NOT IN (OLD.private_note, '')
        OR OLD.responded_at IS NOT NULL AND (OLD.response, OLD.responded_at)
            IS DISTINCT FROM (NEW.response, NEW.responded_at)
    THEN
        RAISE EXCEPTION 'the review % stands as it was published', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'reviews_settled', TABLE = 'reviews';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER reviews_settled BEFORE UPDATE ON reviews FOR EACH ROW EXECUTE FUNCTION reviews_settled();
"""
NOT_SETTLED = "DROP TRIGGER reviews_settled ON reviews; DROP FUNCTION reviews_settled();"

WINDOWS = """
CREATE FUNCTION review_windows_follow_booking() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO review_windows (booking_id) VALUES (NEW.id) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER review_windows_follow_booking AFTER UPDATE OF status ON bookings
    FOR EACH ROW WHEN (
        OLD.status IS DISTINCT FROM NEW.status AND (
            NEW.status = 'completed'
            OR NEW.status = 'canceled' AND NEW.confirmed_at IS NOT NULL AND NEW.ended_at >= NEW.check_in_at
        )
    )
    EXECUTE FUNCTION review_windows_follow_booking();
"""
NO_WINDOWS = """
DROP TRIGGER review_windows_follow_booking ON bookings;
DROP FUNCTION review_windows_follow_booking();
"""

# Stays that ended before anybody could review them may still be reviewed, as far as their time is not up.
ENDED = """
INSERT INTO review_windows (booking_id)
SELECT id FROM bookings
WHERE (status = 'completed' OR status = 'canceled' AND confirmed_at IS NOT NULL AND ended_at >= check_in_at)
    AND greatest(check_out_at, ended_at) > now() - interval '15 days'
"""

ERASED = """
CREATE FUNCTION erased_author_id_stays_away() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    gone timestamptz;
BEGIN
    SELECT erased_at INTO gone FROM users WHERE id = NEW.author_id FOR KEY SHARE;
    IF gone IS NOT NULL THEN
        RAISE EXCEPTION 'user % was erased', NEW.author_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'users_erased', TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER reviews_erased BEFORE INSERT ON reviews FOR EACH ROW EXECUTE FUNCTION erased_author_id_stays_away();
"""
NOT_ERASED = "DROP TRIGGER reviews_erased ON reviews; DROP FUNCTION erased_author_id_stays_away();"


class Migration(migrations.Migration):
    dependencies = [("reviews", "0001_initial")]

    operations = [
        guard_trigger("reviews", "status", TRANSITIONS),
        migrations.RunSQL(SETTLED, NOT_SETTLED),
        migrations.RunSQL(WINDOWS, NO_WINDOWS),
        migrations.RunSQL(ENDED, migrations.RunSQL.noop),
        migrations.RunSQL(ERASED, NOT_ERASED),
    ]
