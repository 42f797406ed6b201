"""The inbox of provider events: a webhook is verified, kept once and answered; a worker applies it later.

An event is only a hint that something happened to an order: what happened is asked of the provider again, so that
late, doubled and disordered events cannot do harm. Whoever settles bookings drains the inbox::

    for event in inbox.waiting(now=now):
        if inbox.take(event, now=now):              # nobody else is at it
            resolved = inbox.resolve(event)         # outside of a transaction: it asks the provider
            with transaction.atomic():
                ...                                 # record the result
            inbox.mark(event, outcome="applied", now=now)
            inbox.put_off(event, now=now)           # or that, when there was no answer
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from procrastinate.contrib.django import app

from backend.accounts.models import ADMIN, FINANCE
from backend.audit import services as audit
from backend.core import access
from backend.core.db import prepared
from backend.core.errors import NotFound, WrongState
from backend.payments import sending
from backend.payments.impersonal import without_people
from backend.payments.models import MoneyOp, ProviderEvent
from backend.payments.providers import registry
from backend.payments.providers.base import ForgedWebhook, ProviderUnavailable, Result

__all__ = [
    "DRAIN_JOB",
    "ForgedWebhook",
    "ProviderNotConfigured",
    "mark",
    "put_off",
    "receive",
    "resolve",
    "take",
    "try_again",
    "waiting",
]

DRAIN_JOB = "bookings.apply_events"
"""The job that a new event wakes, by name. The package that settles bookings supplies it and drains ``waiting``."""

LEASE = timedelta(seconds=60)
"""How long whoever takes an event has for it; then somebody else may."""

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=10), timedelta(hours=1)
"""How long an event rests after the first try that came to nothing, twice as long after each further one, at most."""

MANY_TRIES = 10
"""So many tries in, an event needs a person."""


class ProviderNotConfigured(NotFound):
    """Webhooks of this provider are not expected here."""

    code = "provider_not_configured"
    title = _("This provider is not set up here.")


@access.rule("provider_event.retry")
def may_retry(actor: Any, event: ProviderEvent) -> bool:
    """Trying again does no harm: what happened is asked of the provider."""
    return bool(actor.has_role(FINANCE, ADMIN))


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
        with prepared() as cursor:
            about = [event.type[:60], event.topic, event.account, event.object_ref, event.key]
            cursor.execute(
                _KEEP, [provider, event.id, *about, json.dumps(without_people(event.payload)), now]
            )
            is_new = cursor.fetchone() is not None
        if is_new:
            app.configure_task(DRAIN_JOB).defer()
    return is_new


_KEEP = """
    INSERT INTO provider_events (provider, event_id, type, topic, account, object_ref, op_key, payload, received_at,
        attempts, outcome)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, 0, '')
    ON CONFLICT ON CONSTRAINT provider_events_once DO NOTHING RETURNING id
"""


def waiting(*, now: datetime | None = None, limit: int = 500) -> list[ProviderEvent]:
    """The events that nobody has applied yet, oldest first; those that may be tried at ``now``, where it is given."""
    found = ProviderEvent.objects.filter(applied_at=None)
    return list(found.filter(_due(now) if now else Q()).order_by("id")[:limit])


def take(event: ProviderEvent, *, now: datetime) -> bool:
    """Take an event to apply it, for ``LEASE``. False when somebody else has it, or it is applied."""
    mine = ProviderEvent.objects.filter(_due(now), pk=event.pk, applied_at=None)
    if not mine.update(retry_at=now + LEASE, attempts=F("attempts") + 1):
        return False
    event.attempts += 1
    return True


def put_off(event: ProviderEvent, *, now: datetime) -> None:
    """Leave an event that was taken for later: the provider does not answer, or it could not be applied."""
    pause = min(FIRST_PAUSE * 2 ** (min(event.attempts, MANY_TRIES) - 1), LONGEST_PAUSE)
    ProviderEvent.objects.filter(pk=event.pk, applied_at=None).update(retry_at=now + pause)


def try_again(*, actor: Any, event: ProviderEvent, reason: str, now: datetime) -> None:
    """Have an event that waits tried at once. Raises: NotAllowed, WrongState (it is applied)."""
    access.require(actor, "provider_event.retry", event)
    with transaction.atomic():
        if not ProviderEvent.objects.filter(pk=event.pk, applied_at=None).update(retry_at=None):
            raise WrongState(extra={"state": "applied"})
        audit.record(
            actor=actor, action="provider_event.retry", subject=event, reason=reason.strip(), now=now
        )
        app.configure_task(DRAIN_JOB).defer()


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


def _due(now: datetime) -> Q:
    # What was put off by a clock that was set ahead is not left until then.
    return Q(retry_at=None) | Q(retry_at__lte=now) | Q(retry_at__gt=now + LONGEST_PAUSE)


def _op_of(event: ProviderEvent) -> MoneyOp | None:
    ours = MoneyOp.objects.filter(provider=event.provider).select_related("payment", "payout")
    try:
        key = UUID(event.op_key)
    except ValueError:
        return ours.filter(provider_ref=event.object_ref).first() if event.object_ref else None
    return ours.filter(pk=key).first()
