"""What staff do about notices that did not reach somebody: send one again, or write to an address again."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import ADMIN, SUPPORT
from backend.audit import services as audit
from backend.core import access
from backend.core.db import retrying
from backend.core.errors import Invalid, WrongState
from backend.notifications import deliveries
from backend.notifications.models import Delivery, SuppressedAddress


@access.rule("delivery.retry")
def may_retry(actor: Any, delivery: Delivery | None = None) -> bool:
    """Whoever helps people who say that they were not told."""
    return bool(actor.has_role(SUPPORT, ADMIN))


@access.rule("suppressed_address.release")
def may_release(actor: Any, row: SuppressedAddress | None = None) -> bool:
    """The same: somebody says that their mailbox works again."""
    return bool(actor.has_role(SUPPORT, ADMIN))


@retrying
def send_again(*, actor: Any, delivery: Delivery, reason: str, now: datetime) -> Delivery:
    """Have a mail or SMS that went astray sent once more, with a reason.

    Raises: NotAllowed, Invalid (no reason), WrongState (it is on its way, or it arrived).
    """
    access.require(actor, "delivery.retry", delivery)
    _require(reason)
    with transaction.atomic():
        held = Delivery.objects.select_for_update().get(pk=delivery.pk)
        before = {"state": held.state, "attempts": held.attempts}
        again = deliveries.requeue(delivery_id=held.pk, reason="sent again by staff", now=now)
        audit.record(
            actor=actor,
            action="delivery.retried",
            subject=again,
            before=before,
            after={"state": again.state, "channel": again.channel},
            reason=reason.strip(),
            now=now,
        )
    return again


@retrying
def release(*, actor: Any, row: SuppressedAddress, reason: str, now: datetime) -> None:
    """Write again to an address that was suppressed, with a reason; a mail service may still hold it on a list of its own.

    Raises: NotAllowed, Invalid (no reason), WrongState (it was released in the meantime).
    """
    access.require(actor, "suppressed_address.release", row)
    _require(reason)
    with transaction.atomic():
        held = SuppressedAddress.objects.select_for_update().filter(pk=row.pk).select_related("user").first()
        if held is None:
            raise WrongState
        audit.record(
            actor=actor,
            action="suppressed_address.released",
            subject=held.user,
            before={"channel": held.channel, "why": held.reason},
            reason=reason.strip(),
            now=now,
        )
        held.delete()


def _require(reason: str) -> None:
    if not reason.strip():
        raise Invalid.field("reason", "required", _("Say why."))
