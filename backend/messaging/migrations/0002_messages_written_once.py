"""A message stays what it was when it was sent, but that its words can go; and nobody who was erased sends one."""

from django.db import migrations

WRITTEN_ONCE = """
    CREATE FUNCTION messages_written_once() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        shown messages := NEW;
    BEGIN
        -- What may change: hidden or shown again, read once, words taken out.
        shown.hidden_at := OLD.hidden_at;
        IF OLD.read_at IS NULL THEN
            shown.read_at := NULL;
        END IF;
        IF NEW.body = '' THEN
            shown.body := OLD.body;
        END IF;
        IF shown IS DISTINCT FROM OLD THEN
            RAISE EXCEPTION 'a message is not rewritten'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'messages_written_once', TABLE = 'messages';
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER messages_written_once BEFORE UPDATE ON messages
        FOR EACH ROW EXECUTE FUNCTION messages_written_once();
"""
REWRITTEN = "DROP TRIGGER messages_written_once ON messages; DROP FUNCTION messages_written_once();"

STAY_AWAY = """
    CREATE FUNCTION erased_sender_id_stays_away() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        gone timestamptz;
    BEGIN
        SELECT erased_at INTO gone FROM users WHERE id = NEW.sender_id FOR KEY SHARE;
        IF gone IS NOT NULL THEN
            RAISE EXCEPTION 'user % was erased', NEW.sender_id
                USING ERRCODE = 'check_violation', CONSTRAINT = 'users_erased', TABLE = TG_TABLE_NAME;
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER messages_erased BEFORE INSERT ON messages
        FOR EACH ROW WHEN (NEW.sender_id IS NOT NULL) EXECUTE FUNCTION erased_sender_id_stays_away();
"""
COME_BACK = "DROP TRIGGER messages_erased ON messages; DROP FUNCTION erased_sender_id_stays_away();"


class Migration(migrations.Migration):
    dependencies = [("messaging", "0001_initial")]

    operations = [
        migrations.RunSQL(WRITTEN_ONCE, REWRITTEN),
        migrations.RunSQL(STAY_AWAY, COME_BACK),
    ]
