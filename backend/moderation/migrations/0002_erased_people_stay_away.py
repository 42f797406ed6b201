"""No report is made in the name of somebody who was erased while they made it."""

from django.db import migrations

STAYS_AWAY = """
CREATE FUNCTION erased_reporter_id_stays_away() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    gone timestamptz;
BEGIN
    SELECT erased_at INTO gone FROM users WHERE id = NEW.reporter_id FOR KEY SHARE;
    IF gone IS NOT NULL THEN
        RAISE EXCEPTION 'user % was erased', NEW.reporter_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'users_erased', TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER reports_erased BEFORE INSERT ON reports
    FOR EACH ROW EXECUTE FUNCTION erased_reporter_id_stays_away();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("moderation", "0001_initial"),
        ("privacy", "0002_erased_people_stay_away"),
    ]

    operations = [
        migrations.RunSQL(
            STAYS_AWAY,
            "DROP TRIGGER reports_erased ON reports; DROP FUNCTION erased_reporter_id_stays_away();",
        )
    ]
