"""A report is decided once, and what it is about never changes."""

from django.db import migrations

DECIDED_ONCE = """
CREATE FUNCTION reports_decided_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.reporter_id, NEW.listing_id, NEW.user_id, NEW.message_id, NEW.review_id, NEW.reason, NEW.created_at)
        IS DISTINCT FROM
        (OLD.reporter_id, OLD.listing_id, OLD.user_id, OLD.message_id, OLD.review_id, OLD.reason, OLD.created_at)
        OR (OLD.status <> 'open' AND (NEW.status, NEW.step, NEW.decided_by_id, NEW.decided_at, NEW.note)
            IS DISTINCT FROM (OLD.status, OLD.step, OLD.decided_by_id, OLD.decided_at, OLD.note)) THEN
        RAISE EXCEPTION 'report % stands as it was decided', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'reports_decided_once', TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER reports_decided_once BEFORE UPDATE ON reports
    FOR EACH ROW EXECUTE FUNCTION reports_decided_once();
"""


class Migration(migrations.Migration):
    dependencies = [("moderation", "0002_erased_people_stay_away")]

    operations = [
        migrations.RunSQL(
            DECIDED_ONCE,
            "DROP TRIGGER reports_decided_once ON reports; DROP FUNCTION reports_decided_once();",
        )
    ]
