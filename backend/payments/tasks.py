"""Jobs of payments. Each does nothing but call an operation with the clock."""

from __future__ import annotations

from django.utils import timezone
from procrastinate.contrib.django import app

from backend.payments import inbox
from backend.payments.providers import sandbox


@app.task(name=sandbox.WEBHOOK_JOB, queue="payments")
def sandbox_webhook(key: str) -> None:
    """The sandbox's pending order is settled by now: deliver the webhook about it, as a real provider would."""
    now = timezone.now()
    body, headers = sandbox.webhook(sandbox.settle_pending(key), now=now)
    inbox.receive(provider=sandbox.Sandbox.name, body=body, headers=headers, now=now)
