"""Asking a host about a stay before booking it.

An inquiry takes no nights, and neither does the answer: a pre-approval lets the guest book without asking again, a
special offer at a price that the host names besides. Whoever books the nights first has them. Until it is booked the
host may answer anew, the guest may withdraw.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import User
from backend.audit import services as audit
from backend.availability import rules as calendar_rules
from backend.availability import services as availability
from backend.availability.rules import NO_RULE, Refusal, StayRefused
from backend.bookings import inquiry_notices, policy_versions, quotes, repricing, snapshots, sweeping
from backend.bookings.altering import price_of
from backend.bookings.clock import instant
from backend.bookings.models import Booking, Inquiry, InquiryStatus
from backend.bookings.quotes import Quote
from backend.bookings.states import BookingStatus
from backend.bookings.steps import OwnListing
from backend.core import access, idempotency, platform
from backend.core.access import SYSTEM
from backend.core.db import lock, retrying
from backend.core.errors import Conflict, Invalid, NotFound, Stale, Throttled, WrongState
from backend.core.stay import MAX_NIGHTS, Stay
from backend.identity import budgets
from backend.listings.cohosts import BOOKINGS, stands_in
from backend.listings.models import Listing
from backend.messaging import blocking

OFFER_HOLDS = timedelta(hours=24)
"""How long a pre-approval or a special offer stands; never past the check-in."""

ANSWERED = (InquiryStatus.PRE_APPROVED, InquiryStatus.OFFERED)
WAITING = (InquiryStatus.OPEN, *ANSWERED)
"""What is not over: it can still be answered, withdrawn, and run out."""


class InquiryOpen(Conflict):
    """The guest has asked about this place already."""

    code = "inquiry_open"
    title = _("You have asked about this place already.")


class TooManyInquiries(Throttled):
    """The guest waits for too many answers."""

    code = "too_many_inquiries"
    title = _("You wait for many answers already.")


class OfferExpired(Conflict):
    """What the host answered does not stand any more, or was never a yes."""

    code = "offer_expired"
    title = _("The host's answer does not stand any more.")


class InvalidInquiry(Invalid):
    """The inquiry is not the guest's, or was about another stay."""

    code = "invalid_inquiry"
    title = _("This inquiry does not belong to this stay.")


@access.rule("inquiry.answer")
def may_answer(actor: Any, inquiry: Inquiry) -> bool:
    """The host who was asked, or who deals with bookings for them; nobody answers their own."""
    return inquiry.guest_id != actor.pk and stands_in(actor, inquiry.listing, BOOKINGS)


@access.rule("inquiry.withdraw")
def may_withdraw(actor: Any, inquiry: Inquiry) -> bool:
    """The guest who asked."""
    return bool(inquiry.guest_id == actor.pk)


@dataclass(frozen=True, slots=True)
class Offer:
    """What a host offers: ``total`` in major units of the listing's currency; None leaves the rest as it was asked for."""

    total: Decimal
    check_in: date | None = None
    check_out: date | None = None
    guests: int | None = None
    pets: int | None = None


@retrying
def ask(
    *, guest: User, listing_id: int, stay: Stay, guests: int, message: str, now: datetime, pets: int = 0
) -> Inquiry:
    """Ask the host of a listing about a stay that could be booked at ``now`` (UTC). It takes no nights.

    ``message`` is the guest's in their conversation, without contact data as there.
    Raises: NotFound, OwnListing, InquiryOpen, TooManyInquiries, NotAvailable, StayRefused, DatesUnavailable,
    Preparation, Blocked, FeatureOff, Throttled (the day's budget of conversations).
    """
    made = idempotency.made_before()
    if made is not None:
        return Inquiry.objects.get(pk=made, guest=guest)
    platform.require("inquiries")
    budgets.spend(budgets.CONVERSATIONS, guest, now=now)
    with transaction.atomic(durable=True):
        known = Listing.objects.known_to(guest).filter(pk=listing_id)
        if not known.exists():
            raise NotFound
        listing = lock(Listing.objects.select_related("host"), pk=listing_id)
        if listing.host_id == guest.pk:
            raise OwnListing
        if message:
            blocking.require_free_speech(guest.pk, listing.host_id)
        _require_another(guest, listing)
        availability.require_bookable(listing=listing, stay=stay, guests=guests, now=now)
        availability.require_free(listing=listing, stay=stay, now=now)
        inquiry = Inquiry.objects.create(
            listing=listing,
            guest=guest,
            host=listing.host,
            check_in=stay.check_in,
            check_out=stay.check_out,
            guests=guests,
            pets=pets,
            message=message,
            currency=listing.currency,
            expires_at=_check_in_at(listing, stay, now),
            created_at=now,
            updated_at=now,
        )
        idempotency.note(inquiry.pk)
        inquiry_notices.say(inquiry, "asked", now, sender=guest, words=message)
        audit.record(actor=guest, action="inquiry.ask", subject=inquiry, now=now)
        inquiry_notices.tell(inquiry, inquiry.host, "inquiry.received", now)
    return inquiry


@retrying
def pre_approve(
    *, actor: Any, inquiry_id: int, now: datetime, answer: str = "", version: datetime | None = None
) -> Inquiry:
    """Let the guest book what they asked for without asking again, for ``OFFER_HOLDS`` and never past check-in.

    Raises: NotFound, NotAllowed, Stale, WrongState (booked or over), NotAvailable, DatesUnavailable, Preparation.
    """
    with transaction.atomic(durable=True):
        inquiry = _held(actor, inquiry_id, "inquiry.answer", now, version)
        stay = _stay_of(inquiry)
        _require_room(inquiry.listing, stay, now)
        _move(
            inquiry,
            InquiryStatus.PRE_APPROVED,
            now,
            answer,
            terms={},
            total_minor=None,
            **_until(inquiry, now),
        )
        inquiry_notices.say(inquiry, "pre_approved", now, sender=actor, words=answer)
        audit.record(
            actor=actor, action="inquiry.pre_approve", subject=inquiry, now=now, in_stead_of=inquiry.host_id
        )
        inquiry_notices.tell(inquiry, inquiry.guest, "inquiry.pre_approved", now)
    return inquiry


@retrying
def special_offer(
    *,
    actor: Any,
    inquiry_id: int,
    offer: Offer,
    now: datetime,
    answer: str = "",
    version: datetime | None = None,
) -> Inquiry:
    """Offer the stay, or another one, at a total of the host's; for ``OFFER_HOLDS`` and never past check-in.

    The listing's rules do not bind its host; only the past, the most guests and taken nights do. Fees keep their
    amounts, taxes follow the offered price.
    Raises: NotFound, NotAllowed, Stale, WrongState, NotAvailable, StayRefused, DatesUnavailable, Preparation,
    TotalTooLow, Invalid (``too_precise``, ``not_positive``), PriceOutOfRange.
    """
    with transaction.atomic(durable=True):
        inquiry = _held(actor, inquiry_id, "inquiry.answer", now, version)
        listing = inquiry.listing
        stay = _offered_stay(inquiry, offer)
        guests = inquiry.guests if offer.guests is None else offer.guests
        pets = inquiry.pets if offer.pets is None else offer.pets
        _require_possible(listing, stay, guests, now)
        _require_room(listing, stay, now)
        days = availability.days(listing.pk, stay.check_in, stay.check_out)
        rates = quotes.rates_of([listing], now)[listing.pk]
        priced = quotes.priced_for(listing, days, stay, guests, rates, now=now, pets=pets)
        total = repricing.total_minor(offer.total, listing.currency)
        priced = repricing.to_total(priced, total)
        values = {
            "check_in": stay.check_in,
            "check_out": stay.check_out,
            "guests": guests,
            "pets": pets,
            "total_minor": total,
            "currency": listing.currency,
            "terms": {"priced": snapshots.dump(priced)},
        }
        for name, value in values.items():
            setattr(inquiry, name, value)
        _move(inquiry, InquiryStatus.OFFERED, now, answer, **values, **_until(inquiry, now))
        inquiry_notices.say(inquiry, "offered", now, sender=actor, words=answer)
        audit.record(
            actor=actor,
            action="inquiry.special_offer",
            subject=inquiry,
            now=now,
            after={"total_minor": total},
            in_stead_of=inquiry.host_id,
        )
        inquiry_notices.tell(inquiry, inquiry.guest, "inquiry.offered", now)
    return inquiry


@retrying
def decline(
    *, actor: Any, inquiry_id: int, now: datetime, answer: str = "", version: datetime | None = None
) -> Inquiry:
    """Say no, also after a yes that was not booked. Raises: NotFound, NotAllowed, Stale, WrongState."""
    with transaction.atomic(durable=True):
        inquiry = _held(actor, inquiry_id, "inquiry.answer", now, version)
        _move(inquiry, InquiryStatus.DECLINED, now, answer)
        inquiry_notices.say(inquiry, "declined", now, sender=actor, words=answer)
        audit.record(
            actor=actor, action="inquiry.decline", subject=inquiry, now=now, in_stead_of=inquiry.host_id
        )
        inquiry_notices.tell(inquiry, inquiry.guest, "inquiry.declined", now)
    return inquiry


@retrying
def withdraw(*, actor: Any, inquiry_id: int, now: datetime, version: datetime | None = None) -> Inquiry:
    """The guest asks no longer. Raises: NotFound, NotAllowed, Stale, WrongState."""
    with transaction.atomic(durable=True):
        inquiry = _held(actor, inquiry_id, "inquiry.withdraw", now, version)
        _move(inquiry, InquiryStatus.WITHDRAWN, now, inquiry.answer)
        inquiry_notices.say(inquiry, "withdrawn", now)
        audit.record(actor=actor, action="inquiry.withdraw", subject=inquiry, now=now)
        inquiry_notices.tell(inquiry, inquiry.host, "inquiry.withdrawn", now)
    return inquiry


def end_all(*, user: User, now: datetime) -> int:
    """Somebody leaves for good: what they asked is withdrawn, what they were asked is declined, and the others are told.

    Inside the caller's transaction, which is the erasure's. Answers how many there were.
    """
    waiting = Inquiry.objects.filter(status__in=WAITING).select_related("listing", "guest", "host")
    asked = list(waiting.filter(guest=user).select_for_update(of=("self",), no_key=True).order_by("pk"))
    received = list(waiting.filter(host=user).select_for_update(of=("self",), no_key=True).order_by("pk"))
    for inquiry in asked:
        _move(inquiry, InquiryStatus.WITHDRAWN, now, inquiry.answer, message="")
        inquiry_notices.say(inquiry, "withdrawn", now)
        inquiry_notices.tell(inquiry, inquiry.host, "inquiry.withdrawn", now)
    for inquiry in received:
        _move(inquiry, InquiryStatus.DECLINED, now, "")
        inquiry_notices.say(inquiry, "declined", now)
        inquiry_notices.tell(inquiry, inquiry.guest, "inquiry.declined", now)
    return len(asked) + len(received)


def expire(*, now: datetime) -> dict[str, int]:
    """End every inquiry and answer whose time has run out by ``now`` (UTC), each in a transaction of its own."""
    due = Inquiry.objects.filter(status__in=WAITING, expires_at__lte=now).order_by("expires_at")
    return sweeping.each(
        due.values_list("pk", flat=True), "expired", lambda inquiry_id: _expire_one(inquiry_id, now=now)
    )


@retrying
def _expire_one(inquiry_id: int, *, now: datetime) -> bool:
    with transaction.atomic(durable=True):
        inquiry = _locked(SYSTEM, inquiry_id)
        if inquiry.status not in WAITING or inquiry.expires_at > now:
            return False
        _move(inquiry, InquiryStatus.EXPIRED, now, inquiry.answer)
        inquiry_notices.say(inquiry, "expired", now)
        inquiry_notices.tell(inquiry, inquiry.guest, "inquiry.expired", now)
    return True


def take(
    inquiry_id: int,
    *,
    guest: User,
    listing: Listing,
    stay: Stay,
    guests: int | None,
    pets: int | None,
    now: datetime,
) -> Inquiry:
    """The host's standing yes to this very stay, held for booking it inside the caller's transaction.

    A yes that was booked stands again when that booking fell through unpaid.
    Raises: InvalidInquiry, OfferExpired.
    """
    inquiry = (
        Inquiry.objects.select_for_update(of=("self",))
        .select_related("booking")
        .filter(pk=inquiry_id, guest=guest, listing=listing)
        .first()
    )
    if inquiry is None:
        raise InvalidInquiry.field("inquiry_id", InvalidInquiry.code, InvalidInquiry.title)
    same = _stay_of(inquiry) == stay and guests in (None, inquiry.guests) and pets in (None, inquiry.pets)
    if not same:
        raise InvalidInquiry.field("inquiry_id", InvalidInquiry.code, InvalidInquiry.title)
    fell_through = (
        inquiry.booking is not None
        and inquiry.booking.confirmed_at is None
        and inquiry.booking.status not in (BookingStatus.PENDING, BookingStatus.CONFIRMED)
    )
    if (inquiry.status not in ANSWERED and not fell_through) or inquiry.expires_at <= now:
        raise OfferExpired(extra={"state": inquiry.status})
    return inquiry


def quote_of(inquiry: Inquiry, *, listing: Listing, now: datetime) -> Quote | None:
    """The special offer of ``inquiry`` as a quote; None when the host named no price."""
    if inquiry.total_minor is None:
        return None
    stay = _stay_of(inquiry)
    priced = snapshots.load(inquiry.terms["priced"], stay)
    return Quote(
        listing=listing,
        stay=stay,
        guests=inquiry.guests,
        priced=priced,
        price=price_of(priced),
        policy=policy_versions.for_stay(listing.cancellation_policy, stay.nights, now),
        expires_at=inquiry.expires_at,
        token="",
        shown_in=inquiry.currency,
    )


def booked(inquiry: Inquiry, booking: Booking, *, now: datetime) -> None:
    """Note that the yes was used."""
    Inquiry.objects.filter(pk=inquiry.pk).update(status=InquiryStatus.BOOKED, booking=booking, updated_at=now)


def _require_another(guest: User, listing: Listing) -> None:
    with connection.cursor() as cursor:
        # Counting and asking are two steps; the guest's other questions wait here until this one is written.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"inquiries:{guest.pk}"])
    mine = Inquiry.objects.filter(guest=guest, status__in=WAITING)
    if mine.filter(listing=listing).exists():
        raise InquiryOpen
    if mine.filter(status=InquiryStatus.OPEN).count() >= platform.get("limit_open_inquiries_user"):
        raise TooManyInquiries(retry_after=3600)


def _locked(actor: Any, inquiry_id: int) -> Inquiry:
    everything = Inquiry.objects.visible_to(actor).select_related("listing__host", "guest", "host")
    return lock(everything, pk=inquiry_id)


def _held(actor: Any, inquiry_id: int, action: str, now: datetime, version: datetime | None) -> Inquiry:
    inquiry = _locked(actor, inquiry_id)
    access.require(actor, action, inquiry)
    if version is not None and version != inquiry.updated_at:
        raise Stale
    if inquiry.status not in WAITING or inquiry.expires_at <= now:
        raise WrongState(extra={"state": inquiry.status})
    return inquiry


def _stay_of(inquiry: Inquiry) -> Stay:
    return Stay(inquiry.check_in, inquiry.check_out)


def _check_in_at(listing: Listing, stay: Stay, now: datetime) -> datetime:
    at = instant(stay.check_in, listing.check_in_time, listing.timezone)
    if at <= now:
        # The host would have no time at all to answer.
        message = _("It is too late to ask the host for this day.")
        raise StayRefused([Refusal("advance_notice", "check_in", message)])
    return at


def _until(inquiry: Inquiry, now: datetime) -> dict[str, datetime]:
    return {"expires_at": min(now + OFFER_HOLDS, _check_in_at(inquiry.listing, _stay_of(inquiry), now))}


def _offered_stay(inquiry: Inquiry, offer: Offer) -> Stay:
    check_in, check_out = offer.check_in or inquiry.check_in, offer.check_out or inquiry.check_out
    if check_out <= check_in:
        message = _("Check-out must be after check-in.")
        raise StayRefused([Refusal("invalid_dates", "check_out", message)])
    if (check_out - check_in).days > MAX_NIGHTS:
        raise StayRefused([Refusal("max_nights", "check_out", _("The stay has too many nights."))])
    return Stay(check_in, check_out)


def _require_possible(listing: Listing, stay: Stay, guests: int, now: datetime) -> None:
    """What binds the host too: the past, the furthest date that is sold, and how many find room."""
    rules = availability.rules_of(listing)
    found = calendar_rules.refusals(rules, {stay.check_in: NO_RULE}, stay, guests, now)
    binding = ("check_in_past", "booking_window", "too_many_guests")
    if left := [refusal for refusal in found if refusal.code in binding]:
        raise StayRefused(left)


def _require_room(listing: Listing, stay: Stay, now: datetime) -> None:
    if not availability.is_sold(listing):
        raise availability.NotAvailable
    availability.require_free(listing=listing, stay=stay, now=now)


def _move(inquiry: Inquiry, status: str, now: datetime, answer: str, **values: Any) -> None:
    values = {"status": status, "answer": answer, "updated_at": now, **values}
    if status in (*ANSWERED, InquiryStatus.DECLINED) and inquiry.answered_at is None:
        # How fast a host answers is told by the first answer.
        values["answered_at"] = now
    Inquiry.objects.filter(pk=inquiry.pk).update(**values)
    for name, value in values.items():
        setattr(inquiry, name, value)
