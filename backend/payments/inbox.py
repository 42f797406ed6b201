"""The inbox of provider events: a webhook is verified, kept once and answered; a worker applies it later.

An event is only a hint that something happened to an order: what happened is asked of the provider again, so that
late, doubled and disordered events cannot do harm. Whoever settles bookings drains the inbox::

    for event in inbox.waiting():
        resolved = inbox.resolve(event)         # outside of a transaction: it asks the provider
        with transaction.atomic():
            ...                                 # record the result
            inbox.mark(event, outcome="applied", now=now)
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _
from procrastinate.contrib.django import app

from backend.core.errors import NotFound
from backend.payments import sending
from backend.payments.models import MoneyOp, ProviderEvent
from backend.payments.providers import registry
from backend.payments.providers.base import ForgedWebhook, ProviderUnavailable, Result

__all__ = ["DRAIN_JOB", "ForgedWebhook", "ProviderNotConfigured", "mark", "receive", "resolve", "waiting"]

DRAIN_JOB = "bookings.apply_events"
"""The job that a new event wakes, by name. The package that settles bookings supplies it and drains ``waiting``."""


class ProviderNotConfigured(NotFound):
    """Webhooks of this provider are not expected here."""

    code = "provider_not_configured"
    title = _("This provider is not set up here.")


def receive(*, provider: str, body: bytes, headers: Mapping[str, str], now: datetime) -> bool:
    """Verify a webhook and keep it, once per provider and event id. Returns whether it is new.

    A new event wakes the job that applies it, in the same transaction.
    Raises: ProviderNotConfigured, ForgedWebhook.
    """
    adapter = registry.configured().get(provider)
    if adapter is None:
        raise ProviderNotConfigured
    event = adapter.verify_webhook(body, headers, now)
    with transaction.atomic():
        _, is_new = ProviderEvent.objects.get_or_create(
            provider=provider,
            event_id=event.id,
            defaults={
                "type": event.type[:60],
                "topic": event.topic,
                "account": event.account,
                "object_ref": event.object_ref,
                "op_key": event.key,
                "payload": event.payload,
                "received_at": now,
            },
        )
        if is_new:
            app.configure_task(DRAIN_JOB).defer()
    return is_new


def waiting(limit: int = 500) -> list[ProviderEvent]:
    """The events that nobody has applied yet, oldest first."""
    return list(ProviderEvent.objects.filter(applied_at=None).order_by("id")[:limit])


def resolve(event: ProviderEvent) -> tuple[UUID, Result] | None:
    """The money operation that an event is about, and what the provider says of it now; None when it is not ours.

    Asks the provider: call it outside of a transaction. A provider that does not answer gives ``unknown``, and
    the event should be left waiting.
    """
    op = _op_of(event)
    if op is None:
        return None
    try:
        result = sending.look_up(op, at=event.received_at)
    except ProviderUnavailable:
        return op.pk, Result("unknown")
    return None if result is None else (op.pk, result)


def mark(event: ProviderEvent, *, outcome: str, now: datetime) -> bool:
    """Note that the event is dealt with, and how. Returns whether this call was the first to say so."""
    changed = ProviderEvent.objects.filter(pk=event.pk, applied_at=None).update(
        applied_at=now, outcome=outcome[:120]
    )
    return changed == 1


def _op_of(event: ProviderEvent) -> MoneyOp | None:
    ours = MoneyOp.objects.filter(provider=event.provider).select_related("payment")
    try:
        key = UUID(event.op_key)
    except ValueError:
        return ours.filter(provider_ref=event.object_ref).first() if event.object_ref else None
    return ours.filter(pk=key).first()
