"""What M-Pesa was asked, in our own table: the memory that Daraja lacks.

A request is entered in a commit of its own before it is made. Whoever finds it there later does not ask again, unless
it is sure that the first time had no effect.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Sum

from backend.core.db import outside_transaction
from backend.payments.models import MpesaRequest, ProviderEvent
from backend.payments.providers.base import KeyReused, Order

State, Way = MpesaRequest.State, MpesaRequest.Way


def account_reference(key: str) -> str:
    """Twelve letters and digits made of a key, as M-Pesa's statements can hold them."""
    return base64.b32encode(hashlib.sha256(key.encode()).digest()[:8]).decode()[:12]


def enter(
    order: Order, way: str, *, phone: str = "", parent: MpesaRequest | None = None
) -> tuple[MpesaRequest, bool]:
    """The request of an order, and whether the caller is to make it now.

    It is to be made when it is new, or when it is known to have had no effect so far. Raises: KeyReused.
    """
    outside_transaction("a payment provider")
    with transaction.atomic(durable=True):
        request, is_new = MpesaRequest.objects.get_or_create(
            key=order.key,
            defaults={
                "kind": order.kind,
                "way": way,
                "parent": parent,
                "account_reference": account_reference(order.key),
                "amount_minor": order.amount_minor,
                "currency": order.currency,
                "phone": phone,
                "originator": order.key if way == Way.B2C else "",
                "asked_at": order.at,
            },
        )
    if (request.kind, request.amount_minor, request.currency) != (
        order.kind,
        order.amount_minor,
        order.currency,
    ):
        raise KeyReused(f"M-Pesa was asked {order.key} as {request.kind} of {request.amount_minor}")
    return request, is_new or claim(request, order.at, State.UNSENT)


def claim(request: MpesaRequest, now: datetime, state: str, *, after: timedelta = timedelta(0)) -> bool:
    """Take it on oneself to make a request (again) that is in ``state`` and was made before ``after``. One caller wins."""
    mine = MpesaRequest.objects.filter(pk=request.pk, state=state, asked_at__lte=now - after)
    if not mine.update(state=State.ASKED, asked_at=now):
        return False
    request.state, request.asked_at = State.ASKED, now
    return True


def claim_back(request: MpesaRequest, asked_before: datetime) -> None:
    """Let a request that was taken, and made before then, be made again: what became of it cannot be known otherwise."""
    taken = MpesaRequest.objects.filter(pk=request.pk, state=State.TAKEN, asked_at__lte=asked_before)
    if taken.update(state=State.ASKED):
        request.state = State.ASKED


def may_query(request: MpesaRequest, now: datetime, *, every: timedelta) -> bool:
    """Whether the caller is to ask for the request's state now. One caller wins."""
    due = MpesaRequest.objects.filter(pk=request.pk).exclude(queried_at__gt=now - every)
    return due.update(queried_at=now) == 1


def note(request: MpesaRequest, **changes: Any) -> None:
    """Write down what was learned of a request."""
    MpesaRequest.objects.filter(pk=request.pk).update(**changes)
    for name, value in changes.items():
        setattr(request, name, value)


def of_reference(reference: str) -> MpesaRequest | None:
    """The payment that M-Pesa called so, by its receipt or by its request."""
    payments = MpesaRequest.objects.filter(way=Way.PUSH)
    if not reference:
        return None
    return payments.filter(receipt=reference).first() or payments.filter(reference=reference).first()


def given_back(payment: MpesaRequest) -> int:
    """What was asked to be given back of a payment and not refused, in minor units."""
    asked = payment.refunds.exclude(state=State.REFUSED)
    return int(asked.aggregate(sum=Sum("amount_minor"))["sum"] or 0)


def told(key: str, purpose: str) -> list[ProviderEvent]:
    """The callbacks that came for a request, oldest first."""
    return list(ProviderEvent.objects.filter(provider="mpesa", op_key=key, type=purpose).order_by("id"))
