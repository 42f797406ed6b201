"""A worker dies between the provider's answer and our own books: nobody pays twice, and no stay is lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction
from django.utils import timezone

from backend.bookings import services as bookings
from backend.bookings import settlement
from backend.bookings.models import Booking
from backend.core.stay import Stay
from backend.jobs import books
from backend.payments import services as payments
from backend.payments.models import MoneyOp, SandboxRecord
from tests.bookings.making import book, money, pay, state
from tests.factories import make_listing

START_S = 40


@contextmanager
def _somebody_holds(booking: Booking) -> Iterator[None]:
    """Another session has the booking's row, so that what a worker learned cannot be written yet."""
    at = connection.get_connection_params()
    wanted = {name: at[name] for name in ("host", "port", "user", "password", "dbname") if at.get(name)}
    with psycopg.connect(**wanted) as rival:
        rival.execute("SELECT FROM bookings WHERE id = %s FOR UPDATE", [booking.pk])
        yield
        rival.rollback()


def _write_charge(booking: Booking) -> MoneyOp:
    """The intent to pay, with the job that sends it: what a web process leaves when it dies right after it."""
    with transaction.atomic():
        op = payments.start(
            folio=booking.folio,
            provider="sandbox",
            amount_minor=booking.total_minor,
            capture=True,
            options={},
            now=timezone.now(),
        )
        settlement.settle_later([op])
    return op


def _write_refund(booking: Booking) -> MoneyOp:
    pay(booking, now=timezone.now())
    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=timezone.now())
    return MoneyOp.objects.get(kind="refund")


@pytest.mark.parametrize(
    ("write", "ending"),
    [
        (_write_charge, ("confirmed", ["held", "confirmed"], 40_000)),
        (_write_refund, ("canceled", ["held", "confirmed", "canceled", "refunded"], 0)),
    ],
)
def test_worker_killed_while_money_moves(
    start_server: Callable[..., Any],
    write: Callable[[Booking], MoneyOp],
    ending: tuple[str, list[str], int],
) -> None:
    check_in = timezone.now().date() + timedelta(days=30)
    booking = book(make_listing(), stay=Stay(check_in, check_in + timedelta(days=4)), now=timezone.now())
    op = write(booking)

    with _somebody_holds(booking):
        server = start_server(worker=True)
        deadline = time.monotonic() + START_S
        while not SandboxRecord.objects.filter(key=str(op.pk)).exists():
            assert time.monotonic() < deadline, "the worker never asked the provider"
            time.sleep(0.02)
        server.worker.kill()
        server.worker.wait()

    op.refresh_from_db()
    assert op.state == "sending"
    assert SandboxRecord.objects.get(key=str(op.pk)).state == "succeeded"

    assert settlement.reconcile(now=timezone.now()) == {"settled": 0, "open": 0, "errors": 0}
    later = timezone.now() + timedelta(seconds=61)
    assert settlement.reconcile(now=later) == {"settled": 1, "open": 0, "errors": 0}

    status, events, held = ending
    assert (state(booking)[0], state(booking)[2]) == (status, events)
    assert -money(booking)[1].get("guest_funds", 0) == held
    assert SandboxRecord.objects.filter(kind=op.kind).count() == 1
    assert SandboxRecord.objects.get(key=str(op.pk)).calls == 2
    assert [finding.check.name for finding in books.check_books() if finding.count] == []
