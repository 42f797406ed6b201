"""Bookings: make one, see it, pay for it, answer it, cancel it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, override
from ninja import Query, Router
from ninja.responses import Status
from pydantic import Field

from api import languages, timelines
from api.conditional import etag, etag_response, require_match
from api.idempotency import idempotent
from api.pagination import Page, PageQuery, page
from api.problems import responses
from api.quotes import (
    Guests,
    LineOut,
    line_payload,
    quote_payload,
    shower,
    stay_of,
)
from api.timelines import CancellationOut
from api.types import DateIn, Id, In, MoneyAmount, MoneyOut, Out, Text
from backend.availability.services import DatesUnavailable, NotAvailable, Preparation
from backend.bookings import quotes
from backend.bookings import services as bookings
from backend.bookings.models import Booking, BookingQuerySet
from backend.bookings.services import Wish
from backend.core.errors import Invalid, NotAllowed, NotFound, Stale, WrongState
from backend.payments.providers.registry import ProviderUnknown
from backend.payments.services import AlreadyPaid, PaymentInProgress

router = Router(tags=["Bookings"])

BookingStatus = Literal["pending", "confirmed", "canceled", "completed", "declined", "expired"]
Reason = Annotated[str, Text(500, lines=True)]


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
    status: BookingStatus
    pending_reason: Annotated[Literal["host", "payment"] | None, Field(examples=[None])]
    canceled_by: Annotated[Literal["guest", "host", "platform"] | None, Field(examples=[None])]
    total_price: MoneyOut
    currency: str
    price_breakdown: list[LineOut]
    refund_amount: Annotated[MoneyOut | None, Field(examples=[None])]
    host_payout: Annotated[MoneyOut | None, Field(description="For the host only.", examples=[None])]
    expires_at: Annotated[datetime | None, Field(examples=[None])]
    payment_status: Annotated[str, Field(description="unpaid, or a payment's status", examples=["completed"])]
    cancellation: CancellationOut
    conversation_id: Annotated[int | None, Field(examples=[None])]
    message: Annotated[str, Field(examples=["We arrive around eight."])]
    timeline: list[StepOut]
    created_at: datetime
    updated_at: datetime


class BookingIn(In):
    property_id: Id
    check_in: DateIn
    check_out: DateIn
    guests: Guests | None = None
    quote_token: Annotated[str, Text(20_000)] | None = None
    expected_total_price: Annotated[
        MoneyAmount | None, Field(description="In the listing's currency; another price is answered by 409.")
    ] = None
    message: Annotated[str, Text(2000, lines=True)] | None = None
    promo_code: Annotated[str, Text(40)] | None = None


class BookingQuery(PageQuery):
    """What the list of bookings takes."""

    as_: Annotated[
        Literal["guest", "host"], Field(alias="as", description="One's own stays, or those at one's places.")
    ] = "guest"
    status: BookingStatus | None = None
    from_: Annotated[
        DateIn | None, Field(alias="from", description="Stays with a night on or after this date.")
    ] = None
    to: Annotated[DateIn | None, Field(description="Stays with a night before this date.")] = None
    property_id: Id | None = None


class ReasonIn(In):
    reason: Reason | None = None


class PayIn(In):
    provider: Annotated[str, Text(40)] | None = None
    outcome: (
        Annotated[str, Text(40), Field(description="For the sandbox: succeed, decline, pending or timeout.")]
        | None
    ) = None


class PayOut(Out):
    """A payment after the first answer of its provider, and what the guest's client needs to go on."""

    status: Annotated[
        Literal["pending", "completed", "refunded", "partially_refunded"], Field(examples=["completed"])
    ]
    payment_id: int
    client_secret: Annotated[str | None, Field(examples=[None])] = None
    approval_url: Annotated[str | None, Field(examples=[None])] = None
    message: Annotated[str | None, Field(examples=[None])] = None


@router.post(
    "/bookings/",
    response=responses(
        BookingOut,
        bookings.OwnListing,
        NotFound,
        DatesUnavailable,
        quotes.PriceChanged,
        quotes.QuoteExpired,
        quotes.InvalidQuote,
        quotes.InvalidPromoCode,
        NotAvailable,
        Preparation,
        bookings.TooManyHolds,
        status=201,
    ),
    summary="Book a stay",
)
@idempotent
def create(request: HttpRequest, body: BookingIn) -> Any:
    """The nights are held until ``expires_at``: for the payment, or for the host's answer."""
    wish = Wish(
        listing_id=body.property_id,
        stay=stay_of(body.check_in, body.check_out),
        guests=body.guests,
        quote_token=body.quote_token,
        expected_total=body.expected_total_price,
        message=body.message or "",
        promo_code=body.promo_code or "",
    )
    try:
        booking = bookings.create(guest=request.auth, wish=wish, now=timezone.now())  # type: ignore[attr-defined]
    except quotes.PriceChanged as changed:
        with override(languages.code(request)):
            changed.extra["quote"] = quote_payload(changed.quote, request.auth)  # type: ignore[attr-defined]
        raise
    return Status(201, _payload(request, booking))


@router.get("/bookings/", response=responses(Page[BookingOut]), summary="List bookings, newest first")
def list_bookings(request: HttpRequest, params: Query[BookingQuery]) -> Any:
    """One's own as guest; with ``as=host`` those at one's places."""
    if params.from_ and params.to and params.to <= params.from_:
        raise Invalid.field("to", "invalid_range", gettext_lazy("The end must come after the beginning."))
    actor = request.auth  # type: ignore[attr-defined]
    everyone = Booking.objects.all()
    mine: BookingQuerySet = everyone.as_host(actor) if params.as_ == "host" else everyone.as_guest(actor)
    if params.status:
        mine = mine.filter(status=params.status)
    if params.from_:
        mine = mine.filter(check_out__gt=params.from_)
    if params.to:
        mine = mine.filter(check_in__lt=params.to)
    if params.property_id:
        mine = mine.filter(listing_id=params.property_id)
    now = timezone.now()
    with override(languages.code(request)):
        return page(request, mine.detailed(), params, lambda row: booking_payload(row, actor, now))


@router.get("/bookings/{int:booking_id}/", response=responses(BookingOut, NotFound), summary="See a booking")
def read(request: HttpRequest, booking_id: int) -> HttpResponse:
    """For its guest, its host and staff; with its timeline."""
    payload = _shown(request, booking_id)
    return etag_response(request, etag(payload), payload)


@router.delete(
    "/bookings/{int:booking_id}/",
    response=responses(BookingOut, NotFound, NotAllowed, WrongState, Stale),
    summary="Cancel a booking",
)
def cancel(request: HttpRequest, booking_id: int, body: ReasonIn | None = None) -> Any:
    """Answers with the canceled booking; ``refund_amount`` is on its way back to the guest."""
    version = None
    if request.headers.get("If-Match"):
        booking = _booking(request, booking_id)
        require_match(request, etag(_payload(request, booking)))
        version = booking.version
    bookings.cancel(
        actor=request.auth,  # type: ignore[attr-defined]
        booking_id=booking_id,
        now=timezone.now(),
        reason=_reason(body),
        version=version,
    )
    return _shown(request, booking_id)


@router.get(
    "/bookings/{int:booking_id}/cancellation/",
    response=responses(CancellationOut, NotFound),
    summary="What canceling would give back",
)
def cancellation(request: HttpRequest, booking_id: int) -> HttpResponse:
    """For the guest. When the host or the platform cancels, everything is given back."""
    payload = _shown(request, booking_id)["cancellation"]
    return etag_response(request, etag(payload), payload)


@router.post(
    "/bookings/{int:booking_id}/accept/",
    response=responses(BookingOut, NotFound, NotAllowed, WrongState),
    summary="Accept a request",
)
def accept(request: HttpRequest, booking_id: int) -> Any:
    """What the guest has set aside is captured; without it the booking waits for the payment."""
    bookings.accept(actor=request.auth, booking_id=booking_id, now=timezone.now())  # type: ignore[attr-defined]
    return _shown(request, booking_id)


@router.post(
    "/bookings/{int:booking_id}/decline/",
    response=responses(BookingOut, NotFound, NotAllowed, WrongState),
    summary="Decline a request",
)
def decline(request: HttpRequest, booking_id: int, body: ReasonIn | None = None) -> Any:
    """The nights are free again, and nothing is charged."""
    bookings.decline(
        actor=request.auth,  # type: ignore[attr-defined]
        booking_id=booking_id,
        now=timezone.now(),
        reason=_reason(body),
    )
    return _shown(request, booking_id)


@router.post(
    "/bookings/{int:booking_id}/pay/",
    response=responses(
        PayOut,
        402,
        NotFound,
        NotAllowed,
        WrongState,
        AlreadyPaid,
        PaymentInProgress,
        ProviderUnknown,
        also={202: PayOut},
    ),
    summary="Pay for a booking",
)
@idempotent
def pay(request: HttpRequest, booking_id: int, body: PayIn | None = None) -> Any:
    """200 when the amount is taken (or set aside until the host answers), 202 while the outcome is open."""
    body = body or PayIn()
    paid = bookings.pay(
        actor=request.auth,  # type: ignore[attr-defined]
        booking_id=booking_id,
        provider=body.provider or "",
        options={"outcome": body.outcome} if body.outcome else {},
        now=timezone.now(),
    )
    done = paid.payment.status != "pending"
    with override(languages.code(request)):
        message = None
        if paid.is_authorized:
            message = _("The amount is set aside. It is taken when the host accepts.")
        elif not done:
            message = _("The payment is being processed.")
    answer = {
        "status": paid.payment.status,
        "payment_id": paid.payment.pk,
        "client_secret": paid.client.get("client_secret"),
        "approval_url": paid.client.get("approval_url"),
        "message": paid.client.get("message") or message,
    }
    return Status(200 if done or paid.is_authorized else 202, answer)


def _reason(body: ReasonIn | None) -> str:
    return (body.reason if body else None) or ""


def _booking(request: HttpRequest, booking_id: int) -> Booking:
    visible = Booking.objects.visible_to(request.auth).detailed()  # type: ignore[attr-defined]
    booking = visible.filter(pk=booking_id).first()
    if booking is None:
        raise NotFound
    return booking


def _shown(request: HttpRequest, booking_id: int) -> dict[str, Any]:
    return _payload(request, _booking(request, booking_id))


def _payload(request: HttpRequest, booking: Booking) -> dict[str, Any]:
    with override(languages.code(request)):
        return booking_payload(booking, request.auth, timezone.now())  # type: ignore[attr-defined]


def booking_payload(booking: Booking, viewer: Any, now: datetime) -> dict[str, Any]:
    """The booking as the wire shows it to ``viewer``, in the active language. For one of ``detailed()``: reads nothing."""
    show = shower(booking.currency)
    preview = bookings.preview(booking, paid_minor=bookings.taken_minor(booking.detail.payments), now=now)
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
        "status": booking.status,
        "pending_reason": booking.pending_reason or None,
        "canceled_by": booking.canceled_by or None,
        "total_price": show(booking.total_minor),
        "currency": booking.currency,
        "price_breakdown": [
            line_payload(line, show, line.unit_minor, line.amount_minor) for line in booking.detail.lines
        ],
        "refund_amount": None if booking.refund_minor is None else show(booking.refund_minor),
        "host_payout": show(booking.host_payout_minor) if booking.host_id == viewer.pk else None,
        "expires_at": booking.expires_at,
        "payment_status": bookings.status_of(booking.detail.payments),
        "cancellation": timelines.payload(
            preview.terms, now=preview.now, timeline=preview.timeline, currency=booking.currency, show=show
        ),
        "conversation_id": None,
        "message": booking.message,
        "timeline": [
            {"at": step.at, "event": step.event, "by": step.by, "text": _sentence(step.event, step.reason)}
            for step in booking.detail.steps
        ],
        "created_at": booking.created_at,
        "updated_at": booking.updated_at,
    }


SENTENCES = {
    "held": gettext_lazy("The nights are held until the payment."),
    "requested": gettext_lazy("The guest asked to stay."),
    "authorized": gettext_lazy("The amount is set aside."),
    "accepted": gettext_lazy("The host accepted."),
    "declined": gettext_lazy("The host declined."),
    "confirmed": gettext_lazy("Paid and confirmed."),
    "payment_failed": gettext_lazy("A payment was refused."),
    "held_on": gettext_lazy("The nights are held longer, while a payment is cleared up."),
    "late_payment": gettext_lazy("A payment came too late and goes back."),
    "expired": gettext_lazy("The time ran out; the nights are free again."),
    "canceled": gettext_lazy("The booking was canceled."),
    "refunded": gettext_lazy("The money is on its way back to the guest."),
    "refund_failed": gettext_lazy("The provider could not give the money back; our staff look into it."),
    "completed": gettext_lazy("The stay is completed."),
}
"""The timeline's sentence of every event."""

TOLD = ("declined", "canceled")
"""The events whose reason was written by a person for the other side."""


def _sentence(event: str, reason: str) -> str:
    sentence = str(SENTENCES[event])
    return f"{sentence} {reason}" if reason and event in TOLD else sentence
