"""A difference with a provider is looked at again at once: the operation by name, then the whole list."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from backend.audit import services as audit
from backend.bookings import settlement
from backend.core import access
from backend.core.db import lock, outside_transaction
from backend.core.errors import Invalid, Unavailable, WrongState
from backend.payments import reconciliation
from backend.payments.models import MoneyOp, ReconciliationDifference


class NoAnswer(Unavailable):
    """The provider does not tell its list now."""

    code = "provider_no_answer"
    title = _("The provider does not answer now. Try again in some minutes.")


def ask_again(*, actor: Any, difference_id: int, reason: str, now: datetime) -> bool:
    """Ask a provider about an order that it tells otherwise than we do; whether the two agree by now.

    An outcome that we did not know is recorded with all that follows. Never inside a transaction.
    Raises: NotAllowed, NotFound, WrongState (settled), Invalid (no reason), NoAnswer.
    """
    outside_transaction("a payment provider")
    with transaction.atomic():
        access.require(actor, "reconciliation.settle")
        difference = lock(ReconciliationDifference.objects.all(), pk=difference_id)
        if difference.settled_at is not None:
            raise WrongState(extra={"state": "settled"})
        if not reason.strip():
            raise Invalid.field("reason", "required", _("Say why."))
        audit.record(
            actor=actor,
            action="reconciliation.ask_again",
            subject=difference,
            after={"provider": difference.provider, "key": difference.key, "what": difference.what},
            reason=reason.strip()[:1000],
            now=now,
        )
    op = operation(difference.key)
    if op is not None:
        settlement.look_again(op, now=now)
    if reconciliation.reconcile_with(difference.provider, now=now).failure:
        raise NoAnswer
    difference.refresh_from_db()
    return difference.settled_at is not None


def operation(key: str) -> MoneyOp | None:
    """Our operation under this key; None where the key is a reference of the provider's."""
    try:
        return MoneyOp.objects.select_related("payment", "payout").filter(pk=UUID(key)).first()
    except ValueError:
        return None
