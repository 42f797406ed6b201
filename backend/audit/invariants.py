"""What must be true of the audit log at any moment."""

from __future__ import annotations

from backend.audit import chain
from backend.core.checks import Check

CHECKS = [
    Check(
        name="audit_log_is_whole",
        sql="",
        meaning="Entries of the audit log were changed, put in, taken out or moved after they were written.",
        ask=lambda now, full: chain.problems(now=now, full=full),
    ),
    Check(
        name="audit_log_is_chained",
        sql="""
            SELECT wanted.name AS trigger, wanted.relation AS relation
            FROM (VALUES
                ('audit_log_chain', 'audit_log'),
                ('audit_seals_append_only', 'audit_seals'),
                ('audit_seals_not_emptied', 'audit_seals')
            ) AS wanted (name, relation)
            LEFT JOIN pg_trigger t ON t.tgname = wanted.name AND t.tgrelid = wanted.relation::regclass
                 AND t.tgenabled IN ('O', 'A')
            WHERE t.oid IS NULL
        """,
        meaning="A trigger that chains the audit log or protects its seals is missing or disabled.",
    ),
]
