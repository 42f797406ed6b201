"""A guest pays for a stay: straight away, or set aside until the host has answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from backend.bookings import altering, settlement
from backend.bookings.models import Alteration, AlterationStatus, Booking
from backend.bookings.states import BookingStatus
from backend.bookings.steps import hold_still
from backend.core import access, idempotency
from backend.core.db import retrying
from backend.core.errors import PaymentRefused, Unavailable, WrongState
from backend.payments import services as payments
from backend.payments.models import MoneyOp, Payment
from backend.payments.providers.base import ABANDONED
from backend.payments.sending import ROOTS
from backend.payments.services import AlreadyPaid, PaymentInProgress
from backend.payments.states import OPEN_OPS

log = structlog.get_logger(__name__)


class Refused(PaymentRefused):
    """The provider refused for good; ``code`` is its own word (``card_declined``). The hold stays."""

    title = _("The payment was refused. Try again or use another way to pay.")

    def __init__(self, code: str) -> None:
        super().__init__()
        self.code = code or PaymentRefused.code


@dataclass(frozen=True, slots=True)
class Paid:
    """A payment after the attempt. ``client`` is what the guest's own client needs to go on."""

    payment: Payment
    client: dict[str, str]

    @property
    def is_authorized(self) -> bool:
        """The amount is set aside and waits for the host's answer."""
        return self.payment.status == Payment.Status.PENDING and self.payment.authorized_at is not None


def pay(
    *, actor: Any, booking_id: int, now: datetime, provider: str = "", options: dict[str, Any] | None = None
) -> Paid:
    """Ask ``provider`` (default: the preferred one) for the stay's total and wait for its first answer.

    A booking that waits for the payment is charged and confirmed when the answer arrives; one that waits for the
    host has the amount authorized. A confirmed one whose accepted change costs more is charged the difference. An
    answer that stays open leaves the payment pending. Asked again meanwhile, it says anew what the guest's client
    needs to go on; with another provider the first is given up, where it can be. A keyed request that died on the
    way goes on with the payment that it had begun.
    Raises: NotFound, NotAllowed, WrongState (over), AlreadyPaid, PaymentInProgress, ProviderUnknown, Refused (402).
    """
    made = idempotency.made_before()
    if made is not None:
        op = MoneyOp.objects.select_related("payment").get(payment=made, kind__in=ROOTS)
        return _settle(op, now, is_left=idempotency.is_inherited())
    try:
        op = _start(actor=actor, booking_id=booking_id, provider=provider, options=options or {}, now=now)
    except PaymentInProgress:
        begun = _begun(booking_id)
        if begun is None:
            raise
        if provider in ("", begun.provider):
            return _go_on(begun, now)
        _give_up(begun, now)
        op = _start(actor=actor, booking_id=booking_id, provider=provider, options=options or {}, now=now)
    return _settle(op, now)


def _settle(op: MoneyOp, now: datetime, *, is_left: bool = False) -> Paid:
    client: dict[str, str] = {}
    try:
        settled = settlement.settle(op.pk, now=now, is_left=is_left)
    except Unavailable as error:
        # The provider was asked, but its answer could not be written: it stays open and is settled later.
        log.warning("payment_left_open", op_id=str(op.pk), code=error.code)
    else:
        client = dict(settled.result.client) if settled.result else {}
        if settled.op.state == MoneyOp.State.FAILED:
            if settled.op.error_code == ABANDONED:
                raise WrongState
            raise Refused(settled.op.error_code)
    return Paid(Payment.objects.get(pk=op.of_payment.pk), client)


def _begun(booking_id: int) -> MoneyOp | None:
    """The payment that its provider has taken on and that waits for the guest."""
    ops = MoneyOp.objects.select_related("payment").filter(payment__folio__booking=booking_id, kind__in=ROOTS)
    return ops.filter(state__in=OPEN_OPS, payment__authorized_at=None).exclude(provider_ref="").first()


def _go_on(op: MoneyOp, now: datetime) -> Paid:
    """The payment as its provider has it now, with what the guest's client needs. Raises: PaymentInProgress, Refused."""
    settled = settlement.look_again(op, now=now)
    if settled.op.state == MoneyOp.State.FAILED:
        raise Refused(settled.op.error_code)
    if settled.op.state != MoneyOp.State.SUCCEEDED and not (settled.result and settled.result.client):
        raise PaymentInProgress
    client = dict(settled.result.client) if settled.result else {}
    return Paid(Payment.objects.get(pk=op.of_payment.pk), client)


def _give_up(op: MoneyOp, now: datetime) -> None:
    """Make room for another way to pay. Raises: PaymentInProgress where the first cannot be withdrawn."""
    with transaction.atomic(durable=True):
        withdrawn = payments.withdraw(payment=op.of_payment, now=now)
    if withdrawn is None or settlement.settle(op.pk, now=now).op.state in OPEN_OPS:
        raise PaymentInProgress


@retrying
def _start(*, actor: Any, booking_id: int, provider: str, options: dict[str, Any], now: datetime) -> MoneyOp:
    with transaction.atomic(durable=True):
        booking = hold_still(actor, booking_id)
        access.require(actor, "booking.pay", booking)
        if booking.status == BookingStatus.CONFIRMED:
            op = _start_difference(booking, provider=provider, options=options, now=now)
            idempotency.note(op.of_payment.pk)
            return op
        if booking.status == BookingStatus.COMPLETED:
            raise AlreadyPaid
        if booking.status != BookingStatus.PENDING or booking.expires_at is None or booking.expires_at <= now:
            raise WrongState(extra={"state": booking.status})
        op = payments.start(
            folio=booking.folio,
            provider=provider,
            amount_minor=booking.total_minor,
            capture=booking.pending_reason == "payment",
            options=options,
            now=now,
            country=booking.listing.country,
        )
        idempotency.note(op.of_payment.pk)
        return op


def _start_difference(booking: Booking, *, provider: str, options: dict[str, Any], now: datetime) -> MoneyOp:
    """Charge what an accepted change costs more. It is in force when the money is in."""
    alteration = altering.open_of(booking)
    if alteration is None or alteration.status != AlterationStatus.ACCEPTED or alteration.expires_at <= now:
        raise AlreadyPaid
    op = payments.start(
        folio=booking.folio,
        provider=provider,
        amount_minor=alteration.difference_minor,
        capture=True,
        options=options,
        now=now,
        owed_minor=alteration.total_minor,
        country=booking.listing.country,
    )
    Alteration.objects.filter(pk=alteration.pk).update(payment=op.payment_id)
    return op


def authorization(booking: Booking) -> Payment | None:
    """The payment that is set aside for ``booking`` and neither taken nor given up."""
    pending = payments.pending_payment(booking.folio)
    return pending if pending is not None and pending.authorized_at is not None else None


def let_go(booking: Booking, *, now: datetime) -> list[MoneyOp]:
    """Give up the open payment of a booking that has ended; returns the operations to send.

    What was never sent is dropped, what is set aside is voided, what waits for the guest is withdrawn where the
    provider can. What is under way otherwise is left to its outcome: money that it takes is given back when it arrives.
    """
    payment = payments.pending_payment(booking.folio)
    if payment is None:
        return []
    if payment.authorized_at is None:
        if payments.abandon(payment=payment, now=now):
            return []
        withdrawn = payments.withdraw(payment=payment, now=now)
        return [] if withdrawn is None else [withdrawn]
    if payment.ops.filter(kind=MoneyOp.Kind.CAPTURE).exclude(state=MoneyOp.State.FAILED).exists():
        return []
    return [payments.void(payment=payment, now=now)]


def status_of(paid: Sequence[Payment]) -> str:
    """The payment status of a booking, from its payments that are at hand (oldest first).

    What was taken counts together, so that a difference that is paid or given back later does not hide the rest.
    """
    taken = [row for row in paid if row.completed_at is not None]
    if taken:
        back = sum(row.refunded_minor for row in taken)
        if not back:
            return Payment.Status.COMPLETED.value
        whole = back == sum(row.amount_minor for row in taken)
        return (Payment.Status.REFUNDED if whole else Payment.Status.PARTIALLY_REFUNDED).value
    good = [row.status for row in paid if row.status != Payment.Status.FAILED]
    return (good or [row.status for row in paid] or [payments.UNPAID])[-1]
