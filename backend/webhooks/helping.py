"""What staff do with the webhooks of others: try them, send again, switch one off that does harm. Secrets stay unseen."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction

from backend.accounts.models import ADMIN, SUPPORT
from backend.audit import services as audit
from backend.core import access, db
from backend.webhooks import delivering
from backend.webhooks.models import WebhookDelivery, WebhookEndpoint
from backend.webhooks.services import EndpointDisabled, queue_again, queue_test


@access.rule("webhook.oversee")
def may_oversee(actor: Any, subject: Any = None) -> bool:
    """Whoever helps hosts sees what became of telling their programs, and has it told again."""
    return bool(actor.has_role(SUPPORT, ADMIN))


def send_test(*, actor: Any, endpoint_id: int, reason: str, now: datetime) -> WebhookDelivery:
    """Queue a test event for somebody's endpoint. Raises: NotAllowed, NotFound, EndpointDisabled."""
    access.require(actor, "webhook.oversee")
    with transaction.atomic():
        endpoint = db.lock(WebhookEndpoint.objects.all(), pk=endpoint_id)
        delivery = queue_test(endpoint, now=now)
        _note(actor, "webhook.tested", endpoint, reason, now, event=delivery.event_id)
    return delivery


def send_again(
    *,
    actor: Any,
    endpoint_id: int,
    reason: str,
    now: datetime,
    since: datetime | None = None,
    delivery_id: int | None = None,
) -> int:
    """Send somebody's endpoint one delivery again, or all since a moment (UTC), at most a thousand; how many.

    Raises: NotAllowed, NotFound (also of the delivery), EndpointDisabled.
    """
    access.require(actor, "webhook.oversee")
    with transaction.atomic():
        endpoint = db.lock(WebhookEndpoint.objects.all(), pk=endpoint_id)
        count = queue_again(endpoint, now=now, since=since, delivery_id=delivery_id)
        asked = {"delivery": delivery_id} if delivery_id else {"since": since and since.isoformat()}
        _note(actor, "webhook.sent_again", endpoint, reason, now, queued=count, **asked)
    return count


def switch_off(*, actor: Any, endpoint_id: int, reason: str, now: datetime) -> WebhookEndpoint:
    """Send nothing more to somebody's endpoint; its owner is told why, and may switch it on again.

    Raises: NotAllowed, NotFound, EndpointDisabled.
    """
    access.require(actor, "webhook.oversee")
    with transaction.atomic():
        endpoint = db.lock(WebhookEndpoint.objects.select_related("user"), pk=endpoint_id)
        if endpoint.disabled_at is not None:
            raise EndpointDisabled
        delivering.disable(endpoint, WebhookEndpoint.Reason.BY_STAFF, now, why=reason)
        endpoint.updated_at = now
        endpoint.save(update_fields=["disabled_at", "disabled_reason", "updated_at"])
        _note(actor, "webhook.switched_off", endpoint, reason, now)
    return endpoint


def _note(
    actor: Any, action: str, endpoint: WebhookEndpoint, reason: str, now: datetime, **after: Any
) -> None:
    audit.record(
        actor=actor,
        action=action,
        subject=endpoint,
        now=now,
        after=after,
        reason=reason,
        in_stead_of=endpoint.user_id,
    )
