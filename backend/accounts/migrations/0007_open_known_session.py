from django.db import migrations

# Signing in as most people do: a device that the account knows and no second step. One statement instead of five, since
# whatever comes after a password hash finds the processor's caches cold. Each statement of a function sees what was
# committed before it, so also what the lock was waited for. NULL: it is not that simple, and nothing is written.
OPEN = """
CREATE FUNCTION open_known_session(
    who bigint, hashed text, opened uuid, from_device text, from_address inet, network_first inet, network_last inet,
    at timestamptz, until timestamptz, secret bytea
) RETURNS text[] LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM users u
    WHERE u.id = who AND u.password = hashed AND u.is_active AND u.suspended_at IS NULL
    FOR NO KEY UPDATE;
    IF NOT FOUND
        OR EXISTS (SELECT FROM mfa_authenticator m WHERE m.user_id = who AND m.type = 'totp')
        OR NOT EXISTS (
            SELECT FROM sessions s
            WHERE s.user_id = who AND s.device = from_device AND s.address BETWEEN network_first AND network_last
        )
    THEN
        RETURN NULL;
    END IF;
    UPDATE users SET last_login = at WHERE id = who;
    INSERT INTO sessions (
        id, user_id, device, address, created_at, last_used_at, expires_at, refresh_secret, refresh_number, revoked_reason
    ) VALUES (opened, who, from_device, from_address, at, at, until, secret, 0, '');
    RETURN ARRAY(
        SELECT g.name FROM users_groups ug JOIN auth_group g ON g.id = ug.group_id WHERE ug.user_id = who
    );
END
$$
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0006_phones_sealed"), ("mfa", "0003_authenticator_type_uniq")]

    operations = [migrations.RunSQL(OPEN, "DROP FUNCTION open_known_session")]
