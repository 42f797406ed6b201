"""What must be true of bookings at any moment."""

from __future__ import annotations

from backend.bookings.states import TRANSITIONS
from backend.core.checks import Check

_EDGES = ", ".join(
    f"('{old}', '{new}')" for old, following in sorted(TRANSITIONS.edges.items()) for new in sorted(following)
)

CHECKS = [
    Check(
        name="stays_are_in_their_conversation",
        sql="""
            SELECT b.id AS booking, b.conversation_id FROM bookings b
            LEFT JOIN conversations c ON c.id = b.conversation_id
            WHERE b.conversation_id IS NULL OR (c.listing_id, c.guest_id) IS DISTINCT FROM (b.listing_id, b.guest_id)
               OR b.confirmed_at IS NOT NULL AND c.contact_open_at IS NULL
            UNION ALL
            SELECT i.booking_id, i.conversation_id FROM inquiries i JOIN conversations c ON c.id = i.conversation_id
            WHERE (c.listing_id, c.guest_id) IS DISTINCT FROM (i.listing_id, i.guest_id)
        """,
        meaning="What guest and host write about a stay is shown to others, or they cannot tell each other how to meet.",
    ),
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
              AND NOT (b.status = 'canceled' AND b.confirmed_at IS NOT NULL AND b.ended_at >= b.check_in_at
                  AND k.reason = 'booking' AND lower(k.nights) = b.check_in
                  AND upper(k.nights) <= (b.ended_at AT TIME ZONE (b.terms ->> 'zone'))::date + 1)
        """,
        meaning="Nights of a booking that has ended are still taken, other than those before it was cut short.",
    ),
    Check(
        name="taken_nights_have_a_stay",
        sql="""
            SELECT k.id AS block, k.listing_id, k.nights, k.reason FROM blocks k
            WHERE k.active AND k.reason IN ('hold', 'booking') AND NOT EXISTS (
                SELECT FROM bookings b
                WHERE b.block_id = k.id AND (b.status IN ('pending', 'confirmed', 'completed')
                    OR b.status = 'canceled' AND b.confirmed_at IS NOT NULL AND b.ended_at >= b.check_in_at)
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
        # What changes gave back lowers the total; what came too late for a change is no payment of the stay.
        sql="""
            SELECT b.id AS booking, b.status, b.total_minor, money.paid, changes.back
            FROM bookings b
            CROSS JOIN LATERAL (
                SELECT coalesce(sum(p.amount_minor), 0) AS paid FROM payments p
                WHERE p.folio_id = b.folio_id AND p.kind = 'payment'
                  AND p.status IN ('completed', 'partially_refunded', 'refunded')
                  AND NOT EXISTS (SELECT FROM alterations a WHERE a.payment_id = p.id AND a.settled_at IS NULL)
            ) AS money
            CROSS JOIN LATERAL (
                SELECT coalesce(sum(a.refund_minor), 0) AS back FROM alterations a
                WHERE a.booking_id = b.id AND a.settled_at IS NOT NULL
            ) AS changes
            WHERE b.status IN ('confirmed', 'completed') AND money.paid - changes.back <> b.total_minor
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
            CROSS JOIN LATERAL (
                SELECT coalesce(sum(d.folio_minor), 0) AS minor FROM disputes d JOIN payments p ON p.id = d.payment_id
                WHERE p.folio_id = b.folio_id AND d.funds_withdrawn
            ) AS disputed
            WHERE b.status IN ('pending', 'declined', 'expired')
                  AND (money.back > money.paid OR money.back + disputed.minor < money.paid)
               OR b.status = 'canceled'
                  AND (b.refund_minor IS NULL OR money.back + disputed.minor < b.refund_minor)
        """,
        meaning="A guest's money is kept for a stay that is not, or a promised refund is neither made nor under way.",
    ),
    Check(
        name="canceled_stays_are_divided",
        sql="""
            SELECT b.id AS booking, b.host_keeps_minor, b.taxes_kept_minor, books.kept, books.held, refunds.underway
            FROM bookings b
            CROSS JOIN LATERAL (
                SELECT coalesce(sum(e.amount_minor) FILTER (WHERE t.cause IN ('stay.part', 'stay.canceled')), 0) AS kept,
                       coalesce(sum(e.amount_minor) FILTER (WHERE t.cause = 'stay.canceled'), 0) AS at_the_end,
                       coalesce(-sum(e.amount_minor), 0) AS held
                FROM ledger_transactions t JOIN ledger_entries e ON e.transaction_id = t.id
                WHERE t.folio_id = b.folio_id AND e.account = 'guest_funds'
            ) AS books
            CROSS JOIN LATERAL (
                SELECT coalesce(sum(amount_minor), 0) AS underway FROM payments
                WHERE folio_id = b.folio_id AND kind = 'refund' AND status = 'pending'
            ) AS refunds
            CROSS JOIN LATERAL (
                SELECT coalesce(sum(d.folio_minor), 0) AS minor FROM disputes d JOIN payments p ON p.id = d.payment_id
                WHERE p.folio_id = b.folio_id AND d.funds_withdrawn AND d.loss_id IS NULL
            ) AS disputed
            WHERE b.status = 'canceled' AND (books.held > refunds.underway + disputed.minor
                  OR books.kept <> coalesce(b.host_keeps_minor, 0) + coalesce(b.taxes_kept_minor, 0))
               OR b.status <> 'canceled' AND books.at_the_end <> 0
        """,
        meaning="What was kept of a canceled stay is not divided as it was decided, or lies with nobody.",
    ),
    Check(
        name="penalties_are_booked",
        sql="""
            SELECT h.id AS penalty, h.amount_minor, b.status, b.canceled_by, books.owed, books.waived
            FROM host_penalties h JOIN bookings b ON b.id = h.booking_id LEFT JOIN blocks k ON k.id = h.block_id
            CROSS JOIN LATERAL (
                SELECT coalesce(sum(e.amount_minor) FILTER (WHERE t.cause = 'host.penalty'), 0) AS owed,
                       coalesce(-sum(e.amount_minor) FILTER (WHERE t.cause = 'host.penalty_waived'), 0) AS waived
                FROM ledger_transactions t JOIN ledger_entries e ON e.transaction_id = t.id
                WHERE t.folio_id = b.folio_id AND e.account = 'host_payable'
            ) AS books
            WHERE b.status <> 'canceled' OR b.canceled_by <> 'host' OR h.currency <> b.currency
               OR h.host_id <> b.host_id OR books.owed <> h.amount_minor
               OR books.waived <> CASE WHEN h.waived_at IS NULL THEN 0 ELSE h.amount_minor END
               OR h.waived_at IS NULL AND k.id IS NOT NULL AND NOT (k.active AND k.pinned AND k.reason = 'host')
        """,
        meaning="A host's penalty does not stand in the books as it was imposed or waived, or its nights are open.",
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
                    AND NOT EXISTS (
                    SELECT FROM ledger_transactions part
                    WHERE part.folio_id = b.folio_id AND part.cause = 'stay.part')
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
        name="codes_in_prices_are_used",
        sql="""
            SELECT b.id AS booking, b.promo_code_id, c.id AS priced_with FROM bookings b
            JOIN promo_codes c ON c.id = (b.terms #>> '{priced,discount,rule_id}')::bigint
            WHERE b.terms #>> '{priced,discount,kind}' = 'promo' AND b.promo_code_id IS DISTINCT FROM c.id
        """,
        meaning="A stay was priced with a promotion code whose use is not counted.",
    ),
    Check(
        name="bookings_are_guarded",
        sql="""
            SELECT wanted.name FROM (VALUES
                ('bookings_status_edge', 'bookings'), ('booking_transitions_append_only', 'booking_transitions'),
                ('cancellation_policies_append_only', 'cancellation_policies')
            ) AS wanted (name, relation)
            LEFT JOIN pg_trigger t ON t.tgname = wanted.name AND t.tgrelid = wanted.relation::regclass
                 AND t.tgenabled IN ('O', 'A')
            WHERE t.oid IS NULL
        """,
        meaning="A trigger that protects the states of bookings is missing or disabled.",
    ),
    Check(
        name="changes_count_when_paid",
        sql="""
            SELECT a.id AS alteration, a.booking_id AS booking, a.status, a.difference_minor, a.refund_minor,
                   p.status AS payment
            FROM alterations a LEFT JOIN payments p ON p.id = a.payment_id
            WHERE a.settled_at IS NOT NULL AND a.difference_minor > 0
                  AND (p.id IS NULL OR p.amount_minor <> a.difference_minor OR p.completed_at IS NULL)
               OR a.refund_minor > greatest(-a.difference_minor, 0)
               OR a.settled_at IS NULL AND p.completed_at IS NOT NULL AND p.amount_minor <> (
                    SELECT coalesce(sum(r.amount_minor), 0) FROM payments r
                    WHERE r.parent_id = p.id AND r.status IN ('pending', 'completed'))
        """,
        meaning="A change counts whose difference was not paid, or money for one that does not count was kept.",
    ),
    Check(
        name="open_changes_are_of_coming_stays",
        sql="""
            SELECT a.id AS alteration, a.status, b.id AS booking, b.status AS of FROM alterations a
            JOIN bookings b ON b.id = a.booking_id
            WHERE (a.status = 'proposed' OR a.status = 'accepted' AND a.settled_at IS NULL)
              AND b.status <> 'confirmed'
        """,
        meaning="A change is still open of a stay that cannot be changed any more.",
    ),
    Check(
        name="open_changes_run_out",
        sql="""
            SELECT id AS alteration, status, expires_at FROM alterations
            WHERE (status = 'proposed' OR status = 'accepted' AND settled_at IS NULL)
              AND expires_at < %(now)s - interval '5 minutes' AND created_at <= %(seen)s
        """,
        meaning="A change is five minutes past its end: nobody sweeps.",
    ),
    Check(
        name="inquiries_run_out",
        sql="""
            SELECT id AS inquiry, status, expires_at FROM inquiries
            WHERE status IN ('open', 'pre_approved', 'offered')
              AND expires_at < %(now)s - interval '5 minutes' AND updated_at <= %(seen)s
        """,
        meaning="An inquiry or an offer is five minutes past its end: nobody sweeps.",
    ),
    Check(
        name="offers_are_booked_by_whom_they_were_made",
        sql="""
            SELECT i.id AS inquiry, b.id AS booking FROM inquiries i JOIN bookings b ON b.id = i.booking_id
            WHERE (i.listing_id, i.guest_id, i.host_id, i.currency) IS DISTINCT FROM
                  (b.listing_id, b.guest_id, b.host_id, b.currency)
        """,
        meaning="An offer was used by somebody else, or for another place.",
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
