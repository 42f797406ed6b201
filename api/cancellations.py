"""Cancellation: which policies there are, what one would mean for dates at a place, and for a booking."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import override
from ninja import Query, Router
from pydantic import Field

from api import booking_types, languages, timelines
from api.auth import optional_bearer
from api.conditional import etag_response
from api.pagination import Page, whole
from api.problems import responses
from api.quotes import Guests, shower, stay_of
from api.rendering import dumps
from api.timelines import CancellationOut
from api.types import DateIn, Out, Params
from backend.availability.services import DatesUnavailable, NotAvailable, Preparation
from backend.bookings import policies, policy_versions, quotes
from backend.bookings import services as bookings
from backend.bookings.policies import LONG_STAY, LONG_STAY_NIGHTS, Keep, Policy
from backend.core.errors import NotFound
from backend.listings.models import Listing

router = Router(tags=["Cancellation"])


class KeepOut(Out):
    """What the host keeps: whole nights, in the order of the stay, and a share of those after them."""

    nights: Annotated[int, Field(examples=[1])]
    percent: Annotated[int | float, Field(description="10 = 10 %", examples=[50])]


class CutoffOut(Out):
    """Holds up to the check-in hour so many days before check-in; ``keep`` null: everything goes back."""

    days_before: Annotated[int, Field(examples=[5])]
    keep: Annotated[KeepOut | None, Field(examples=[None])]


class GraceOut(Out):
    """Everything goes back for so many hours after a confirmation at least so many days before check-in."""

    hours: Annotated[int, Field(examples=[24])]
    days_before: Annotated[int, Field(examples=[7])]


class PolicyOut(Out):
    """A policy as it is offered now; bookings keep the version that they were made with."""

    code: Annotated[str, Field(examples=["moderate"])]
    version: Annotated[int, Field(examples=[1])]
    min_nights: Annotated[
        int,
        Field(description="The shortest stay that follows it, whatever the listing's own is.", examples=[1]),
    ]
    sentence: Annotated[
        str, Field(description="In the language of the request.", examples=["Everything back until 5 days …"])
    ]
    tiers: list[CutoffOut]
    late: Annotated[KeepOut | None, Field(description="From the last cut-off to check-in.", examples=[None])]
    stay: Annotated[
        KeepOut | None, Field(description="During the stay, after the nights stayed.", examples=[None])
    ]
    grace: Annotated[GraceOut | None, Field(examples=[None])]


class StayQuery(Params):
    check_in: DateIn
    check_out: DateIn
    guests: Guests = 1
    pets: Annotated[int, Field(ge=0, le=20)] = 0


@router.get(
    "/cancellation-policies/",
    auth=optional_bearer,
    response=responses(Page[PolicyOut]),
    summary="Cancellation policies",
)
def list_policies(request: HttpRequest) -> HttpResponse:
    """Every policy in force, the kindest first; stays of 28 nights and more follow ``long_stay``."""
    found = policy_versions.in_force(timezone.now())
    with override(languages.code(request)):
        body = dumps(whole([_policy(policy) for policy in found.values()]))
    return etag_response(request, [body.decode()], body)


@router.get(
    "/properties/{int:property_id}/cancellation/",
    auth=optional_bearer,
    response=responses(CancellationOut, NotFound, NotAvailable, DatesUnavailable, Preparation),
    summary="What canceling a stay would give back",
)
def at_property(request: HttpRequest, property_id: int, params: Query[StayQuery]) -> HttpResponse:
    """For dates that can be booked, as if they were booked and paid now."""
    actor, now = request.auth, timezone.now().replace(microsecond=0)  # type: ignore[attr-defined]
    listing = Listing.objects.known_to(actor).filter(pk=property_id).first()
    if listing is None:
        raise NotFound
    stay = stay_of(params.check_in, params.check_out)
    quote = quotes.make(listing=listing, stay=stay, guests=params.guests, pets=params.pets, now=now)
    terms = quote.terms()
    with override(languages.code(request)):
        payload = timelines.payload(
            terms,
            now=policies.decide(terms, now),
            timeline=policies.timeline(terms, now),
            currency=listing.currency,
            show=shower(listing.currency),
        )
    return etag_response(request, payload, payload)


@router.get(
    "/bookings/{int:booking_id}/cancellation/",
    response=responses(CancellationOut, NotFound),
    summary="What canceling would give back",
)
def of_booking(request: HttpRequest, booking_id: int) -> HttpResponse:
    """If the caller canceled: the guest under the policy; for the host everything goes back, and ``penalty`` is what
    it costs."""
    booking = booking_types.visible(request, booking_id)
    viewer, show = request.auth, shower(booking.currency)  # type: ignore[attr-defined]
    preview = bookings.preview(
        booking,
        paid_minor=booking.detail.held_minor,
        now=timezone.now(),
        side=bookings.side_of(viewer, booking),
    )
    with override(languages.code(request)):
        payload = timelines.payload(
            preview.terms,
            now=preview.now,
            timeline=preview.timeline,
            currency=booking.currency,
            show=show,
            penalty=preview.penalty,
            is_done=preview.is_done,
        )
    return etag_response(request, payload, payload)


def _policy(policy: Policy) -> dict[str, Any]:
    return {
        "code": policy.code,
        "version": policy.version,
        "min_nights": LONG_STAY_NIGHTS if policy.code == LONG_STAY else 1,
        "sentence": timelines.describe(policy),
        "tiers": [{"days_before": tier.days_before, "keep": _keep(tier.keep)} for tier in policy.tiers],
        "late": _keep(policy.late),
        "stay": _keep(policy.stay),
        "grace": None
        if policy.grace is None
        else {"hours": policy.grace.hours, "days_before": policy.grace.days_before},
    }


def _keep(keep: Keep | None) -> dict[str, Any] | None:
    return None if keep is None else {"nights": keep.nights, "percent": timelines.number(keep.percent)}
