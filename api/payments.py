"""One's own payments and refunds, and the webhooks of payment providers."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Annotated, Any, Literal

from django.db.models import F, OuterRef, Prefetch, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy, override
from ninja import Path, Query, Router
from pydantic import Field

from api import languages
from api.conditional import etag_response
from api.ground import raw_body
from api.pagination import Page, PageQuery, page
from api.problems import responses
from api.types import DateIn, Id, MoneyOut, Out, Text
from backend.core.errors import Invalid, NotFound
from backend.core.money import Money
from backend.payments import failures, inbox
from backend.payments.models import MoneyOp, Payment

router = Router(tags=["Payments"])

Kind = Literal["payment", "refund"]
Status = Literal["pending", "completed", "failed", "refunded", "partially_refunded"]


class MovedOut(Out):
    """What the provider really moved, where that is another currency."""

    amount: MoneyOut
    currency: Annotated[str, Field(examples=["KES"])]


class FailureOut(Out):
    """Why it failed: a stable word, and a sentence in the reader's language."""

    code: Annotated[str, Field(examples=["card_declined"])]
    message: Annotated[str, Field(examples=["The card was declined."])]


class AttemptOut(Out):
    """One movement that the provider was asked for."""

    kind: Annotated[Literal["authorize", "charge", "capture", "void", "refund"], Field(examples=["charge"])]
    state: Annotated[
        Literal["created", "sending", "succeeded", "failed", "unknown"],
        Field(description="`unknown`: the provider has not said yet what became of it."),
    ]
    attempts: Annotated[int, Field(description="How often the provider was asked.", examples=[1])]
    created_at: datetime
    updated_at: datetime
    failure: Annotated[FailureOut | None, Field(examples=[None])]


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
    charged: Annotated[
        MovedOut | None, Field(description="Null where `currency` itself was moved.", examples=[None])
    ]
    failure: Annotated[FailureOut | None, Field(description="Of one that failed: why.", examples=[None])]
    parent_id: Annotated[int | None, Field(description="The payment that a refund is of.", examples=[None])]
    created_at: datetime
    completed_at: datetime | None


class PaymentWholeOut(PaymentOut):
    """With all that was asked of the provider, and what was given back, oldest first."""

    history: list[AttemptOut]
    refunds: list[PaymentOut]


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
    provider: Annotated[str, Text(40), Field(description="Only those by this provider.")] | None = None
    from_: Annotated[DateIn | None, Field(alias="from", description="Made on or after this date (UTC).")] = (
        None
    )
    to: Annotated[DateIn | None, Field(description="Made before this date (UTC).")] = None


class Receipt(Out):
    """The webhook is kept. ``duplicate``: it was known already."""

    received: bool
    duplicate: bool


@router.get(
    "/payments/", response=responses(Page[PaymentWholeOut]), summary="List one's payments, newest first"
)
def list_payments(request: HttpRequest, params: Query[PaymentQuery]) -> dict[str, Any]:
    """What the caller has paid and got back; with ``as=host`` what guests have paid for stays with the caller."""
    if params.from_ and params.to and params.to <= params.from_:
        raise Invalid.field("to", "invalid_range", gettext_lazy("The end must come after the beginning."))
    found = _with_history()
    found = found.as_host(request.user) if params.side == "host" else found.as_guest(request.user)
    if params.status is not None:
        found = found.filter(status=params.status)
    if params.kind is not None:
        found = found.filter(kind=params.kind)
    if params.booking_id is not None:
        found = found.filter(folio__booking__id=params.booking_id)
    if params.provider is not None:
        found = found.filter(provider=params.provider)
    if params.from_ is not None:
        found = found.filter(created_at__gte=datetime.combine(params.from_, time(), UTC))
    if params.to is not None:
        found = found.filter(created_at__lt=datetime.combine(params.to, time(), UTC))
    with override(languages.code(request)):
        return page(request, found, params, _whole_payload)


@router.get("/payments/{int:payment_id}/", response=responses(PaymentWholeOut, NotFound), summary="A payment")
def get_payment(request: HttpRequest, payment_id: Path[Id]) -> HttpResponse:
    """For the guest who paid it and the host of the stay; with what was asked of the provider and what came back."""
    payment = _with_history().visible_to(request.user).filter(pk=payment_id).first()
    if payment is None:
        raise NotFound
    with override(languages.code(request)):
        payload = _whole_payload(payment)
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


@router.post(
    "/webhooks/{provider}/{token}/{key}/",
    auth=None,
    response=responses(Receipt, inbox.ForgedWebhook, inbox.ProviderNotConfigured),
    summary="Take a callback of a payment provider that signs nothing",
)
@raw_body
def receive_callback(request: HttpRequest, provider: str, token: str, key: str) -> dict[str, bool]:
    """For M-Pesa, which calls back at an address of its own for each request: the token in it stands for a signature."""
    headers = {**request.headers, ":path": request.path}
    is_new = inbox.receive(provider=provider, body=request.body, headers=headers, now=timezone.now())
    return {"received": True, "duplicate": not is_new}


def payment_payload(payment: Any) -> dict[str, Any]:
    """A payment as it goes over the wire, in the active language. ``payment`` is one of ``whole()``."""
    moved = Money(payment.charged_minor, payment.charged_currency)
    elsewhere = moved.currency != payment.currency
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
        "charged": {"amount": moved.number(), "currency": moved.currency} if elsewhere else None,
        "failure": _failure(payment.error_code) if payment.status == Payment.Status.FAILED else None,
        "parent_id": payment.parent_id,
        "created_at": payment.created_at,
        "completed_at": payment.completed_at,
    }


def whole() -> Any:
    """Payments with the booking that they belong to, and why they failed; bookings stand above payments, so only a door
    may look there."""
    errors = MoneyOp.objects.filter(payment=OuterRef("pk")).exclude(error_code="").order_by("-created_at")
    payments: QuerySet[Payment] = Payment.objects.annotate(
        booking_id=F("folio__booking__id"), error_code=Subquery(errors.values("error_code")[:1])
    )
    return payments


def _with_history() -> Any:
    """As ``whole``, with the operations and the refunds of each: a fixed number of queries."""
    return whole().prefetch_related(
        Prefetch("ops", MoneyOp.objects.order_by("created_at")), Prefetch("refunds", whole().order_by("id"))
    )


def _whole_payload(payment: Any) -> dict[str, Any]:
    return {
        **payment_payload(payment),
        "history": [_attempt(op) for op in payment.ops.all()],
        "refunds": [payment_payload(refund) for refund in payment.refunds.all()],
    }


def _attempt(op: MoneyOp) -> dict[str, Any]:
    return {
        "kind": op.kind,
        "state": op.state,
        "attempts": op.attempts,
        "created_at": op.created_at,
        "updated_at": op.updated_at,
        "failure": _failure(op.error_code) if op.error_code else None,
    }


def _failure(code: str | None) -> dict[str, str]:
    return {"code": code or "failed", "message": failures.words(code or "")}
