"""A booking as the wire shows it: its schema, and how one is made of what was read."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import override
from pydantic import Field

from api import languages, timelines
from api.conditional import etag, require_match
from api.quotes import LineOut, line_payload, shower
from api.timelines import CancellationOut, Show
from api.types import MoneyOut, Out
from backend.bookings import services as bookings
from backend.bookings.models import Alteration, Booking
from backend.bookings.step_sentences import OF_STEPS
from backend.core.errors import NotFound
from backend.core.money import Money
from backend.payments import folios
from backend.payments.models import Folio

BookingStatus = Literal["pending", "confirmed", "canceled", "completed", "declined", "expired"]


Pets = Annotated[int, Field(ge=0, le=20)]


class PartyOut(Out):
    """A party of a booking, as the other one sees them."""

    id: int
    first_name: str


class StepOut(Out):
    """A step of the booking, with its sentence in the reader's language."""

    at: datetime
    event: Annotated[str, Field(examples=["confirmed"])]
    by: Annotated[str, Field(description="guest, host or platform", examples=["guest"])]
    text: Annotated[str, Field(examples=["Paid and confirmed."])]


class AmountOut(Out):
    """An amount and its currency."""

    amount: Annotated[MoneyOut, Field(examples=[26526])]
    currency: Annotated[str, Field(examples=["JPY"])]


class AlterationOut(Out):
    """A change that one side asks for. It counts once it is accepted and, where it costs more, the difference is paid."""

    id: int
    status: Literal["proposed", "accepted", "declined", "withdrawn", "expired"]
    proposed_by: Annotated[str, Field(description="guest or host", examples=["guest"])]
    check_in: date
    check_out: date
    guests: int
    pets: Annotated[int, Field(examples=[0])]
    price_difference: Annotated[
        MoneyOut, Field(description="What the guest pays more; below zero: less.", examples=[75.5])
    ]
    refund_amount: Annotated[
        MoneyOut,
        Field(description="What of a lower price comes back under the booking's policy.", examples=[0]),
    ]
    total_price: Annotated[MoneyOut, Field(description="The booking's total once this counts.")]
    amount_due: Annotated[
        MoneyOut, Field(description="To be paid through `pay` before it counts.", examples=[75.5])
    ]
    currency: str
    charged_due: Annotated[
        AmountOut | None,
        Field(
            description="`amount_due` in the currency that the guest pays in, where that is another.",
            examples=[None],
        ),
    ] = None
    reason: Annotated[str, Field(examples=["We would like to stay a day longer."])]
    expires_at: datetime
    created_at: datetime
    in_force_at: Annotated[datetime | None, Field(examples=[None])]


class CompanionOut(Out):
    """Somebody who comes along."""

    name: Annotated[str, Field(examples=["Ana Silva"])]
    is_child: Annotated[bool, Field(examples=[False])]
    age: Annotated[int | None, Field(examples=[None])]


class BookingChargeOut(Out):
    """What the guest pays in another currency than the stay's, at the rate that the quote promised."""

    amount: Annotated[MoneyOut, Field(description="What `total_price` comes to.", examples=[53052])]
    currency: Annotated[str, Field(examples=["JPY"])]
    exchange_rate: Annotated[
        float,
        Field(description="How much of it one unit of the booking's currency costs.", examples=[175.68]),
    ]
    rate_date: Annotated[date, Field(examples=["2026-10-30"])]
    source: Annotated[str, Field(description="Who said the rate.", examples=["European Central Bank"])]


class BookingOut(Out):
    """A guest's agreement about one stay."""

    id: int
    reference: str
    property: Annotated[str, Field(description="The title.", examples=["Flat over the river"])]
    property_id: int
    guest: PartyOut
    host: PartyOut
    check_in: date
    check_out: date
    nights: int
    guests: int
    pets: Annotated[int, Field(examples=[0])]
    status: BookingStatus
    pending_reason: Annotated[Literal["host", "payment"] | None, Field(examples=[None])]
    canceled_by: Annotated[Literal["guest", "host", "platform"] | None, Field(examples=[None])]
    total_price: MoneyOut
    currency: str
    charged: Annotated[
        BookingChargeOut | None, Field(description="Null where `currency` is charged.", examples=[None])
    ] = None
    price_breakdown: list[LineOut]
    refund_amount: Annotated[MoneyOut | None, Field(examples=[None])]
    host_payout: Annotated[MoneyOut | None, Field(description="For the host only.", examples=[None])]
    expires_at: Annotated[datetime | None, Field(examples=[None])]
    payment_status: Annotated[str, Field(description="unpaid, or a payment's status", examples=["completed"])]
    cancellation: CancellationOut
    conversation_id: Annotated[
        int | None, Field(description="Where guest and host write to each other.", examples=[12])
    ]
    message: Annotated[str, Field(examples=["We arrive around eight."])]
    guest_list: list[CompanionOut]
    arrival_time: Annotated[
        str | None,
        Field(description="When the guest expects to arrive, on the listing's clock.", examples=["16:30"]),
    ]
    arrival_note: Annotated[str, Field(examples=["We come by train."])]
    alteration: Annotated[AlterationOut | None, Field(description="The newest one.")]
    timeline: list[StepOut]
    created_at: datetime
    updated_at: datetime


def visible(request: HttpRequest, booking_id: int) -> Booking:
    """The booking with its detail, when the caller may know of it. Raises: NotFound."""
    mine = Booking.objects.visible_to(request.auth).detailed()  # type: ignore[attr-defined]
    booking = mine.filter(pk=booking_id).first()
    if booking is None:
        raise NotFound
    return booking


def shown(request: HttpRequest, booking_id: int) -> dict[str, Any]:
    """As ``payload``, of the booking as it is now. Raises: NotFound."""
    return payload(request, visible(request, booking_id))


def payload(request: HttpRequest, booking: Booking) -> dict[str, Any]:
    """The booking as the wire shows it to the caller, in their language."""
    with override(languages.code(request)):
        return booking_payload(booking, request.auth, timezone.now())  # type: ignore[attr-defined]


def version_of(request: HttpRequest, booking_id: int) -> int | None:
    """The version of the booking that ``If-Match`` speaks of. Raises: NotFound, Stale."""
    if not request.headers.get("If-Match"):
        return None
    booking = visible(request, booking_id)
    require_match(request, etag(payload(request, booking)))
    return booking.version


def booking_payload(booking: Booking, viewer: Any, now: datetime) -> dict[str, Any]:
    """The booking as the wire shows it to ``viewer``, in the active language. For one of ``detailed()``: reads nothing."""
    show = shower(booking.currency)
    preview = bookings.preview(booking, paid_minor=booking.detail.held_minor, now=now)
    return {
        "id": booking.pk,
        "reference": booking.reference,
        "property": booking.listing.title,
        "property_id": booking.listing_id,
        "guest": {"id": booking.guest_id, "first_name": booking.guest.first_name},
        "host": {"id": booking.host_id, "first_name": booking.host.first_name},
        "check_in": booking.check_in,
        "check_out": booking.check_out,
        "nights": booking.stay.nights,
        "guests": booking.guests,
        "pets": booking.pets,
        "status": booking.status,
        "pending_reason": booking.pending_reason or None,
        "canceled_by": booking.canceled_by or None,
        "total_price": show(booking.total_minor),
        "currency": booking.currency,
        "charged": _charged(booking.folio, booking.total_minor),
        "price_breakdown": [
            line_payload(line, show, line.unit_minor, line.amount_minor) for line in booking.detail.lines
        ],
        "refund_amount": None if booking.refund_minor is None else show(booking.refund_minor),
        "host_payout": show(booking.host_payout_minor) if booking.host_id == viewer.pk else None,
        "expires_at": booking.expires_at,
        "payment_status": bookings.status_of(booking.detail.payments),
        "cancellation": timelines.payload(
            preview.terms,
            now=preview.now,
            timeline=preview.timeline,
            currency=booking.currency,
            show=show,
            is_done=preview.is_done,
        ),
        "conversation_id": booking.conversation_id,
        "message": booking.message,
        "guest_list": [
            {"name": one["name"], "is_child": one["is_child"], "age": one["age"]}
            for one in booking.guest_list
        ],
        "arrival_time": _clock(booking.arrival_time),
        "arrival_note": booking.arrival_note,
        "alteration": _alteration(booking, show),
        "timeline": [
            {"at": step.at, "event": step.event, "by": step.by, "text": _sentence(step.event, step.reason)}
            for step in booking.detail.steps
        ],
        "created_at": booking.created_at,
        "updated_at": booking.updated_at,
    }


def _charged(folio: Folio, total_minor: int) -> dict[str, Any] | None:
    if folio.charge_rate is None:
        return None
    return {
        "amount": Money(folios.charged_minor(folio, total_minor), folio.charge_currency).number(),
        "currency": folio.charge_currency,
        "exchange_rate": float(folio.charge_rate),
        "rate_date": folio.charge_rate_on,
        "source": folio.charge_rate_source,
    }


def _clock(at: time | None) -> str | None:
    return None if at is None else at.isoformat("minutes")


def _due(booking: Booking, alteration: Alteration) -> dict[str, Any] | None:
    folio = booking.folio
    if folio.charge_rate is None:
        return None
    due = folios.next_charge(folio, alteration.difference_minor, folio.payments.all())
    return {"amount": Money(due, folio.charge_currency).number(), "currency": folio.charge_currency}


def _alteration(booking: Booking, show: Show) -> dict[str, Any] | None:
    alteration = booking.detail.alteration
    if alteration is None:
        return None
    unpaid = alteration.status == "accepted" and alteration.settled_at is None
    return {
        "id": alteration.pk,
        "status": alteration.status,
        "proposed_by": alteration.proposed_by,
        "check_in": alteration.check_in,
        "check_out": alteration.check_out,
        "guests": alteration.guests,
        "pets": alteration.pets,
        "price_difference": show(alteration.difference_minor),
        "refund_amount": show(alteration.refund_minor),
        "total_price": show(alteration.total_minor),
        "amount_due": show(alteration.difference_minor if unpaid else 0),
        "currency": booking.currency,
        "charged_due": _due(booking, alteration) if unpaid else None,
        "reason": alteration.reason,
        "expires_at": alteration.expires_at,
        "created_at": alteration.created_at,
        "in_force_at": alteration.settled_at,
    }


TOLD = ("declined", "canceled", "alteration_proposed", "alteration_declined")
"""The events whose reason was written by a person for the other side."""


def _sentence(event: str, reason: str) -> str:
    sentence = str(OF_STEPS[event])
    return f"{sentence} {reason}" if reason and event in TOLD else sentence
