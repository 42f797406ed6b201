"""Live events get their numbers when their transaction commits.

All events of a transaction are numbered at once, users in the order of their ids: two operations that tell the
same people in another order cannot wait for each other, and nobody's row is held while an operation works.
"""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("notifications", "0001_initial")]

    operations = [
        migrations.RunSQL(
            sql="""
                CREATE FUNCTION live_events_number() RETURNS trigger LANGUAGE plpgsql AS $$
                DECLARE
                    someone record;
                    last bigint;
                BEGIN
                    -- Unnumbered rows that are visible here are this transaction's own; the first of them numbers all.
                    PERFORM 1 FROM live_events WHERE id = NEW.id AND seq IS NULL;
                    IF NOT FOUND THEN
                        RETURN NULL;
                    END IF;
                    FOR someone IN
                        SELECT user_id, count(*) AS events FROM live_events
                        WHERE seq IS NULL GROUP BY user_id ORDER BY user_id
                    LOOP
                        UPDATE users SET event_seq = event_seq + someone.events
                            WHERE id = someone.user_id RETURNING event_seq - someone.events INTO last;
                        UPDATE live_events SET seq = last + numbered.place
                            FROM (
                                SELECT id, row_number() OVER (ORDER BY id) AS place FROM live_events
                                WHERE seq IS NULL AND user_id = someone.user_id
                            ) numbered
                            WHERE live_events.id = numbered.id;
                    END LOOP;
                    RETURN NULL;
                END $$;
                CREATE CONSTRAINT TRIGGER live_events_number AFTER INSERT ON live_events
                    DEFERRABLE INITIALLY DEFERRED
                    FOR EACH ROW WHEN (NEW.seq IS NULL) EXECUTE FUNCTION live_events_number();
            """,
            reverse_sql="DROP TRIGGER live_events_number ON live_events; DROP FUNCTION live_events_number();",
        )
    ]
