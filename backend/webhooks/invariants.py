"""What must be true of webhooks at any moment."""

from __future__ import annotations

from backend.core.checks import Check

CHECKS = [
    Check(
        name="webhooks_tried_as_noted",
        sql="""
            SELECT d.id AS delivery, d.attempts, count(a.id) AS tries FROM webhook_deliveries d
            LEFT JOIN webhook_attempts a ON a.delivery_id = d.id
            GROUP BY d.id HAVING count(a.id) <> d.attempts
                OR (d.state = 'delivered' AND NOT bool_or(a.status BETWEEN 200 AND 299))
        """,
        meaning="A delivery says other than its attempts do.",
    ),
]
