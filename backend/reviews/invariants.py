"""What must be true of reviews at any moment."""

from __future__ import annotations

from backend.core.checks import Check
from backend.reviews import scores

CHECKS = [
    Check(
        name="ratings_are_what_reviews_come_to",
        sql=scores.WRONG,
        meaning="A place is rated better or worse than its reviews say. rebuild_ratings mends it.",
    ),
    Check(
        name="reviews_are_of_stays",
        sql="""
            SELECT r.id AS review, r.about, b.id AS booking, b.status FROM reviews r
            JOIN bookings b ON b.id = r.booking_id
            WHERE r.listing_id <> b.listing_id
                OR r.subject_id <> CASE r.about WHEN 'property' THEN b.host_id ELSE b.guest_id END
                OR (r.about = 'property' AND r.author_id <> b.guest_id)
                OR (r.about = 'guest' AND r.author_id = b.guest_id)
                OR NOT (b.status = 'completed' OR b.status = 'canceled' AND b.confirmed_at IS NOT NULL
                    AND b.ended_at >= b.check_in_at)
        """,
        meaning="Somebody reviewed a stay that did not take place, or was not theirs.",
    ),
    Check(
        name="reviews_are_published_together",
        sql="""
            SELECT r.id AS review, r.booking_id AS booking, r.status, w.closed_at FROM reviews r
            LEFT JOIN review_windows w ON w.booking_id = r.booking_id
            WHERE (r.status = 'sealed') IS DISTINCT FROM (w.closed_at IS NULL)
                OR r.published_at IS DISTINCT FROM w.closed_at
                OR w.closed_at IS NULL AND EXISTS (
                    SELECT FROM reviews other WHERE other.booking_id = r.booking_id AND other.id <> r.id
                )
        """,
        meaning="One side of a stay can read the other's review while its own is sealed, or nobody ever can.",
    ),
    Check(
        name="ended_stays_can_be_reviewed",
        sql="""
            SELECT b.id AS booking, b.status, b.ended_at FROM bookings b
            WHERE b.status = 'completed' AND b.ended_at > %(seen)s - interval '14 days'
                AND NOT EXISTS (SELECT FROM review_windows w WHERE w.booking_id = b.id)
        """,
        meaning="A stay has ended and its sides are not asked what it was like.",
    ),
    Check(
        name="seals_are_broken_in_time",
        # A sweep comes every minute; a day says that it does not come at all, or fails each time.
        sql="""
            SELECT w.booking_id AS booking, w.closes_at FROM review_windows w
            WHERE w.closed_at IS NULL AND w.closes_at < %(now)s - interval '1 day' AND w.invited_at < %(now)s
        """,
        meaning="Reviews that should be read by everybody are still sealed.",
    ),
]
