"""Move money: take it, let it go, give it back; whose it is in the end is in ``dividing``.

These operations write intents and results; none of them talks to a provider. The way of one movement::

    with transaction.atomic():                       # the caller's operation, with what it means for the stay
        op = payments.start(folio=…, …)              # written down first; its id is the provider's key
    result = sending.send(op.pk, now=now)            # outside of any transaction
    with transaction.atomic():
        recorded = payments.record(op_id=op.pk, result=result, now=now)
        ...                                          # consequences only where recorded.changed

They lock the folio's row; callers that lock a listing or a booking do so before.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Sum
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import ADMIN, FINANCE
from backend.audit import services as audit
from backend.core import access
from backend.core.db import constraint_errors, lock, retrying
from backend.core.errors import Conflict, Invalid, WrongState
from backend.payments import folios
from backend.payments.dividing import earned, forgive, kept, penalize
from backend.payments.folios import open_folio
from backend.payments.models import Folio, MoneyOp, Payment
from backend.payments.providers import registry
from backend.payments.recording import Recorded, record
from backend.payments.sending import due
from backend.payments.states import OPEN_OPS, OpState, PaymentStatus

__all__ = [
    "AlreadyPaid",
    "PaymentInProgress",
    "Recorded",
    "RefundTooLarge",
    "abandon",
    "capture",
    "earned",
    "forgive",
    "kept",
    "open_folio",
    "open_ops",
    "penalize",
    "pending_payment",
    "record",
    "refund",
    "refund_by_staff",
    "refundable",
    "start",
    "status_of",
    "statuses_of",
    "void",
]

REFERENCE_LETTERS = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Letters and digits that nobody mixes up when reading them out."""

UNPAID = "unpaid"
PAID = [PaymentStatus.COMPLETED, PaymentStatus.PARTIALLY_REFUNDED, PaymentStatus.REFUNDED]


class AlreadyPaid(Conflict):
    """Nothing is owed any more, or the amount is already set aside."""

    code = "already_paid"
    title = _("This is paid already.")


class PaymentInProgress(Conflict):
    """An earlier payment has no outcome yet; a second one could take the money twice."""

    code = "payment_in_progress"
    title = _("An earlier payment is still being processed.")


class RefundTooLarge(Invalid):
    """More than was taken and not given back yet."""

    code = "refund_too_large"
    title = _("This is more than what can be given back.")


@access.rule("payment.refund")
def may_refund(actor: Any, folio: Folio) -> bool:
    """By hand, beside what a policy says: the finance team."""
    return actor.has_role(FINANCE, ADMIN)


@access.rule("ledger.view")
def may_view_ledger(actor: Any, subject: object) -> bool:
    return actor.has_role(FINANCE, ADMIN)


def start(
    *,
    folio: Folio,
    provider: str,
    amount_minor: int,
    capture: bool,
    options: dict[str, Any],
    now: datetime,
    owed_minor: int | None = None,
) -> MoneyOp:
    """Write down that the guest pays ``amount_minor`` of the folio's currency; nothing is asked yet.

    ``capture`` takes the money at once; without it it is only set aside, for ``capture`` or ``void`` later. An empty
    ``provider`` is the preferred one; ``options`` are the provider's own (the sandbox: ``outcome``).
    ``owed_minor`` is what the stay costs in all, where that is agreed but written to the folio only when it is paid.
    Raises: ProviderUnknown, NoProvider, Invalid (an option), AlreadyPaid, PaymentInProgress.
    """
    adapter = registry.choose(provider)
    accepted = adapter.accepted_options(options)
    folio = lock(Folio.objects.all(), pk=folio.pk)
    pending = pending_payment(folio)
    if pending is not None:
        raise AlreadyPaid if pending.authorized_at else PaymentInProgress
    owed = folios.total(folio) if owed_minor is None else owed_minor
    if amount_minor > owed - refundable(folio):
        raise AlreadyPaid
    with constraint_errors({"payments_one_pending": PaymentInProgress}):
        payment = Payment.objects.create(
            reference=_reference("P"),
            folio=folio,
            kind=Payment.Kind.PAYMENT,
            provider=adapter.name,
            amount_minor=amount_minor,
            currency=folio.currency,
            charged_minor=folios.charged_minor(folio, amount_minor),
            charged_currency=folio.charge_currency or folio.currency,
            created_at=now,
        )
        return _intend(payment, MoneyOp.Kind.CHARGE if capture else MoneyOp.Kind.AUTHORIZE, accepted, now)


def capture(*, payment: Payment, now: datetime) -> MoneyOp:
    """Write down that what is set aside is taken. Asked twice, it gives the same operation.

    Raises: WrongState when nothing is set aside, or it is being let go.
    """
    return _on_authorized(payment, MoneyOp.Kind.CAPTURE, now)


def void(*, payment: Payment, now: datetime) -> MoneyOp:
    """Write down that what is set aside is let go. Asked twice, it gives the same operation.

    Raises: WrongState when nothing is set aside, or it is being taken.
    """
    return _on_authorized(payment, MoneyOp.Kind.VOID, now)


def abandon(*, payment: Payment, now: datetime) -> bool:
    """Give up a payment that was written down but never sent. Returns whether that was still possible.

    When it returns False the outcome must be awaited, and its money voided or refunded.
    """
    lock(Folio.objects.all(), pk=payment.folio_id)
    unsent = MoneyOp.objects.filter(payment=payment, kind__in=["authorize", "charge"], state=OpState.CREATED)
    if not unsent.update(state=OpState.FAILED, error_code="abandoned", updated_at=now):
        return False
    Payment.objects.filter(pk=payment.pk).update(status=PaymentStatus.FAILED)
    return True


def refund(*, folio: Folio, amount_minor: int, cause: str, now: datetime) -> list[MoneyOp]:
    """Write down that ``amount_minor`` of the folio's currency is given back; the newest payments first.

    ``cause`` is a word about why, kept with the operations. Zero gives no operation.
    Raises: RefundTooLarge.
    """
    folio = lock(Folio.objects.all(), pk=folio.pk)
    if amount_minor < 0:
        raise ValueError("a refund is not negative")
    ops, left = [], amount_minor
    for paid in Payment.objects.filter(folio=folio, kind=Payment.Kind.PAYMENT, status__in=PAID).order_by(
        "-id"
    ):
        part = min(left, paid.amount_minor - paid.refunded_minor - _underway(paid))
        if part <= 0:
            continue
        back = Payment.objects.create(
            reference=_reference("R"),
            folio=folio,
            parent=paid,
            kind=Payment.Kind.REFUND,
            provider=paid.provider,
            amount_minor=part,
            currency=paid.currency,
            charged_minor=_charged_part(paid, part),
            charged_currency=paid.charged_currency,
            created_at=now,
        )
        ops.append(_intend(back, MoneyOp.Kind.REFUND, {"cause": cause}, now))
        left -= part
    if left:
        raise RefundTooLarge.field("amount", RefundTooLarge.code, RefundTooLarge.title)
    return ops


@retrying
@transaction.atomic
def refund_by_staff(
    *, actor: Any, folio: Folio, amount_minor: int, reason: str, now: datetime
) -> list[MoneyOp]:
    """Give money back by hand, with a reason, beside whatever a policy says.

    Raises: NotAllowed, Invalid (no reason), RefundTooLarge.
    """
    access.require(actor, "payment.refund", folio)
    if not reason.strip():
        raise Invalid.field("reason", "required", _("Say why."))
    if amount_minor <= 0:
        raise Invalid.field("amount", "not_positive", _("The amount must be above zero."))
    ops = refund(folio=folio, amount_minor=amount_minor, cause="staff", now=now)
    audit.record(
        actor=actor,
        action="payment.refund",
        subject=folio,
        after={"amount_minor": amount_minor, "currency": folio.currency, "ops": [str(op.pk) for op in ops]},
        reason=reason.strip(),
        now=now,
    )
    return ops


def refundable(folio: Folio) -> int:
    """What was taken and is neither given back nor on its way back, in minor units."""
    paid = Payment.objects.filter(folio=folio, kind=Payment.Kind.PAYMENT, status__in=PAID)
    taken = paid.aggregate(sum=Sum(F("amount_minor") - F("refunded_minor")))["sum"] or 0
    back = Payment.objects.filter(folio=folio, kind=Payment.Kind.REFUND, status=PaymentStatus.PENDING)
    return int(taken) - int(back.aggregate(sum=Sum("amount_minor"))["sum"] or 0)


def pending_payment(folio: Folio) -> Payment | None:
    """The payment that has no outcome yet, or is set aside (then ``authorized_at`` is set). There is at most one."""
    return Payment.objects.filter(
        folio=folio, kind=Payment.Kind.PAYMENT, status=PaymentStatus.PENDING
    ).first()


def status_of(folio: Folio) -> str:
    """``unpaid``, or the status of the folio's newest payment that did not fail, else ``failed``."""
    return statuses_of([folio.pk]).get(folio.pk, UNPAID)


def statuses_of(folio_ids: Iterable[int]) -> dict[int, str]:
    """As ``status_of``, of many folios in one query; those without any payment are left out."""
    rows = Payment.objects.filter(folio_id__in=list(folio_ids), kind=Payment.Kind.PAYMENT).order_by("id")
    statuses: dict[int, str] = {}
    for folio_id, status in rows.values_list("folio_id", "status"):
        if status != PaymentStatus.FAILED or folio_id not in statuses:
            statuses[folio_id] = status
    return statuses


def open_ops(now: datetime, *, older_than: timedelta = timedelta(0)) -> list[UUID]:
    """The operations to (re)send at ``now``, oldest first: unsent, without an outcome, or left behind by a dead worker.

    ``older_than`` leaves the youngest to those who have just written them down.
    """
    ops = MoneyOp.objects.filter(due(now), created_at__lte=now - older_than)
    return list(ops.order_by("created_at").values_list("pk", flat=True))


def _on_authorized(payment: Payment, kind: MoneyOp.Kind, now: datetime) -> MoneyOp:
    lock(Folio.objects.all(), pk=payment.folio_id)
    payment = Payment.objects.get(pk=payment.pk)
    underway = MoneyOp.objects.filter(payment=payment, state__in=OPEN_OPS).first()
    if underway is not None and underway.kind == kind:
        return underway
    if underway is not None or payment.status != PaymentStatus.PENDING or payment.authorized_at is None:
        raise WrongState(extra={"state": payment.status})
    return _intend(payment, kind, {}, now)


def _intend(payment: Payment, kind: MoneyOp.Kind, options: dict[str, Any], now: datetime) -> MoneyOp:
    return MoneyOp.objects.create(
        payment=payment,
        kind=kind,
        provider=payment.provider,
        amount_minor=payment.charged_minor,
        currency=payment.charged_currency,
        options=options,
        created_at=now,
        updated_at=now,
    )


def _underway(paid: Payment) -> int:
    """What is on its way back of a payment, in minor units."""
    pending = Payment.objects.filter(parent=paid, status=PaymentStatus.PENDING)
    return int(pending.aggregate(sum=Sum("amount_minor"))["sum"] or 0)


def _charged_part(paid: Payment, part_minor: int) -> int:
    """``part_minor`` of a payment in the currency that was charged: its share of it, so that all parts make the whole."""
    refunds = Payment.objects.filter(parent=paid).exclude(status=PaymentStatus.FAILED)
    before = refunds.aggregate(amount=Sum("amount_minor"), charged=Sum("charged_minor"))
    share = Fraction(((before["amount"] or 0) + part_minor) * paid.charged_minor, paid.amount_minor)
    return max(1, round(share) - (before["charged"] or 0))


def _reference(letter: str) -> str:
    """A fresh ``P-7K3M9Q2X``: 30⁸ of them, so that a second use is refused by the database rather than expected."""
    return f"{letter}-{''.join(secrets.choice(REFERENCE_LETTERS) for _ in range(8))}"
