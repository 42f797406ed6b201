"""What a change of a confirmed stay may be, and what it would cost. Reads, and writes nothing.

The guest is bound by the listing's rules as for a new booking, but for rules about what stays as it is. The host is
bound by what cannot be otherwise: the past, the room that there is, nights that are taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext_lazy as _

from backend.availability import feeds
from backend.availability import rules as calendar_rules
from backend.availability import services as availability
from backend.availability.rules import NO_RULE, Refusal, StayRefused
from backend.bookings import altering, policies, repricing
from backend.bookings.altering import Cost
from backend.bookings.cancellation import terms_of
from backend.bookings.models import Booking
from backend.bookings.pricing import Priced
from backend.bookings.states import BookingStatus
from backend.core.errors import Invalid, WrongState
from backend.core.stay import MAX_NIGHTS, Stay
from backend.payments import services as payments


class NothingChanges(Invalid):
    """What is asked for is what is agreed already."""

    code = "nothing_changes"
    title = _("This is what is agreed already.")


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be different; None leaves it as it is. ``total`` (the host's) is in major units of the booking's currency."""

    check_in: date | None = None
    check_out: date | None = None
    guests: int | None = None
    pets: int | None = None
    total: Decimal | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a change comes to, and whether the host must say yes first."""

    stay: Stay
    guests: int
    pets: int
    cost: Cost
    asks_host: bool


def asked(booking: Booking, change: Change, now: datetime) -> Terms:
    """The terms of a change that the guest asks for.

    Raises: WrongState, NothingChanges, NotAvailable, StayRefused, DatesUnavailable, Preparation, PriceOutOfRange.
    """
    stay, guests, pets = _wanted(booking, change, now)
    days = availability.days(booking.listing_id, stay.check_in, stay.check_out)
    _require_bookable(booking, stay, guests, days, now)
    availability.require_free(listing=booking.listing, stay=stay, now=now, besides=booking.block)
    cost = _cost_of(booking, repricing.changed(booking, stay, guests, pets, days, now), now)
    return Terms(stay, guests, pets, cost, _needs_host(booking, stay, now))


def proposed(booking: Booking, change: Change, now: datetime) -> Terms:
    """The terms of a change that the host proposes; what gets cheaper comes back whole.

    Raises: WrongState, NothingChanges, StayRefused, DatesUnavailable, Preparation, PriceOutOfRange, TotalTooLow,
    Invalid (a total that is too precise or not positive).
    """
    stay, guests, pets = _wanted(booking, change, now)
    days = availability.days(booking.listing_id, stay.check_in, stay.check_out)
    _require_possible(booking, stay, guests, now)
    availability.require_free(listing=booking.listing, stay=stay, now=now, besides=booking.block)
    priced = repricing.changed(booking, stay, guests, pets, days, now)
    kept = altering.kept_of(booking)
    if change.total is not None:
        minor = repricing.total_minor(change.total, booking.currency)
        priced = repricing.to_total(priced, minor - kept)
    price = altering.price_of(priced)
    difference = price.total_minor + kept - booking.total_minor
    if is_agreed(booking, stay, guests, pets) and not difference:
        raise NothingChanges
    refund = min(max(0, -difference), payments.refundable(booking.folio))
    if difference < 0:
        kept -= difference + refund
    cost = Cost(priced, price, difference, refund, kept)
    return Terms(stay, guests, pets, cost, asks_host=False)


def _wanted(booking: Booking, change: Change, now: datetime) -> tuple[Stay, int, int]:
    """The stay, guests and pets that a change of a confirmed stay asks for."""
    if booking.status != BookingStatus.CONFIRMED or now >= booking.check_out_at:
        raise WrongState(extra={"state": booking.status})
    check_in = change.check_in or booking.check_in
    check_out = change.check_out or booking.check_out
    if check_out <= check_in:
        raise _refused("invalid_dates", "check_out", _("Check-out must be after check-in."))
    if (check_out - check_in).days > MAX_NIGHTS:
        raise _refused("max_nights", "check_out", _("The stay has too many nights."))
    today = availability.rules_of(booking.listing).today(now)
    if now >= booking.check_in_at and check_in != booking.check_in:
        raise _refused("stay_begun", "check_in", _("The stay has begun; its check-in cannot be changed."))
    if now >= booking.check_in_at and check_out <= today and check_out != booking.check_out:
        raise _refused("check_out_past", "check_out", _("The stay can end tomorrow at the earliest."))
    stay = Stay(check_in, check_out)
    guests = booking.guests if change.guests is None else change.guests
    pets = booking.pets if change.pets is None else change.pets
    if change.total is None and is_agreed(booking, stay, guests, pets):
        raise NothingChanges
    return stay, guests, pets


def is_agreed(booking: Booking, stay: Stay, guests: int, pets: int) -> bool:
    """Whether these are the terms that hold already."""
    return (stay, guests, pets) == (booking.stay, booking.guests, booking.pets)


def _refused(code: str, field: str, message: Any) -> StayRefused:
    return StayRefused([Refusal(code, field, message)])


def _require_bookable(booking: Booking, stay: Stay, guests: int, days: Any, now: datetime) -> None:
    """As for a new booking; a rule that speaks only of what stays as it is was kept or waived when it was agreed."""
    listing = booking.listing
    if not availability.is_sold(listing):
        raise availability.NotAvailable
    found = calendar_rules.refusals(availability.rules_of(listing), days, stay, guests, now)
    unchanged = set()
    if stay.check_in == booking.check_in:
        unchanged |= {refusal.code for refusal in found if refusal.field == "check_in"}
    if stay.check_out == booking.check_out:
        unchanged.add("closed_to_departure")
    if stay.nights == booking.stay.nights:
        unchanged |= {"min_nights", "max_nights"}
    if guests <= booking.guests:
        unchanged.add("too_many_guests")
    if left := [refusal for refusal in found if refusal.code not in unchanged]:
        raise StayRefused(left)


def _require_possible(booking: Booking, stay: Stay, guests: int, now: datetime) -> None:
    """What binds the host too: the past, the furthest date that is sold, and how many find room."""
    rules = availability.rules_of(booking.listing)
    binding = {"check_in_past", "booking_window", "too_many_guests"}
    found = calendar_rules.refusals(rules, {stay.check_in: NO_RULE}, stay, guests, now)
    if stay.check_in == booking.check_in:
        binding = {"too_many_guests"}
    if left := [refusal for refusal in found if refusal.code in binding]:
        raise StayRefused(left)


def _needs_host(booking: Booking, stay: Stay, now: datetime) -> bool:
    """Whether the host must agree: as for a new booking, and where a later check-in would win back what is forfeited."""
    listing = booking.listing
    if not listing.instant_book or feeds.is_stale(listing.pk, now):
        return True
    if stay.check_in == booking.check_in:
        return False
    if calendar_rules.needs_request(availability.rules_of(listing), stay.check_in, now):
        return True
    terms = terms_of(booking)
    return stay.check_in > booking.check_in and policies.decide(terms, now).refund_minor < terms.paid


def _cost_of(booking: Booking, priced: Priced, now: datetime) -> Cost:
    """What the guest's change comes to: more is paid in full, less comes back as far as the policy says now."""
    price = altering.price_of(priced)
    kept = altering.kept_of(booking)
    difference = price.total_minor + kept - booking.total_minor
    if difference >= 0:
        return Cost(priced, price, difference, 0, kept)
    terms = terms_of(booking)
    left = (
        price.cleaning_minor + price.cleaning_taxes_minor + price.other_fees_minor + price.other_taxes_minor
    )
    fees = min(-difference, max(0, terms.fees_minor + terms.fee_taxes_minor - left))
    owed = policies.share_back(terms, -difference, at=now, fees_minor=fees)
    # What staff have given back by hand is not there to be given back again.
    refund = min(owed, payments.refundable(booking.folio))
    return Cost(priced, price, difference, refund, kept - difference - refund)


def latest(booking: Booking, stay: Stay, now: datetime) -> datetime:
    """Until when a change can wait at all: the nearer check-in that lies ahead, in the stay the nearer check-out."""
    arrivals = (booking.check_in_at, altering.arrival_at(booking, stay.check_in))
    departures = (booking.check_out_at, altering.departure_at(booking, stay.check_out))
    return min([at for at in arrivals if at > now] or [at for at in departures if at > now])
