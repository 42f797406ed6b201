"""Refunds beside what a policy says: a host's or the platform's generosity, and the second pair of eyes.

A host gives of one's own stay what is the host's part of it. The finance team gives by whatever bearer; above
``refund_four_eyes_above`` (the platform's currency, at the day's rate) it waits for a second person of the team. Small
refunds of one stay add up, so that a large one cannot be cut into pieces.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Sum
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import ADMIN, FINANCE
from backend.audit import services as audit
from backend.core import access, fx, idempotency, platform
from backend.core.db import lock, retrying
from backend.core.errors import Invalid, NotAllowed, NotFound
from backend.core.money import Money
from backend.payments import bearing, effects, refunds
from backend.payments.effects import Effect
from backend.payments.intents import settle_later
from backend.payments.models import Folio, MoneyOp, RefundRequest
from backend.payments.refunds import RefundTooLarge
from backend.payments.states import REFUND_REQUEST_TRANSITIONS, RefundRequestStatus

CAUSE = "gift"
"""The cause of the refunds, kept with their operations."""


class FourEyes(NotAllowed):
    """Whoever asked for a refund is not the one who decides about it."""

    code = "four_eyes"
    title = _("A second person must decide about this refund.")


class MoreThanHostsPart(RefundTooLarge):
    """A host gives of what is the host's."""

    title = _("This is more than your part of the stay.")


@access.rule("refund.give")
def may_give(actor: Any, folio: Folio) -> bool:
    """The host of the stay, of the host's own part."""
    return bool(folio.host_id == actor.pk)


@access.rule("payment.refund")
def may_refund(actor: Any, folio: Folio) -> bool:
    """By hand, beside what a policy says: the finance team."""
    return bool(actor.has_role(FINANCE, ADMIN))


@access.rule("refund.decide")
def may_decide(actor: Any, request: RefundRequest) -> bool:
    return bool(actor.has_role(FINANCE, ADMIN))


@retrying
def give(*, actor: Any, folio: Folio, amount_minor: int, reason: str, now: datetime) -> RefundRequest:
    """The host gives ``amount_minor`` of the folio's currency back to the guest, out of the host's part of the stay.

    It waits for nobody. Raises: NotAllowed, Invalid (no reason, not above zero), RefundTooLarge, MoreThanHostsPart.
    """
    with transaction.atomic(durable=True):
        access.require(actor, "refund.give", folio)
        made = idempotency.made_before()
        if made is not None:
            return RefundRequest.objects.get(pk=made, folio=folio)
        _require_sound(amount_minor, reason)
        folio = lock(Folio.objects.all(), pk=folio.pk)
        if amount_minor > refunds.refundable(folio):
            raise RefundTooLarge.field("amount", RefundTooLarge.code, RefundTooLarge.title)
        if amount_minor > bearing.host_part(folio):
            raise MoreThanHostsPart.field("amount", MoreThanHostsPart.code, MoreThanHostsPart.title)
        request = _write(actor, folio, amount_minor, bearing.HOST, reason, now, RefundRequestStatus.APPROVED)
        idempotency.note(request.pk)
        _carry_out(actor, request, "refund.give", reason, now)
    return request


@retrying
def ask(
    *,
    actor: Any,
    folio: Folio,
    amount_minor: int,
    bearer: str,
    reason: str,
    now: datetime,
    expected: str = "",
) -> RefundRequest:
    """Somebody of the finance team gives ``amount_minor`` of the folio's currency back, borne by ``bearer``.

    Up to the limit it is under way at once (``approved``), above it ``waiting`` for ``approve``. ``expected`` (the digest
    of ``rehearse``) refuses to move other money than what was told.
    Raises: NotAllowed, EffectChanged, Invalid (no reason, not above zero, no such bearer), RefundTooLarge.
    """
    with transaction.atomic(durable=True):
        before = effects.standing(folio) if expected else None
        request = _ask(actor, folio, amount_minor, bearer, reason, now)
        if before is not None:
            Effect(folio.currency, before, effects.standing(folio)).require(expected)
    return request


@retrying
def rehearse(*, actor: Any, folio: Folio, amount_minor: int, bearer: str, now: datetime) -> Effect:
    """What ``ask`` would do to the money, found by doing it and taking it back. Raises: as ``ask``."""
    with transaction.atomic(durable=True):
        before = effects.standing(folio)
        _ask(actor, folio, amount_minor, bearer, "rehearsed", now)
        effect = Effect(folio.currency, before, effects.standing(folio))
        transaction.set_rollback(True)
    return effect


def _ask(
    actor: Any, folio: Folio, amount_minor: int, bearer: str, reason: str, now: datetime
) -> RefundRequest:
    access.require(actor, "payment.refund", folio)
    _require_sound(amount_minor, reason)
    if bearer not in RefundRequest.Bearer.values:
        raise Invalid.field("bearer", "invalid_choice", _("Nobody of this name bears refunds."))
    folio = lock(Folio.objects.all(), pk=folio.pk)
    if amount_minor > refunds.refundable(folio):
        raise RefundTooLarge.field("amount", RefundTooLarge.code, RefundTooLarge.title)
    if needs_second(folio, amount_minor):
        request = _write(actor, folio, amount_minor, bearer, reason, now, RefundRequestStatus.WAITING)
        _audit(actor, request, "refund.ask", reason, now)
    else:
        request = _write(actor, folio, amount_minor, bearer, reason, now, RefundRequestStatus.APPROVED)
        _carry_out(actor, request, "payment.refund", reason, now)
    return request


def put_forward(
    *, actor: Any, folio: Folio, amount_minor: int, reason: str, now: datetime
) -> RefundRequest | None:
    """Let ``amount_minor`` of a folio that the caller has locked wait for a second person, borne by all together.

    Part of another operation of ``actor``, which has asked for the right to it. None for nothing.
    """
    if amount_minor <= 0:
        return None
    request = _write(actor, folio, amount_minor, bearing.SHARED, reason, now, RefundRequestStatus.WAITING)
    _audit(actor, request, "refund.ask", reason, now)
    return request


@retrying
def approve(*, actor: Any, request_id: int, reason: str, now: datetime) -> RefundRequest:
    """The second person agrees: the refund is written down and sent.

    Raises: NotFound, NotAllowed, FourEyes (one's own), WrongState (decided), Invalid (no reason), RefundTooLarge.
    """
    with transaction.atomic(durable=True):
        request = _held(actor, request_id, "refund.decide", reason)
        if request.requested_by_id == actor.pk:
            raise FourEyes
        _decide(request, RefundRequestStatus.APPROVED, now, decided_by=actor, decision_note=reason.strip())
        _carry_out(actor, request, "refund.approve", reason, now)
    return request


@retrying
def decline(*, actor: Any, request_id: int, reason: str, now: datetime) -> RefundRequest:
    """The second person says no. Raises: NotFound, NotAllowed, FourEyes, WrongState, Invalid (no reason)."""
    with transaction.atomic(durable=True):
        request = _held(actor, request_id, "refund.decide", reason)
        if request.requested_by_id == actor.pk:
            raise FourEyes
        _decide(request, RefundRequestStatus.DECLINED, now, decided_by=actor, decision_note=reason.strip())
        _audit(actor, request, "refund.decline", reason, now)
    return request


@retrying
def withdraw(*, actor: Any, request_id: int, reason: str, now: datetime) -> RefundRequest:
    """Whoever asked takes it back. Raises: NotFound, NotAllowed (somebody else's), WrongState, Invalid (no reason)."""
    with transaction.atomic(durable=True):
        request = _held(actor, request_id, "refund.decide", reason)
        if request.requested_by_id != actor.pk:
            raise NotAllowed
        _decide(request, RefundRequestStatus.WITHDRAWN, now, decision_note=reason.strip())
        _audit(actor, request, "refund.withdraw", reason, now)
    return request


def needs_second(folio: Folio, amount_minor: int) -> bool:
    """Whether so much more, in minor units, needs a second person; also where there is no rate to tell by."""
    alone = RefundRequest.objects.filter(folio=folio, status=RefundRequestStatus.APPROVED, decided_by=None)
    before = alone.exclude(requested_by=folio.host_id).aggregate(sum=Sum("amount_minor"))["sum"] or 0
    try:
        whole = fx.exchange(Money(int(before) + amount_minor, folio.currency), platform.get("currency"))
    except fx.UnknownCurrency:
        return True
    return bool(whole.major() > platform.get("refund_four_eyes_above"))


def _require_sound(amount_minor: int, reason: str) -> None:
    if not reason.strip():
        raise Invalid.field("reason", "required", _("Say why."))
    if amount_minor <= 0:
        raise Invalid.field("amount", "not_positive", _("The amount must be above zero."))


def _held(actor: Any, request_id: int, action: str, reason: str) -> RefundRequest:
    """The request with its folio locked, in that order: folios are locked first everywhere."""
    folio_id = RefundRequest.objects.filter(pk=request_id).values_list("folio_id", flat=True).first()
    if folio_id is None:
        raise NotFound
    lock(Folio.objects.all(), pk=folio_id)
    request = lock(RefundRequest.objects.select_related("folio"), pk=request_id)
    access.require(actor, action, request)
    if not reason.strip():
        raise Invalid.field("reason", "required", _("Say why."))
    return request


def _write(
    actor: Any, folio: Folio, amount_minor: int, bearer: str, reason: str, now: datetime, status: str
) -> RefundRequest:
    return RefundRequest.objects.create(
        folio=folio,
        amount_minor=amount_minor,
        currency=folio.currency,
        bearer=bearer,
        reason=reason.strip()[:500],
        status=status,
        requested_by=actor,
        created_at=now,
        decided_at=None if status == RefundRequestStatus.WAITING else now,
    )


def _decide(request: RefundRequest, status: RefundRequestStatus, now: datetime, **fields: Any) -> None:
    REFUND_REQUEST_TRANSITIONS.require(request.status, status)
    fields = {"status": status, "decided_at": now, **fields}
    for name, value in fields.items():
        setattr(request, name, value)
    request.save(update_fields=list(fields))


def _carry_out(actor: Any, request: RefundRequest, action: str, reason: str, now: datetime) -> list[MoneyOp]:
    ops = refunds.refund(
        folio=request.folio, amount_minor=request.amount_minor, cause=CAUSE, now=now, request=request
    )
    _audit(actor, request, action, reason, now, ops=[str(op.pk) for op in ops])
    settle_later(ops)
    return ops


def _audit(actor: Any, request: RefundRequest, action: str, reason: str, now: datetime, **after: Any) -> None:
    audit.record(
        actor=actor,
        action=action,
        subject=request,
        after={
            "folio": request.folio_id,
            "amount_minor": request.amount_minor,
            "currency": request.currency,
            "bearer": request.bearer,
            "status": request.status,
            **after,
        },
        reason=reason.strip(),
        now=now,
    )
