"""What staff does so that people can be reached again: send a notice once more, trust an address again."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import ADMIN, SUPPORT
from backend.audit import services as audit
from backend.core import access, db
from backend.core.errors import Invalid
from backend.notifications import deliveries
from backend.notifications.models import Delivery, SuppressedAddress


@access.rule("delivery.retry")
def may_retry(actor: Any, delivery: Delivery) -> bool:
    """Whoever helps people."""
    return bool(actor.has_role(SUPPORT, ADMIN))


@access.rule("suppressed_address.release")
def may_release(actor: Any, row: SuppressedAddress) -> bool:
    """Whoever helps people."""
    return bool(actor.has_role(SUPPORT, ADMIN))


def retry_delivery(*, actor: Any, delivery_id: int, reason: str, now: datetime) -> Delivery:
    """Have a delivery that went astray sent once more; one to a dead address only comes back to where it was.

    Raises: NotAllowed, Invalid (no reason), WrongState (it is under way, or arrived).
    """
    access.require(actor, "delivery.retry", None)
    why = _reason(reason)
    with transaction.atomic():
        delivery = deliveries.requeue(delivery_id=delivery_id, reason=why, now=now)
        audit.record(
            actor=actor,
            action="delivery.retry",
            subject=delivery,
            after={"channel": delivery.channel},
            reason=why,
            now=now,
        )
    return delivery


def release_address(*, actor: Any, suppressed_id: int, reason: str, now: datetime) -> None:
    """Send to a user's suppressed address again. Raises: NotAllowed, Invalid (no reason), NotFound."""
    access.require(actor, "suppressed_address.release", None)
    why = _reason(reason)
    with transaction.atomic():
        row = db.lock(SuppressedAddress.objects.select_related("user"), pk=suppressed_id)
        user, channel, kept = row.user, row.channel, row.reason
        row.delete()
        audit.record(
            actor=actor,
            action="suppressed_address.release",
            subject=user,
            before={"channel": channel, "suppressed_for": kept},
            reason=why,
            now=now,
        )


def _reason(reason: str) -> str:
    if not reason.strip():
        raise Invalid.field("reason", "required", _("Say why."))
    return reason.strip()
