"""Write down what a provider said: the operation, its payment and the books, in one transaction and once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db.models.functions import Coalesce

from backend.core.db import lock
from backend.core.errors import NotFound
from backend.core.money import allocate
from backend.payments import ledger
from backend.payments.ledger import Entry
from backend.payments.models import Folio, MoneyOp, Payment
from backend.payments.providers.base import Result
from backend.payments.states import OPEN_OPS, PAYMENT_TRANSITIONS, OpState, PaymentStatus

log = structlog.get_logger(__name__)

PATIENT_TRIES, PATIENCE = 5, timedelta(minutes=10)
"""After so many tries without an outcome the next one waits so long."""

GONE = frozenset({"already_voided", "authorization_expired"})
"""Refusals of a void that mean that there is nothing left to let go."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """The operation as it is now (with its payment and folio), and whether this result moved it."""

    op: MoneyOp
    changed: bool


def record(*, op_id: UUID, result: Result, now: datetime) -> Recorded:
    """Take over a provider's result: compare-and-set on the operation, its payment's status, the ledger entries.

    Call it inside the transaction that also draws the consequences; it holds the folio's row. ``succeeded`` and
    ``failed`` are final: whatever comes after them changes nothing. ``pending`` and ``unknown`` leave the operation
    open (state ``unknown``) to be sent or looked up again.

    Raises: NotFound.
    """
    folio_of_op = Coalesce("payment__folio_id", "payout__folio_id")
    folio_id = MoneyOp.objects.filter(pk=op_id).values_list(folio_of_op, flat=True).first()
    if folio_id is None:
        raise NotFound
    folio = lock(Folio.objects.all(), pk=folio_id)
    ops = MoneyOp.objects.select_related("payment__folio", "payment__parent")
    op = ops.select_for_update(no_key=True, of=("self",)).get(pk=op_id)
    if op.state not in OPEN_OPS:
        if result.status in ("succeeded", "failed") and result.status != op.state:
            log.error("payments.contradiction", op=str(op.pk), state=op.state, said=result.status)
        return Recorded(op, changed=False)
    if result.status in ("pending", "unknown"):
        return _leave_open(op, result, now)
    _close(op, result, now)
    if result.status == "failed":
        _failed(op)
    elif op.kind in (MoneyOp.Kind.CHARGE, MoneyOp.Kind.CAPTURE):
        _taken(folio, op, now)
    elif op.kind == MoneyOp.Kind.REFUND:
        _given_back(folio, op, now)
    elif op.kind == MoneyOp.Kind.VOID:
        _move(op.of_payment, PaymentStatus.FAILED)
    else:
        _move(op.of_payment, PaymentStatus.PENDING, authorized_at=now)
    return Recorded(op, changed=True)


def _leave_open(op: MoneyOp, result: Result, now: datetime) -> Recorded:
    if op.state == OpState.CREATED:
        return Recorded(op, changed=False)
    changed = op.state != OpState.UNKNOWN
    op.state = OpState.UNKNOWN
    op.provider_ref = result.reference or op.provider_ref
    op.lease_until = now + PATIENCE if op.attempts > PATIENT_TRIES else None
    op.updated_at = now
    op.save(update_fields=["state", "provider_ref", "lease_until", "updated_at"])
    return Recorded(op, changed)


def _close(op: MoneyOp, result: Result, now: datetime) -> None:
    op.state = OpState.SUCCEEDED if result.status == "succeeded" else OpState.FAILED
    op.provider_ref = result.reference or op.provider_ref
    op.error_code = result.error_code[:60]
    op.fee_minor = result.fee_minor
    op.lease_until = None
    op.updated_at = now
    op.save(update_fields=["state", "provider_ref", "error_code", "fee_minor", "lease_until", "updated_at"])


def _failed(op: MoneyOp) -> None:
    if op.kind == MoneyOp.Kind.VOID and op.error_code not in GONE:
        # The authorization still stands, or was taken behind our back: a person must look.
        log.error("payments.void_refused", op=str(op.pk), error_code=op.error_code)
        return
    _move(op.of_payment, PaymentStatus.FAILED)


def _taken(folio: Folio, op: MoneyOp, now: datetime) -> None:
    _move(op.of_payment, PaymentStatus.COMPLETED, completed_at=now)
    amount_minor = op.of_payment.amount_minor
    ledger.post(
        cause=ledger.CAPTURED,
        entries=[*_moved(op, 1), Entry(ledger.GUEST_FUNDS, -amount_minor, folio.currency)],
        folio=folio,
        money_op=op,
        now=now,
    )


def _given_back(folio: Folio, op: MoneyOp, now: datetime) -> None:
    _move(op.of_payment, PaymentStatus.COMPLETED, completed_at=now)
    paid = op.of_payment.parent
    assert paid is not None, "a refund has a parent by constraint"  # noqa: S101
    refunded = paid.refunded_minor + op.of_payment.amount_minor
    whole = refunded == paid.amount_minor
    _move(
        paid, PaymentStatus.REFUNDED if whole else PaymentStatus.PARTIALLY_REFUNDED, refunded_minor=refunded
    )
    ledger.post(
        cause=ledger.REFUNDED,
        entries=[*_moved(op, -1), *_bearers(folio, op.of_payment.amount_minor)],
        folio=folio,
        money_op=op,
        now=now,
    )


def _moved(op: MoneyOp, sign: int) -> list[Entry]:
    """What the provider did for ``op``: 1 took money in, -1 gave it away."""
    return ledger.moved(
        op.provider,
        charged_minor=sign * op.amount_minor,
        charged_currency=op.currency,
        amount_minor=sign * op.of_payment.amount_minor,
        currency=op.of_payment.currency,
        fee_minor=op.fee_minor,
    )


def _bearers(folio: Folio, amount_minor: int) -> list[Entry]:
    """Who gives back: what is held for the guest first; after the stay those who earned it, in proportion."""
    balances = ledger.balances(folio)
    held = min(amount_minor, -balances[ledger.GUEST_FUNDS])
    entries = [Entry(ledger.GUEST_FUNDS, held, folio.currency)]
    if held < amount_minor:
        earners = (ledger.HOST_PAYABLE, ledger.REVENUE, ledger.TAX)
        parts = allocate(amount_minor - held, [-balances[account] for account in earners])
        entries += [
            Entry(account, part, folio.currency) for account, part in zip(earners, parts, strict=True)
        ]
    return entries


def _move(payment: Payment, status: PaymentStatus, **changes: Any) -> None:
    """Set a payment's status along its edges (or leave it) with what else changes. The folio is locked by us.

    Raises: WrongState.
    """
    if payment.status != status:
        PAYMENT_TRANSITIONS.require(payment.status, status)
    for name, value in {"status": status, **changes}.items():
        setattr(payment, name, value)
    payment.save(update_fields=["status", *changes])
