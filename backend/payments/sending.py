"""Ask the provider for what was written down, never inside a transaction.

An operation is leased by compare-and-set, so that two workers do not ask at the same time; should they still do (a
lease ran out while the first was slow), the provider sees the same key twice and acts once. Nothing but the lease is
written here: what the provider said is recorded by ``services.record``.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db.models import F, Q

from backend.core.db import outside_transaction, retrying
from backend.payments.models import MoneyOp
from backend.payments.providers import registry
from backend.payments.providers.base import Order, ProviderUnavailable, Result
from backend.payments.states import OPEN_OPS, OpState

log = structlog.get_logger(__name__)

LEASE = timedelta(seconds=60)
"""Three times what a provider's call may take; after it another worker may take the operation over."""

KEY_REMEMBERED = timedelta(hours=23)
"""How long a provider surely knows our key; after it we ask what became of the order before asking again."""

OPEN_FOR = timedelta(hours=24)
"""How long a guest may take over a payment, where the provider can withdraw it afterwards."""

GIVEN_UP = "given_up"
"""The option of an operation that nobody waits for any more: it is withdrawn as soon as it is asked about."""

ROOTS = (MoneyOp.Kind.AUTHORIZE, MoneyOp.Kind.CHARGE)
"""The kinds that begin a payment; captures, voids and refunds refer to them."""


def due(now: datetime) -> Q:
    """Which operations may be (re)sent at ``now``: those that nobody holds a lease of."""
    open_ops = Q(state__in=[OpState.CREATED, OpState.SENDING, OpState.UNKNOWN])
    return open_ops & (Q(lease_until=None) | Q(lease_until__lte=now))


@retrying
def lease(op_id: UUID, *, now: datetime, is_left: bool = False) -> MoneyOp | None:
    """Take the operation for sending until ``now + LEASE``; None when it is settled or somebody else has it.

    ``is_left``: who wrote it down and sent it first is dead; that one's lease is waited for by nobody.
    Raises: Unavailable when its row is held for too long.
    """
    free = due(now)
    if is_left:
        free |= Q(state=OpState.SENDING, attempts=1)
    taken = MoneyOp.objects.filter(free, pk=op_id).update(
        state=OpState.SENDING, lease_until=now + LEASE, attempts=F("attempts") + 1, updated_at=now
    )
    return MoneyOp.objects.select_related("payment", "payout__account").get(pk=op_id) if taken else None


def send(op_id: UUID, *, now: datetime, is_left: bool = False) -> Result | None:
    """Ask the provider for an open operation, with the operation's id as the key.

    None: there was nothing to send (settled, or another worker is at it). ``unknown``: the provider did not
    answer; the operation stays open and is sent again with the same key. Any other error leaves it leased, and the
    next worker takes it when the lease has run out (``is_left`` as in ``lease``). Call it outside of a transaction.
    Raises: Unavailable, ProviderUnknown.
    """
    outside_transaction("a payment provider")
    op = lease(op_id, now=now, is_left=is_left)
    if op is None:
        return None
    try:
        result = _ask(op, now)
    except ProviderUnavailable as error:
        log.warning(
            "payments.outcome_unknown", op=str(op.pk), kind=op.kind, attempts=op.attempts, error=str(error)
        )
        return Result("unknown", reference=op.provider_ref)
    log.info("payments.sent", op=str(op.pk), kind=op.kind, attempts=op.attempts, status=result.status)
    return result


def look_up(op: MoneyOp, *, at: datetime) -> Result | None:
    """What the provider knows of an operation; None when it never heard of it. Changes nothing.

    Raises: ProviderUnavailable, ProviderUnknown.
    """
    outside_transaction("a payment provider")
    return registry.get(op.provider).look_up(_order(op, at))


def _ask(op: MoneyOp, now: datetime) -> Result:
    """Look first where the order was taken on before or the key may be forgotten; else (re)send under the key."""
    provider, order = registry.get(op.provider), _order(op, now)
    forgotten = op.attempts > 1 and now - op.created_at > KEY_REMEMBERED
    if op.provider_ref or forgotten:
        result = provider.look_up(order)
        if result is not None and result.status == "pending" and _is_over(op, now) and provider.gives_up:
            return provider.give_up(order) or result
        if result is not None:
            return result
        if forgotten and op.kind in ROOTS:
            # It never arrived and the guest has gone long since: a card is not charged a day later.
            return Result("failed", error_code="never_arrived")
    return provider.carry_out(order)


def _is_over(op: MoneyOp, now: datetime) -> bool:
    """Whether a payment that still waits for its guest has waited enough."""
    return (
        op.kind in ROOTS
        and bool(op.provider_ref)
        and (GIVEN_UP in op.options or now - op.created_at > OPEN_FOR)
    )


def _order(op: MoneyOp, now: datetime) -> Order:
    parent_ref = taken_ref = destination = ""
    if op.payout is not None:
        parent_ref, destination = _of_payout(op)
    elif op.kind not in ROOTS:
        root = MoneyOp.objects.filter(
            payment_id=op.of_payment.parent_id or op.of_payment.pk, kind__in=ROOTS, state=OpState.SUCCEEDED
        )
        parent_ref = root.values_list("provider_ref", flat=True).get()
    if op.kind == MoneyOp.Kind.REFUND:
        taken = MoneyOp.objects.filter(
            payment=op.of_payment.parent, kind=MoneyOp.Kind.CAPTURE, state=OpState.SUCCEEDED
        )
        taken_ref = taken.values_list("provider_ref", flat=True).first() or ""
    return Order(
        key=str(op.pk),
        kind=op.kind,
        amount_minor=op.amount_minor,
        currency=op.currency,
        at=now,
        parent_ref=parent_ref,
        reference=op.provider_ref,
        taken_ref=taken_ref,
        destination=destination,
        is_open=op.state in OPEN_OPS,
        group=f"stay-{op.of_payment.folio_id if op.payout is None else op.payout.folio_id}",
        options=op.options,
        since=op.created_at,
    )


def _of_payout(op: MoneyOp) -> tuple[str, str]:
    """What is taken back, and where a payout goes: the provider's own account, or what the host has named."""
    assert op.payout is not None, "the operation is about a payout"  # noqa: S101
    if op.kind == MoneyOp.Kind.REVERSE:
        paid = op.payout.ops.filter(kind=MoneyOp.Kind.PAYOUT, state=OpState.SUCCEEDED)
        return paid.values_list("provider_ref", flat=True).get(), ""
    account = op.payout.account
    assert account is not None, "a payout that is sent has an account"  # noqa: S101
    return "", account.destination or account.provider_ref
