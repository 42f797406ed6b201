"""What must be true of the money at any moment."""

from __future__ import annotations

from backend.core.checks import Check

CHECKS = [
    Check(
        name="ledger_sums_to_zero",
        sql="""
            SELECT t.id AS transaction, e.currency, count(e.id) AS entries, sum(e.amount_minor) AS sum
            FROM ledger_transactions t LEFT JOIN ledger_entries e ON e.transaction_id = t.id
            GROUP BY t.id, e.currency
            HAVING sum(e.amount_minor) IS DISTINCT FROM 0 OR count(e.id) < 2
        """,
        meaning="A ledger transaction does not balance: money appeared or vanished in the books.",
    ),
    Check(
        name="ledger_balances_are_its_entries",
        sql="""
            SELECT account, currency, b.amount_minor AS balance, e.sum AS entries
            FROM ledger_balances b FULL JOIN (
                SELECT account, currency, sum(amount_minor) AS sum FROM ledger_entries
                WHERE id <= (SELECT max(through) FROM ledger_closings WHERE is_done) GROUP BY 1, 2
            ) AS e USING (account, currency)
            WHERE b.amount_minor IS DISTINCT FROM e.sum
        """,
        meaning="The sums that balances are made of are not those of the entries: a closing has left one out.",
    ),
    Check(
        name="money_is_booked_once",
        sql="""
            SELECT o.id AS op, o.kind, o.state, o.amount_minor, o.currency, count(t.id) AS booked,
                   coalesce(sum(e.amount_minor), 0) AS at_provider
            FROM money_ops o
            LEFT JOIN ledger_transactions t ON t.money_op_id = o.id
            LEFT JOIN ledger_entries e ON e.transaction_id = t.id AND e.currency = o.currency
                 AND e.account = 'clearing:' || o.provider
            GROUP BY o.id
            HAVING count(t.id) <> CASE
                    WHEN o.state = 'succeeded' AND o.kind IN ('charge', 'capture', 'refund', 'payout', 'reverse')
                    THEN 1 ELSE 0
                END
                OR coalesce(sum(e.amount_minor), 0) <> CASE
                    WHEN o.state <> 'succeeded' THEN 0
                    WHEN o.kind IN ('charge', 'capture', 'reverse') THEN o.amount_minor - o.fee_minor
                    WHEN o.kind IN ('refund', 'payout') THEN -o.amount_minor - o.fee_minor
                    ELSE 0
                END
        """,
        meaning="Money that a provider moved stands not, or not exactly once, in the books, or the books hold what it did not.",
    ),
    Check(
        name="payment_follows_its_operations",
        sql="""
            SELECT p.id AS payment, p.reference, p.kind, p.status,
                   array_agg(o.kind || ' ' || o.state ORDER BY o.created_at) AS operations
            FROM payments p LEFT JOIN money_ops o ON o.payment_id = p.id
            GROUP BY p.id
            HAVING (p.status IN ('completed', 'refunded', 'partially_refunded')) IS DISTINCT FROM
                   coalesce(bool_or(o.state = 'succeeded' AND (o.kind IN ('charge', 'capture')
                       OR o.kind = 'refund' AND o.error_code = '')), false)
                OR (p.status = 'failed' AND bool_or(o.state IN ('created', 'sending', 'unknown')))
                OR (p.status IN ('completed', 'refunded', 'partially_refunded')) <> (p.completed_at IS NOT NULL)
                OR count(o.id) = 0
        """,
        meaning="A payment says something else than the operations that were carried out for it.",
    ),
    Check(
        name="operation_matches_its_payment",
        sql="""
            SELECT o.id AS op, p.id AS payment, f.id AS folio
            FROM money_ops o JOIN payments p ON p.id = o.payment_id JOIN folios f ON f.id = p.folio_id
            LEFT JOIN payments paid ON paid.id = p.parent_id
            WHERE p.currency <> f.currency OR o.provider <> p.provider
               OR (o.amount_minor, o.currency) <> (p.charged_minor, p.charged_currency)
               OR p.charged_currency <> coalesce(nullif(f.charge_currency, ''), f.currency)
               OR (o.kind = 'refund') <> (p.kind = 'refund')
               OR paid.folio_id <> p.folio_id OR paid.provider <> p.provider
        """,
        meaning="An operation is about another amount, currency, provider or stay than its payment.",
    ),
    Check(
        name="refunds_add_up",
        sql="""
            SELECT p.id AS payment, p.reference, p.status, p.amount_minor, p.refunded_minor,
                   coalesce(sum(r.amount_minor), 0) AS given_back
            FROM payments p LEFT JOIN payments r ON r.parent_id = p.id AND r.status = 'completed'
            WHERE p.kind = 'payment'
            GROUP BY p.id
            HAVING p.refunded_minor <> coalesce(sum(r.amount_minor), 0)
                OR (p.status = 'refunded') <> (p.refunded_minor = p.amount_minor)
                OR (p.status = 'partially_refunded') <> (p.refunded_minor > 0 AND p.refunded_minor < p.amount_minor)
        """,
        meaning="What a payment says was given back is not what its refunds come to.",
    ),
    Check(
        name="charged_parts_make_the_whole",
        sql="""
            SELECT p.id AS payment, p.reference, p.charged_minor, p.charged_currency, sum(r.charged_minor) AS charged_back
            FROM payments p JOIN payments r ON r.parent_id = p.id AND r.status = 'completed'
            WHERE p.kind = 'payment'
            GROUP BY p.id
            HAVING sum(r.charged_minor) > p.charged_minor
                OR (sum(r.charged_minor) = p.charged_minor) <> (p.refunded_minor = p.amount_minor)
                   AND p.charged_currency = p.currency
                OR p.refunded_minor = p.amount_minor AND sum(r.charged_minor) <> p.charged_minor
        """,
        meaning="In the currency that a guest was charged in, more or less came back than the same part of the payment.",
    ),
    Check(
        name="exchange_is_booked",
        sql="""
            SELECT o.id AS op, o.kind, p.amount_minor, p.currency, o.amount_minor AS charged_minor,
                   o.currency AS charged_currency, booked.ours, booked.theirs
            FROM ledger_transactions t JOIN money_ops o ON o.id = t.money_op_id JOIN payments p ON p.id = o.payment_id
            CROSS JOIN LATERAL (
                SELECT coalesce(sum(amount_minor) FILTER (WHERE currency = p.currency), 0) AS ours,
                       coalesce(sum(amount_minor) FILTER (WHERE currency = o.currency), 0) AS theirs
                FROM ledger_entries WHERE transaction_id = t.id AND account = 'fx'
            ) AS booked
            WHERE (booked.ours, booked.theirs) <> (
                CASE WHEN p.currency = o.currency THEN 0 WHEN o.kind = 'refund' THEN -p.amount_minor ELSE p.amount_minor END,
                CASE WHEN p.currency = o.currency THEN 0 WHEN o.kind = 'refund' THEN o.amount_minor ELSE -o.amount_minor END
            )
        """,
        meaning="What stands between a stay's currency and the one that was charged is not what was exchanged.",
    ),
    Check(
        name="guest_pays_once",
        sql="""
            SELECT f.id AS folio, owed.minor AS owed, paid.minor AS paid
            FROM folios f
            CROSS JOIN LATERAL (
                SELECT coalesce(sum(amount_minor), 0) AS minor FROM folio_lines
                WHERE folio_id = f.id AND side = 'guest'
            ) AS owed
            CROSS JOIN LATERAL (
                SELECT coalesce(sum(amount_minor - refunded_minor), 0) AS minor FROM payments
                WHERE folio_id = f.id AND kind = 'payment' AND status NOT IN ('pending', 'failed')
            ) AS paid
            CROSS JOIN LATERAL (
                SELECT coalesce(sum(amount_minor), 0) AS minor FROM payments
                WHERE folio_id = f.id AND kind = 'refund' AND status = 'pending'
            ) AS underway
            WHERE paid.minor - underway.minor > owed.minor
        """,
        meaning="A guest has paid more than the stay costs.",
    ),
    Check(
        name="folio_money_is_where_it_belongs",
        sql="""
            SELECT folio, currency, held, at_provider, passed_on, astray FROM (
                SELECT e.folio_id AS folio, e.currency,
                    coalesce(sum(e.amount_minor) FILTER (WHERE e.account = 'guest_funds'), 0) AS held,
                    -- What a provider kept for itself it has not given back to anybody.
                    coalesce(sum(e.amount_minor) FILTER (
                        WHERE (e.account LIKE 'clearing:%%' OR e.account = 'provider_fees')
                        AND t.cause !~ '^(dispute|payout)'), 0) AS at_provider,
                    coalesce(sum(e.amount_minor) FILTER (WHERE e.account IN ('host_payable', 'revenue', 'tax')
                        AND t.cause ~ '^(payment|stay)'), 0) AS passed_on,
                    count(*) FILTER (WHERE t.cause !~ '^payout' AND e.folio_id <> t.folio_id) AS astray
                FROM ledger_transactions t JOIN ledger_entries e ON e.transaction_id = t.id
                WHERE t.cause ~ '^(payment|refund|dispute|stay|payout)'
                GROUP BY 1, 2
            ) AS sums
            WHERE folio IS NULL OR held > 0 OR at_provider < 0 OR passed_on > 0 OR astray > 0
        """,
        meaning="More was given back or passed on for a stay than was ever taken for it.",
    ),
    Check(
        name="disputes_are_booked",
        sql="""
            SELECT folio, currency, disputed, booked FROM (
                SELECT p.folio_id AS folio, d.currency, sum(d.amount_minor) AS disputed
                FROM disputes d JOIN payments p ON p.id = d.payment_id
                WHERE d.funds_withdrawn AND d.loss_id IS NULL GROUP BY 1, 2
            ) AS told FULL JOIN (
                SELECT folio_id AS folio, currency, sum(amount_minor) AS booked FROM ledger_entries
                WHERE account = 'disputes' GROUP BY 1, 2 HAVING sum(amount_minor) <> 0
            ) AS books USING (folio, currency)
            WHERE disputed IS DISTINCT FROM booked
        """,
        meaning="What guests' banks hold of our payments is not what the books say of it.",
    ),
    Check(
        name="gifts_are_what_was_agreed",
        sql="""
            SELECT r.id AS request, r.status, r.amount_minor, coalesce(sum(p.amount_minor), 0) AS given
            FROM refund_requests r
            LEFT JOIN payments p ON p.refund_request_id = r.id AND p.retry_of_id IS NULL
            GROUP BY r.id
            HAVING coalesce(sum(p.amount_minor), 0) <> CASE r.status WHEN 'approved' THEN r.amount_minor ELSE 0 END
        """,
        meaning="More or less was given back by generosity than was agreed.",
    ),
    Check(
        name="sandbox_agrees",
        sql="""
            SELECT o.id::text AS op, s.key, o.state, s.state AS journal, o.amount_minor, s.amount_minor AS in_journal
            FROM (SELECT * FROM money_ops WHERE provider = 'sandbox') AS o
            FULL JOIN sandbox_journal s ON s.key = o.id::text
            WHERE s.key IS NULL AND o.state = 'succeeded'
               OR o.id IS NULL AND s.state = 'succeeded'
               OR o.state = 'succeeded' AND s.state NOT IN ('succeeded', 'returned')
               OR o.state = 'failed' AND s.state = 'succeeded'
               OR (o.kind, o.amount_minor, o.currency) <> (s.kind, s.amount_minor, s.currency)
        """,
        meaning="The sandbox's journal and our operations tell two stories about one key.",
    ),
    Check(
        name="books_are_guarded",
        sql="""
            SELECT wanted.name, wanted.relation
            FROM (VALUES
                ('ledger_transactions_append_only', 'ledger_transactions'),
                ('ledger_entries_append_only', 'ledger_entries'),
                ('folio_lines_append_only', 'folio_lines'),
                ('ledger_sums_to_zero', 'ledger_transactions'),
                ('ledger_sums_to_zero', 'ledger_entries'),
                ('payments_status_edge', 'payments'),
                ('money_ops_state_edge', 'money_ops'),
                ('payments_terms_frozen', 'payments'),
                ('money_ops_terms_frozen', 'money_ops'),
                ('folios_terms_frozen', 'folios'),
                ('payouts_status_edge', 'payouts'),
                ('payouts_terms_frozen', 'payouts'),
                ('disputes_status_edge', 'disputes'),
                ('disputes_terms_frozen', 'disputes'),
                ('refund_requests_status_edge', 'refund_requests'),
                ('refund_requests_terms_frozen', 'refund_requests'),
                ('documents_immutable', 'documents'),
                ('document_series_gapless', 'document_series'),
                ('ledger_transactions_not_emptied', 'ledger_transactions'),
                ('ledger_entries_not_emptied', 'ledger_entries'),
                ('folio_lines_not_emptied', 'folio_lines'),
                ('documents_not_emptied', 'documents'),
                ('document_series_not_emptied', 'document_series'),
                ('audit_log_append_only', 'audit_log'),
                ('audit_log_not_emptied', 'audit_log')
            ) AS wanted (name, relation)
            LEFT JOIN pg_trigger t ON t.tgname = wanted.name AND t.tgrelid = wanted.relation::regclass
                 AND t.tgenabled IN ('O', 'A')
            WHERE t.oid IS NULL
        """,
        meaning="A trigger that protects the books is missing or disabled.",
    ),
    Check(
        name="books_are_write_once",
        sql="""
            SELECT c.relname AS relation, acl.grantee::regrole::text AS role, acl.privilege_type AS may
            FROM pg_class c CROSS JOIN aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) AS acl
            WHERE c.oid = ANY (ARRAY['ledger_transactions', 'ledger_entries', 'folio_lines', 'documents',
                                     'document_series', 'audit_log']::regclass[])
              AND acl.privilege_type IN ('UPDATE', 'DELETE', 'TRUNCATE')
        """,
        meaning="A role has the right to change, delete or empty what is written once.",
    ),
    Check(
        name="events_are_applied",
        sql="""
            SELECT id AS event, provider, type, received_at FROM provider_events
            WHERE applied_at IS NULL AND received_at < %(now)s - interval '1 hour' AND received_at <= %(seen)s
        """,
        meaning="What a provider told us has been waiting for over an hour: nobody drains the inbox.",
    ),
    Check(
        name="operations_are_settled",
        sql="""
            SELECT id AS op, kind, provider, state, attempts, created_at FROM money_ops
            WHERE state IN ('created', 'sending', 'unknown') AND created_at < %(now)s - interval '48 hours'
              AND created_at <= %(seen)s
        """,
        meaning="Nobody knows for two days what became of a movement of money.",
    ),
    Check(
        name="differences_are_settled",
        sql="""
            SELECT id AS difference, provider, key, what, ours, theirs, first_seen_at
            FROM reconciliation_differences
            WHERE settled_at IS NULL AND first_seen_at < %(now)s - interval '1 hour' AND first_seen_at <= %(seen)s
        """,
        meaning="For over an hour a provider has told another story of an order than we do, and nobody said why.",
    ),
]
