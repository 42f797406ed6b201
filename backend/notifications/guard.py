"""What short messages may cost: how many a day, and to which countries. What is stopped is noted, and shows on the dashboard.

Codes that prove a number are limited where they are asked for and are not counted here; the countries count for them too.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connection

from backend.core import platform
from backend.notifications.kinds import SMS
from backend.notifications.models import Delivery

STOPPED = "cost guard: "
"""How the reason of a delivery that was stopped here begins."""

DAY = timedelta(days=1)
TRIED = (
    *(Delivery.SENDING, Delivery.SENT, Delivery.DELIVERED),
    *(Delivery.BOUNCED, Delivery.FAILED, Delivery.UNKNOWN),
)
"""What was handed to the carrier, or may have been."""


def serves(phone: str) -> bool:
    """Whether messages go to the country of a number, in E.164."""
    prefixes = tuple(platform.get("sms_prefixes").replace(",", " ").split())
    return not prefixes or phone.startswith(prefixes)


def stops(*, user_id: int, phone: str, now: datetime) -> str:
    """Why a message to a user must not go now, "" when it may.

    Within the transaction that takes the delivery: messages are counted one after the other, so that many workers
    at once do not send more than is allowed.
    """
    if not platform.is_on("sms"):
        return f"{STOPPED}short messages are switched off"
    if not serves(phone):
        return f"{STOPPED}no messages to this country"
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('sms guard', 0))")
    today = Delivery.objects.filter(channel=SMS, attempted_at__gt=now - DAY, state__in=TRIED)
    if today.count() >= platform.get("limit_sms_platform"):
        return f"{STOPPED}too many messages in a day"
    if today.filter(notification__user_id=user_id).count() >= platform.get("limit_sms_user"):
        return f"{STOPPED}too many messages to one user in a day"
    return ""
