"""Webhooks that go out: where a host's programs hear what happens, and what became of telling them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Path, Query, Router
from pydantic import Field

from api import pagination
from api.accounts import user_of
from api.conditional import etag, etag_response, require_match
from api.pagination import Page, PageQuery, whole
from api.problems import responses
from api.rendering import dumps
from api.types import Id, In, Out, Text
from backend.core.errors import NotAllowed, NotFound, Stale
from backend.webhooks import services as webhooks
from backend.webhooks.events import TYPES
from backend.webhooks.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint

router = Router(tags=["For programs"])

Url = Annotated[str, Text(2000, min=1), Field(examples=["https://example.com/karibu"])]
Events = Annotated[
    list[Annotated[str, Text(40)]],
    Field(
        max_length=len(TYPES),
        description=f"Which events; empty: all. There are: {', '.join(f'`{each}`' for each in TYPES)}.",
        examples=[["booking.updated", "payout.sent"]],
    ),
]
Description = Annotated[str, Text(120), Field(examples=["Channel manager"])]


class WebhookIn(In):
    """An endpoint to be told."""

    url: Url
    events: Events = []
    description: Description = ""


class WebhookPatch(In):
    """What should change."""

    url: Url | None = None
    events: Events | None = None
    description: Description | None = None
    active: bool | None = None


class WebhookOut(Out):
    """An endpoint. One that did not answer for three days, or answered 410, is switched off and its owner is told."""

    id: Id
    url: str = Field(examples=["https://example.com/karibu"])
    events: list[str] = Field(examples=[["booking.updated", "payout.sent"]])
    description: str
    active: bool
    disabled_at: datetime | None
    disabled_reason: Literal["by_user", "failing", "gone", "by_staff"] | None
    failing_since: datetime | None
    created_at: datetime
    updated_at: datetime


class WebhookMade(WebhookOut):
    """An endpoint with its secret."""

    secret: str = Field(
        description="Shown this once: the secret of Standard Webhooks that signs what is sent.",
        examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )


class WebhookTryOut(Out):
    """One try: the status that came back, or the word for why none did."""

    number: int
    at: datetime
    status: int | None
    error: str | None = Field(examples=["timeout"])
    took_ms: int


class DeliveryOut(Out):
    """One event on its way to one endpoint."""

    id: Id
    event_id: str = Field(description="The `webhook-id` of each attempt.", examples=["evt_n1042"])
    type: str = Field(examples=["booking.updated"])
    state: Literal["waiting", "delivered", "failed"]
    attempts: int
    next_at: datetime | None = Field(
        description="When it is tried next; null while the webhook is switched off."
    )
    delivered_at: datetime | None
    created_at: datetime


class DeliveryDetail(DeliveryOut):
    """A delivery with what was sent and each try."""

    data: dict[str, Any]
    tries: list[WebhookTryOut]


class DeliveryQuery(PageQuery):
    """Which deliveries."""

    state: Literal["waiting", "delivered", "failed"] | None = None


class ReplayIn(In):
    """From when on."""

    since: datetime


class Replayed(Out):
    """How many are sent again."""

    queued: int


MAKES = (NotAllowed, webhooks.TooManyEndpoints)


@router.get("/host/webhooks/", response=responses(Page[WebhookOut], NotAllowed), summary="My webhooks")
def list_webhooks(request: HttpRequest) -> Any:
    """Whole, the newest first."""
    return whole([_payload(row) for row in webhooks.kept(user_of(request)).order_by("-id")])


@router.post("/host/webhooks/", response=responses(WebhookMade, *MAKES, status=201), summary="Add a webhook")
def add(request: HttpRequest, body: WebhookIn) -> Any:
    """For hosts, at most 10. Events are sent as POST `{type, timestamp, data}`, signed as Standard Webhooks say.

    Any 2xx within 15 seconds takes an event; else it is tried again for three days, after 5 s, 5 min, 30 min, 2 h, 5 h,
    10 h, 14 h and 20 h, under the same `webhook-id`. Events about one object come in order.
    """
    row, secret = webhooks.add(
        actor=user_of(request),
        url=body.url,
        events=body.events,
        description=body.description,
        now=timezone.now(),
    )
    return {**_payload(row), "secret": secret}


@router.get(
    "/host/webhooks/{int:webhook_id}/",
    response=responses(WebhookOut, NotFound),
    summary="A webhook of mine",
)
def read(request: HttpRequest, webhook_id: Path[Id]) -> HttpResponse:
    """Without its secret."""
    payload = _payload(webhooks.of(user_of(request), webhook_id))
    return etag_response(request, etag(payload), payload)


@router.patch(
    "/host/webhooks/{int:webhook_id}/",
    response=responses(WebhookOut, NotFound, Stale),
    summary="Change a webhook of mine",
)
def change(request: HttpRequest, webhook_id: Path[Id], body: WebhookPatch) -> HttpResponse:
    """What is not sent stays. `active: true` switches it on again, and what waited is sent."""
    sent = {name: value for name, value in body.model_dump(exclude_unset=True).items() if value is not None}
    row = webhooks.change(
        actor=user_of(request),
        endpoint_id=webhook_id,
        changes=sent,
        now=timezone.now(),
        unchanged=_as_seen(request),
    )
    payload = _payload(row)
    response = HttpResponse(dumps(payload), content_type="application/json; charset=utf-8")
    response["ETag"] = etag(payload)
    return response


@router.delete(
    "/host/webhooks/{int:webhook_id}/",
    response=responses(None, NotFound, Stale, status=204),
    summary="Remove a webhook of mine",
)
def remove(request: HttpRequest, webhook_id: Path[Id]) -> None:
    """With all that was sent to it."""
    webhooks.remove(
        actor=user_of(request),
        endpoint_id=webhook_id,
        now=timezone.now(),
        unchanged=_as_seen(request),
    )


@router.post(
    "/host/webhooks/{int:webhook_id}/rotate-secret/",
    response=responses(WebhookMade, NotFound),
    summary="Change the secret of a webhook",
)
def rotate(request: HttpRequest, webhook_id: Path[Id]) -> Any:
    """For a day the old secret signs too: `webhook-signature` holds both."""
    row, secret = webhooks.rotate(actor=user_of(request), endpoint_id=webhook_id, now=timezone.now())
    return {**_payload(row), "secret": secret}


@router.post(
    "/host/webhooks/{int:webhook_id}/test/",
    response=responses(DeliveryOut, NotFound, webhooks.EndpointDisabled, status=202),
    summary="Send a test event",
)
def send_test(request: HttpRequest, webhook_id: Path[Id]) -> Any:
    """An event of the type `webhook.test`."""
    delivery = webhooks.send_test(actor=user_of(request), endpoint_id=webhook_id, now=timezone.now())
    return _delivery(delivery)


@router.get(
    "/host/webhooks/{int:webhook_id}/deliveries/",
    response=responses(Page[DeliveryOut], NotFound),
    summary="What was sent to a webhook",
)
def list_deliveries(request: HttpRequest, webhook_id: Path[Id], params: Query[DeliveryQuery]) -> Any:
    """Of the last 30 days, the newest first."""
    rows = webhooks.of(user_of(request), webhook_id).deliveries.order_by("-id")
    if params.state:
        rows = rows.filter(state=params.state)
    return pagination.page(request, rows, params, _delivery)


@router.get(
    "/host/webhooks/{int:webhook_id}/deliveries/{int:delivery_id}/",
    response=responses(DeliveryDetail, NotFound),
    summary="One delivery",
)
def read_delivery(request: HttpRequest, webhook_id: Path[Id], delivery_id: Path[Id]) -> HttpResponse:
    """With its content and each try."""
    rows = webhooks.of(user_of(request), webhook_id).deliveries
    row = rows.filter(pk=delivery_id).prefetch_related("tries").first()
    if row is None:
        raise NotFound
    shown = {**_delivery(row), "data": row.data, "tries": [_attempt(each) for each in row.tries.all()]}
    return etag_response(request, etag(shown), shown)


@router.post(
    "/host/webhooks/{int:webhook_id}/deliveries/{int:delivery_id}/retry/",
    response=responses(Replayed, NotFound, webhooks.EndpointDisabled, status=202),
    summary="Send a delivery again",
)
def retry(request: HttpRequest, webhook_id: Path[Id], delivery_id: Path[Id]) -> Any:
    """Whether it was taken or given up; one that still waits is left alone."""
    queued = webhooks.replay(
        actor=user_of(request), endpoint_id=webhook_id, delivery_id=delivery_id, now=timezone.now()
    )
    return {"queued": queued}


@router.post(
    "/host/webhooks/{int:webhook_id}/replay/",
    response=responses(Replayed, NotFound, webhooks.EndpointDisabled, status=202),
    summary="Send again what happened since",
)
def replay(request: HttpRequest, webhook_id: Path[Id], body: ReplayIn) -> Any:
    """Under the same ids and in order; the oldest 1,000 at most."""
    queued = webhooks.replay(
        actor=user_of(request), endpoint_id=webhook_id, since=body.since, now=timezone.now()
    )
    return {"queued": queued}


def _as_seen(request: HttpRequest) -> webhooks.Unchanged:
    return lambda endpoint: require_match(request, etag(_payload(endpoint)))


def _payload(row: WebhookEndpoint) -> dict[str, Any]:
    return {
        "id": row.pk,
        "url": row.url,
        "events": row.events,
        "description": row.description,
        "active": row.disabled_at is None,
        "disabled_at": row.disabled_at,
        "disabled_reason": row.disabled_reason or None,
        "failing_since": row.failing_since,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }


def _delivery(row: WebhookDelivery) -> dict[str, Any]:
    is_coming = row.state == WebhookDelivery.State.WAITING and row.endpoint.disabled_at is None
    return {
        "id": row.pk,
        "event_id": row.event_id,
        "type": row.type,
        "state": row.state,
        "attempts": row.attempts,
        "next_at": row.next_at if is_coming else None,
        "delivered_at": row.delivered_at,
        "created_at": row.created_at,
    }


def _attempt(row: WebhookAttempt) -> dict[str, Any]:
    return {
        "number": row.number,
        "at": row.at,
        "status": row.status,
        "error": row.error or None,
        "took_ms": row.took_ms,
    }
