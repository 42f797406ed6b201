"""Events go out: signed, in order per object, tried again for three days, each attempt kept.

At least once: who dies between the call and its note calls again under the same ``webhook-id``, by which receivers tell
doubles (https://www.standardwebhooks.com). One process at a time delivers to an endpoint.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone
from procrastinate.contrib.django import app
from standardwebhooks import Webhook

from backend.core import net
from backend.core.net import FetchFailed
from backend.notifications import services as notifications
from backend.notifications.rendering import instant
from backend.telemetry import gauges
from backend.telemetry.recorder import recorder
from backend.webhooks.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint

JOB = "webhooks.deliver"
QUEUE = "webhooks"

RETRY_AFTER = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=20, minutes=24, seconds=55),
)
"""The waits between attempts, three days in all; after the last a delivery is given up. The steps are those that Standard
Webhooks recommends."""

TOTAL_S = 15.0
"""How long one attempt may take. Standard Webhooks recommends 15 to 30 seconds."""

LEASE = timedelta(seconds=60)
"""How long an endpoint is left to whoever is delivering; more than an attempt takes."""

BATCH = 50
"""Attempts of one job; then others have their turn."""

GONE = 410
USER_AGENT = "Karibu-Webhooks/1.0"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one attempt: a status, or the word for why there is none."""

    status: int | None
    error: str
    took_ms: int

    @property
    def is_taken(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def defer(endpoint_id: int, *, at: datetime | None = None) -> None:
    """Have a worker deliver what is due to an endpoint, now or ``at`` a moment (UTC); part of the transaction."""
    app.configure_task(JOB, queue=QUEUE, schedule_at=at).defer(endpoint_id=endpoint_id)


def sweep(*, now: datetime) -> dict[str, int]:
    """Deliver whatever is due at ``now``, although its job was lost; how many were taken and how many were not."""
    due = (
        WebhookDelivery.objects.filter(
            state=WebhookDelivery.State.WAITING, next_at__lte=now, endpoint__disabled_at=None
        )
        .values_list("endpoint_id", flat=True)
        .distinct()
    )
    taken = failed = 0
    for endpoint_id in list(due):
        done = deliver(endpoint_id, now=now)
        taken, failed = taken + done[0], failed + done[1]
    return {"delivered": taken, "failed": failed}


def deliver(endpoint_id: int, *, now: datetime) -> tuple[int, int]:
    """Send what is due to one endpoint until one is not taken, at most ``BATCH``; how many were taken, and were not.

    Nothing is done while somebody else is at it, or when the endpoint is switched off.
    """
    taken = 0
    while taken < BATCH:
        if not _lease(endpoint_id):
            return taken, 0
        delivery = _next(endpoint_id, now)
        if delivery is None:
            _release(endpoint_id)
            # What was written between the look and the release has found the endpoint busy.
            if _next(endpoint_id, now) is None:
                return taken, 0
            continue
        answer = _send(delivery, now)
        _note(delivery, answer, now)
        if not answer.is_taken:
            # Whoever does not answer is not asked for the rest at once; it has jobs of its own, and the sweep.
            return taken, 1
        taken += 1
    defer(endpoint_id)
    return taken, 0


def payload(delivery: WebhookDelivery) -> bytes:
    """What is sent: the type, when it happened, and its content."""
    content = {"type": delivery.type, "timestamp": instant(delivery.created_at), "data": delivery.data}
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _lease(endpoint_id: int) -> bool:
    # By the machine's clock: a lease is about processes, whatever the clock of a sweep says.
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE webhook_endpoints SET busy_until = clock_timestamp() + make_interval(secs => %s)
            WHERE id = %s AND disabled_at IS NULL AND (busy_until IS NULL OR busy_until < clock_timestamp())
            """,
            [LEASE.total_seconds(), endpoint_id],
        )
        return cursor.rowcount == 1


def _release(endpoint_id: int) -> None:
    WebhookEndpoint.objects.filter(pk=endpoint_id).update(busy_until=None)


def _next(endpoint_id: int, now: datetime) -> WebhookDelivery | None:
    """The oldest delivery that is due, and is the first that waits of its object."""
    waiting = WebhookDelivery.objects.filter(endpoint=endpoint_id, state=WebhookDelivery.State.WAITING)
    found = waiting.raw(
        """
        SELECT d.* FROM webhook_deliveries d
        WHERE d.endpoint_id = %s AND d.state = 'waiting' AND d.next_at <= %s AND NOT EXISTS (
            SELECT FROM webhook_deliveries e
            WHERE e.endpoint_id = d.endpoint_id AND e.state = 'waiting' AND e.object_key = d.object_key AND e.id < d.id
        )
        ORDER BY d.id LIMIT 1
        """,
        [endpoint_id, now],
    )
    return next(iter(found), None)


def _send(delivery: WebhookDelivery, now: datetime) -> Answer:
    endpoint = delivery.endpoint
    body, sent_at = payload(delivery), timezone.now()
    secrets = [endpoint.secret]
    if endpoint.previous_secret and endpoint.previous_until and endpoint.previous_until > now:
        secrets.append(endpoint.previous_secret)
    signatures = [Webhook(each).sign(delivery.event_id, sent_at, body.decode()) for each in secrets]
    headers = {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "webhook-id": delivery.event_id,
        "webhook-timestamp": str(int(sent_at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
    started, status, error = time.monotonic(), None, ""
    try:
        status = net.post(endpoint.url, body, headers, total_s=TOTAL_S)
    except FetchFailed as failure:
        error = failure.code
    took_s = time.monotonic() - started
    answer = Answer(status, error, round(took_s * 1000))
    outcome = "taken" if answer.is_taken else "not_taken" if status is not None else "unanswered"
    recorder.count(gauges.WEBHOOK_ATTEMPTS, seconds=took_s, outcome=outcome)
    return answer


@transaction.atomic
def _note(delivery: WebhookDelivery, answer: Answer, now: datetime) -> None:
    """Keep the attempt and what follows from it."""
    endpoint = WebhookEndpoint.objects.select_for_update().filter(pk=delivery.endpoint_id).first()
    if endpoint is None:
        return
    endpoint.busy_until = None
    WebhookAttempt.objects.create(
        delivery=delivery,
        number=delivery.attempts + 1,
        at=now,
        status=answer.status,
        error=answer.error,
        took_ms=answer.took_ms,
    )
    changes: dict[str, Any] = {"attempts": F("attempts") + 1, "retries": F("retries") + 1}
    if answer.is_taken:
        changes |= {"state": WebhookDelivery.State.DELIVERED, "delivered_at": now}
        endpoint.failing_since = None
    else:
        endpoint.failing_since = endpoint.failing_since or now
        if answer.status == GONE:
            disable(endpoint, WebhookEndpoint.Reason.GONE, now)
        if delivery.retries < len(RETRY_AFTER):
            changes["next_at"] = now + RETRY_AFTER[delivery.retries]
            defer(endpoint.pk, at=changes["next_at"])
        else:
            changes["state"] = WebhookDelivery.State.FAILED
            if now - endpoint.failing_since >= sum(RETRY_AFTER, timedelta()):
                disable(endpoint, WebhookEndpoint.Reason.FAILING, now)
    WebhookDelivery.objects.filter(pk=delivery.pk).update(**changes)
    endpoint.save(update_fields=["busy_until", "failing_since", "disabled_at", "disabled_reason"])


def disable(
    endpoint: WebhookEndpoint, reason: WebhookEndpoint.Reason, now: datetime, *, why: str = ""
) -> None:
    """Switch an endpoint off that nobody seems to look after, or that the team has stopped for ``why``; tell its owner."""
    if endpoint.disabled_at is not None:
        return
    endpoint.disabled_at, endpoint.disabled_reason = now, reason
    by_staff = reason == WebhookEndpoint.Reason.BY_STAFF
    notifications.notify(
        user=endpoint.user,
        kind="webhook.switched_off" if by_staff else "webhook.disabled",
        object_key=f"webhook:{endpoint.pk}:{now.isoformat()}",
        now=now,
        params={"description": endpoint.description or f"#{endpoint.pk}"} | ({"reason": why} if why else {}),
        data={"webhook_id": endpoint.pk},
        url=f"/account/webhooks/{endpoint.pk}",
    )
