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

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from backend.accounts.models import ADMIN, FINANCE
from backend.core import access, platform
from backend.core.db import constraint_errors, lock
from backend.core.errors import Conflict, Invalid, WrongState
from backend.payments import folios
from backend.payments.dividing import earned, forgive, kept, penalize
from backend.payments.folios import open_folio
from backend.payments.intents import intend, reference
from backend.payments.models import Folio, MoneyOp, Payment
from backend.payments.providers import registry, units
from backend.payments.providers.base import ABANDONED
from backend.payments.recording import Recorded, record
from backend.payments.refunds import RefundTooLarge, paid, refund, refundable
from backend.payments.sending import GIVEN_UP, ROOTS, due
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
    "paid",
    "penalize",
    "pending_payment",
    "record",
    "refund",
    "refundable",
    "start",
    "status_of",
    "statuses_of",
    "void",
    "withdraw",
]

UNPAID = "unpaid"


class AlreadyPaid(Conflict):
    """Nothing is owed any more, or the amount is already set aside."""

    code = "already_paid"
    title = _("This is paid already.")


class CannotSetAside(Invalid):
    """The provider takes money at once or not at all; a request of the guest's must be accepted before."""

    code = "cannot_set_aside"
    title = _("In this way one can pay only when the host has accepted.")


class PaymentInProgress(Conflict):
    """An earlier payment has no outcome yet; a second one could take the money twice."""

    code = "payment_in_progress"
    title = _("An earlier payment is still being processed.")


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
    country: str = "",
) -> MoneyOp:
    """Write down that the guest pays ``amount_minor`` of the folio's currency; nothing is asked yet.

    ``capture`` takes the money at once; without it it is only set aside, for ``capture`` or ``void`` later. An empty
    ``provider`` is the preferred one; ``options`` are the provider's own (the sandbox: ``outcome``).
    ``owed_minor`` is what the stay costs in all, where that is agreed but written to the folio only when it is paid.
    ``country`` (ISO 3166) is where the stay is, for the routes.
    A provider that needs a phone gets the guest's verified one, unless ``options`` name another.
    Raises: FeatureOff, ProviderUnknown, NoProvider, CannotSetAside, Invalid (an option), CannotMove, AlreadyPaid, PaymentInProgress.
    """
    currency = folio.charge_currency or folio.currency
    adapter = registry.choose(provider, currency, country)
    if not capture and not adapter.sets_aside:
        raise CannotSetAside.field("provider", CannotSetAside.code, CannotSetAside.title)
    if adapter.needs_phone and not options.get("phone"):
        profile = folio.guest.profile
        options = {**options, "phone": profile.phone if profile.phone_verified_at else ""}
    accepted = adapter.accepted_options(options)
    folio = lock(Folio.objects.all(), pk=folio.pk)
    pending = pending_payment(folio)
    if pending is not None:
        raise AlreadyPaid if pending.authorized_at else PaymentInProgress
    platform.require("payments")
    owed = folios.total(folio) if owed_minor is None else owed_minor
    if amount_minor > owed - paid(folio):
        raise AlreadyPaid
    charged_minor = folios.next_charge(folio, amount_minor, Payment.objects.filter(folio=folio))
    units.to_provider(adapter.name, charged_minor, currency)
    with constraint_errors({"payments_one_pending": PaymentInProgress}):
        payment = Payment.objects.create(
            reference=reference("P"),
            folio=folio,
            kind=Payment.Kind.PAYMENT,
            provider=adapter.name,
            amount_minor=amount_minor,
            currency=folio.currency,
            charged_minor=charged_minor,
            charged_currency=currency,
            created_at=now,
        )
        return intend(payment, MoneyOp.Kind.CHARGE if capture else MoneyOp.Kind.AUTHORIZE, accepted, now)


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
    if not unsent.update(state=OpState.FAILED, error_code=ABANDONED, updated_at=now):
        return False
    Payment.objects.filter(pk=payment.pk).update(status=PaymentStatus.FAILED)
    return True


def withdraw(*, payment: Payment, now: datetime) -> MoneyOp | None:
    """Give up a payment that was sent and waits for the guest; the operation to send, so that the provider hears of it.

    None where it does not wait for the guest, or its provider cannot withdraw: then its outcome must be awaited.
    """
    lock(Folio.objects.all(), pk=payment.folio_id)
    waiting = MoneyOp.objects.filter(payment=payment, kind__in=ROOTS, state__in=OPEN_OPS).exclude(
        provider_ref=""
    )
    op = waiting.select_for_update().first()
    adapter = registry.configured().get(payment.provider)
    if op is None or adapter is None or not adapter.gives_up:
        return None
    op.options = {**op.options, GIVEN_UP: True}
    if op.state == OpState.UNKNOWN:
        # Nobody is sending it: it need not wait for its next turn.
        op.lease_until = None
    op.updated_at = now
    op.save(update_fields=["options", "lease_until", "updated_at"])
    return op


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
    return intend(payment, kind, {}, now)
