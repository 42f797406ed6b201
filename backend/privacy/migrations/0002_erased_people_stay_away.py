"""Nothing new begins in the name of somebody who was erased, whoever was in the middle of something.

An operation may have looked at the account before the erasure and write after it. The trigger waits for an erasure
that is under way, as the foreign key would, and sees what has become of it.

Reasons that people wrote into the steps of a booking or a listing may be emptied; the steps stay as they are.
"""

from django.db import migrations

OWNERS = {
    "sessions": "user_id",
    "account_emailaddress": "user_id",
    "socialaccount_socialaccount": "user_id",
    "identity_checks": "user_id",
    "cohosts": "user_id",
    "payout_accounts": "user_id",
    "properties": "host_id",
    "bookings": "guest_id",
    "inquiries": "guest_id",
}


def _stay_away(column: str) -> str:
    return f"""
        CREATE FUNCTION erased_{column}_stays_away() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
            gone timestamptz;
        BEGIN
            SELECT erased_at INTO gone FROM users WHERE id = NEW.{column} FOR KEY SHARE;
            IF gone IS NOT NULL THEN
                RAISE EXCEPTION 'user % was erased', NEW.{column}
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'users_erased', TABLE = TG_TABLE_NAME;
            END IF;
            RETURN NEW;
        END $$;
    """  # noqa: S608 - columns of the list above


FUNCTIONS = "".join(_stay_away(column) for column in sorted(set(OWNERS.values())))
TRIGGERS = "".join(
    f"CREATE TRIGGER {table}_erased BEFORE INSERT ON {table}"
    f" FOR EACH ROW EXECUTE FUNCTION erased_{column}_stays_away();"
    for table, column in OWNERS.items()
)
NO_TRIGGERS = "".join(f"DROP TRIGGER {table}_erased ON {table};" for table in OWNERS)
NO_FUNCTIONS = "".join(
    f"DROP FUNCTION erased_{column}_stays_away();" for column in sorted(set(OWNERS.values()))
)

REASONS = """
CREATE OR REPLACE FUNCTION booking_transitions_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.reason = '' THEN
        OLD.reason := '';
        IF NEW IS NOT DISTINCT FROM OLD THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'booking_transitions is append-only'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'booking_transitions_append_only',
            TABLE = 'booking_transitions';
END $$;
"""
NO_REASONS = """
CREATE OR REPLACE FUNCTION booking_transitions_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'booking_transitions is append-only'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'booking_transitions_append_only',
            TABLE = 'booking_transitions';
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("privacy", "0001_initial"),
        ("account", "0009_emailaddress_unique_primary_email"),
        ("socialaccount", "0006_alter_socialaccount_extra_data"),
        ("bookings", "0006_changes_follow_edges"),
        ("listings", "0006_cohosts"),
        ("payments", "0015_provider_events_of_key"),
    ]

    operations = [
        migrations.RunSQL(FUNCTIONS + TRIGGERS, NO_TRIGGERS + NO_FUNCTIONS),
        migrations.RunSQL(REASONS, NO_REASONS),
    ]
