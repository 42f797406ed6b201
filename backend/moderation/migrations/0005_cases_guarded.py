"""What the database itself keeps: what nobody has looked at yet, that what was decided stands, and who stays away."""

from django.db import migrations

LOOK = """
CREATE FUNCTION moderation_look_at_listing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO moderation_unlooked (listing_id) VALUES (NEW.id);
    RETURN NULL;
END $$;
CREATE TRIGGER properties_unlooked_new AFTER INSERT ON properties
    FOR EACH ROW WHEN (NEW.status IN ('pending_review', 'published'))
    EXECUTE FUNCTION moderation_look_at_listing();
CREATE TRIGGER properties_unlooked AFTER UPDATE OF
    status, title, description, house_rules, price_minor, currency, latitude, longitude ON properties
    FOR EACH ROW WHEN (
        NEW.status IN ('pending_review', 'published')
        AND (NEW.status, NEW.title, NEW.description, NEW.house_rules, NEW.price_minor, NEW.currency, NEW.latitude,
            NEW.longitude)
        IS DISTINCT FROM (OLD.status, OLD.title, OLD.description, OLD.house_rules, OLD.price_minor, OLD.currency,
            OLD.latitude, OLD.longitude)
    )
    EXECUTE FUNCTION moderation_look_at_listing();
CREATE FUNCTION moderation_look_at_part() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO moderation_unlooked (listing_id) SELECT p.id FROM properties p
    WHERE p.id = NEW.listing_id AND p.status IN ('pending_review', 'published');
    RETURN NULL;
END $$;
CREATE TRIGGER photos_unlooked AFTER INSERT ON photos
    FOR EACH ROW EXECUTE FUNCTION moderation_look_at_part();
CREATE TRIGGER property_texts_unlooked AFTER INSERT OR UPDATE OF title, description, house_rules ON property_texts
    FOR EACH ROW EXECUTE FUNCTION moderation_look_at_part();
"""
LOOK_NO_MORE = """
DROP TRIGGER property_texts_unlooked ON property_texts;
DROP TRIGGER photos_unlooked ON photos;
DROP TRIGGER properties_unlooked ON properties;
DROP TRIGGER properties_unlooked_new ON properties;
DROP FUNCTION moderation_look_at_part();
DROP FUNCTION moderation_look_at_listing();
"""

STANDS = """
CREATE FUNCTION moderation_decisions_stand() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    shown moderation_decisions := NEW;
BEGIN
    -- What may change: words and pictures of the listing go; a decision is taken back once.
    IF NEW.words = '' THEN
        shown.words := OLD.words;
    END IF;
    IF NEW.snapshot = '{}'::jsonb THEN
        shown.snapshot := OLD.snapshot;
    END IF;
    IF OLD.reversed_at IS NULL THEN
        shown.reversed_at := NULL;
    END IF;
    IF shown IS DISTINCT FROM OLD THEN
        RAISE EXCEPTION 'decision % stands', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'moderation_decisions_stand', TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER moderation_decisions_stand BEFORE UPDATE ON moderation_decisions
    FOR EACH ROW EXECUTE FUNCTION moderation_decisions_stand();
CREATE FUNCTION moderation_appeals_stand() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.decision_id, NEW.person_id, NEW.created_at) IS DISTINCT FROM
        (OLD.decision_id, OLD.person_id, OLD.created_at)
        OR (OLD.status <> 'open' AND (NEW.status, NEW.decided_by_id, NEW.decided_at)
            IS DISTINCT FROM (OLD.status, OLD.decided_by_id, OLD.decided_at))
        OR (NEW.decided_by_id IS NOT NULL AND NEW.decided_by_id =
            (SELECT decided_by_id FROM moderation_decisions WHERE id = NEW.decision_id)) THEN
        RAISE EXCEPTION 'appeal % stands as it was decided', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'moderation_appeals_stand', TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER moderation_appeals_stand BEFORE UPDATE ON moderation_appeals
    FOR EACH ROW EXECUTE FUNCTION moderation_appeals_stand();
"""
FALLS = """
DROP TRIGGER moderation_appeals_stand ON moderation_appeals;
DROP FUNCTION moderation_appeals_stand();
DROP TRIGGER moderation_decisions_stand ON moderation_decisions;
DROP FUNCTION moderation_decisions_stand();
"""

STAYS_AWAY = """
CREATE FUNCTION erased_person_id_stays_away() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    gone timestamptz;
BEGIN
    SELECT erased_at INTO gone FROM users WHERE id = NEW.person_id FOR KEY SHARE;
    IF gone IS NOT NULL THEN
        RAISE EXCEPTION 'user % was erased', NEW.person_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'users_erased', TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER moderation_appeals_erased BEFORE INSERT ON moderation_appeals
    FOR EACH ROW EXECUTE FUNCTION erased_person_id_stays_away();
"""
COMES_BACK = """
DROP TRIGGER moderation_appeals_erased ON moderation_appeals;
DROP FUNCTION erased_person_id_stays_away();
"""

# Reports that wait have a case each from now on, as if it had been opened with the first of them.
GATHER = """
INSERT INTO moderation_cases (listing_id, user_id, message_id, review_id, person_id, status, priority, opened_at,
    due_at, version)
SELECT r.listing_id, r.user_id, r.message_id, r.review_id,
    coalesce(p.host_id, m.sender_id, w.author_id, r.user_id), 'open',
    CASE WHEN bool_or(r.reason IN ('safety', 'fraud')) THEN 3 ELSE 1 END, min(r.created_at),
    min(r.created_at) + interval '48 hours', 1
FROM reports r LEFT JOIN properties p ON p.id = r.listing_id LEFT JOIN messages m ON m.id = r.message_id
    LEFT JOIN reviews w ON w.id = r.review_id
WHERE r.status = 'open' AND coalesce(p.host_id, m.sender_id, w.author_id, r.user_id) IS NOT NULL
GROUP BY r.listing_id, r.user_id, r.message_id, r.review_id, p.host_id, m.sender_id, w.author_id;
UPDATE reports r SET case_id = c.id FROM moderation_cases c
WHERE r.status = 'open' AND (r.listing_id, r.user_id, r.message_id, r.review_id)
    IS NOT DISTINCT FROM (c.listing_id, c.user_id, c.message_id, c.review_id);
INSERT INTO moderation_unlooked (listing_id) SELECT id FROM properties WHERE status = 'pending_review';
"""


class Migration(migrations.Migration):
    dependencies = [("moderation", "0004_cases"), ("listings", "0010_texts_in_other_languages")]

    operations = [
        migrations.RunSQL(LOOK, LOOK_NO_MORE),
        migrations.RunSQL(STANDS, FALLS),
        migrations.RunSQL(STAYS_AWAY, COMES_BACK),
        migrations.RunSQL(GATHER, migrations.RunSQL.noop),
    ]
