"""Bookings: make one, see it, pay for it, answer it, cancel it."""

from __future__ import annotations

from datetime import time
from typing import Annotated, Any, Literal

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, override
from ninja import Query, Router
from ninja.responses import Status
from pydantic import Field

from api import languages, throttling
from api.booking_types import BookingOut, BookingStatus, Pets, booking_payload, payload, shown, version_of
from api.conditional import etag, etag_response
from api.idempotency import idempotent
from api.pagination import Page, PageQuery, page
from api.problems import responses
from api.quotes import (
    Guests,
    quote_payload,
    stay_of,
)
from api.types import DateIn, Id, In, MoneyAmount, Out, Text
from backend.availability.services import DatesUnavailable, NotAvailable, Preparation
from backend.bookings import guests, inquiries, promotions, quotes
from backend.bookings import services as bookings
from backend.bookings.guests import Companion
from backend.bookings.models import Booking, BookingQuerySet
from backend.bookings.services import Wish
from backend.core.errors import Invalid, NotAllowed, NotFound, Stale, WrongState
from backend.payments.providers.registry import NoProvider, ProviderUnknown
from backend.payments.services import AlreadyPaid, PaymentInProgress

router = Router(tags=["Bookings"])

Reason = Annotated[str, Text(500, lines=True)]


class BookingIn(In):
    property_id: Id
    check_in: DateIn
    check_out: DateIn
    guests: Guests | None = None
    pets: Pets | None = None
    quote_token: Annotated[str, Text(20_000)] | None = None
    expected_total_price: Annotated[
        MoneyAmount | None, Field(description="In the listing's currency; another price is answered by 409.")
    ] = None
    message: Annotated[str, Text(2000, lines=True)] | None = None
    promo_code: Annotated[str, Text(40)] | None = None
    inquiry_id: Annotated[
        Id | None,
        Field(description="One's own inquiry that the host has said yes to: booked as it was answered."),
    ] = None


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


class CompanionIn(In):
    name: Annotated[str, Text(100, min=1)]
    is_child: bool | None = None
    age: Annotated[int | None, Field(ge=0, le=120)] = None


class GuestListIn(In):
    """Who stays, at most as many as the booking is for."""

    guests: Annotated[list[CompanionIn], Field(max_length=100)]
    arrival_time: Annotated[
        time | None, Field(description="When the guest expects to arrive, on the listing's clock.")
    ] = None
    arrival_note: Annotated[str, Text(1000, lines=True)] | None = None


class ReasonIn(In):
    reason: Reason | None = None


class PayIn(In):
    provider: Annotated[str, Text(40)] | None = None
    outcome: (
        Annotated[str, Text(40), Field(description="For the sandbox: succeed, decline, pending or timeout.")]
        | None
    ) = None
    phone: (
        Annotated[
            str,
            Text(20),
            Field(
                description="For M-Pesa: the phone that pays; without it the guest's own, once it is verified."
            ),
        ]
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
        *promotions.REFUSALS,
        NotAvailable,
        Preparation,
        inquiries.InvalidInquiry,
        inquiries.OfferExpired,
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
        pets=body.pets,
        inquiry_id=body.inquiry_id,
    )
    try:
        with throttling.guessing(request, body.promo_code):
            booking = bookings.create(guest=request.auth, wish=wish, now=timezone.now())  # type: ignore[attr-defined]
    except quotes.PriceChanged as changed:
        with override(languages.code(request)):
            changed.extra["quote"] = quote_payload(changed.quote, request.auth)  # type: ignore[attr-defined]
        raise
    return Status(201, payload(request, booking))


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
    found = shown(request, booking_id)
    return etag_response(request, etag(found), found)


@router.delete(
    "/bookings/{int:booking_id}/",
    response=responses(BookingOut, NotFound, NotAllowed, WrongState, Stale),
    summary="Cancel a booking",
)
def cancel(request: HttpRequest, booking_id: int, body: ReasonIn | None = None) -> Any:
    """Answers with the canceled booking; ``refund_amount`` is on its way back to the guest."""
    bookings.cancel(
        actor=request.auth,  # type: ignore[attr-defined]
        booking_id=booking_id,
        now=timezone.now(),
        reason=_reason(body),
        version=version_of(request, booking_id),
    )
    return shown(request, booking_id)


@router.post(
    "/bookings/{int:booking_id}/accept/",
    response=responses(BookingOut, NotFound, NotAllowed, WrongState),
    summary="Accept a request",
)
def accept(request: HttpRequest, booking_id: int) -> Any:
    """What the guest has set aside is captured; without it the booking waits for the payment."""
    bookings.accept(actor=request.auth, booking_id=booking_id, now=timezone.now())  # type: ignore[attr-defined]
    return shown(request, booking_id)


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
    return shown(request, booking_id)


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
        NoProvider,
        also={202: PayOut},
    ),
    summary="Pay for a booking",
)
@idempotent
def pay(request: HttpRequest, booking_id: int, body: PayIn | None = None) -> Any:
    """200 when the amount is taken (or set aside until the host answers), 202 while the outcome is open.

    Asked again while the guest has not finished, it gives the same ``client_secret`` or ``approval_url``; with another
    ``provider`` the first payment is withdrawn where that is possible.
    """
    body = body or PayIn()
    paid = bookings.pay(
        actor=request.auth,  # type: ignore[attr-defined]
        booking_id=booking_id,
        provider=body.provider or "",
        options={name: given for name, given in (("outcome", body.outcome), ("phone", body.phone)) if given},
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


@router.put(
    "/bookings/{int:booking_id}/guest-list/",
    response=responses(BookingOut, NotFound, NotAllowed, WrongState, Stale),
    summary="Say who comes along and when",
)
def tell_guests(request: HttpRequest, booking_id: int, body: GuestListIn) -> Any:
    """For the guest until check-out; the host sees it. What is left out of the arrival stays as it is, null clears it."""
    arrival = body.model_dump(include={"arrival_time", "arrival_note"}, exclude_unset=True)
    guests.tell(
        actor=request.auth,  # type: ignore[attr-defined]
        booking_id=booking_id,
        companions=[Companion(one.name, bool(one.is_child), one.age) for one in body.guests],
        arrival=arrival,
        now=timezone.now(),
        version=version_of(request, booking_id),
    )
    return shown(request, booking_id)


def _reason(body: ReasonIn | None) -> str:
    return (body.reason if body else None) or ""
