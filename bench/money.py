"""``python3 -m bench.money``: settling a webhook, comparing 10,000 operations with a provider, a PDF that is warm."""

from __future__ import annotations

import argparse
import json
import time
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any
from uuid import uuid4

from bench.world import percentile, world

BARS = {"webhook": 50.0, "reconcile": 60_000.0, "pdf": 100.0}
"""Milliseconds: 95 % of webhooks, one comparison of 10,000 operations, half of the PDFs."""

OPERATIONS = 10_000


def _said(name: str, value_ms: float, more: str) -> bool:
    bar = BARS[name]
    print(f"  {'ok  ' if value_ms < bar else 'MISS'} {more} (bar {bar:,.0f} ms)")
    return value_ms < bar


def webhooks(count: int) -> bool:
    """From the provider's request to the confirmed booking: kept, looked up, recorded, with all that follows."""
    from django.db import connection

    from backend.bookings import settlement
    from backend.bookings.models import Booking
    from backend.payments import inbox
    from backend.payments.models import SandboxRecord
    from backend.payments.providers import sandbox

    bookings = _unsettled(count)
    times = []
    for booking in bookings:
        record = SandboxRecord.objects.get(kind="charge", key=str(booking.folio.payments.get().ops.get().pk))
        now = datetime.now(UTC)
        body, headers = sandbox.webhook(sandbox.settle_pending(record.key), now=now)
        start = time.perf_counter()
        inbox.receive(provider="sandbox", body=body, headers=headers, now=now)
        settlement.apply_events(now=now)
        times.append((time.perf_counter() - start) * 1000)
        connection.queries_log.clear()
    settled = Booking.objects.filter(pk__in=[each.pk for each in bookings], status="confirmed").count()
    assert settled == count, f"{settled} of {count} are confirmed"
    p50, p95 = median(times), percentile(times, 0.95)
    return _said("webhook", p95, f"settle a webhook: p50 {p50:.1f} ms, p95 {p95:.1f} ms, {count} of them")


def _unsettled(count: int) -> list[Any]:
    """Bookings that are paid with an outcome that the provider still owes."""
    from backend.bookings import services as bookings
    from backend.bookings.services import Wish
    from backend.core.stay import Stay
    from tests.factories import make_listing, make_user

    now = datetime.now(UTC)
    check_in = now.date() + timedelta(days=30)
    made = []
    for number in range(count):
        if number % 20 == 0:
            listing = make_listing()
        begin = check_in + timedelta(days=4 * (number % 20))
        wish = Wish(listing_id=listing.pk, stay=Stay(begin, begin + timedelta(days=3)))
        booking = bookings.create(guest=make_user(), wish=wish, now=now)
        bookings.pay(
            actor=booking.guest,
            booking_id=booking.pk,
            provider="sandbox",
            options={"outcome": "pending"},
            now=now,
        )
        made.append(booking)
    return made


def reconcile(operations: int) -> bool:
    """One comparison with a provider's list of so many orders, some of which differ."""
    from backend.payments import reconciliation
    from backend.payments.models import ReconciliationDifference

    now = datetime.now(UTC)
    _copy_operations(operations, now - timedelta(hours=2))
    start = time.perf_counter()
    done = reconciliation.reconcile(now=now)
    took = (time.perf_counter() - start) * 1000
    assert done["compared"] >= operations, done
    assert ReconciliationDifference.objects.count() == done["differences"] >= 100, done
    per_second = done["compared"] / took * 1000
    return _said(
        "reconcile",
        took,
        f"reconcile {done['compared']:,} operations: {took:,.0f} ms, {per_second:,.0f} a second,"
        f" {done['differences']} differences kept",
    )


def _copy_operations(count: int, at: datetime) -> None:
    """Payments that succeeded on both sides; every hundredth the provider tells otherwise."""
    from django.db import connection

    from backend.payments.models import Folio

    folio = Folio.objects.first()
    assert folio is not None, "the webhooks came first"
    rows = json.dumps([{"key": str(uuid4()), "number": number} for number in range(count)])
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH given AS MATERIALIZED (
                SELECT key::uuid AS key, number FROM jsonb_to_recordset(%(rows)s::jsonb) AS row (key text, number int)
            ), paid AS (
                INSERT INTO payments (reference, folio_id, kind, provider, amount_minor, currency, charged_minor,
                    charged_currency, status, refunded_minor, created_at, completed_at)
                SELECT 'B-' || number, %(folio)s, 'payment', 'sandbox', 1000 + number, 'EUR', 1000 + number, 'EUR',
                    'completed', 0, %(at)s, %(at)s FROM given
                RETURNING id, reference
            ), op AS (
                INSERT INTO money_ops (id, payment_id, kind, provider, amount_minor, currency, fee_minor, options, state,
                    provider_ref, error_code, attempts, created_at, updated_at)
                SELECT key, paid.id, 'charge', 'sandbox', 1000 + number, 'EUR', 0, '{}', 'succeeded',
                    'sbx_b' || number, '', 1, %(at)s, %(at)s
                FROM given JOIN paid ON paid.reference = 'B-' || number
            )
            INSERT INTO sandbox_journal (key, reference, kind, parent_ref, amount_minor, currency, outcome, state,
                error_code, calls, created_at)
            SELECT key::text, 'sbx_b' || number, 'charge', '', 1000 + number + (number %% 100 = 0)::int, 'EUR', 'succeed',
                'succeeded', '', 1, %(at)s
            FROM given
            """,
            {"rows": rows, "folio": folio.pk, "at": at},
        )


def pdfs(count: int) -> bool:
    """Invoices of different stays, one after the other in one process; the first one starts the typesetter."""
    from backend.payments.documents import rendering
    from backend.payments.models import Document

    times = []
    for document in Document.objects.filter(kind="invoice").order_by("id")[: count + 1]:
        start = time.perf_counter()
        rendering.pdf(document)
        times.append((time.perf_counter() - start) * 1000)
    cold, *warm = times
    p50, p95 = median(warm), percentile(warm, 0.95)
    return _said(
        "pdf", p50, f"an invoice as PDF: warm p50 {p50:.1f} ms, p95 {p95:.1f} ms, cold {cold:.0f} ms"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.money", description=__doc__)
    parser.add_argument("--webhooks", type=int, default=200)
    parser.add_argument("--operations", type=int, default=OPERATIONS)
    parser.add_argument("--pdfs", type=int, default=50)
    options = parser.parse_args()
    with world():
        print("money")
        results = [webhooks(options.webhooks), reconcile(options.operations), pdfs(options.pdfs)]
    return 0 if all(results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
