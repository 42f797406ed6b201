"""A host gives money back of one's own will."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import override
from ninja import Router
from ninja.responses import Status
from pydantic import Field

from api import booking_types, languages
from api.idempotency import idempotent
from api.payments import PaymentOut, payment_payload, whole
from api.problems import responses
from api.types import In, MoneyAmount, MoneyOut, Out, Text
from backend.core.errors import Invalid, NotAllowed, NotFound
from backend.core.money import Money, MoneyError
from backend.payments import refund_requests
from backend.payments.refunds import RefundTooLarge

router = Router(tags=["Payments"])


class RefundIn(In):
    """How much, in the booking's currency, and why; the guest is told the amount, the reason is kept."""

    amount: MoneyAmount
    reason: Annotated[str, Text(500, min=1, lines=True)]


class GiftOut(Out):
    """What the host gives back. It is under way: ``refunds`` say how far."""

    id: int
    booking_id: int
    amount: MoneyOut
    currency: str
    borne_by: Annotated[Literal["host", "platform", "shared"], Field(examples=["host"])]
    reason: Annotated[str, Field(examples=["The shower was cold."])]
    created_at: datetime
    refunds: list[PaymentOut]


@router.post(
    "/bookings/{int:booking_id}/refund/",
    response=responses(GiftOut, NotFound, NotAllowed, RefundTooLarge, status=201),
    summary="Give the guest money back",
)
@idempotent
def give(request: HttpRequest, booking_id: int, body: RefundIn) -> Any:
    """For the host of the stay, beside what the policy says, out of the host's own part; as long as there is money of
    the guest's."""
    booking = booking_types.visible(request, booking_id)
    try:
        amount = Money.from_major(body.amount, booking.currency)
    except MoneyError:
        raise Invalid.field("amount", "too_precise", _("The amount is finer than its currency.")) from None
    gift = refund_requests.give(
        actor=request.auth,  # type: ignore[attr-defined]
        folio=booking.folio,
        amount_minor=amount.minor,
        reason=body.reason,
        now=timezone.now(),
    )
    with override(languages.code(request)):
        found = [payment_payload(refund) for refund in whole().filter(refund_request=gift).order_by("id")]
    return Status(
        201,
        {
            "id": gift.pk,
            "booking_id": booking.pk,
            "amount": amount.number(),
            "currency": gift.currency,
            "borne_by": gift.bearer,
            "reason": gift.reason,
            "created_at": gift.created_at,
            "refunds": found,
        },
    )
