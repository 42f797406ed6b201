"""Inquiries: a guest asks about a stay, the host pre-approves it, makes an offer, or says no."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import override
from ninja import Query, Router
from ninja.responses import Status
from pydantic import Field

from api import languages
from api.booking_types import PartyOut, Pets
from api.conditional import etag, etag_response, require_match
from api.idempotency import idempotent
from api.pagination import Page, PageQuery, page
from api.problems import responses
from api.quotes import Guests, LineOut, line_payload, shower, stay_of
from api.types import DateIn, Id, In, MoneyAmount, MoneyOut, Out, Text
from backend.availability.services import DatesUnavailable, NotAvailable, Preparation
from backend.bookings import inquiries, pricing, snapshots
from backend.bookings.inquiries import InquiryOpen, Offer, TooManyInquiries
from backend.bookings.models import Inquiry
from backend.bookings.quotes import PriceOutOfRange
from backend.bookings.repricing import TotalTooLow
from backend.bookings.steps import OwnListing
from backend.core.errors import NotAllowed, NotFound, Stale, WrongState
from backend.core.stay import Stay

router = Router(tags=["Inquiries"])

InquiryStatus = Literal["open", "pre_approved", "offered", "declined", "withdrawn", "expired", "booked"]
Answer = Annotated[str, Text(2000, lines=True)]


class InquiryOut(Out):
    """A question about a stay, and the host's answer. Neither takes nights."""

    id: int
    property: Annotated[str, Field(description="The title.", examples=["Flat over the river"])]
    property_id: int
    guest: PartyOut
    host: PartyOut
    check_in: date
    check_out: date
    nights: int
    guests: int
    pets: Annotated[int, Field(examples=[0])]
    status: InquiryStatus
    message: Annotated[str, Field(examples=["Is there room for a piano?"])]
    answer: Annotated[str, Field(examples=["There is. Come!"])]
    total_price: Annotated[
        MoneyOut | None, Field(description="What a special offer comes to in all.", examples=[350])
    ]
    currency: str
    price_breakdown: Annotated[
        list[LineOut], Field(description="The lines of a special offer, as in a quote.")
    ]
    booking_id: Annotated[int | None, Field(examples=[None])]
    expires_at: Annotated[
        datetime, Field(description="Until when it can be answered, and an answer can be booked.")
    ]
    answered_at: Annotated[datetime | None, Field(examples=[None])]
    created_at: datetime
    updated_at: datetime


class InquiryIn(In):
    property_id: Id
    check_in: DateIn
    check_out: DateIn
    guests: Guests | None = None
    pets: Pets | None = None
    message: Annotated[str, Text(2000, min=1, lines=True)]


class InquiryAnswerIn(In):
    answer: Answer | None = None


class OfferIn(In):
    """What is left out stays as it was asked for."""

    total_price: Annotated[
        MoneyAmount, Field(description="What the guest pays in all, in the listing's currency.")
    ]
    check_in: DateIn | None = None
    check_out: DateIn | None = None
    guests: Guests | None = None
    pets: Pets | None = None
    answer: Answer | None = None


class InquiryQuery(PageQuery):
    """What the list of inquiries takes."""

    as_: Annotated[
        Literal["guest", "host"], Field(alias="as", description="One's own, or those about one's places.")
    ] = "guest"
    status: InquiryStatus | None = None
    property_id: Id | None = None


_ANSWERING = (NotFound, NotAllowed, WrongState, Stale)
_ROOM = (DatesUnavailable, Preparation, NotAvailable)


@router.post(
    "/inquiries/",
    response=responses(InquiryOut, NotFound, OwnListing, InquiryOpen, TooManyInquiries, *_ROOM, status=201),
    summary="Ask about a stay",
)
@idempotent
def ask(request: HttpRequest, body: InquiryIn) -> Any:
    """The stay must be bookable now; the nights are not held. One open inquiry a guest and property."""
    inquiry = inquiries.ask(
        guest=request.auth,  # type: ignore[attr-defined]
        listing_id=body.property_id,
        stay=stay_of(body.check_in, body.check_out),
        guests=body.guests or 1,
        pets=body.pets or 0,
        message=body.message,
        now=timezone.now(),
    )
    return Status(201, _shown(request, inquiry.pk))


@router.get("/inquiries/", response=responses(Page[InquiryOut]), summary="List inquiries, newest first")
def list_inquiries(request: HttpRequest, params: Query[InquiryQuery]) -> Any:
    """One's own as guest; with ``as=host`` those about one's places."""
    actor = request.auth  # type: ignore[attr-defined]
    mine = _whole().as_host(actor) if params.as_ == "host" else _whole().filter(guest=actor)
    if params.status:
        mine = mine.filter(status=params.status)
    if params.property_id:
        mine = mine.filter(listing_id=params.property_id)
    with override(languages.code(request)):
        return page(request, mine, params, inquiry_payload)


@router.get(
    "/inquiries/{int:inquiry_id}/", response=responses(InquiryOut, NotFound), summary="See an inquiry"
)
def read(request: HttpRequest, inquiry_id: int) -> HttpResponse:
    """For its guest, its host and staff."""
    found = _shown(request, inquiry_id)
    return etag_response(request, etag(found), found)


@router.post(
    "/inquiries/{int:inquiry_id}/pre-approve/",
    response=responses(InquiryOut, *_ANSWERING, *_ROOM),
    summary="Pre-approve an inquiry",
)
def pre_approve(request: HttpRequest, inquiry_id: int, body: InquiryAnswerIn | None = None) -> Any:
    """For the host: the guest may book with ``inquiry_id`` for 24 hours, never past check-in, without asking again."""
    inquiries.pre_approve(
        actor=request.auth,  # type: ignore[attr-defined]
        inquiry_id=inquiry_id,
        answer=(body.answer if body else None) or "",
        now=timezone.now(),
        version=_version(request, inquiry_id),
    )
    return _shown(request, inquiry_id)


@router.post(
    "/inquiries/{int:inquiry_id}/special-offer/",
    response=responses(InquiryOut, *_ANSWERING, *_ROOM, TotalTooLow, PriceOutOfRange),
    summary="Make a special offer",
)
def special_offer(request: HttpRequest, inquiry_id: int, body: OfferIn) -> Any:
    """For the host: a total of their own, also for other dates or guests. Stands 24 hours, never past check-in."""
    inquiries.special_offer(
        actor=request.auth,  # type: ignore[attr-defined]
        inquiry_id=inquiry_id,
        offer=Offer(body.total_price, body.check_in, body.check_out, body.guests, body.pets),
        answer=body.answer or "",
        now=timezone.now(),
        version=_version(request, inquiry_id),
    )
    return _shown(request, inquiry_id)


@router.post(
    "/inquiries/{int:inquiry_id}/decline/",
    response=responses(InquiryOut, *_ANSWERING),
    summary="Decline an inquiry",
)
def decline(request: HttpRequest, inquiry_id: int, body: InquiryAnswerIn | None = None) -> Any:
    """For the host, also after a yes that was not booked yet."""
    inquiries.decline(
        actor=request.auth,  # type: ignore[attr-defined]
        inquiry_id=inquiry_id,
        answer=(body.answer if body else None) or "",
        now=timezone.now(),
        version=_version(request, inquiry_id),
    )
    return _shown(request, inquiry_id)


@router.post(
    "/inquiries/{int:inquiry_id}/withdraw/",
    response=responses(InquiryOut, *_ANSWERING),
    summary="Withdraw an inquiry",
)
def withdraw(request: HttpRequest, inquiry_id: int) -> Any:
    """For the guest."""
    inquiries.withdraw(
        actor=request.auth,  # type: ignore[attr-defined]
        inquiry_id=inquiry_id,
        now=timezone.now(),
        version=_version(request, inquiry_id),
    )
    return _shown(request, inquiry_id)


def _whole() -> Any:
    return Inquiry.objects.select_related("listing", "guest", "host")


def _found(request: HttpRequest, inquiry_id: int) -> Inquiry:
    """Raises: NotFound."""
    mine = Inquiry.objects.visible_to(request.auth).select_related("listing", "guest", "host")  # type: ignore[attr-defined]
    inquiry = mine.filter(pk=inquiry_id).first()
    if inquiry is None:
        raise NotFound
    return inquiry


def _shown(request: HttpRequest, inquiry_id: int) -> dict[str, Any]:
    with override(languages.code(request)):
        return inquiry_payload(_found(request, inquiry_id))


def _version(request: HttpRequest, inquiry_id: int) -> datetime | None:
    """The version that ``If-Match`` speaks of. Raises: NotFound, Stale."""
    if not request.headers.get("If-Match"):
        return None
    inquiry = _found(request, inquiry_id)
    with override(languages.code(request)):
        require_match(request, etag(inquiry_payload(inquiry)))
    return inquiry.updated_at


def inquiry_payload(inquiry: Inquiry) -> dict[str, Any]:
    """The inquiry as the wire shows it, in the active language. Reads nothing where its parties and listing are there."""
    show, stay = shower(inquiry.currency), Stay(inquiry.check_in, inquiry.check_out)
    lines: tuple[pricing.Line, ...] = ()
    if inquiry.total_minor is not None:
        lines = pricing.price(snapshots.load(inquiry.terms["priced"], stay)).lines
    return {
        "id": inquiry.pk,
        "property": inquiry.listing.title,
        "property_id": inquiry.listing_id,
        "guest": {"id": inquiry.guest_id, "first_name": inquiry.guest.first_name},
        "host": {"id": inquiry.host_id, "first_name": inquiry.host.first_name},
        "check_in": inquiry.check_in,
        "check_out": inquiry.check_out,
        "nights": stay.nights,
        "guests": inquiry.guests,
        "pets": inquiry.pets,
        "status": inquiry.status,
        "message": inquiry.message,
        "answer": inquiry.answer,
        "total_price": None if inquiry.total_minor is None else show(inquiry.total_minor),
        "currency": inquiry.currency,
        "price_breakdown": [line_payload(line, show, line.unit_minor, line.amount_minor) for line in lines],
        "booking_id": inquiry.booking_id,
        "expires_at": inquiry.expires_at,
        "answered_at": inquiry.answered_at,
        "created_at": inquiry.created_at,
        "updated_at": inquiry.updated_at,
    }
