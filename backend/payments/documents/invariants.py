"""What must be true of documents at any moment."""

from __future__ import annotations

from backend.core.checks import Check

CHECKS = [
    Check(
        name="document_numbers_gapless",
        sql="""
            SELECT issuer, kind, year, s.last_number, d.documents, d.highest
            FROM document_series s FULL JOIN (
                SELECT issuer, kind, year, count(*) AS documents, min(number) AS lowest, max(number) AS highest
                FROM documents GROUP BY 1, 2, 3
            ) d USING (issuer, kind, year)
            WHERE (s.last_number, d.lowest, d.highest) IS DISTINCT FROM (d.documents, 1, d.documents)
        """,
        meaning="A number of a range is missing or was never given out: the tax office will ask for it.",
    ),
    Check(
        name="documents_say_what_was_paid",
        sql="""
            SELECT d.id AS document, d.reference, d.kind, d.total_minor, d.currency, p.reference AS payment,
                   p.kind AS payment_kind, p.amount_minor, p.currency AS payment_currency
            FROM documents d JOIN payments p ON p.id = d.payment_id JOIN folios f ON f.id = p.folio_id
            WHERE (d.total_minor, d.currency, d.folio_id, d.recipient_id, d.kind = 'credit_note') IS DISTINCT FROM
                  (p.amount_minor, p.currency, p.folio_id, f.guest_id, p.kind = 'refund')
        """,
        meaning="A document is over another amount, another stay or for another person than its payment.",
    ),
    Check(
        name="payments_have_their_receipt",
        sql="""
            SELECT p.id AS payment, p.reference, p.completed_at
            FROM payments p JOIN bookings b ON b.folio_id = p.folio_id
            WHERE p.kind = 'payment' AND p.completed_at >= (SELECT min(issued_at) FROM documents)
              AND NOT EXISTS (SELECT FROM documents d WHERE d.payment_id = p.id AND d.kind = 'receipt')
        """,
        meaning="A guest has paid for a stay and was given no receipt.",
    ),
    Check(
        name="refunds_have_their_credit_note",
        sql="""
            WITH RECURSIVE made AS (
                SELECT p.id AS refund, p.id AS one, p.retry_of_id AS before
                FROM payments p JOIN bookings b ON b.folio_id = p.folio_id
                WHERE p.kind = 'refund' AND p.status = 'completed'
                  AND p.completed_at >= (SELECT min(issued_at) FROM documents)
                UNION ALL
                SELECT m.refund, p.id, p.retry_of_id FROM made m JOIN payments p ON p.id = m.before
            )
            SELECT refund, count(d.id) AS credit_notes
            FROM made LEFT JOIN documents d ON d.payment_id = made.one AND d.kind = 'credit_note'
            GROUP BY refund HAVING count(d.id) <> 1
        """,
        meaning="A guest got money back without a credit note, or was credited twice for it.",
    ),
    Check(
        name="document_files_are_noted_whole",
        sql="SELECT id AS document, reference FROM documents WHERE (file = '') <> (sha256 = '')",
        meaning="The file of a document cannot be told from another one.",
    ),
]
