"""Jobs of payments. Each does nothing but call an operation with the clock."""

from __future__ import annotations

from django.utils import timezone
from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from backend.payments import inbox, payout_accounts
from backend.payments.documents import issuing, storing
from backend.payments.providers import sandbox


@app.task(name=sandbox.WEBHOOK_JOB, queue="payments")
def sandbox_webhook(key: str) -> None:
    """The sandbox's pending order is settled by now: deliver the webhook about it, as a real provider would."""
    now = timezone.now()
    body, headers = sandbox.webhook(sandbox.settle_pending(key), now=now)
    inbox.receive(provider=sandbox.Sandbox.name, body=body, headers=headers, now=now)


@app.task(
    name=issuing.RENDER_JOB,
    queue="documents",
    retry=RetryStrategy(max_attempts=8, exponential_wait=3),
)
def render_documents(document_ids: list[int]) -> None:
    """Make the PDFs of documents that were issued."""
    storing.render(document_ids)


@app.task(name=payout_accounts.REFRESH_JOB, queue="payments")
def refresh_payout_account(account_id: int) -> None:
    """Ask the provider about a payout account that waits for it."""
    payout_accounts.refresh(account_id, now=timezone.now())
