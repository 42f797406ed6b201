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
        name="exclusion_constraints_stand",
        sql="""
            SELECT wanted.name FROM (VALUES ('blocks_no_overlap'), ('blocks_no_guard_overlap')) AS wanted (name)
            LEFT JOIN pg_constraint ON conname = wanted.name AND contype = 'x' AND convalidated
            WHERE conname IS NULL
        """,
        meaning="The constraint that makes double booking impossible is missing.",
    ),
]
