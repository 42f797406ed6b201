"""What must be true of bookings at any moment."""

from __future__ import annotations

from backend.bookings.states import TRANSITIONS
from backend.core.checks import Check

_EDGES = ", ".join(
    f"('{old}', '{new}')" for old, following in sorted(TRANSITIONS.edges.items()) for new in sorted(following)
)

CHECKS = [
    Check(
        name="stays_have_their_nights",
        sql="""
            SELECT b.id AS booking, b.status, b.check_in, b.check_out, k.id AS block, k.nights, k.active, k.reason
            FROM bookings b LEFT JOIN blocks k ON k.id = b.block_id
            WHERE (b.status IN ('confirmed', 'completed') OR b.status = 'pending' AND b.expires_at > %(now)s)
              AND (k.active, k.listing_id, k.nights, k.reason) IS DISTINCT FROM
                  (true, b.listing_id, daterange(b.check_in, b.check_out),
                   CASE b.status WHEN 'pending' THEN 'hold' ELSE 'booking' END)
        """,
        meaning="A guest counts on nights that the calendar has not taken for them, or has taken otherwise.",
    ),
    Check(
        name="ended_stays_take_no_nights",
        sql="""
            SELECT b.id AS booking, b.status, k.id AS block FROM bookings b JOIN blocks k ON k.id = b.block_id
            WHERE b.status IN ('canceled', 'declined', 'expired') AND k.active
        """,
        meaning="Nights of a booking that has ended are still taken: nobody can book them.",
    ),
    Check(
        name="taken_nights_have_a_stay",
        sql="""
            SELECT k.id AS block, k.listing_id, k.nights, k.reason FROM blocks k
            WHERE k.active AND k.reason IN ('hold', 'booking') AND NOT EXISTS (
                SELECT FROM bookings b
                WHERE b.block_id = k.id AND b.status IN ('pending', 'confirmed', 'completed')
            )
        """,
        meaning="Nights are taken for a stay that does not exist.",
    ),
    Check(
        name="folio_is_the_price",
        sql="""
            SELECT b.id AS booking, b.total_minor, b.host_payout_minor, sums.total, sums.payout
            FROM bookings b JOIN folios f ON f.id = b.folio_id
            CROSS JOIN LATERAL (
                SELECT coalesce(sum(amount_minor) FILTER (WHERE side = 'guest'), 0) AS total,
                       coalesce(sum(amount_minor)
                           FILTER (WHERE side = 'host' OR code NOT IN ('service_fee', 'tax')), 0) AS payout
                FROM folio_lines l WHERE l.folio_id = f.id
            ) AS sums
            WHERE (b.total_minor, b.host_payout_minor, b.currency, b.guest_id, b.host_id) IS DISTINCT FROM
                  (sums.total, sums.payout, f.currency, f.guest_id, f.host_id)
        """,
        meaning="The lines of a stay's account do not sum to what the guest pays or the host receives.",
    ),
    Check(
        name="confirmed_stays_are_paid",
        sql="""
            SELECT b.id AS booking, b.status, b.total_minor, coalesce(sum(p.amount_minor), 0) AS paid
            FROM bookings b
            LEFT JOIN payments p ON p.folio_id = b.folio_id AND p.kind = 'payment'
                 AND p.status IN ('completed', 'partially_refunded', 'refunded')
            WHERE b.status IN ('confirmed', 'completed')
            GROUP BY b.id HAVING coalesce(sum(p.amount_minor), 0) <> b.total_minor
        """,
        meaning="A stay is confirmed that was not paid, or was not paid as agreed.",
    ),
    Check(
        name="money_goes_back_when_owed",
        sql="""
            SELECT b.id AS booking, b.status, b.refund_minor, money.paid, money.back
            FROM bookings b
            CROSS JOIN LATERAL (
                SELECT coalesce(sum(amount_minor) FILTER (
                           WHERE kind = 'payment' AND status NOT IN ('pending', 'failed')), 0) AS paid,
                       coalesce(sum(amount_minor) FILTER (
                           WHERE kind = 'refund' AND status IN ('pending', 'completed')), 0) AS back
                FROM payments p WHERE p.folio_id = b.folio_id
            ) AS money
            WHERE b.status IN ('pending', 'declined', 'expired') AND money.paid <> money.back
               OR b.status = 'canceled' AND (b.refund_minor IS NULL OR money.back < b.refund_minor)
        """,
        meaning="A guest's money is kept for a stay that is not, or a promised refund is neither made nor under way.",
    ),
    Check(
        name="completed_stays_are_earned",
        sql="""
            SELECT b.id AS booking, b.status, t.id AS transaction
            FROM bookings b
            LEFT JOIN ledger_transactions t ON t.folio_id = b.folio_id AND t.cause = 'stay.completed'
            WHERE b.status <> 'completed' AND t.id IS NOT NULL
               OR b.status = 'completed' AND t.id IS NULL AND EXISTS (
                    SELECT FROM payments p
                    WHERE p.folio_id = b.folio_id AND p.kind = 'payment'
                      AND p.status IN ('completed', 'partially_refunded'))
        """,
        meaning="A host's share was booked for a stay that did not end, or was not booked for one that did.",
    ),
    Check(
        name="timeline_has_no_gaps",
        sql=f"""
            SELECT b.id AS booking, b.status, b.version, steps.seq, steps.old, steps.new
            FROM bookings b
            LEFT JOIN (
                SELECT booking_id, seq, old, new,
                       lag(new, 1, '') OVER mine AS came_from,
                       row_number() OVER mine AS place,
                       count(*) OVER (PARTITION BY booking_id) AS steps,
                       last_value(new) OVER (PARTITION BY booking_id ORDER BY seq
                           ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS ended_as
                FROM booking_transitions WINDOW mine AS (PARTITION BY booking_id ORDER BY seq)
            ) AS steps ON steps.booking_id = b.id
            WHERE steps.seq IS DISTINCT FROM steps.place OR steps.old IS DISTINCT FROM steps.came_from
               OR steps.steps IS DISTINCT FROM b.version OR steps.ended_as IS DISTINCT FROM b.status
               OR steps.old NOT IN ('', steps.new) AND (steps.old, steps.new) NOT IN ({_EDGES})
        """,  # noqa: S608 - the edges are words of our own
        meaning="A booking's timeline does not lead to where it is: somebody changed it past the operations.",
    ),
    Check(
        name="bookings_are_guarded",
        sql="""
            SELECT wanted.name FROM (VALUES
                ('bookings_status_edge', 'bookings'), ('booking_transitions_append_only', 'booking_transitions')
            ) AS wanted (name, relation)
            LEFT JOIN pg_trigger t ON t.tgname = wanted.name AND t.tgrelid = wanted.relation::regclass
                 AND t.tgenabled IN ('O', 'A')
            WHERE t.oid IS NULL
        """,
        meaning="A trigger that protects the states of bookings is missing or disabled.",
    ),
    Check(
        name="pending_stays_run_out",
        sql="""
            SELECT id AS booking, pending_reason, expires_at FROM bookings
            WHERE status = 'pending' AND expires_at < %(now)s - interval '5 minutes' AND updated_at <= %(seen)s
        """,
        meaning="A hold or request is five minutes past its end: nobody sweeps.",
    ),
    Check(
        name="past_stays_are_completed",
        sql="""
            SELECT id AS booking, check_out_at FROM bookings
            WHERE status = 'confirmed' AND check_out_at < %(now)s - interval '1 hour' AND updated_at <= %(seen)s
        """,
        meaning="A stay that ended an hour ago is not completed: nobody sweeps, and its host is not paid.",
    ),
]
