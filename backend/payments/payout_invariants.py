"""What must be true of what hosts are paid."""

from __future__ import annotations

from backend.core.checks import Check
from backend.payments.providers import units

_WORTH_A_PAYOUT = "CASE owed.currency {} ELSE 1 END".format(
    " ".join(f"WHEN '{currency}' THEN {step}" for currency, step in units.carried().items())
)
"""What is owed below it waits for its receiver's next payout (``payout_netting``)."""

CHECKS = [
    Check(
        name="payouts_are_booked",
        sql="""
            SELECT p.id AS payout, p.reference, p.status, p.amount_minor, coalesce(sent.minor, 0) AS booked
            FROM payouts p
            LEFT JOIN LATERAL (
                SELECT sum(e.amount_minor) AS minor
                FROM money_ops o JOIN ledger_transactions t ON t.money_op_id = o.id
                JOIN ledger_entries e ON e.transaction_id = t.id
                WHERE o.payout_id = p.id AND o.kind = 'payout' AND e.account = 'host_payable'
                  AND e.folio_id = p.folio_id AND e.holder_id = p.receiver_id
            ) AS sent ON true
            WHERE coalesce(sent.minor, 0) <>
                CASE WHEN p.status IN ('sent', 'paid', 'reversed') THEN p.amount_minor ELSE 0 END
        """,
        meaning="A host was paid what the books do not say, or the books say what nobody paid.",
    ),
    Check(
        name="payouts_follow_their_operations",
        sql="""
            SELECT p.id AS payout, p.reference, p.status, p.paid_minor, p.paid_currency,
                   array_agg(o.kind || ' ' || o.state ORDER BY o.created_at) AS operations
            FROM payouts p LEFT JOIN money_ops o ON o.payout_id = p.id AND o.kind = 'payout'
            GROUP BY p.id
            HAVING (p.status IN ('sent', 'paid', 'reversed') AND p.amount_minor > 0)
                   IS DISTINCT FROM coalesce(bool_or(o.state = 'succeeded'), false)
                OR bool_or(o.state = 'succeeded'
                    AND (o.amount_minor, o.currency) IS DISTINCT FROM (p.paid_minor, p.paid_currency))
                OR p.status IN ('on_hold', 'failed') AND bool_or(o.state IN ('created', 'sending', 'unknown'))
                OR (p.sent_at IS NOT NULL) <> (p.status IN ('sent', 'paid', 'reversed'))
                OR (p.reversed_at IS NOT NULL) <> (p.status = 'reversed')
        """,
        meaning="A payout says something else than the operations that were carried out for it.",
    ),
    Check(
        name="payouts_are_earned_and_due",
        sql="""
            SELECT p.id AS payout, p.reference, p.due_at, p.sent_at, meant.at AS meant_at, earned.at AS earned_at
            FROM payouts p
            CROSS JOIN LATERAL (
                -- Written down by the sweep's clock; a worker may send it by the real one, which lies behind. What failed
                -- before was due earlier.
                SELECT coalesce(min(o.created_at), p.sent_at) AS at FROM money_ops o
                WHERE o.payout_id = p.id AND o.kind = 'payout' AND o.state = 'succeeded'
            ) AS meant
            LEFT JOIN LATERAL (
                SELECT min(t.at) AS at FROM ledger_transactions t JOIN ledger_entries e ON e.transaction_id = t.id
                WHERE e.folio_id = p.folio_id AND e.holder_id = p.receiver_id AND e.account = 'host_payable'
                  AND e.amount_minor < 0
            ) AS earned ON true
            WHERE p.sent_at IS NOT NULL AND (earned.at IS NULL OR meant.at < p.due_at OR meant.at < earned.at)
        """,
        meaning="A host was paid before the stay had earned it, or before it was due.",
    ),
    Check(
        name="payout_holds_agree",
        sql="""
            SELECT p.id AS payout, p.reference, p.status, count(h.id) AS holds
            FROM payouts p LEFT JOIN payout_holds h ON h.payout_id = p.id AND h.released_at IS NULL
            WHERE NOT EXISTS (
                SELECT FROM money_ops o WHERE o.payout_id = p.id AND o.state IN ('created', 'sending', 'unknown')
            )
            GROUP BY p.id
            HAVING (p.status = 'on_hold') <> (count(h.id) > 0)
        """,
        meaning="A payout is held without a reason, or goes out in spite of one.",
    ),
    Check(
        name="payouts_cover_what_is_owed",
        sql=f"""
            SELECT owed.folio_id AS folio, owed.holder_id AS holder, owed.currency, owed.minor AS owed,
                   coalesce(sum(p.amount_minor), 0) AS in_payouts
            FROM (
                SELECT e.folio_id, e.holder_id, e.currency, -sum(e.amount_minor) AS minor, max(t.at) AS at
                FROM ledger_entries e JOIN ledger_transactions t ON t.id = e.transaction_id
                WHERE e.account = 'host_payable' GROUP BY 1, 2, 3
            ) AS owed
            LEFT JOIN payouts p ON p.folio_id = owed.folio_id AND p.receiver_id = owed.holder_id
                 AND p.status IN ('scheduled', 'on_hold', 'failed')
            WHERE owed.at < %(now)s - interval '2 hours' AND owed.at <= %(seen)s
            GROUP BY 1, 2, 3, 4
            HAVING owed.minor - coalesce(sum(p.amount_minor), 0) >= {_WORTH_A_PAYOUT}
        """,  # noqa: S608 - our own table of steps
        meaning="A host is owed money that no payout brings, and more than what the next one carries.",
    ),
    Check(
        name="takings_back_stay_within",
        sql="""
            SELECT p.id AS payout, p.reference, p.paid_minor, sum(o.amount_minor) AS taken_back,
                   count(*) - count(DISTINCT o.options->>'refund') AS again
            FROM payouts p JOIN money_ops o ON o.payout_id = p.id AND o.kind = 'reverse'
            GROUP BY p.id
            HAVING count(*) > count(DISTINCT o.options->>'refund')
                OR coalesce(sum(o.amount_minor) FILTER (WHERE o.state <> 'failed'), 0) > p.paid_minor
        """,
        meaning="More of a payout was taken back than was paid, or the same refund was taken back twice.",
    ),
    Check(
        name="payout_splits_leave_the_host_a_share",
        sql="""
            SELECT s.listing_id AS listing, sum(s.percent) AS percent, bool_or(s.user_id = l.host_id) AS names_host
            FROM payout_splits s JOIN properties l ON l.id = s.listing_id
            GROUP BY s.listing_id
            HAVING sum(s.percent) > 100 OR bool_or(s.user_id = l.host_id)
        """,
        meaning="More than all of a listing's earnings is given away.",
    ),
]
