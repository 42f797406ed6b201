"""What SendGrid and Mailgun report of mails, believed once it is proved that it comes from them.

SendGrid signs the body with a key of its own (ECDSA), Mailgun a token with the account's webhook key (HMAC). Both are
checked and read by django-anymail. A report tells its delivery by the Message-ID, which is ours.
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from typing import Any

import structlog
from anymail.exceptions import AnymailWebhookValidationFailure
from anymail.signals import AnymailTrackingEvent, EventType, RejectReason
from anymail.webhooks.base import AnymailBaseWebhookView
from anymail.webhooks.mailgun import MailgunTrackingWebhookView
from anymail.webhooks.sendgrid import SendGridTrackingWebhookView
from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from backend.core.errors import DomainError
from backend.notifications import deliveries, mail, suppressions
from backend.notifications.kinds import EMAIL
from backend.notifications.models import Delivery
from backend.notifications.reports import CarrierNotConfigured, ForgedReport

SENDGRID, MAILGUN = "sendgrid", "mailgun"

OLDEST = timedelta(days=1)
"""Both give up repeating a report before that; an older one is a copy that somebody kept."""

AGAIN_AFTER = timedelta(hours=1)
MOST_TRIES = 4
"""A mail that bounced for now goes out again this long after it, until it was tried so often."""

_DEAD = frozenset({RejectReason.INVALID, RejectReason.BOUNCED, RejectReason.SPAM, RejectReason.UNSUBSCRIBED})
"""Why a service does not even try an address: it knows it to be dead, or its reader wants nothing of us."""

_DEAD_WORDS = frozenset({"spam reporting address", "suppress-complaint", "suppress-unsubscribe"})
"""The same in words that anymail does not tell apart."""

_OURS = re.compile(r"<delivery-([0-9]{1,18})@")

log = structlog.get_logger(__name__)


class UnreadableReport(DomainError):
    """400: it is signed as it should be, but is no report."""

    status = 400
    code = "malformed_body"
    title = _("The body cannot be read.")


def take(*, provider: str, request: HttpRequest, now: datetime) -> bool:
    """Take the reports in one request; whether there was one among them that had not come before.

    Raises: CarrierNotConfigured, ForgedReport (also for one older than ``OLDEST``), UnreadableReport.
    """
    key = settings.MAIL_WEBHOOK_KEYS.get(provider)
    if not key:
        raise CarrierNotConfigured
    if provider == SENDGRID:
        view: Any = SendGridTrackingWebhookView(tracking_webhook_verification_key=key)
    else:
        view = MailgunTrackingWebhookView(webhook_signing_key=key)
    events = _read(view, request, provider, now)
    fresh = [each for each in events if not _is_known(provider, each)]
    for each in fresh:
        _apply(each, now)
        # Only now: one that could not be applied is sent again.
        cache.set(_key(provider, each), 1, OLDEST.total_seconds())
    return bool(fresh)


def _read(
    view: AnymailBaseWebhookView, request: HttpRequest, provider: str, now: datetime
) -> list[AnymailTrackingEvent]:
    if request.content_type != "application/json":
        raise ForgedReport
    try:
        view.run_validators(request)
        signed_at = _signed_at(request, provider)
    except (AnymailWebhookValidationFailure, LookupError, TypeError, ValueError) as error:
        raise ForgedReport from error
    if abs(now.timestamp() - signed_at) > OLDEST.total_seconds():
        raise ForgedReport
    try:
        found: list[AnymailTrackingEvent] = view.parse_events(request)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise UnreadableReport from error
    return found


def _signed_at(request: HttpRequest, provider: str) -> float:
    """When a report was signed, in seconds since 1970."""
    if provider == SENDGRID:
        return float(request.headers["X-Twilio-Email-Event-Webhook-Timestamp"])
    return float(json.loads(request.body)["signature"]["timestamp"])


def _key(provider: str, event: AnymailTrackingEvent) -> str:
    return f"mail-report:{provider}:{event.event_id}"


def _is_known(provider: str, event: AnymailTrackingEvent) -> bool:
    return bool(event.event_id) and cache.get(_key(provider, event)) is not None


def _apply(event: AnymailTrackingEvent, now: datetime) -> None:
    reason = _reason(event)
    if event.event_type == EventType.DELIVERED:
        _learn(event, Delivery.DELIVERED, "", now)
    elif event.event_type == EventType.COMPLAINED:
        _learn(event, Delivery.DELIVERED, "reported as spam", now)
        _suppress(event, "reported as spam", now)
    elif event.event_type in (EventType.REJECTED, EventType.FAILED):
        _learn(event, Delivery.FAILED, reason, now)
        if event.reject_reason in _DEAD or _raw_reason(event) in _DEAD_WORDS:
            _suppress(event, reason, now)
    elif event.event_type == EventType.BOUNCED:
        is_ours = _learn(event, Delivery.BOUNCED, reason, now)
        if _is_hard(event):
            _suppress(event, reason, now)
        elif is_ours:
            _try_again(event, reason, now)


def _raw_reason(event: AnymailTrackingEvent) -> str:
    given = event.esp_event.get("event-data", event.esp_event)
    return str(given.get("reason", "")).lower()


def _is_hard(event: AnymailTrackingEvent) -> bool:
    """Whether a bounce is about the address; a mailbox that is full or a server that blocks us may take the next one.

    SendGrid says ``type: blocked`` of the latter; Mailgun has no reason ``bounce`` then.
    """
    if "event-data" in event.esp_event:
        return event.reject_reason in (None, RejectReason.BOUNCED) or _raw_reason(event) in _DEAD_WORDS
    return event.esp_event.get("type", "bounce") == "bounce"


def _learn(event: AnymailTrackingEvent, state: str, reason: str, now: datetime) -> bool:
    return deliveries.learn(
        channel=EMAIL,
        provider_id=str(event.message_id or ""),
        state=state,
        reason=reason,
        now=now,
        delivery_id=_delivery_id(event),
    )


def _suppress(event: AnymailTrackingEvent, reason: str, now: datetime) -> None:
    address = str(event.recipient or "")
    found = suppressions.suppress(channel=EMAIL, address=address, reason=reason, now=now)
    local, _at, domain = address.rpartition("@")
    if not found and "xn--" in domain:
        # Services know an address of another script in ASCII only.
        try:
            address = f"{local}@{domain.encode('ascii').decode('idna')}"
        except UnicodeError:
            return
        suppressions.suppress(channel=EMAIL, address=address, reason=reason, now=now)


def _try_again(event: AnymailTrackingEvent, reason: str, now: datetime) -> None:
    """Have a mail that bounced for now sent once more later, unless that was done often enough."""
    rows = Delivery.objects.filter(channel=EMAIL, state=Delivery.BOUNCED, attempts__lt=MOST_TRIES)
    delivery_id = _delivery_id(event)
    wanted = {"pk": delivery_id} if delivery_id is not None else {"provider_id": event.message_id}
    found = rows.filter(**wanted).first()
    if found is not None:
        deliveries.requeue(delivery_id=found.pk, reason=reason, now=now, at=now + AGAIN_AFTER)


def _delivery_id(event: AnymailTrackingEvent) -> int | None:
    ours = _OURS.match(str(event.message_id or ""))
    return int(ours[1]) if ours else None


def _reason(event: AnymailTrackingEvent) -> str:
    said = event.mta_response or event.description or _raw_reason(event) or event.reject_reason or ""
    return mail.without_addresses(" ".join(str(said).split()))[:300]
