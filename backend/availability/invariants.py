"""What must be true of the calendar at any moment."""

from __future__ import annotations

from backend.core.checks import Check

CHECKS = [
    Check(
        name="nights_sold_once",
        sql="""
            SELECT a.listing_id, a.id AS block, b.id AS other, a.nights * b.nights AS shared
            FROM blocks a JOIN blocks b ON b.listing_id = a.listing_id AND b.id > a.id AND b.nights && a.nights
            WHERE a.active AND b.active
        """,
        meaning="Two active blocks of one listing share a night: the constraint is gone or was disabled.",
    ),
    Check(
        name="holds_expire",
        sql="SELECT id, listing_id FROM blocks WHERE active AND reason = 'hold' AND expires_at IS NULL",
        meaning="A hold without an end would keep nights from being sold for ever.",
    ),
    Check(
        name="preparation_is_guarded",
        sql="""
            SELECT p.id AS listing_id, b.id AS block, b.guarded, g.guarded AS wanted
            FROM properties p
            CROSS JOIN LATERAL blocks_guards(
                p.id, greatest(p.preparation_days_before, p.preparation_days_after)::int) g
            JOIN blocks b ON b.id = g.id
            WHERE greatest(p.preparation_days_before, p.preparation_days_after) > 0
                AND b.guarded IS DISTINCT FROM g.guarded
        """,
        meaning="A stay does not guard the nights that its host needs before the next one: they can be sold.",
    ),
    Check(
        name="exclusion_constraints_stand",
        sql="""
            SELECT wanted.name FROM (VALUES ('blocks_no_overlap'), ('blocks_no_guard_overlap')) AS wanted (name)
            LEFT JOIN pg_constraint ON conname = wanted.name AND contype = 'x' AND convalidated
            WHERE conname IS NULL
        """,
        meaning="The constraint that makes double booking impossible is missing.",
    ),
    Check(
        name="imported_nights_follow_their_entries",
        sql="""
            SELECT b.id AS block, b.listing_id, b.nights, e.id AS entry
            FROM blocks b JOIN feed_events e ON e.id = b.event_id JOIN calendar_feeds f ON f.id = e.feed_id
            WHERE b.active AND (
                f.listing_id <> b.listing_id OR b.reason <> 'feed'
                OR upper(b.nights) > greatest(e.removed_at, e.skipped_at)::date + 2)
        """,
        meaning="Nights are closed by an entry that another calendar no longer has, or that its host ignores.",
    ),
    Check(
        name="calendar_conflicts_in_one_place",
        sql="""
            SELECT c.id, b.listing_id, f.listing_id AS feed_listing
            FROM feed_conflicts c JOIN blocks b ON b.id = c.block_id
            JOIN feed_events e ON e.id = c.event_id JOIN calendar_feeds f ON f.id = e.feed_id
            WHERE b.listing_id <> f.listing_id OR b.reason NOT IN ('hold', 'booking')
        """,
        meaning="A host is asked to decide between entries of different places, or about what is no stay.",
    ),
]
