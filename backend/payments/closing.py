"""What each account comes to, without adding up all that was ever booked.

Now and then the entries so far are summed up into ``LedgerBalance``; a balance is that sum and the few entries since.
The books are append-only, so that a sum stays right for good. A closing is made in two steps: first it is noted which
entry is the newest, later, once every transaction that was under way then has ended, what is up to it is summed up.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction

from backend.payments.models import LedgerClosing


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account comes to in minor units (positive: debit), and when it last moved."""

    account: str
    currency: str
    minor: int
    last_at: datetime


def balances() -> list[Balance]:
    """Every account in every currency, by name. Equal to ``ledger.trial_balance()``."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT sums.account, sums.currency, sums.minor, t.at
            FROM (
                SELECT account, currency, sum(minor) AS minor, max(last_entry) AS last_entry
                FROM (
                    SELECT account, currency, amount_minor AS minor, last_entry FROM ledger_balances
                    UNION ALL
                    SELECT account, currency, amount_minor, id FROM ledger_entries
                    WHERE id > (SELECT coalesce(max(through), 0) FROM ledger_closings WHERE is_done)
                ) AS parts
                GROUP BY 1, 2
            ) AS sums
            JOIN ledger_entries e ON e.id = sums.last_entry
            JOIN ledger_transactions t ON t.id = e.transaction_id
            ORDER BY sums.account, sums.currency
            """
        )
        return [Balance(account, code, int(minor), at) for account, code, minor, at in cursor.fetchall()]


def close(*, now: datetime) -> dict[str, int]:
    """Sum up what can be summed up, and note how far the next closing may go; how many entries were ``summed``."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('ledger closing'))")
        waiting = LedgerClosing.objects.filter(is_done=False).order_by("id").first()
        summed = 0
        if waiting is not None:
            cursor.execute(
                "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint > %s", [waiting.seen_by]
            )
            if not cursor.fetchone()[0]:
                return {"summed": 0}
            cursor.execute(_SUM_UP, {"through": waiting.through})
            summed = int(cursor.fetchone()[0])
            LedgerClosing.objects.filter(is_done=True).delete()
            LedgerClosing.objects.filter(pk=waiting.pk).update(is_done=True)
        cursor.execute(_NOTE, {"now": now})
    return {"summed": summed}


_SUM_UP = """
    WITH fresh AS MATERIALIZED (
        SELECT account, currency, sum(amount_minor) AS minor, max(id) AS last_entry, count(*) AS entries
        FROM ledger_entries
        WHERE id <= %(through)s AND id > (SELECT coalesce(max(through), 0) FROM ledger_closings WHERE is_done)
        GROUP BY 1, 2
    ), added AS (
        INSERT INTO ledger_balances AS known (account, currency, amount_minor, last_entry)
        SELECT account, currency, minor, last_entry FROM fresh
        ON CONFLICT (account, currency) DO UPDATE
        SET amount_minor = known.amount_minor + excluded.amount_minor, last_entry = excluded.last_entry
    )
    SELECT coalesce(sum(entries), 0) FROM fresh
"""

_NOTE = """
    INSERT INTO ledger_closings (through, seen_by, is_done, at)
    SELECT max(id), pg_current_xact_id()::text::bigint, false, %(now)s FROM ledger_entries
    HAVING max(id) > (SELECT coalesce(max(through), 0) FROM ledger_closings)
"""
