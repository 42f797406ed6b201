"""The numbers of live events are given after one look at the unnumbered ones.

Every numbered event leaves a dead entry in their index, which each further look would pass again.
"""

from django.db import migrations

NUMBER = """
    CREATE OR REPLACE FUNCTION live_events_number() RETURNS trigger LANGUAGE plpgsql AS $$
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
            SELECT user_id, array_agg(id ORDER BY id) AS ids, count(*) AS events FROM live_events
            WHERE seq IS NULL GROUP BY user_id ORDER BY user_id
        LOOP
            UPDATE users SET event_seq = event_seq + someone.events
                WHERE id = someone.user_id RETURNING event_seq - someone.events INTO last;
            FOR place IN 1 .. someone.events LOOP
                UPDATE live_events SET seq = last + place WHERE id = someone.ids[place];
            END LOOP;
        END LOOP;
        RETURN NULL;
    END $$;
"""

BEFORE = """
    CREATE OR REPLACE FUNCTION live_events_number() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        someone record;
        last bigint;
    BEGIN
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
"""


class Migration(migrations.Migration):
    dependencies = [("notifications", "0002_number_live_events")]

    operations = [migrations.RunSQL(sql=NUMBER, reverse_sql=BEFORE)]
