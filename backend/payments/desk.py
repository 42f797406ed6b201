"""What of the money waits for somebody, in sums per currency: what the money desk begins its day with. Reads only.

Each reader looks at the few rows that wait, by an index of their own, never at all that ever happened. Amounts are minor
units of ``currency``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection

from backend.accounts.models import ADMIN, FINANCE
from backend.core import access
from backend.payments.models import Dispute, Payout
from backend.payments.payout_holds import OPEN_DISPUTES, WAITING
from backend.payments.states import OPEN_OPS, OpState

FAILED_IN = timedelta(hours=24)
"""How long ago a payment may have failed to be counted as news."""

NEWEST = 1_000
"""How many failed payments are looked at for that."""

COMING_DAYS = 14
"""How many days ahead payouts are foretold."""


@dataclass(frozen=True, slots=True)
class Heap:
    """Things of one kind that wait: what they have in common, how many, what they come to, since when the oldest waits."""

    what: tuple[str, ...]
    currency: str
    count: int
    minor: int
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Coming:
    """What is to be paid out on a day (UTC) in a currency: what may go, and what something holds."""

    day: str
    currency: str
    free: int
    free_minor: int
    held: int
    held_minor: int


@access.rule("money.see")
def may_see(actor: Any, _subject: Any) -> bool:
    """The money as a whole, with the books: the finance team."""
    return bool(actor.has_role(FINANCE, ADMIN))


def held_payouts() -> list[Heap]:
    """Payouts on hold by reason and owner (the username, empty for the platform's own rules); what=(reason, owner).

    A payout that several reasons hold stands under each of them.
    """
    return _heaps(
        """
        SELECT h.reason, coalesce(u.username, ''), p.currency, count(*), sum(p.amount_minor), min(h.since)
        FROM (
            SELECT payout_id, reason, owner_id, min(created_at) AS since
            FROM payout_holds WHERE released_at IS NULL GROUP BY 1, 2, 3
        ) AS h
        JOIN payouts p ON p.id = h.payout_id AND p.status = 'on_hold'
        LEFT JOIN users u ON u.id = h.owner_id
        GROUP BY 1, 2, 3
        """,
        words=2,
    )


def due_payouts(now: datetime) -> list[Heap]:
    """Payouts that nothing holds and that are due by the end of tomorrow (UTC); what=(``overdue``|``today``|``tomorrow``)."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return _heaps(
        """
        SELECT CASE WHEN due_at < %(today)s THEN 'overdue' WHEN due_at < %(tomorrow)s THEN 'today' ELSE 'tomorrow' END,
               currency, count(*), sum(amount_minor), min(due_at)
        FROM payouts
        WHERE status IN ('scheduled', 'failed') AND NOT needs_attention AND due_at < %(after)s
        GROUP BY 1, 2
        """,
        words=1,
        today=today,
        tomorrow=today + timedelta(days=1),
        after=today + timedelta(days=2),
    )


def troubled_payouts() -> list[Heap]:
    """Payouts that failed for good or came back; what=(failure code)."""
    return _heaps(
        """
        SELECT failure_code, currency, count(*), sum(amount_minor), min(due_at)
        FROM payouts WHERE needs_attention GROUP BY 1, 2
        """,
        words=1,
    )


def open_operations(now: datetime, *, longer_than: timedelta) -> list[Heap]:
    """Operations without an outcome that are unknown, or open for longer than that; what=(provider, kind, state)."""
    return _heaps(
        """
        SELECT provider, kind, state, currency, count(*), sum(amount_minor), min(created_at)
        FROM money_ops
        WHERE state = ANY (%(open)s) AND state IN ('created', 'sending', 'unknown')
              AND (state = %(unknown)s OR created_at < %(late)s)
        GROUP BY 1, 2, 3, 4
        """,
        words=3,
        open=list(OPEN_OPS),
        unknown=OpState.UNKNOWN.value,
        late=now - longer_than,
    )


def differences() -> list[Heap]:
    """Differences with providers that nobody has settled; what=(provider, what). They have no currency of their own."""
    return _heaps(
        """
        SELECT provider, what, '', count(*), 0, min(first_seen_at)
        FROM reconciliation_differences WHERE settled_at IS NULL GROUP BY 1, 2
        """,
        words=2,
    )


def waiting_refunds() -> list[Heap]:
    """Refunds by hand that wait for a second person; what=()."""
    return _heaps(
        """
        SELECT currency, count(*), sum(amount_minor), min(created_at)
        FROM refund_requests WHERE status = 'waiting' GROUP BY 1
        """,
        words=0,
    )


def failed_refunds() -> list[Heap]:
    """Refunds that failed or came back and that nobody has made again; what=(provider)."""
    return _heaps(
        """
        SELECT provider, currency, count(*), sum(amount_minor), min(created_at)
        FROM payments AS failed
        WHERE kind = 'refund' AND status = 'failed'
              AND NOT EXISTS (SELECT FROM payments WHERE retry_of_id = failed.id)
        GROUP BY 1, 2
        """,
        words=1,
    )


def failed_charges(now: datetime) -> list[Heap]:
    """Guests' payments that failed in the last day, of the newest ``NEWEST``; what=(provider)."""
    return _heaps(
        """
        SELECT provider, currency, count(*), sum(amount_minor), min(created_at)
        FROM (
            SELECT provider, kind, currency, amount_minor, created_at
            FROM payments WHERE status = 'failed' ORDER BY id DESC LIMIT %(newest)s
        ) AS newest
        WHERE kind = 'payment' AND created_at > %(since)s
        GROUP BY 1, 2
        """,
        words=1,
        newest=NEWEST,
        since=now - FAILED_IN,
    )


def open_disputes(limit: int) -> list[Dispute]:
    """The disputes that are open, those whose answer is due first, with what their page shows of them."""
    rows = Dispute.objects.filter(status__in=OPEN_DISPUTES).select_related("payment__folio__booking")
    return list(rows.order_by("evidence_due_at", "id")[:limit])


def coming(now: datetime) -> list[Coming]:
    """What will be paid out on which day (UTC) of the next ``COMING_DAYS``, what is overdue on the first one.

    It supposes that nothing new is completed, and that what holds a payout goes on holding it.
    """
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT to_char(greatest(due_at, %(today)s) AT TIME ZONE 'UTC', 'YYYY-MM-DD'), currency,
                   count(*) FILTER (WHERE is_free), coalesce(sum(amount_minor) FILTER (WHERE is_free), 0),
                   count(*) FILTER (WHERE NOT is_free), coalesce(sum(amount_minor) FILTER (WHERE NOT is_free), 0)
            FROM (
                SELECT due_at, currency, amount_minor, status <> 'on_hold' AND NOT needs_attention AS is_free
                FROM payouts WHERE status = ANY (%(waiting)s) AND status IN ('scheduled', 'on_hold', 'failed')
                     AND due_at < %(until)s
            ) AS due
            GROUP BY 1, 2 ORDER BY 1, 2
            """,
            {"today": today, "until": today + timedelta(days=COMING_DAYS), "waiting": list(WAITING)},
        )
        return [
            Coming(day, code, *(int(number) for number in rest)) for day, code, *rest in cursor.fetchall()
        ]


def waiting_of(receiver_id: int) -> list[Payout]:
    """What waits to be paid to somebody, in the order in which it is due; at most 100."""
    waiting = Payout.objects.filter(receiver_id=receiver_id, status__in=WAITING)
    return list(waiting.select_related("folio__booking").order_by("due_at", "id")[:100])


def _heaps(query: str, *, words: int, **values: Any) -> list[Heap]:
    """The rows of a query that begin with so many words, the oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        heaps = [
            Heap(tuple(row[:words]), row[words], int(row[words + 1]), int(row[words + 2]), row[words + 3])
            for row in cursor.fetchall()
        ]
    return sorted(heaps, key=lambda heap: (heap.since.timestamp() if heap.since else 0, heap.currency))
