"""Endpoints: made, changed, tried, rotated, switched off and removed by whose they are."""

from __future__ import annotations

import base64
import secrets
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import HOST, User
from backend.audit import services as audit
from backend.core import access, db, net
from backend.core.errors import Conflict, Invalid, NotFound
from backend.core.net import FetchFailed
from backend.webhooks import delivering
from backend.webhooks.events import TEST, TYPES
from backend.webhooks.models import WebhookDelivery, WebhookEndpoint

MOST = 10
"""Endpoints of one user."""

OVERLAP = timedelta(hours=24)
"""How long the secret before a rotation signs beside the new one."""

REPLAY_MOST = 1000
"""Deliveries that one replay sends again."""

SECRET_PREFIX = "whsec_"  # noqa: S105 - the mark of Standard Webhooks, no secret
SECRET_BYTES = 32
"""Standard Webhooks asks for 24 to 64."""


Unchanged = Callable[[WebhookEndpoint], None]
"""Asked with the locked endpoint before anything is written; refuses a lost update by raising."""


class TooManyEndpoints(Conflict):
    """The user has as many endpoints as one may have."""

    code = "too_many_webhooks"
    title = _("You have as many webhooks as one account may have. Remove one first.")


class EndpointDisabled(Conflict):
    """Nothing is sent to an endpoint that is switched off."""

    code = "webhook_disabled"
    title = _("This webhook is switched off. Switch it on first.")


@access.rule("webhook.keep")
def _may_keep(actor: User, subject: Any = None) -> bool:
    return actor.has_role(HOST)


def kept(actor: User) -> QuerySet[WebhookEndpoint]:
    """The endpoints of ``actor``. Raises: NotAllowed for who is no host."""
    access.require(actor, "webhook.keep")
    return WebhookEndpoint.objects.filter(user=actor)


def of(actor: User, endpoint_id: int) -> WebhookEndpoint:
    """An endpoint of ``actor``, who may have been a host once. Raises: NotFound."""
    found = WebhookEndpoint.objects.filter(user=actor, pk=endpoint_id).first()
    if found is None:
        raise NotFound
    return found


def add(
    *, actor: User, url: str, events: Sequence[str], description: str, now: datetime
) -> tuple[WebhookEndpoint, str]:
    """A new endpoint and its secret, which is shown once. It hears of what happens from now on.

    Raises: NotAllowed, Invalid (``url``, ``events``), TooManyEndpoints.
    """
    access.require(actor, "webhook.keep")
    address, chosen, secret = _address(url), _chosen(events), _new_secret()
    with transaction.atomic():
        user = db.lock(User.objects.all(), pk=actor.pk)
        if WebhookEndpoint.objects.filter(user=user).count() >= MOST:
            raise TooManyEndpoints
        endpoint = WebhookEndpoint.objects.create(
            user=user,
            url=address,
            events=chosen,
            description=description,
            secret=secret,
            created_at=now,
            updated_at=now,
        )
        audit.record(actor=actor, action="webhook.added", subject=endpoint, now=now, after={"events": chosen})
    return endpoint, secret


def change(
    *,
    actor: User,
    endpoint_id: int,
    changes: Mapping[str, Any],
    now: datetime,
    unchanged: Unchanged | None = None,
) -> WebhookEndpoint:
    """Change ``url``, ``events``, ``description`` or ``active``; what waits goes to the new address.

    Switched on again, it hears of what happens from then on, and gets what was waiting. Raises: as ``add``, NotFound, and
    what ``unchanged`` raises.
    """
    of(actor, endpoint_id)
    values: dict[str, Any] = {}
    if "url" in changes:
        values["url"] = _address(changes["url"])
    if "events" in changes:
        values["events"] = _chosen(changes["events"])
    if "description" in changes:
        values["description"] = changes["description"]
    with transaction.atomic():
        endpoint = _locked(actor, endpoint_id, unchanged)
        before = {"events": endpoint.events, "active": endpoint.disabled_at is None}
        if "active" in changes and changes["active"] != before["active"]:
            values["disabled_at"] = None if changes["active"] else now
            values["disabled_reason"] = "" if changes["active"] else WebhookEndpoint.Reason.BY_USER
            values["failing_since"] = None
        for name, value in values.items():
            setattr(endpoint, name, value)
        endpoint.updated_at = now
        endpoint.save(update_fields=[*values, "updated_at"])
        after = {"events": endpoint.events, "active": endpoint.disabled_at is None}
        audit.record(
            actor=actor, action="webhook.changed", subject=endpoint, now=now, before=before, after=after
        )
        if changes.get("active"):
            delivering.defer(endpoint.pk)
    return endpoint


def rotate(*, actor: User, endpoint_id: int, now: datetime) -> tuple[WebhookEndpoint, str]:
    """A new secret, shown once; the old one signs beside it for a day. Raises: NotFound."""
    of(actor, endpoint_id)
    secret = _new_secret()
    with transaction.atomic():
        endpoint = _locked(actor, endpoint_id)
        endpoint.previous_secret, endpoint.previous_until = endpoint.secret, now + OVERLAP
        endpoint.secret, endpoint.updated_at = secret, now
        endpoint.save(update_fields=["secret", "previous_secret", "previous_until", "updated_at"])
        audit.record(actor=actor, action="webhook.rotated", subject=endpoint, now=now)
    return endpoint, secret


def remove(*, actor: User, endpoint_id: int, now: datetime, unchanged: Unchanged | None = None) -> None:
    """Forget an endpoint with all that was sent to it. Raises: NotFound, and what ``unchanged`` raises."""
    of(actor, endpoint_id)
    with transaction.atomic():
        endpoint = _locked(actor, endpoint_id, unchanged)
        audit.record(actor=actor, action="webhook.removed", subject=endpoint, now=now)
        endpoint.delete()


def send_test(*, actor: User, endpoint_id: int, now: datetime) -> WebhookDelivery:
    """Queue an event of the type ``webhook.test``. Raises: NotFound, EndpointDisabled."""
    of(actor, endpoint_id)
    with transaction.atomic():
        return queue_test(_locked(actor, endpoint_id), now=now)


def replay(
    *,
    actor: User,
    endpoint_id: int,
    now: datetime,
    since: datetime | None = None,
    delivery_id: int | None = None,
) -> int:
    """Send again under the same ids: one delivery, or all since a moment, delivered or given up; at most a thousand.

    Returns how many were queued. Raises: NotFound (also of the delivery), EndpointDisabled.
    """
    of(actor, endpoint_id)
    with transaction.atomic():
        endpoint = _locked(actor, endpoint_id)
        return queue_again(endpoint, now=now, since=since, delivery_id=delivery_id)


def queue_test(endpoint: WebhookEndpoint, *, now: datetime) -> WebhookDelivery:
    """Queue an event of the type ``webhook.test`` for an endpoint whose row is held. Raises: EndpointDisabled."""
    if endpoint.disabled_at is not None:
        raise EndpointDisabled
    event_id = f"evt_t{uuid.uuid4().hex[:24]}"
    delivery = WebhookDelivery.objects.create(
        endpoint=endpoint,
        event_id=event_id,
        type=TEST,
        object_key=f"webhook:{event_id}",
        data={"webhook_id": endpoint.pk},
        created_at=now,
        next_at=now,
    )
    delivering.defer(endpoint.pk)
    return delivery


def queue_again(
    endpoint: WebhookEndpoint, *, now: datetime, since: datetime | None = None, delivery_id: int | None = None
) -> int:
    """As ``replay``, for an endpoint whose row is held."""
    if endpoint.disabled_at is not None:
        raise EndpointDisabled
    chosen = WebhookDelivery.objects.filter(endpoint=endpoint)
    if delivery_id is not None:
        chosen = chosen.filter(pk=delivery_id)
        if not chosen.exists():
            raise NotFound
    if since is not None:
        chosen = chosen.filter(created_at__gte=since)
    ended = chosen.exclude(state=WebhookDelivery.State.WAITING).order_by("id").values("pk")[:REPLAY_MOST]
    count = WebhookDelivery.objects.filter(pk__in=ended).update(
        state=WebhookDelivery.State.WAITING, next_at=now, retries=0
    )
    if count:
        delivering.defer(endpoint.pk)
    return count


def _locked(actor: User, endpoint_id: int, unchanged: Unchanged | None = None) -> WebhookEndpoint:
    endpoint = db.lock(WebhookEndpoint.objects.filter(user=actor), pk=endpoint_id)
    if unchanged is not None:
        unchanged(endpoint)
    return endpoint


def _address(url: str) -> str:
    """Raises: Invalid for an address that is never fetched; outside of a transaction, since names are resolved."""
    try:
        address = net.normal(url)
        net.require_fetchable(address)
    except FetchFailed as error:
        code, text = REFUSED.get(error.code, ("unreachable_url", _("This address cannot be reached.")))
        raise Invalid.field("url", code, text) from None
    return address


REFUSED = {
    "bad_url": ("invalid_url", _("This is not an address.")),
    "not_https": ("not_https", _("The address must begin with https://.")),
    "address_refused": ("address_not_public", _("This address is not reachable from the internet.")),
}


def _chosen(events: Sequence[str]) -> list[str]:
    unknown = sorted(set(events) - set(TYPES))
    if unknown:
        raise Invalid.field(
            "events", "unknown_event", _("There is no such event: %s.") % ", ".join(unknown[:5])
        )
    return [each for each in TYPES if each in events]


def _new_secret() -> str:
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
