"""Whoever is told something has it delivered to their endpoints too: in the same transaction, whatever wrote it.

Once a statement, over the rows that it wrote; without an endpoint that listens it costs one look into a small index.
"""

from django.db import migrations

COLLECT = r"""
CREATE FUNCTION webhooks_deliver(wanted bigint[]) RETURNS void LANGUAGE sql AS $$
    SELECT procrastinate_defer_jobs_v1(array_agg(ROW(
        'webhooks', 'webhooks.deliver', 0, NULL, NULL, jsonb_build_object('endpoint_id', id), NULL
    )::procrastinate_job_to_defer_v1)) FROM (SELECT DISTINCT unnest(wanted) AS id) AS endpoint
    HAVING count(*) > 0
$$;

CREATE FUNCTION webhooks_collect_notices() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE found bigint[];
BEGIN
    WITH made AS (
        INSERT INTO webhook_deliveries
            (endpoint_id, event_id, type, object_key, data, created_at, state, attempts, retries, next_at)
        SELECT e.id, 'evt_n' || n.id, n.kind,
            CASE WHEN n.data ? 'booking_id' THEN 'booking:' || (n.data ->> 'booking_id') ELSE n.object_key END,
            n.data, n.created_at, 'waiting', 0, 0, n.created_at
        FROM written n JOIN webhook_endpoints e ON e.user_id = n.user_id AND e.disabled_at IS NULL
        WHERE n.kind !~ '^(security|account|identity|message|search|webhook)\.'
            AND (e.events = '{}' OR n.kind = ANY (e.events))
        ORDER BY n.id
        RETURNING endpoint_id
    )
    SELECT array_agg(endpoint_id) INTO found FROM made;
    IF found IS NOT NULL THEN
        PERFORM webhooks_deliver(found);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION webhooks_collect_frames() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE found bigint[];
BEGIN
    WITH made AS (
        INSERT INTO webhook_deliveries
            (endpoint_id, event_id, type, object_key, data, created_at, state, attempts, retries, next_at)
        SELECT e.id, 'evt_e' || f.id, CASE f.type WHEN 'booking' THEN 'booking.updated' ELSE 'message.created' END,
            CASE f.type WHEN 'booking' THEN 'booking:' || (f.data ->> 'id')
                ELSE 'conversation:' || (f.data ->> 'conversation_id') END,
            f.data, f.created_at, 'waiting', 0, 0, f.created_at
        FROM written f JOIN webhook_endpoints e ON e.user_id = f.user_id AND e.disabled_at IS NULL
        WHERE f.type IN ('booking', 'message')
            AND (e.events = '{}'
                OR CASE f.type WHEN 'booking' THEN 'booking.updated' ELSE 'message.created' END = ANY (e.events))
        ORDER BY f.id
        RETURNING endpoint_id
    )
    SELECT array_agg(endpoint_id) INTO found FROM made;
    IF found IS NOT NULL THEN
        PERFORM webhooks_deliver(found);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER webhooks_collect AFTER INSERT ON notifications REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION webhooks_collect_notices();
CREATE TRIGGER webhooks_collect AFTER INSERT ON live_events REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION webhooks_collect_frames();
"""

FORGET = """
DROP TRIGGER webhooks_collect ON notifications;
DROP TRIGGER webhooks_collect ON live_events;
DROP FUNCTION webhooks_collect_notices;
DROP FUNCTION webhooks_collect_frames;
DROP FUNCTION webhooks_deliver;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("webhooks", "0001_initial"),
        ("notifications", "0005_deliveries_astray"),
        ("procrastinate", "0041_post_retry_failed_job"),
    ]
    operations = [migrations.RunSQL(COLLECT, FORGET)]
