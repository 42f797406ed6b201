"""Every invariant of the platform, run as a query that must return nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from backend.analytics import invariants as analytics
from backend.audit import invariants as audit
from backend.availability import invariants as availability
from backend.bookings import invariants as bookings
from backend.core import rotation
from backend.core.checks import Check
from backend.jobs.sweeps import Clock, clock
from backend.messaging import invariants as messaging
from backend.moderation import invariants as moderation
from backend.notifications import invariants as notifications
from backend.payments import invariants as payments
from backend.payments import payout_invariants as payouts
from backend.payments.documents import invariants as documents
from backend.privacy import invariants as privacy
from backend.rates import invariants as rates
from backend.reviews import invariants as reviews
from backend.search import invariants as search
from backend.webhooks import invariants as webhooks

CHECKS: list[Check] = [
    *analytics.CHECKS,
    *audit.CHECKS,
    *availability.CHECKS,
    *bookings.CHECKS,
    *messaging.CHECKS,
    *moderation.CHECKS,
    *notifications.CHECKS,
    *payments.CHECKS,
    *payouts.CHECKS,
    *documents.CHECKS,
    *privacy.CHECKS,
    *rates.CHECKS,
    *reviews.CHECKS,
    *rotation.CHECKS,
    *search.CHECKS,
    *webhooks.CHECKS,
]

SHOWN = 100
"""How many violations of one invariant are shown; all are counted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one invariant: how many rows violate it, and the first of them as column → value."""

    check: Check
    count: int
    violations: list[dict[str, Any]]


def check_books(at: Clock | None = None, *, full: bool = False) -> list[Finding]:
    """Run every invariant; ages are judged at ``at`` (default: the latest clock).

    Reads only, but for a note of how far the audit log was verified; ``full`` verifies all of it again.
    """
    at = at or clock()
    return [run(check, at, full=full) for check in CHECKS]


def run(check: Check, at: Clock, *, full: bool = False) -> Finding:
    """Run one invariant. Each statement sees one moment of the database."""
    if check.ask is not None:
        found = check.ask(at.now, full)
        return Finding(check, len(found), found[:SHOWN])
    params = {"now": at.now, "seen": at.seen} if "%(" in check.sql else None
    with transaction.atomic(), connection.cursor() as cursor:
        # Reading everything may take longer than a request ever may.
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute(check.sql, params)
        names = [column.name for column in cursor.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchmany(SHOWN)]
        return Finding(check, cursor.rowcount, rows)
