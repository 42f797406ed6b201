"""Webhooks: verified, kept once, applied by asking the provider again."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.utils import timezone
from pytest_django import Settings

from backend.core.errors import NotAllowed, WrongState
from backend.payments import inbox, tasks
from backend.payments import services as payments
from backend.payments.models import MoneyOp, Payment, ProviderEvent, SandboxRecord
from backend.payments.providers import sandbox
from backend.payments.providers.base import ForgedWebhook
from tests.conftest import Server
from tests.factories import NOW, make_user
from tests.payments.desk import TOTAL, books, make_folio, settle, start

pytestmark = pytest.mark.usefixtures("db")


def deliver(op: MoneyOp) -> bool:
    record = SandboxRecord.objects.get(key=str(op.pk))
    body, headers = sandbox.webhook(record, now=NOW)
    return inbox.receive(provider="sandbox", body=body, headers=headers, now=NOW)


def jobs(name: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM procrastinate_jobs WHERE task_name = %s", [name])
        return int(cursor.fetchone()[0])


def drain() -> list[bool]:
    """What the settlement of bookings does with the inbox."""
    changed = []
    for event in inbox.waiting():
        resolved = inbox.resolve(event)
        assert resolved is not None
        op_id, result = resolved
        with transaction.atomic():
            changed.append(payments.record(op_id=op_id, result=result, now=NOW).changed)
            assert inbox.mark(event, outcome="applied", now=NOW) is True
    return changed


def test_receive_keeps_an_event_once_and_wakes_the_worker_once() -> None:
    op = settle(start(make_folio())).op

    assert [deliver(op) for _ in range(3)] == [True, False, False]

    event = ProviderEvent.objects.get()
    assert (event.provider, event.type, UUID(event.op_key)) == ("sandbox", "charge.succeeded", op.pk)
    assert (event.received_at, event.applied_at) == (NOW, None)
    assert jobs(inbox.DRAIN_JOB) == 1


def test_receive_refuses_forgeries_and_keeps_nothing() -> None:
    op = settle(start(make_folio())).op
    body, headers = sandbox.webhook(SandboxRecord.objects.get(key=str(op.pk)), now=NOW)

    with pytest.raises(ForgedWebhook):
        inbox.receive(provider="sandbox", body=body + b" ", headers=headers, now=NOW)
    with pytest.raises(ForgedWebhook):
        inbox.receive(provider="sandbox", body=body, headers=headers, now=NOW + timedelta(minutes=6))
    with pytest.raises(inbox.ProviderNotConfigured):
        inbox.receive(provider="stripe", body=body, headers=headers, now=NOW)

    assert (ProviderEvent.objects.count(), jobs(inbox.DRAIN_JOB)) == (0, 0)


def test_receive_expects_nothing_from_a_sandbox_that_is_switched_off(settings: Settings) -> None:
    op = settle(start(make_folio())).op
    settings.SANDBOX_ENABLED = False

    with pytest.raises(inbox.ProviderNotConfigured):
        deliver(op)

    assert ProviderEvent.objects.count() == 0


def test_pending_charge_is_settled_by_the_worker(start_server: Callable[..., Server]) -> None:
    """The whole way with a real worker: the answer stays open, the webhook comes by itself, the inbox is drained."""
    start_server(worker=True)
    op = start(make_folio(), "pending")

    settle(op, timezone.now())

    deadline = time.monotonic() + 40
    while MoneyOp.objects.get().state != "succeeded" and time.monotonic() < deadline:
        time.sleep(0.2)
    payment = Payment.objects.get()
    assert (MoneyOp.objects.get().state, payment.status) == ("succeeded", "completed")
    assert (len(books()), SandboxRecord.objects.get().calls) == (2, 1)
    event = ProviderEvent.objects.get()
    assert (event.outcome, event.applied_at is not None) == ("charge succeeded", True)


def test_pending_charge_is_settled_by_its_webhook() -> None:
    op = settle(start(make_folio(), "pending")).op
    assert jobs(sandbox.WEBHOOK_JOB) == 1

    tasks.sandbox_webhook(key=str(op.pk))
    tasks.sandbox_webhook(key=str(op.pk))

    assert ProviderEvent.objects.count() == 1
    assert drain() == [True]
    assert (MoneyOp.objects.get().state, len(books())) == ("succeeded", 2)
    assert inbox.waiting() == []


def test_event_after_the_answer_changes_nothing() -> None:
    op = settle(start(make_folio())).op
    deliver(op)

    assert drain() == [False]

    assert len(books()) == 2


def test_event_before_the_answer_is_the_answer() -> None:
    """The webhook overtakes the response that was lost: the late one does nothing."""
    op = settle(start(make_folio(), "timeout")).op
    deliver(op)

    assert drain() == [True]
    late = inbox.resolve(ProviderEvent.objects.get())
    assert late is not None
    with transaction.atomic():
        assert payments.record(op_id=late[0], result=late[1], now=NOW).changed is False

    assert sum(amount for _, account, amount in books() if account == "clearing:sandbox") == TOTAL


def test_event_is_believed_only_as_far_as_the_provider_confirms_it() -> None:
    op = settle(start(make_folio(), "pending")).op
    record = SandboxRecord.objects.get(key=str(op.pk))
    record.state = "succeeded"  # the webhook claims it; the journal still has it pending
    body, headers = sandbox.webhook(record, now=NOW)
    inbox.receive(provider="sandbox", body=body, headers=headers, now=NOW)

    assert drain() == [False]

    assert (MoneyOp.objects.get().state, books()) == ("unknown", [])


def test_resolve_finds_the_operation_by_the_providers_reference() -> None:
    op = settle(start(make_folio())).op
    deliver(op)
    ProviderEvent.objects.update(op_key="")

    resolved = inbox.resolve(ProviderEvent.objects.get())

    assert resolved is not None
    assert (resolved[0], resolved[1].status) == (op.pk, "succeeded")


def test_resolve_of_what_is_not_ours() -> None:
    for number, (key, reference) in enumerate(
        [("", ""), ("nonsense", "x"), ("8b0c51fa-7a4a-4a5e-9d3f-0d9f3d1b2c3a", "")]
    ):
        event = ProviderEvent.objects.create(
            provider="sandbox",
            event_id=f"evt_{number}",
            op_key=key,
            object_ref=reference,
            payload={},
            received_at=NOW,
        )
        assert inbox.resolve(event) is None


def test_mark_tells_the_first_from_the_second() -> None:
    deliver(settle(start(make_folio())).op)
    event = inbox.waiting()[0]

    assert [inbox.mark(event, outcome="applied", now=NOW) for _ in range(2)] == [True, False]


def test_event_is_taken_by_one_and_left_for_later_with_growing_pauses() -> None:
    deliver(settle(start(make_folio())).op)
    (event,) = inbox.waiting(now=NOW)

    assert [inbox.take(event, now=NOW) for _ in range(2)] == [True, False]
    assert inbox.waiting(now=NOW) == []
    pauses = []
    for _ in range(12):
        inbox.put_off(event, now=NOW)
        event.refresh_from_db()
        pauses.append(int((event.retry_at - NOW).total_seconds()))
        assert inbox.take(event, now=event.retry_at)

    assert pauses == [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600, 3600]
    assert event.attempts == 13


def test_event_of_a_worker_that_died_is_taken_again() -> None:
    deliver(settle(start(make_folio())).op)
    (event,) = inbox.waiting(now=NOW)
    inbox.take(event, now=NOW)

    assert not inbox.take(event, now=NOW + inbox.LEASE - timedelta(seconds=1))
    assert inbox.take(event, now=NOW + inbox.LEASE)


def test_event_that_was_put_off_by_a_clock_ahead_is_not_left_until_then() -> None:
    deliver(settle(start(make_folio())).op)
    (event,) = inbox.waiting(now=NOW)
    inbox.take(event, now=NOW + timedelta(days=400))

    assert inbox.waiting(now=NOW) == [event]


def test_event_is_tried_again_at_once_for_finance() -> None:
    deliver(settle(start(make_folio())).op)
    (event,) = inbox.waiting(now=NOW)
    inbox.take(event, now=NOW)

    with pytest.raises(NotAllowed):
        inbox.try_again(actor=make_user("support"), event=event, reason="x", now=NOW)
    assert inbox.waiting(now=NOW) == []
    inbox.try_again(actor=make_user("finance"), event=event, reason="Provider is back", now=NOW)
    assert (inbox.waiting(now=NOW), jobs(inbox.DRAIN_JOB)) == ([event], 2)
    inbox.mark(event, outcome="applied", now=NOW)

    with pytest.raises(WrongState):
        inbox.try_again(actor=make_user("finance"), event=event, reason="x", now=NOW)
