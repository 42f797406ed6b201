"""Addresses that nothing is sent to any more: dead ones cost good will, and good will is what carries the other mails.

One holds while its user has that address. Proving the address again, or another one, releases it.
"""

from __future__ import annotations

from datetime import datetime

import structlog

from backend.accounts.models import Profile, User
from backend.core.db import prepared
from backend.notifications.kinds import EMAIL
from backend.notifications.models import SuppressedAddress

log = structlog.get_logger(__name__)


def suppress(*, channel: str, address: str, reason: str, now: datetime) -> int:
    """Send nothing to ``address`` (an email address, or a phone number in E.164) any more; how many users have it.

    An address that is nobody's is not kept.
    """
    if channel == EMAIL:
        owners = list(User.objects.at(address).values_list("pk", "email"))
    else:
        owners = list(Profile.objects.filter(phone=address).values_list("pk", "phone"))
    for user_id, own in owners:
        SuppressedAddress.objects.update_or_create(
            user_id=user_id,
            channel=channel,
            defaults={"address": own, "reason": reason[:300], "created_at": now},
        )
        log.info("address_suppressed", user=user_id, channel=channel, reason=reason[:300])
    return len(owners)


def holds(*, user_id: int, channel: str, address: str) -> SuppressedAddress | None:
    """Why nothing is sent to the address that a user has now; None when all is well."""
    # Asked for every mail; nearly always there is none.
    with prepared() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM suppressed_addresses WHERE user_id = %s AND channel = %s)",
            [user_id, channel],
        )
        if not cursor.fetchone()[0]:
            return None
    row = SuppressedAddress.objects.filter(user_id=user_id, channel=channel).first()
    return row if row is not None and row.address == address else None


def release(*, user: User, channel: str) -> bool:
    """Send to a user by this channel again: they have proved the address, or have another one. Whether there was one."""
    return bool(SuppressedAddress.objects.filter(user=user, channel=channel).delete()[0])
