"""What a provider said of a payout, or of taking one back: its status, the books, the next try.

Called inside the transaction that records the operation; the stay is held.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import Sum

from backend.core.db import lock, retrying
from backend.payments import ledger, payout_holds, payout_notices, payouts
from backend.payments.ledger import Entry
from backend.payments.models import Folio, MoneyOp, Payout
from backend.payments.providers.base import Result, Stage
from backend.payments.states import OpState, PayoutStatus

BACKOFF = (timedelta(hours=1), timedelta(hours=6), timedelta(hours=24))
"""How long a payout rests after its first, second and third failed try. After the fourth it waits for the staff."""

RETURNED = "returned"

log = structlog.get_logger(__name__)


def settled(folio: Folio, op: MoneyOp, result: Result, now: datetime) -> None:
    """Draw what follows from an operation that just got its outcome (``op`` is closed already)."""
    payout = _payout(op)
    if op.kind == MoneyOp.Kind.REVERSE:
        if op.state == OpState.SUCCEEDED:
            _taken_back(folio, payout, op, now)
        else:
            log.info("payouts.not_taken_back", payout=payout.pk, error_code=op.error_code)
    elif op.state == OpState.FAILED:
        _failed(payout, op, now)
    else:
        _sent(folio, payout, op, now)
        staged(folio, op, result.stage, now)


def staged(folio: Folio, op: MoneyOp, stage: Stage, now: datetime) -> bool:
    """Note how far a payout got after it was sent: arrived, or returned. Whether that is news."""
    if op.kind != MoneyOp.Kind.PAYOUT or op.state != OpState.SUCCEEDED:
        return False
    payout = _payout(op)
    if stage == "arrived" and payout.status == PayoutStatus.SENT:
        payout_holds.move(payout, PayoutStatus.PAID, paid_at=now)
        return True
    if stage == RETURNED and payout.status in (PayoutStatus.SENT, PayoutStatus.PAID):
        _came_back(folio, payout, op, now)
        return True
    return False


@retrying
def arrived(*, op_id: UUID, now: datetime) -> bool:
    """Note that a payout has arrived at the receiver's bank, as a delivery of several says. Whether that is news."""
    with transaction.atomic():
        op = MoneyOp.objects.filter(pk=op_id, payout__isnull=False).select_related("payout").first()
        if op is None or op.payout is None:
            return False
        folio = lock(Folio.objects.all(), pk=op.payout.folio_id)
        return staged(folio, op, "arrived", now)


def taken_back_minor(payout: Payout) -> tuple[int, int]:
    """What of a payout was taken back: in the stay's currency, and in the currency that was paid."""
    back = payout.ops.filter(kind=MoneyOp.Kind.REVERSE, state=OpState.SUCCEEDED)
    return sum(op.options["amount_minor"] for op in back), int(
        back.aggregate(sum=Sum("amount_minor"))["sum"] or 0
    )


def _payout(op: MoneyOp) -> Payout:
    return lock(Payout.objects.select_related("receiver", "folio"), pk=op.payout_id)


def _sent(folio: Folio, payout: Payout, op: MoneyOp, now: datetime) -> None:
    # What held it since it was asked for came too late.
    payout.holds.filter(released_at=None).update(released_at=now)
    payout_holds.move(payout, PayoutStatus.SENT, sent_at=now, failure_code="")
    _post(ledger.PAID_OUT, folio, payout, op, (payout.amount_minor, op.amount_minor), -1, now, money_op=op)
    payout_notices.sent(payout, now)


def _failed(payout: Payout, op: MoneyOp, now: datetime) -> None:
    tries = payout.attempts + 1
    is_last = tries > len(BACKOFF)
    payout_holds.move(
        payout,
        PayoutStatus.FAILED,
        attempts=tries,
        failure_code=op.error_code,
        needs_attention=is_last,
        due_at=payout.due_at if is_last else now + BACKOFF[tries - 1],
        paid_minor=None,
        paid_currency="",
        rate=None,
    )
    payout_notices.failed(payout, now)
    payout_holds.follow(payout, now)


def _taken_back(folio: Folio, payout: Payout, op: MoneyOp, now: datetime) -> None:
    _post(
        ledger.TAKEN_BACK,
        folio,
        payout,
        op,
        (op.options["amount_minor"], op.amount_minor),
        1,
        now,
        money_op=op,
    )
    if taken_back_minor(payout)[0] == payout.amount_minor:
        payout_holds.move(payout, PayoutStatus.REVERSED, reversed_at=now)


def _came_back(folio: Folio, payout: Payout, op: MoneyOp, now: datetime) -> None:
    """The bank has sent it back: it is owed again, and somebody must look before it is sent again."""
    minor, paid_minor = taken_back_minor(payout)
    payout_holds.move(payout, PayoutStatus.REVERSED, reversed_at=now, failure_code=RETURNED)
    left = (payout.amount_minor - minor, op.amount_minor - paid_minor)
    _post(ledger.PAYOUT_RETURNED, folio, payout, op, left, 1, now)
    payouts.schedule(folio=folio, due_at=now, now=now, came_back=True)
    payout_notices.returned(payout, now)


def _post(
    cause: str,
    folio: Folio,
    payout: Payout,
    op: MoneyOp,
    amounts: tuple[int, int],
    sign: int,
    now: datetime,
    *,
    money_op: MoneyOp | None = None,
) -> None:
    """Book money that left us (-1) or came back (1): in the stay's currency and in the one that was moved."""
    minor, moved = amounts
    entries = ledger.moved(
        op.provider,
        charged_minor=sign * moved,
        charged_currency=op.currency,
        amount_minor=sign * minor,
        currency=payout.currency,
        fee_minor=op.fee_minor if money_op else 0,
    )
    owed = Entry(ledger.HOST_PAYABLE, -sign * minor, payout.currency, holder_id=payout.receiver_id)
    ledger.post(cause=cause, entries=[*entries, owed], folio=folio, money_op=money_op, now=now)
