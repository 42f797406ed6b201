"""Write down what a provider said: the operation, its payment and the books, in one transaction and once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog

from backend.core.db import Columns, locked
from backend.payments import bearing, ledger, payout_results
from backend.payments.ledger import Entry
from backend.payments.models import Folio, LedgerTransaction, MoneyOp, Payment
from backend.payments.providers.base import Result
from backend.payments.states import OPEN_OPS, PAYMENT_TRANSITIONS, OpState, PaymentStatus

log = structlog.get_logger(__name__)

PATIENT_TRIES, PATIENCE = 5, timedelta(minutes=10)
"""After so many tries without an outcome the next one waits so long."""

GONE = frozenset({"already_voided", "authorization_expired"})
"""Refusals of a void that mean that there is nothing left to let go."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """The operation as it is now (with its payment and folio), and whether this result moved it.

    ``came_back``: the money of a refund that had succeeded.
    """

    op: MoneyOp
    changed: bool
    came_back: bool = False


def record(*, op_id: UUID, result: Result, now: datetime) -> Recorded:
    """Take over a provider's result: compare-and-set on the operation, its payment's status, the ledger entries.

    Call it inside the transaction that also draws the consequences; it holds the folio's row. ``succeeded`` and
    ``failed`` are final: whatever comes after them changes nothing. ``pending`` and ``unknown`` leave the operation
    open (state ``unknown``) to be sent or looked up again. Only a refund goes on after it has succeeded: the guest's
    bank may send it back.

    Raises: NotFound.
    """
    folio = _FOLIO.read(locked(_LOCK_FOLIO, [op_id]))
    op = _held(op_id, folio)
    if _has_come_back(op, result):
        _taken_back(folio, op, result, now)
        return Recorded(op, changed=True, came_back=True)
    if op.state not in OPEN_OPS:
        if op.payout_id is not None and result.stage:
            return Recorded(op, changed=payout_results.staged(folio, op, result.stage, now))
        if result.status in ("succeeded", "failed") and result.status != op.state:
            log.error("payments.contradiction", op=str(op.pk), state=op.state, said=result.status)
        return Recorded(op, changed=False)
    if result.status in ("pending", "unknown"):
        return _leave_open(op, result, now)
    _close(op, result, now)
    if op.payout_id is not None:
        payout_results.settled(folio, op, result, now)
        return Recorded(op, changed=True)
    if result.status == "failed":
        _failed(op)
    elif op.kind in (MoneyOp.Kind.CHARGE, MoneyOp.Kind.CAPTURE):
        _taken(folio, op, result, now)
    elif op.kind == MoneyOp.Kind.REFUND:
        _given_back(folio, op, now)
        if result.stage == "returned":
            _taken_back(folio, op, result, now)
            return Recorded(op, changed=True, came_back=True)
    elif op.kind == MoneyOp.Kind.VOID:
        _move(op.of_payment, PaymentStatus.FAILED)
    else:
        _move(op.of_payment, PaymentStatus.PENDING, authorized_at=now, **_card(result))
    return Recorded(op, changed=True)


def _held(op_id: UUID, folio: Folio) -> MoneyOp:
    """The operation, locked, with its payment, whose folio is the one that is locked."""
    row = locked(_LOCK_OP, [op_id])
    op = _OP.read(row[: len(_OP.names)])
    if op.payment_id is not None:
        op.payment = _PAYMENT.read(row[len(_OP.names) :])
        op.payment.folio = folio
    return op


# By hand and planned once: everything that money does begins so.
_FOLIO, _OP, _PAYMENT = Columns(Folio), Columns(MoneyOp), Columns(Payment)
_LOCK_FOLIO = f"""
    SELECT {_FOLIO.of("f")} FROM folios f WHERE f.id = (
        SELECT coalesce(payment.folio_id, payout.folio_id) FROM money_ops o
        LEFT JOIN payments payment ON payment.id = o.payment_id LEFT JOIN payouts payout ON payout.id = o.payout_id
        WHERE o.id = %s
    ) FOR NO KEY UPDATE OF f
"""  # noqa: S608
_LOCK_OP = f"""
    SELECT {_OP.of("o")}, {_PAYMENT.of("p")} FROM money_ops o LEFT JOIN payments p ON p.id = o.payment_id
    WHERE o.id = %s FOR NO KEY UPDATE OF o
"""  # noqa: S608


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


def _card(result: Result) -> dict[str, str]:
    """What is kept of the card that paid, where the provider tells."""
    card = result.card
    return {"card_brand": card.brand, "card_last4": card.last4} if card.last4 else {}


def _taken(folio: Folio, op: MoneyOp, result: Result, now: datetime) -> None:
    _move(op.of_payment, PaymentStatus.COMPLETED, completed_at=now, **_card(result))
    amount_minor = op.of_payment.amount_minor
    ledger.post(
        cause=ledger.CAPTURED,
        entries=[*_moved(op, 1), Entry(ledger.GUEST_FUNDS, -amount_minor, folio.currency)],
        folio=folio,
        money_op=op,
        now=now,
    )


def _given_back(folio: Folio, op: MoneyOp, now: datetime) -> None:
    refund = op.of_payment
    bearer = bearing.bearer_of(refund)
    _move(refund, PaymentStatus.COMPLETED, completed_at=now)
    _count(refund, refund.amount_minor)
    # A gift leaves alone what a policy owes and is still on its way; what a policy owes comes first.
    reserved = 0 if refund.refund_request is None else bearing.reserved_minor(folio)
    borne = bearing.borne(folio, refund.amount_minor, bearer, reserved_minor=reserved)
    ledger.post(
        cause=bearing.CAUSES[bearer],
        entries=[*_moved(op, -1), *borne],
        folio=folio,
        money_op=op,
        now=now,
    )


def _has_come_back(op: MoneyOp, result: Result) -> bool:
    """Whether a refund that was carried out is not with the guest any more, and we do not know it yet."""
    says_so = result.stage == "returned" or result.status == "failed"
    is_done = op.kind == MoneyOp.Kind.REFUND and op.state == OpState.SUCCEEDED
    return is_done and says_so and op.of_payment.status == PaymentStatus.COMPLETED


def _taken_back(folio: Folio, op: MoneyOp, result: Result, now: datetime) -> None:
    """The refund failed after all: who had borne it has it again, and the guest is owed it as before."""
    refund = op.of_payment
    op.error_code = (result.error_code or "returned")[:60]
    op.updated_at = now
    op.save(update_fields=["error_code", "updated_at"])
    _move(refund, PaymentStatus.FAILED, completed_at=None)
    _count(refund, -refund.amount_minor)
    posted = LedgerTransaction.objects.get(money_op=op)
    # What the provider kept for the refund it does not give back.
    ours = (ledger.PROVIDER_FEES, ledger.clearing(op.provider))
    ledger.post(
        cause=posted.cause + ledger.CAME_BACK,
        entries=[
            Entry(ledger.clearing(op.provider), op.amount_minor, op.currency),
            *bearing.mirrored(posted, besides=ours),
        ],
        folio=folio,
        now=now,
    )
    log.warning("payments.refund_returned", op=str(op.pk), error_code=op.error_code)


def _count(refund: Payment, amount_minor: int) -> None:
    """Let the payment that ``refund`` belongs to be refunded by so much more."""
    paid = refund.parent
    assert paid is not None, "a refund has a parent by constraint"  # noqa: S101
    refunded = paid.refunded_minor + amount_minor
    status = PaymentStatus.PARTIALLY_REFUNDED if refunded else PaymentStatus.COMPLETED
    if refunded == paid.amount_minor:
        status = PaymentStatus.REFUNDED
    _move(paid, status, refunded_minor=refunded)


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


def _move(payment: Payment, status: PaymentStatus, **changes: Any) -> None:
    """Set a payment's status along its edges (or leave it) with what else changes. The folio is locked by us.

    Raises: WrongState.
    """
    if payment.status != status:
        PAYMENT_TRANSITIONS.require(payment.status, status)
    for name, value in {"status": status, **changes}.items():
        setattr(payment, name, value)
    payment.save(update_fields=["status", *changes])
