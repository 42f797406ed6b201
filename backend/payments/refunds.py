"""Give money back: write down which payments it comes from, and make again what failed.

What may be given back of a payment is what was taken, less what has gone or is on its way back, less what the guest's
bank has taken back already (a dispute). A refund that fails changes none of that: the guest is still owed, staff are
shown it (``Payment.objects.needing_attention``) and make it ``again``. Who bears a refund is told in ``bearing``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F, Q, Sum
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import ADMIN, FINANCE
from backend.audit import services as audit
from backend.core import access
from backend.core.db import constraint_errors, lock, retrying
from backend.core.errors import Conflict, Invalid, NotFound, WrongState
from backend.payments.charging import Taken
from backend.payments.intents import intend, reference, settle_later
from backend.payments.models import Dispute, Folio, MoneyOp, Payment, RefundRequest
from backend.payments.providers import units
from backend.payments.states import DisputeStatus, PaymentStatus

PAID = [PaymentStatus.COMPLETED, PaymentStatus.PARTIALLY_REFUNDED, PaymentStatus.REFUNDED]

OPEN_DISPUTES = [DisputeStatus.NEEDS_RESPONSE, DisputeStatus.UNDER_REVIEW]


class RefundTooLarge(Invalid):
    """More than was taken and not given back yet."""

    code = "refund_too_large"
    title = _("This is more than what can be given back.")


class MadeAgain(Conflict):
    """Somebody has made the failed refund again already."""

    code = "made_again"
    title = _("This refund was made again already.")


@access.rule("refund.retry")
def may_retry(actor: Any, payment: Payment) -> bool:
    """What was owed or agreed once is owed still: the finance team."""
    return bool(actor.has_role(FINANCE, ADMIN))


def refund(
    *,
    folio: Folio,
    amount_minor: int,
    cause: str,
    now: datetime,
    request: RefundRequest | None = None,
) -> list[MoneyOp]:
    """Write down that ``amount_minor`` of the folio's currency is given back; the newest payments first.

    ``cause`` is a word about why, kept with the operations; ``request`` is whose generosity it is, where no policy owes
    it. Zero gives no operation. Raises: RefundTooLarge.
    """
    folio = lock(Folio.objects.all(), pk=folio.pk)
    if amount_minor < 0:
        raise ValueError("a refund is not negative")
    ops, left = [], amount_minor
    for paid in _paid(folio).order_by("-id"):
        part = min(left, _available(paid))
        if part > 0:
            ops.append(_write(paid, part, {"cause": cause}, now, refund_request=request))
            left -= part
    if left:
        raise RefundTooLarge.field("amount", RefundTooLarge.code, RefundTooLarge.title)
    return ops


@retrying
def again(*, actor: Any, payment_id: int, reason: str, now: datetime) -> MoneyOp:
    """Make a refund again that failed or came back: the same amount of the same payment, borne by the same.

    Raises: NotFound, NotAllowed, Invalid (no reason), WrongState (it did not fail), MadeAgain, RefundTooLarge.
    """
    with transaction.atomic(durable=True):
        failed = Payment.objects.select_related("folio").filter(pk=payment_id).first()
        if failed is None or failed.kind != Payment.Kind.REFUND:
            raise NotFound
        access.require(actor, "refund.retry", failed)
        if not reason.strip():
            raise Invalid.field("reason", "required", _("Say why."))
        lock(Folio.objects.all(), pk=failed.folio_id)
        failed = Payment.objects.select_related("parent", "refund_request").get(pk=payment_id)
        if failed.status != PaymentStatus.FAILED:
            raise WrongState(extra={"state": failed.status})
        assert failed.parent is not None, "a refund has a parent by constraint"  # noqa: S101
        if failed.amount_minor > _available(failed.parent):
            raise RefundTooLarge.field("amount", RefundTooLarge.code, RefundTooLarge.title)
        options = {"cause": "again"}
        with constraint_errors({"payments_retry_of_id_key": MadeAgain}):
            op = _write(
                failed.parent,
                failed.amount_minor,
                options,
                now,
                refund_request=failed.refund_request,
                retry_of=failed,
            )
        audit.record(
            actor=actor,
            action="refund.retry",
            subject=failed,
            after={"amount_minor": failed.amount_minor, "currency": failed.currency, "op": str(op.pk)},
            reason=reason.strip(),
            now=now,
        )
        settle_later([op])
    return op


def paid(folio: Folio) -> int:
    """What was taken and is neither given back, on its way back, nor lost to the guest's bank, in minor units."""
    taken = _paid(folio).aggregate(sum=Sum(F("amount_minor") - F("refunded_minor")))["sum"] or 0
    back = Payment.objects.filter(folio=folio, kind=Payment.Kind.REFUND, status=PaymentStatus.PENDING)
    underway = int(back.aggregate(sum=Sum("amount_minor"))["sum"] or 0)
    lost = _disputed(Q(payment__folio=folio, status=DisputeStatus.LOST))
    return max(0, int(taken) - underway - lost)


def refundable(folio: Folio) -> int:
    """As ``paid``, without what the guest's bank has taken while a dispute is open, in minor units."""
    return sum(max(0, _available(payment)) for payment in _paid(folio))


def in_dispute(folio: Folio) -> int:
    """What the guest's bank has taken and may have to give back, in minor units of the folio's currency."""
    return _disputed(Q(payment__folio=folio, status__in=OPEN_DISPUTES))


def _paid(folio: Folio) -> Any:
    return Payment.objects.filter(folio=folio, kind=Payment.Kind.PAYMENT, status__in=PAID)


def _available(payment: Payment) -> int:
    """What may still be given back of a payment, in minor units; below zero where both the bank and we have."""
    pending = Payment.objects.filter(parent=payment, status=PaymentStatus.PENDING)
    underway = int(pending.aggregate(sum=Sum("amount_minor"))["sum"] or 0)
    return payment.amount_minor - payment.refunded_minor - underway - _disputed(Q(payment=payment))


def _disputed(which: Q) -> int:
    disputes = Dispute.objects.filter(which, funds_withdrawn=True)
    return int(disputes.aggregate(sum=Sum("folio_minor"))["sum"] or 0)


def _write(paid: Payment, part_minor: int, options: dict[str, Any], now: datetime, **fields: Any) -> MoneyOp:
    back = Payment.objects.create(
        reference=reference("R"),
        folio_id=paid.folio_id,
        parent=paid,
        kind=Payment.Kind.REFUND,
        provider=paid.provider,
        amount_minor=part_minor,
        currency=paid.currency,
        charged_minor=_charged_part(paid, part_minor),
        charged_currency=paid.charged_currency,
        created_at=now,
        **fields,
    )
    return intend(back, MoneyOp.Kind.REFUND, options, now)


def _charged_part(paid: Payment, part_minor: int) -> int:
    """``part_minor`` of a payment in the currency that was charged: its share of it, so that all parts make the whole.

    Raises: CannotMove where the parts before have used up all that the provider can move.
    """
    refunds = Payment.objects.filter(parent=paid).exclude(status=PaymentStatus.FAILED)
    before = refunds.aggregate(amount=Sum("amount_minor"), charged=Sum("charged_minor"))
    taken = Taken(paid.amount_minor, paid.charged_minor, before["amount"] or 0, before["charged"] or 0)
    step = units.step(paid.provider, paid.charged_currency)
    if paid.charged_currency != paid.currency:
        # What is paid later may go another way, and completes the running total of what is left.
        step = units.common_step(paid.charged_currency)
    charged = taken.back(part_minor, step=step)
    if not charged:
        raise units.CannotMove.field("amount", units.CannotMove.code, units.CannotMove.title)
    return charged
