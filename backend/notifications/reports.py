"""What carriers report of short messages, believed once it is proved that it comes from them.

Both may be set up, and reports of what went out by the one come while the other is in charge. Twilio signs what it sends with the account's token. Africa's Talking signs nothing: the operator names it an address
that ends in ``SMS_REPORT_SECRET``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from backend.core.errors import DomainError, NotFound
from backend.notifications import deliveries, sms, suppressions
from backend.notifications.kinds import SMS
from backend.notifications.models import Delivery

TWILIO, AFRICAS_TALKING = "twilio", "africastalking"

STATES = {
    "sent": Delivery.SENT,
    "delivered": Delivery.DELIVERED,
    "read": Delivery.DELIVERED,
    "undelivered": Delivery.BOUNCED,
    "failed": Delivery.FAILED,
}
"""Twilio's ``MessageStatus`` → ours; those that are not here are on the way."""

AFRICAN_STATES = {
    "Sent": Delivery.SENT,
    "Success": Delivery.DELIVERED,
    "Rejected": Delivery.BOUNCED,
    "AbsentSubscriber": Delivery.BOUNCED,
    "Expired": Delivery.BOUNCED,
    "Failed": Delivery.FAILED,
}

DEAD = frozenset(
    {
        *("UserInBlackList", "UserDoesNotExist", "NotNetworkSubscriber"),
        *("UserIsInactive", "UserAccountSuspended", "DoNotDisturbRejection"),
    }
)
"""Africa's Talking's reasons that say: nothing will ever reach this number."""


class ForgedReport(DomainError):
    """400: it does not come from the carrier."""

    status = 400
    code = "forged_webhook"
    title = _("The signature does not fit.")


class CarrierNotConfigured(NotFound):
    """404: reports of this carrier are not expected here."""

    code = "provider_not_configured"
    title = _("This provider is not set up here.")


def from_twilio(*, path: str, form: Sequence[tuple[str, str]], signature: str, now: datetime) -> bool:
    """Take a status callback; ``path`` is with its query, ``form`` as it was posted, ``signature`` the header's.

    Whether it is about a message of ours. Raises: CarrierNotConfigured, ForgedReport.
    """
    _require(TWILIO)
    signed = settings.PUBLIC_URL + path + "".join(name + value for name, value in sorted(form))
    token = unquote(urlsplit(sms.urls()[TWILIO]).password or "")
    right = base64.b64encode(hmac.digest(token.encode(), signed.encode(), hashlib.sha1)).decode()
    if not hmac.compare_digest(right.encode(), signature.encode()):
        raise ForgedReport
    said = dict(form)
    code = said.get("ErrorCode", "")
    return _note(
        state=STATES.get(said.get("MessageStatus", "")),
        provider_id=said.get("MessageSid", ""),
        delivery_id=_number(path),
        reason=code,
        number=said.get("To", "") if code.isdecimal() and int(code) in sms.DEAD_AT_TWILIO else "",
        now=now,
    )


def from_africas_talking(*, secret: str, form: Mapping[str, str], now: datetime) -> bool:
    """Take a delivery report, posted to the address that ends in ``secret``. Whether it is about a message of ours.

    Raises: CarrierNotConfigured, ForgedReport.
    """
    _require(AFRICAS_TALKING)
    if not settings.SMS_REPORT_SECRET:
        raise CarrierNotConfigured
    if not hmac.compare_digest(settings.SMS_REPORT_SECRET.encode(), secret.encode()):
        raise ForgedReport
    reason = form.get("failureReason", "")
    return _note(
        state=AFRICAN_STATES.get(form.get("status", "")),
        provider_id=form.get("id", ""),
        delivery_id=None,
        reason=reason,
        number=form.get("phoneNumber", "") if reason in DEAD else "",
        now=now,
    )


def _note(
    *,
    state: str | None,
    provider_id: str,
    delivery_id: int | None,
    reason: str,
    number: str,
    now: datetime,
) -> bool:
    if state is None or not provider_id:
        return False
    known = deliveries.learn(
        channel=SMS, provider_id=provider_id, state=state, reason=reason, now=now, delivery_id=delivery_id
    )
    if known and number:
        suppressions.suppress(channel=SMS, address=number, reason=reason, now=now)
    return known


def _require(carrier: str) -> None:
    if carrier not in sms.urls():
        raise CarrierNotConfigured


def _number(path: str) -> int | None:
    """Our own number of a delivery in the address that Twilio was told to report to."""
    found = path.partition("?delivery=")[2]
    return int(found) if found.isdecimal() and len(found) < 19 else None
