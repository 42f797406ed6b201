"""Showing finance where a host is paid, which the back office masks."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction

from backend.accounts.models import ADMIN, FINANCE
from backend.audit import services as audit
from backend.core import access
from backend.identity.suspension import required_reason
from backend.payments.models import PayoutAccount


@access.rule("payout_account.reveal")
def _may_reveal(actor: Any, account: PayoutAccount) -> bool:
    """Finance and administrators, but nobody's own."""
    return bool(actor.has_role(FINANCE, ADMIN)) and account.user_id != actor.pk


def destination(*, actor: Any, account: PayoutAccount, reason: str, now: datetime) -> str:
    """Show ``actor`` what ``account`` is paid to: an email address, a phone number, "" where the provider knows it.

    Raises: NotAllowed, Invalid (``reason``).
    """
    access.require(actor, "payout_account.reveal", account)
    text = required_reason(reason)
    with transaction.atomic():
        audit.record(
            actor=actor,
            action="payout_account.revealed",
            subject=account,
            now=now,
            after={"shown": ["destination"]},
            reason=text,
        )
        return account.destination
