"""Disputes of payments for stays at one's places, to look at: they are answered by the platform."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from django.db.models import F
from django.http import HttpRequest, HttpResponse
from ninja import Path, Query, Router
from pydantic import Field

from api.conditional import etag_response
from api.pagination import Page, PageQuery, page
from api.problems import responses
from api.types import Id, MoneyOut, Out
from backend.core.errors import NotFound
from backend.core.money import Money
from backend.payments.models import Dispute

router = Router(tags=["Payments"])

Status = Literal["needs_response", "under_review", "won", "lost"]


class DisputeOut(Out):
    """A guest's bank asks for a payment back. Payouts for the stay wait while it is open."""

    id: Id
    booking_id: int | None
    payment_id: Id
    amount: Annotated[MoneyOut, Field(description="In the currency that the guest was charged.")]
    currency: str
    status: Annotated[Status, Field(examples=["needs_response"])]
    reason: Annotated[str, Field(description="In the provider's word.", examples=["fraudulent"])]
    opened_at: datetime
    evidence_due_at: Annotated[datetime | None, Field(examples=[None])]
    closed_at: Annotated[datetime | None, Field(examples=[None])]


class DisputeQuery(PageQuery):
    """What the list of disputes takes."""

    status: Annotated[Status | None, Field(description="Only those in this state.")] = None
    booking_id: Annotated[Id | None, Field(description="Only those of this booking.")] = None


@router.get("/disputes/", response=responses(Page[DisputeOut]), summary="List disputes, newest first")
def list_disputes(request: HttpRequest, params: Query[DisputeQuery]) -> dict[str, Any]:
    """Of payments for stays at the caller's places."""
    found = _of_host(request)
    if params.status is not None:
        found = found.filter(status=params.status)
    if params.booking_id is not None:
        found = found.filter(payment__folio__booking__id=params.booking_id)
    return page(request, found, params, _payload)


@router.get("/disputes/{int:dispute_id}/", response=responses(DisputeOut, NotFound), summary="A dispute")
def get_dispute(request: HttpRequest, dispute_id: Path[Id]) -> HttpResponse:
    """For the host of the stay."""
    dispute = _of_host(request).filter(pk=dispute_id).first()
    if dispute is None:
        raise NotFound
    payload = _payload(dispute)
    return etag_response(request, payload, payload)


def _of_host(request: HttpRequest) -> Any:
    rows = Dispute.objects.filter(payment__folio__host_id=request.user.pk)
    return rows.annotate(booking_id=F("payment__folio__booking__id"))


def _payload(dispute: Any) -> dict[str, Any]:
    return {
        "id": dispute.pk,
        "booking_id": dispute.booking_id,
        "payment_id": dispute.payment_id,
        "amount": Money(dispute.amount_minor, dispute.currency).number(),
        "currency": dispute.currency,
        "status": dispute.status,
        "reason": dispute.reason,
        "opened_at": dispute.opened_at,
        "evidence_due_at": dispute.evidence_due_at,
        "closed_at": dispute.closed_at,
    }
