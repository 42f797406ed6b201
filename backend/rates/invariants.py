"""What must be true of rates at any moment."""

from __future__ import annotations

from backend.core.checks import Check

CHECKS = [
    Check(
        name="rates_are_guarded",
        sql="""
            SELECT 'service_fee_terms_append_only' AS missing WHERE NOT EXISTS (
                SELECT FROM pg_trigger t
                WHERE t.tgname = 'service_fee_terms_append_only' AND t.tgenabled IN ('O', 'A')
                    AND t.tgrelid = 'service_fee_terms'::regclass)
            UNION ALL
            SELECT 'price_rules_no_overlapping_seasons' WHERE NOT EXISTS (
                SELECT FROM pg_constraint c
                WHERE c.conname = 'price_rules_no_overlapping_seasons' AND c.conrelid = 'price_rules'::regclass)
        """,
        meaning="What keeps seasons apart, or the service fee's terms as they were written, is missing or disabled.",
    ),
    Check(
        name="codes_are_in_their_listings_currency",
        sql="""
            SELECT c.id AS code, c.currency, p.id AS listing, p.currency AS expected
            FROM promo_codes c JOIN properties p ON p.id = c.listing_id
            WHERE c.amount_minor IS NOT NULL AND c.currency <> p.currency
        """,
        meaning="A listing's promotion code takes off an amount in another currency than the listing's.",
    ),
]
