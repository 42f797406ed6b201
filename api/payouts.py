"""What one is paid as a host."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from django.db.models import F, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from ninja import Path, Query, Router
from pydantic import Field

from api.conditional import etag_response
from api.pagination import Page, PageQuery, page
from api.problems import responses
from api.types import Id, MoneyOut, Out
from backend.core.errors import NotFound
from backend.core.money import Money
from backend.payments.models import Payout, PayoutHold
from backend.payments.states import PayoutStatus

router = Router(tags=["Payouts"])

Status = Literal["scheduled", "on_hold", "sent", "paid", "failed", "reversed"]
Reason = Literal[
    "no_account",
    "account_restricted",
    "account_changed",
    "new_host",
    "below_minimum",
    "dispute",
    "staff",
]


class PayoutOut(Out):
    """What the caller gets for a stay, or for a period of a long one (``part``).

    Until it is sent, ``amount`` is in the stay's currency; after that it is what the account got, in its own.
    ``gross_amount`` and ``netted_amount`` are in ``stay_currency``: the caller's share, and what was taken from it for
    debts of other stays.
    """

    id: Id
    booking_id: int | None
    reference: Annotated[str, Field(examples=["T-7K3M9Q2X"])]
    part: Annotated[int, Field(examples=[1])]
    amount: MoneyOut
    currency: str
    status: Annotated[Status, Field(examples=["on_hold"])]
    hold_reason: Annotated[Reason | None, Field(examples=["no_account"])]
    due_at: datetime
    sent_at: datetime | None
    paid_at: datetime | None
    created_at: datetime
    gross_amount: MoneyOut
    netted_amount: Annotated[MoneyOut, Field(examples=[0])]
    stay_currency: Annotated[str, Field(examples=["EUR"])]
    exchange_rate: Annotated[float | None, Field(examples=[None])]
    payout_account_id: int | None
    failure_code: Annotated[str | None, Field(examples=[None])]


class PayoutQuery(PageQuery):
    """What the list of payouts takes."""

    status: Annotated[Status | None, Field(description="Only those in this state.")] = None
    booking_id: Annotated[Id | None, Field(description="Only those of this booking.")] = None


@router.get("/payouts/", response=responses(Page[PayoutOut]), summary="List one's payouts, newest first")
def list_payouts(request: HttpRequest, params: Query[PayoutQuery]) -> dict[str, Any]:
    """What the caller is paid as a host, or as somebody who shares what a listing earns."""
    found = _whole().filter(receiver_id=request.auth.pk)  # type: ignore[attr-defined]
    if params.status is not None:
        found = found.filter(status=params.status)
    if params.booking_id is not None:
        found = found.filter(folio__booking__id=params.booking_id)
    return page(request, found, params, payout_payload)


@router.get("/payouts/{int:payout_id}/", response=responses(PayoutOut, NotFound), summary="A payout")
def get_payout(request: HttpRequest, payout_id: Path[Id]) -> HttpResponse:
    """For its receiver."""
    payout = _whole().filter(receiver_id=request.auth.pk, pk=payout_id).first()  # type: ignore[attr-defined]
    if payout is None:
        raise NotFound
    payload = payout_payload(payout)
    return etag_response(request, payload, payload)


def payout_payload(payout: Any) -> dict[str, Any]:
    """A payout as it goes over the wire. It carries its ``booking_id`` and ``held_by``."""
    is_sent = payout.sent_at is not None
    amount = (
        Money(payout.paid_minor, payout.paid_currency)
        if is_sent
        else Money(payout.amount_minor, payout.currency)
    )
    return {
        "id": payout.pk,
        "booking_id": payout.booking_id,
        "reference": payout.reference,
        "part": payout.part,
        "amount": amount.number(),
        "currency": amount.currency,
        "status": payout.status,
        "hold_reason": payout.held_by if payout.status == PayoutStatus.ON_HOLD else None,
        "due_at": payout.due_at,
        "sent_at": payout.sent_at,
        "paid_at": payout.paid_at,
        "created_at": payout.created_at,
        "gross_amount": Money(payout.gross_minor, payout.currency).number(),
        "netted_amount": Money(payout.netted_minor, payout.currency).number(),
        "stay_currency": payout.currency,
        "exchange_rate": float(payout.rate) if is_sent and payout.rate is not None else None,
        "payout_account_id": payout.account_id if is_sent else None,
        "failure_code": payout.failure_code or None,
    }


def _whole() -> QuerySet[Any]:
    """Payouts with the booking that they are for and what has held them longest."""
    oldest = PayoutHold.objects.filter(payout=OuterRef("pk"), released_at=None).order_by("id")
    return Payout.objects.annotate(
        booking_id=F("folio__booking__id"), held_by=Subquery(oldest.values("reason")[:1])
    )
