"""Changing a confirmed stay: ask for it, propose it, answer it."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import override
from ninja import Router
from ninja.responses import Status
from pydantic import Field

from api import languages
from api.booking_types import BookingOut, Pets, shown, version_of, visible
from api.bookings import Reason, ReasonIn
from api.idempotency import idempotent
from api.lines import LineOut, line_payload, shower
from api.problems import responses
from api.quotes import Guests
from api.types import DateIn, In, MoneyAmount, MoneyOut, Out
from backend.availability.services import DatesUnavailable, NotAvailable, Preparation
from backend.bookings import alterations
from backend.bookings import services as bookings
from backend.bookings.alterations import AlterationOpen, Change, NothingChanges, TooManyChanges
from backend.bookings.quotes import PriceOutOfRange
from backend.bookings.repricing import TotalTooLow
from backend.core.errors import NotAllowed, NotFound, Stale, WrongState

router = Router(tags=["Bookings"])


class ChangeIn(In):
    """What is to be different; what is left out or null stays as it is."""

    check_in: DateIn | None = None
    check_out: DateIn | None = None
    guests: Guests | None = None
    pets: Pets | None = None
    reason: Annotated[Reason | None, Field(description="Shown to the other side.")] = None


class ProposalIn(ChangeIn):
    total_price: Annotated[
        MoneyAmount | None,
        Field(
            description="What the guest pays in all, in the booking's currency; without it today's prices count."
        ),
    ] = None


class ChangePreviewOut(Out):
    """What a change would come to now. Nothing is held."""

    check_in: date
    check_out: date
    nights: int
    guests: int
    pets: Annotated[int, Field(examples=[0])]
    lines: list[LineOut]
    total_price: Annotated[MoneyOut, Field(examples=[475.5])]
    price_difference: Annotated[
        MoneyOut, Field(description="What the guest would pay more; below zero: less.", examples=[75.5])
    ]
    refund_amount: Annotated[
        MoneyOut, Field(description="What of a lower price would come back.", examples=[0])
    ]
    host_keeps: Annotated[
        MoneyOut, Field(description="What of a lower price would stay with the host.", examples=[0])
    ]
    currency: str
    asks_host: Annotated[bool, Field(description="Whether the host must say yes first.", examples=[False])]


_REFUSED = (NotFound, NotAllowed, WrongState, DatesUnavailable, Preparation)


@router.patch(
    "/bookings/{int:booking_id}/",
    response=responses(
        BookingOut,
        *_REFUSED,
        AlterationOpen,
        TooManyChanges,
        NothingChanges,
        NotAvailable,
        PriceOutOfRange,
        Stale,
    ),
    summary="Ask for a change of a booking",
)
def ask(request: HttpRequest, booking_id: int, body: ChangeIn) -> Any:
    """For the guest of a confirmed stay. Nights in both stays keep their price, new ones have today's.

    ``alteration`` says what became of it: ``proposed`` while the host is asked, ``accepted`` at once where the listing
    books instantly. What costs more counts when ``amount_due`` is paid; what costs less is given back as far as the
    booking's policy says now.
    """
    alterations.ask(
        actor=request.auth,  # type: ignore[attr-defined]
        booking_id=booking_id,
        change=_change(body),
        now=timezone.now(),
        version=version_of(request, booking_id),
    )
    return shown(request, booking_id)


@router.post(
    "/bookings/{int:booking_id}/alteration/",
    response=responses(
        BookingOut,
        *_REFUSED,
        AlterationOpen,
        TooManyChanges,
        NothingChanges,
        TotalTooLow,
        PriceOutOfRange,
        Stale,
        status=201,
    ),
    summary="Propose a change to the guest",
)
@idempotent
def propose(request: HttpRequest, booking_id: int, body: ProposalIn) -> Any:
    """For the host. The guest answers; a lower price comes back whole."""
    alterations.propose(
        actor=request.auth,  # type: ignore[attr-defined]
        booking_id=booking_id,
        change=_change(body),
        now=timezone.now(),
        version=version_of(request, booking_id),
    )
    return Status(201, shown(request, booking_id))


@router.post(
    "/bookings/{int:booking_id}/alteration/preview/",
    response=responses(
        ChangePreviewOut, *_REFUSED, NothingChanges, NotAvailable, TotalTooLow, PriceOutOfRange
    ),
    summary="See what a change would cost",
)
def preview(request: HttpRequest, booking_id: int, body: ProposalIn) -> Any:
    """What the guest would ask for, or the host propose, priced as of now; nothing is written.

    ``total_price`` is the host's to name.
    """
    if body.total_price is not None and not _is_host(request, booking_id):
        raise NotAllowed
    terms = alterations.preview(
        actor=request.auth,  # type: ignore[attr-defined]
        booking_id=booking_id,
        change=_change(body),
        now=timezone.now(),
    )
    cost = terms.cost
    show = shower(cost.price.currency)
    with override(languages.code(request)):
        lines = [line_payload(line, show, line.unit_minor, line.amount_minor) for line in cost.price.lines]
    return {
        "check_in": terms.stay.check_in,
        "check_out": terms.stay.check_out,
        "nights": terms.stay.nights,
        "guests": terms.guests,
        "pets": terms.pets,
        "lines": lines,
        "total_price": show(cost.total),
        "price_difference": show(cost.difference),
        "refund_amount": show(cost.refund),
        "host_keeps": show(max(0, -cost.difference) - cost.refund),
        "currency": cost.price.currency,
        "asks_host": terms.asks_host,
    }


@router.post(
    "/bookings/{int:booking_id}/alteration/accept/",
    response=responses(BookingOut, *_REFUSED),
    summary="Accept a change",
)
@idempotent
def accept(request: HttpRequest, booking_id: int) -> Any:
    """For the other side than the one that proposed it. Where it costs more it counts when the difference is paid."""
    alterations.accept(actor=request.auth, booking_id=booking_id, now=timezone.now())  # type: ignore[attr-defined]
    return shown(request, booking_id)


@router.post(
    "/bookings/{int:booking_id}/alteration/decline/",
    response=responses(BookingOut, NotFound, NotAllowed, WrongState),
    summary="Decline a change",
)
def decline(request: HttpRequest, booking_id: int, body: ReasonIn | None = None) -> Any:
    """For the other side than the one that proposed it. The stay is as it was agreed."""
    alterations.decline(
        actor=request.auth,  # type: ignore[attr-defined]
        booking_id=booking_id,
        now=timezone.now(),
        reason=(body.reason if body else None) or "",
    )
    return shown(request, booking_id)


@router.post(
    "/bookings/{int:booking_id}/alteration/withdraw/",
    response=responses(BookingOut, NotFound, NotAllowed, WrongState),
    summary="Withdraw a change",
)
def withdraw(request: HttpRequest, booking_id: int) -> Any:
    """For whoever proposed it, and for the guest who does not want to pay an accepted one."""
    alterations.withdraw(actor=request.auth, booking_id=booking_id, now=timezone.now())  # type: ignore[attr-defined]
    return shown(request, booking_id)


def _is_host(request: HttpRequest, booking_id: int) -> bool:
    """Raises: NotFound."""
    return bookings.side_of(request.auth, visible(request, booking_id)) == "host"  # type: ignore[attr-defined]


def _change(body: ChangeIn) -> Change:
    return Change(
        check_in=body.check_in,
        check_out=body.check_out,
        guests=body.guests,
        pets=body.pets,
        total=getattr(body, "total_price", None),
        reason=body.reason or "",
    )
