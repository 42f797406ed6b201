"""Processes die, leases run out, two workers send at once: money moves once all the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
from django.db import connections, transaction

from backend.payments import sending
from backend.payments import services as payments
from backend.payments.models import LedgerTransaction, MoneyOp, Payment, SandboxRecord
from backend.payments.providers.base import Result
from tests.factories import NOW
from tests.payments.desk import TOTAL, books, make_folio, pay, settle, start

pytestmark = pytest.mark.usefixtures("db")

ROOT = Path(__file__).resolve().parent.parent.parent

WORKER = """
import datetime, sys, time, uuid
import django
django.setup()
from django.db import transaction
from backend.payments import sending, services

op_id, stage, now = uuid.UUID(sys.argv[1]), sys.argv[2], datetime.datetime.fromisoformat(sys.argv[3])
if stage == "leased":
    assert sending.lease(op_id, now=now) is not None
else:
    result = sending.send(op_id, now=now)
    assert result.status == "succeeded", result
if stage == "recording":
    transaction.atomic().__enter__()
    assert services.record(op_id=op_id, result=result, now=now).changed
print("here", flush=True)
time.sleep(60)
"""


def kill_worker_at(stage: str, op: MoneyOp) -> None:
    """Let a real process carry an operation as far as ``stage``, then SIGKILL it."""
    at = connections["default"].settings_dict
    user, password = quote(str(at["USER"])), quote(str(at["PASSWORD"]))
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "backend.settings",
        "DATABASE_URL": f"postgresql://{user}:{password}@{at['HOST']}:{at['PORT']}/{at['NAME']}",
        "LOG_LEVEL": "ERROR",
    }
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(op.pk), stage, NOW.isoformat()],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert worker.stdout is not None
    try:
        assert worker.stdout.readline() == "here\n"
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait(10)
        worker.stdout.close()


@pytest.mark.parametrize(
    ("stage", "calls"), [("leased", 1), ("sent", 2), ("recording", 2)], ids=["leased", "sent", "recording"]
)
def test_worker_killed_in_the_middle_of_a_charge_takes_the_money_once(stage: str, calls: int) -> None:
    folio = make_folio()
    op = start(folio)

    kill_worker_at(stage, op)

    left = MoneyOp.objects.get()
    assert (left.state, left.payment.status, books()) == ("sending", "pending", [])
    assert payments.open_ops(NOW) == [], "its lease still runs"
    assert sending.send(op.pk, now=NOW) is None
    later = NOW + sending.LEASE
    assert payments.open_ops(later) == [op.pk]
    assert settle(op, later).changed

    assert Payment.objects.get().status == "completed"
    record = SandboxRecord.objects.get()
    assert (record.kind, record.amount_minor, record.state, record.calls) == (
        "charge",
        TOTAL,
        "succeeded",
        calls,
    )
    assert LedgerTransaction.objects.count() == 1
    assert payments.open_ops(later + timedelta(days=1)) == []


def test_worker_killed_in_the_middle_of_a_refund_gives_back_once() -> None:
    folio = make_folio()
    pay(folio)
    with transaction.atomic():
        (op,) = payments.refund(folio=folio, amount_minor=TOTAL, cause="test", now=NOW)

    kill_worker_at("sent", op)
    assert settle(op, NOW + sending.LEASE).changed

    back = SandboxRecord.objects.get(kind="refund")
    assert (back.amount_minor, back.state, back.calls) == (TOTAL, "succeeded", 2)
    assert [amount for _, account, amount in books() if account == "clearing:sandbox"] == [TOTAL, -TOTAL]


def at_once(count: int, work: Callable[[], Any]) -> list[Any]:
    """Run ``work`` in so many threads that start together; its results, exceptions included."""
    gate, results = threading.Barrier(count), []

    def run() -> None:
        try:
            gate.wait()
            results.append(work())
        except Exception as error:
            results.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_many_workers_send_one_operation_once() -> None:
    op = start(make_folio())

    results = at_once(8, lambda: sending.send(op.pk, now=NOW))

    assert sorted(result.status for result in results if result) == ["succeeded"]
    assert SandboxRecord.objects.get().calls == 1


def test_many_workers_with_lapsed_leases_move_the_money_once() -> None:
    """Control for the lease: with it out of the way the provider is called more than once, and acts once."""
    op = start(make_folio())
    later = iter(NOW + number * sending.LEASE for number in range(1, 9))
    moments = threading.Lock()

    def send_and_record() -> bool:
        with moments:
            now = next(later)
        result = sending.send(op.pk, now=now)
        if result is None:
            return False
        with transaction.atomic():
            return payments.record(op_id=op.pk, result=result, now=now).changed

    results = at_once(8, send_and_record)

    assert sorted(results) == [False] * 7 + [True]
    assert SandboxRecord.objects.count() == 1
    assert len(books()) == 2


def test_same_result_recorded_by_many_at_once_is_booked_once() -> None:
    op = start(make_folio())
    result = sending.send(op.pk, now=NOW)
    assert result is not None

    def record() -> bool:
        with transaction.atomic():
            return payments.record(op_id=op.pk, result=result, now=NOW).changed

    assert sorted(at_once(8, record)) == [False] * 7 + [True]
    assert len(books()) == 2


def test_many_clicks_on_pay_start_one_payment() -> None:
    folio = make_folio()

    results = at_once(8, lambda: start(folio))

    assert sum(isinstance(result, MoneyOp) for result in results) == 1
    assert sum(isinstance(result, payments.PaymentInProgress) for result in results) == 7
    assert Payment.objects.count() == 1


def test_many_refunds_at_once_give_back_no_more_than_was_taken() -> None:
    folio = make_folio()
    pay(folio)

    def refund() -> list[MoneyOp]:
        with transaction.atomic():
            return payments.refund(folio=folio, amount_minor=TOTAL // 2 + 1, cause="test", now=NOW)

    results = at_once(8, refund)

    assert sum(isinstance(result, list) for result in results) == 1
    assert sum(isinstance(result, payments.RefundTooLarge) for result in results) == 7
    assert MoneyOp.objects.filter(kind="refund").count() == 1


def test_capture_and_void_at_once_do_one_of_the_two() -> None:
    payment = settle(start(make_folio(), capture=False)).op.payment
    verbs = iter([payments.capture, payments.void] * 4)

    def decide() -> UUID:
        verb = next(verbs)
        with transaction.atomic():
            return verb(payment=payment, now=NOW).pk

    results = at_once(8, decide)

    assert len({result for result in results if isinstance(result, UUID)}) == 1
    assert MoneyOp.objects.exclude(kind="authorize").count() == 1


def test_send_asks_first_when_the_key_may_be_forgotten() -> None:
    """A day later a charge of which the provider knows nothing is given up; one that it knows is taken over."""
    lost, done = start(make_folio()), start(make_folio(), "timeout")
    sending.lease(lost.pk, now=NOW)
    settle(done)
    next_day = NOW + timedelta(hours=24)

    assert settle(lost, next_day).op.error_code == "never_arrived"
    assert settle(done, next_day).op.state == "succeeded"

    assert [record.key for record in SandboxRecord.objects.all()] == [str(done.pk)]
    assert SandboxRecord.objects.get().calls == 1


def test_lost_refund_is_sent_again_however_late() -> None:
    folio = make_folio()
    pay(folio)
    with transaction.atomic():
        (op,) = payments.refund(folio=folio, amount_minor=TOTAL, cause="test", now=NOW)
    sending.lease(op.pk, now=NOW)

    assert settle(op, NOW + timedelta(days=2)).op.state == "succeeded"


def test_provider_that_stays_silent_is_asked_less_often() -> None:
    op = start(make_folio())
    for number in range(6):
        leased = sending.lease(op.pk, now=NOW + number * sending.LEASE)
        assert leased is not None
        with transaction.atomic():
            payments.record(op_id=op.pk, result=Result("unknown"), now=NOW + number * sending.LEASE)

    last = NOW + 5 * sending.LEASE
    assert payments.open_ops(last) == []
    assert payments.open_ops(last + timedelta(minutes=10)) == [op.pk]
