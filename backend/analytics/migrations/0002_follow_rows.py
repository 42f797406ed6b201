"""Whatever changes a day that may be over leaves a note, by triggers: no way to change a row can forget it.

A note is a row of its own that nobody else writes, so that confirmations of one day never wait for each other. Claims
of nights by guests leave none; their bookings do when they are confirmed.
"""

from django.db import migrations

BOOKINGS = """
CREATE FUNCTION market_follow_booking() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO market_changes (first, after)
    SELECT DISTINCT first, after FROM (
        VALUES
            ((NEW.confirmed_at AT TIME ZONE 'UTC')::date, (NEW.confirmed_at AT TIME ZONE 'UTC')::date + 1),
            ((NEW.accepted_at AT TIME ZONE 'UTC')::date, (NEW.accepted_at AT TIME ZONE 'UTC')::date + 1),
            ((NEW.ended_at AT TIME ZONE 'UTC')::date, (NEW.ended_at AT TIME ZONE 'UTC')::date + 1),
            (CASE WHEN NEW.confirmed_at IS NOT NULL THEN NEW.check_in END, NEW.check_out)
    ) AS touched (first, after)
    WHERE first IS NOT NULL;
    IF TG_OP = 'UPDATE' AND OLD.confirmed_at IS NOT NULL THEN
        INSERT INTO market_changes (first, after)
        SELECT first, after FROM (
            VALUES
                ((OLD.confirmed_at AT TIME ZONE 'UTC')::date, (OLD.confirmed_at AT TIME ZONE 'UTC')::date + 1),
                (OLD.check_in, OLD.check_out)
        ) AS touched (first, after)
        WHERE (OLD.confirmed_at, OLD.check_in, OLD.check_out)
            IS DISTINCT FROM (NEW.confirmed_at, NEW.check_in, NEW.check_out);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER market_follow_new_booking AFTER INSERT ON bookings
    FOR EACH ROW WHEN (NEW.confirmed_at IS NOT NULL OR NEW.accepted_at IS NOT NULL OR NEW.status = 'declined')
    EXECUTE FUNCTION market_follow_booking();
CREATE TRIGGER market_follow_booking AFTER UPDATE OF
        status, confirmed_at, accepted_at, check_in, check_out, total_minor, host_payout_minor, currency, listing_id,
        terms
    ON bookings
    FOR EACH ROW WHEN (
        (
            OLD.status IN ('confirmed', 'completed'), OLD.status = 'declined', OLD.confirmed_at, OLD.accepted_at,
            OLD.check_in, OLD.check_out, OLD.total_minor, OLD.host_payout_minor, OLD.currency, OLD.listing_id, OLD.terms
        ) IS DISTINCT FROM (
            NEW.status IN ('confirmed', 'completed'), NEW.status = 'declined', NEW.confirmed_at, NEW.accepted_at,
            NEW.check_in, NEW.check_out, NEW.total_minor, NEW.host_payout_minor, NEW.currency, NEW.listing_id, NEW.terms
        )
        AND (NEW.confirmed_at IS NOT NULL OR NEW.accepted_at IS NOT NULL OR NEW.status = 'declined')
    )
    EXECUTE FUNCTION market_follow_booking();
"""
NO_BOOKINGS = """
DROP TRIGGER market_follow_booking ON bookings;
DROP TRIGGER market_follow_new_booking ON bookings;
DROP FUNCTION market_follow_booking();
"""

PAYMENTS = """
CREATE FUNCTION market_follow_payment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO market_changes (first, after)
    VALUES ((NEW.completed_at AT TIME ZONE 'UTC')::date, (NEW.completed_at AT TIME ZONE 'UTC')::date + 1);
    IF TG_OP = 'UPDATE' AND OLD.completed_at IS DISTINCT FROM NEW.completed_at AND OLD.completed_at IS NOT NULL THEN
        INSERT INTO market_changes (first, after)
        VALUES ((OLD.completed_at AT TIME ZONE 'UTC')::date, (OLD.completed_at AT TIME ZONE 'UTC')::date + 1);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER market_follow_new_payment AFTER INSERT ON payments
    FOR EACH ROW WHEN (NEW.completed_at IS NOT NULL) EXECUTE FUNCTION market_follow_payment();
CREATE TRIGGER market_follow_payment AFTER UPDATE OF status, completed_at, amount_minor ON payments
    FOR EACH ROW WHEN (
        NEW.completed_at IS NOT NULL
        AND (OLD.status IN ('pending', 'failed'), OLD.completed_at, OLD.amount_minor)
            IS DISTINCT FROM (NEW.status IN ('pending', 'failed'), NEW.completed_at, NEW.amount_minor)
    )
    EXECUTE FUNCTION market_follow_payment();
"""
NO_PAYMENTS = """
DROP TRIGGER market_follow_payment ON payments;
DROP TRIGGER market_follow_new_payment ON payments;
DROP FUNCTION market_follow_payment();
"""

REVIEWS = """
CREATE FUNCTION market_follow_review() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO market_changes (first, after)
    VALUES ((NEW.published_at AT TIME ZONE 'UTC')::date, (NEW.published_at AT TIME ZONE 'UTC')::date + 1);
    RETURN NULL;
END $$;
CREATE TRIGGER market_follow_new_review AFTER INSERT ON reviews
    FOR EACH ROW WHEN (NEW.published_at IS NOT NULL AND NEW.about = 'property')
    EXECUTE FUNCTION market_follow_review();
CREATE TRIGGER market_follow_review AFTER UPDATE OF status, published_at, rating ON reviews
    FOR EACH ROW WHEN (
        NEW.published_at IS NOT NULL AND NEW.about = 'property'
        AND (OLD.status, OLD.published_at, OLD.rating) IS DISTINCT FROM (NEW.status, NEW.published_at, NEW.rating)
    )
    EXECUTE FUNCTION market_follow_review();
"""
NO_REVIEWS = """
DROP TRIGGER market_follow_review ON reviews;
DROP TRIGGER market_follow_new_review ON reviews;
DROP FUNCTION market_follow_review();
"""

# A step counts from its day on, and every later day with it.
LISTINGS = """
CREATE FUNCTION market_follow_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO market_changes (first) VALUES ((NEW.at AT TIME ZONE 'UTC')::date);
    RETURN NULL;
END $$;
CREATE TRIGGER market_follow_step AFTER INSERT ON property_transitions
    FOR EACH ROW WHEN (NEW.new IN ('published', 'paused') OR NEW.old IN ('published', 'paused'))
    EXECUTE FUNCTION market_follow_step();

CREATE FUNCTION market_follow_move() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    today date := (NEW.updated_at AT TIME ZONE 'UTC')::date;
    since date := (SELECT max(m.until) FROM listing_moves m WHERE m.listing_id = NEW.id);
BEGIN
    -- Where it was moved on that day already, it counts by the last move of the day.
    IF since IS NULL OR since < today THEN
        INSERT INTO listing_moves (listing_id, since, until, country, city, property_type, currency)
        VALUES (NEW.id, since, today, OLD.country, OLD.city, OLD.property_type, OLD.currency);
    END IF;
    INSERT INTO market_changes (first) VALUES (least(today, since));
    RETURN NULL;
END $$;
CREATE TRIGGER market_follow_move AFTER UPDATE OF country, city, property_type, currency ON properties
    FOR EACH ROW WHEN (
        (OLD.country, OLD.city, OLD.property_type, OLD.currency)
            IS DISTINCT FROM (NEW.country, NEW.city, NEW.property_type, NEW.currency)
    )
    EXECUTE FUNCTION market_follow_move();
"""
NO_LISTINGS = """
DROP TRIGGER market_follow_move ON properties;
DROP FUNCTION market_follow_move();
DROP TRIGGER market_follow_step ON property_transitions;
DROP FUNCTION market_follow_step();
"""

BLOCKS = """
CREATE FUNCTION market_follow_block() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO market_changes (first, after) VALUES (lower(NEW.nights), upper(NEW.nights));
    IF TG_OP = 'UPDATE' AND OLD.nights <> NEW.nights THEN
        INSERT INTO market_changes (first, after) VALUES (lower(OLD.nights), upper(OLD.nights));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER market_follow_new_block AFTER INSERT ON blocks
    FOR EACH ROW WHEN (NEW.reason IN ('host', 'feed')) EXECUTE FUNCTION market_follow_block();
CREATE TRIGGER market_follow_block AFTER UPDATE OF nights, reason, released_at ON blocks
    FOR EACH ROW WHEN (
        (OLD.reason IN ('host', 'feed') OR NEW.reason IN ('host', 'feed'))
        AND (OLD.nights, OLD.reason, OLD.released_at) IS DISTINCT FROM (NEW.nights, NEW.reason, NEW.released_at)
    )
    EXECUTE FUNCTION market_follow_block();
"""
NO_BLOCKS = """
DROP TRIGGER market_follow_block ON blocks;
DROP TRIGGER market_follow_new_block ON blocks;
DROP FUNCTION market_follow_block();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("analytics", "0001_initial"),
        ("availability", "0004_pinned_blocks"),
        ("bookings", "0008_conversations"),
        ("payments", "0012_refunds_made_again"),
        ("reviews", "0002_states_and_windows"),
    ]

    operations = [
        migrations.RunSQL(BOOKINGS, NO_BOOKINGS),
        migrations.RunSQL(PAYMENTS, NO_PAYMENTS),
        migrations.RunSQL(REVIEWS, NO_REVIEWS),
        migrations.RunSQL(LISTINGS, NO_LISTINGS),
        migrations.RunSQL(BLOCKS, NO_BLOCKS),
    ]
