"""One's own payments and refunds, and the webhooks of payment providers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Path, Query, Router
from pydantic import Field

from api.conditional import etag_response
from api.ground import raw_body
from api.pagination import Page, PageQuery, page
from api.problems import responses
from api.types import Id, MoneyOut, Out
from backend.core.errors import NotFound
from backend.core.money import Money
from backend.payments import inbox
from backend.payments.models import Payment

router = Router(tags=["Payments"])

Kind = Literal["payment", "refund"]
Status = Literal["pending", "completed", "failed", "refunded", "partially_refunded"]


class PaymentOut(Out):
    """Money that a guest paid for a stay, or got back (``kind`` refund). ``refunded_amount`` is what came back of it."""

    id: Id
    booking_id: int | None
    reference: Annotated[str, Field(examples=["P-7K3M9Q2X"])]
    provider: Annotated[str, Field(examples=["sandbox"])]
    kind: Kind
    amount: MoneyOut
    currency: str
    status: Annotated[Status, Field(examples=["completed"])]
    refunded_amount: Annotated[MoneyOut, Field(examples=[0])]
    created_at: datetime
    completed_at: datetime | None


class PaymentQuery(PageQuery):
    """What the list of payments takes."""

    side: Annotated[
        Literal["guest", "host"],
        Field(
            alias="as", description="What one has paid oneself, or what was paid for stays at one's places."
        ),
    ] = "guest"
    status: Annotated[Status | None, Field(description="Only those in this state.")] = None
    kind: Annotated[Kind | None, Field(description="Only payments, or only refunds.")] = None
    booking_id: Annotated[Id | None, Field(description="Only those of this booking.")] = None


class Receipt(Out):
    """The webhook is kept. ``duplicate``: it was known already."""

    received: bool
    duplicate: bool


@router.get("/payments/", response=responses(Page[PaymentOut]), summary="List one's payments, newest first")
def list_payments(request: HttpRequest, params: Query[PaymentQuery]) -> dict[str, Any]:
    """What the caller has paid and got back; with ``as=host`` what guests have paid for stays with the caller."""
    found = _whole()
    found = found.as_host(request.user) if params.side == "host" else found.as_guest(request.user)
    if params.status is not None:
        found = found.filter(status=params.status)
    if params.kind is not None:
        found = found.filter(kind=params.kind)
    if params.booking_id is not None:
        found = found.filter(folio__booking__id=params.booking_id)
    return page(request, found, params, payment_payload)


@router.get("/payments/{int:payment_id}/", response=responses(PaymentOut, NotFound), summary="A payment")
def get_payment(request: HttpRequest, payment_id: Path[Id]) -> HttpResponse:
    """For the guest who paid it and the host of the stay."""
    payment = _whole().visible_to(request.user).filter(pk=payment_id).first()
    if payment is None:
        raise NotFound
    payload = payment_payload(payment)
    return etag_response(request, payload, payload)


@router.post(
    "/webhooks/{provider}/",
    auth=None,
    response=responses(Receipt, inbox.ForgedWebhook, inbox.ProviderNotConfigured),
    summary="Take a payment provider's webhook",
)
@raw_body
def receive_webhook(request: HttpRequest, provider: str) -> dict[str, bool]:
    """For providers: the raw body with the provider's signature. Kept once per event and applied by a job."""
    is_new = inbox.receive(
        provider=provider, body=request.body, headers=dict(request.headers), now=timezone.now()
    )
    return {"received": True, "duplicate": not is_new}


def payment_payload(payment: Any) -> dict[str, Any]:
    """A payment as it goes over the wire. ``payment`` carries its ``booking_id``."""
    return {
        "id": payment.pk,
        "booking_id": payment.booking_id,
        "reference": payment.reference,
        "provider": payment.provider,
        "kind": payment.kind,
        "amount": Money(payment.amount_minor, payment.currency).number(),
        "currency": payment.currency,
        "status": payment.status,
        "refunded_amount": Money(payment.refunded_minor, payment.currency).number(),
        "created_at": payment.created_at,
        "completed_at": payment.completed_at,
    }


def _whole() -> Any:
    """Payments with the booking that they belong to; bookings stand above payments, so only a door may look there."""
    payments: QuerySet[Payment] = Payment.objects.annotate(booking_id=F("folio__booking__id"))
    return payments
