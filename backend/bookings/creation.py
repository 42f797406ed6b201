"""Making a booking: the nights are claimed first, and whoever has them may pay or wait for the host."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import User
from backend.availability import feeds
from backend.availability import services as availability
from backend.availability.models import Reason
from backend.availability.rules import DayRule, Refusal, StayRefused
from backend.bookings import inquiries, policies, promotions, quotes
from backend.bookings.announcing import announce
from backend.bookings.clock import instant
from backend.bookings.models import Booking, Detail, Inquiry
from backend.bookings.quotes import Quote
from backend.bookings.states import BookingStatus
from backend.bookings.steps import GUEST, OwnListing, record
from backend.core import idempotency, platform
from backend.core.db import insert, prepared, retrying
from backend.core.errors import NotFound, Throttled
from backend.core.money import Money
from backend.core.stay import Stay
from backend.listings import reading
from backend.listings.models import Listing
from backend.messaging import blocking, posting
from backend.messaging.posting import Posted
from backend.payments import folios
from backend.payments import services as payments
from backend.payments.folios import Line
from backend.payments.models import Folio
from backend.rates.models import PromoCode

ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
"""What references are made of: no character that is read as another one."""


class TooManyHolds(Throttled):
    """The guest holds as many unpaid stays as one person may."""

    code = "too_many_holds"
    title = _("You hold several stays already. Pay for one of them or cancel it first.")


@dataclass(frozen=True, slots=True)
class Wish:
    """What a guest asks for. ``expected_total`` is in major units of the listing's currency.

    ``inquiry_id`` is the guest's own inquiry, when the host has said yes to it.
    """

    listing_id: int
    stay: Stay
    guests: int | None = None
    quote_token: str | None = None
    expected_total: Decimal | None = None
    message: str = ""
    promo_code: str = ""
    pets: int | None = None
    inquiry_id: int | None = None


def reference() -> str:
    """A new reference: ten characters that people can read to each other, 30**10 of them."""
    return "".join(secrets.choice(ALPHABET) for _ in range(10))


def create(*, guest: User, wish: Wish, now: datetime) -> Booking:
    """Claim the nights that ``guest`` asks for and open the account of the stay.

    The booking is pending: for the payment (held for ``hold_minutes``) where the listing books instantly, else for
    the host's answer (``request_hours``, never past check-in). ``now`` is UTC. Without a quote token the price is
    the one of ``now`` and in the listing's currency; a special offer has the offered one, and whoever the host has said yes to is not asked again.
    Other calendars that feed the listing are asked first where that was long ago; while one is out of date the host is.

    Raises: FeatureOff, NotFound, OwnListing, TooManyHolds, NotAvailable, StayRefused, Preparation, InvalidQuote, InvalidInquiry,
    those of ``promotions.take`` (422), Blocked (with a message), DatesUnavailable, QuoteExpired, OfferExpired, PriceChanged (409).
    """
    made = idempotency.made_before()
    if made is not None:
        return Booking.objects.get(pk=made, guest=guest)
    platform.require("bookings")
    feeds.refresh_before_booking(listing_id=wish.listing_id, guest=guest, now=now)
    return _create(guest=guest, wish=wish, now=now)


@retrying
def _create(*, guest: User, wish: Wish, now: datetime) -> Booking:
    with transaction.atomic(durable=True):
        listing = reading.pinned(wish.listing_id, guest)
        if listing is None:
            raise NotFound
        if listing.host_id == guest.pk:
            raise OwnListing
        if wish.message:
            blocking.require_free_speech(guest.pk, listing.host_id)
        _require_another_hold(guest, now)
        inquiry = _answered(listing, wish, guest, now) if wish.inquiry_id is not None else None
        quote, promo = _agreed(listing, wish, guest, inquiry, now)
        asks_host = inquiry is None and quotes.needs_request(listing, wish.stay, now)
        expires_at = _expiry(quote, asks_host, now)

        block = availability.claim(
            listing=listing, stay=wish.stay, reason=Reason.HOLD, now=now, expires_at=expires_at
        )
        folio = _open_folio(guest, listing, quote, now)
        terms = quote.terms()
        event = "requested" if asks_host else "held"
        word = reference()
        if asks_host or wish.message:
            posted = _said(guest, listing, wish, quote, word, f"booking.{event}", now)
        else:
            # A hold that is not paid yet is no news: the confirmation speaks, or nothing comes of it.
            posted = posting.keep(listing=listing, guest=guest, now=now)
        booking = insert(
            Booking(
                reference=word,
                listing=listing,
                guest=guest,
                host=listing.host,
                block=block,
                folio=folio,
                check_in=wish.stay.check_in,
                check_out=wish.stay.check_out,
                check_in_at=terms.check_in_at,
                check_out_at=terms.check_out_at,
                guests=quote.guests,
                pets=quote.priced.pets,
                promo_code=promo,
                message=posted.words,
                conversation=posted.conversation,
                status=BookingStatus.PENDING,
                pending_reason="host" if asks_host else "payment",
                expires_at=expires_at,
                currency=quote.price.currency,
                total_minor=quote.price.total_minor,
                host_payout_minor=quote.price.host_payout_minor,
                terms=_terms(quote),
                created_at=now,
                updated_at=now,
            )
        )
        idempotency.note(booking.pk)
        first = record(booking, old="", event=event, by=GUEST, actor=guest, reason="", now=now)
        if inquiry is not None:
            inquiries.booked(inquiry, booking, now=now)
        announce(booking, now=now, host=["booking.requested"] if asks_host else [], posted=posted)
        booking.detail = Detail(lines=quote.price.lines, payments=[], steps=[first])
    return booking


_HOLDS = """
    SELECT count(*) FROM bookings b
    WHERE guest_id = %s AND status = 'pending' AND expires_at > %s AND NOT EXISTS (
        SELECT FROM payments p
        WHERE p.folio_id = b.folio_id AND p.kind = 'payment' AND p.status <> 'failed'
          AND (p.authorized_at IS NOT NULL OR p.completed_at IS NOT NULL)
    )
"""
"""The guest's stays that take nights and for which no money is set aside or taken."""


def _require_another_hold(guest: User, now: datetime) -> None:
    with prepared() as cursor:
        # Counting and claiming are two steps; the guest's other attempts wait here until this one is written.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"holds:{guest.pk}"])
        cursor.execute(_HOLDS, [guest.pk, now])
        (held,) = cursor.fetchone()
    if held >= platform.get("limit_holds_user"):
        raise TooManyHolds(retry_after=60)


def _answered(listing: Listing, wish: Wish, guest: User, now: datetime) -> Inquiry:
    """The guest's inquiry with the host's standing yes to this stay. A named price goes with no other one."""
    inquiry = inquiries.take(
        wish.inquiry_id or 0,
        guest=guest,
        listing=listing,
        stay=wish.stay,
        guests=wish.guests,
        pets=wish.pets,
        now=now,
    )
    if inquiry.total_minor is not None and (wish.promo_code or wish.quote_token is not None):
        raise inquiries.InvalidInquiry
    return inquiry


def _agreed(
    listing: Listing, wish: Wish, guest: User, inquiry: Inquiry | None, now: datetime
) -> tuple[Quote, PromoCode | None]:
    """The price that the guest agrees to, for a stay that the listing's rules or its host allow, and the promotion code in it."""
    if not availability.is_sold(listing):
        raise availability.NotAvailable
    promo = None
    offered = inquiries.quote_of(inquiry, listing=listing, now=now) if inquiry else None
    if offered is not None:
        quote = offered
    else:
        if inquiry is not None:
            wish = replace(wish, guests=inquiry.guests, pets=inquiry.pets)
        days = availability.days(listing.pk, wish.stay.check_in, wish.stay.check_out)
        quote, promo = _priced(listing, wish, days, guest, now)
        if inquiry is None:
            availability.require_bookable(
                listing=listing, stay=wish.stay, guests=quote.guests, now=now, set_days=days
            )
    total = Money(quote.price.total_minor, quote.price.currency).major()
    if wish.expected_total is not None and wish.expected_total != total:
        availability.require_free(listing=listing, stay=wish.stay, now=now)
        raise quotes.PriceChanged(quote)
    return quote, promo


def _priced(
    listing: Listing, wish: Wish, days: Mapping[date, DayRule], guest: User, now: datetime
) -> tuple[Quote, PromoCode | None]:
    """The quote that the guest brings along or that holds now, with its promotion code's row held."""
    stay = wish.stay
    if wish.quote_token is not None:
        quote = quotes.redeem(
            wish.quote_token,
            listing=listing,
            stay=stay,
            guests=wish.guests,
            pets=wish.pets,
            promo_code=wish.promo_code,
            now=now,
        )
        return quote, promotions.take_quoted(quote.priced.discount, guest=guest, now=now)
    promo = discount = None
    if wish.promo_code:
        promo = promotions.take(wish.promo_code, listing=listing, stay=stay, guest=guest, now=now)
        discount = promotions.discount_of(promo, listing)
    quote = quotes.offer(
        listing=listing,
        days=days,
        stay=stay,
        guests=wish.guests or 1,
        pets=wish.pets or 0,
        promo=discount,
        now=now,
    )
    return quote, promo


def _expiry(quote: Quote, asks_host: bool, now: datetime) -> datetime:
    if not asks_host:
        return now + timedelta(minutes=platform.get("hold_minutes"))
    listing = quote.listing
    check_in_at = instant(quote.stay.check_in, listing.check_in_time, listing.timezone)
    if check_in_at <= now:
        # The host would have no time at all to answer.
        raise StayRefused(
            [Refusal("advance_notice", "check_in", _("It is too late to ask the host for this day."))]
        )
    return min(now + timedelta(hours=platform.get("request_hours")), check_in_at)


def _said(
    guest: User, listing: Listing, wish: Wish, quote: Quote, word: str, event: str, now: datetime
) -> Posted:
    """The conversation of the two says what was asked for, and the guest's words after it."""
    return posting.post(
        listing=listing,
        guest=guest,
        event=event,
        params={
            "reference": word,
            "check_in": wish.stay.check_in.isoformat(),
            "check_out": wish.stay.check_out.isoformat(),
            "guests": quote.guests,
            "total": quote.price.total_minor,
            "currency": quote.price.currency,
        },
        now=now,
        sender=guest,
        words=wish.message,
    )


def _open_folio(guest: User, listing: Listing, quote: Quote, now: datetime) -> Folio:
    sides = ((folios.GUEST, quote.price.lines), (folios.HOST, quote.price.host_lines))
    lines: Sequence[Line] = [
        Line(side, line.code, line.quantity, line.unit_minor, line.amount_minor, line.rule)
        for side, found in sides
        for line in found
    ]
    return payments.open_folio(
        guest=guest,
        host=listing.host,
        currency=quote.price.currency,
        lines=lines,
        now=now,
        charge=quote.charge,
    )


def _terms(quote: Quote) -> dict[str, Any]:
    listing = quote.listing
    return {
        "policy": policies.dump(quote.policy),
        "zone": listing.timezone,
        "check_in_time": listing.check_in_time.isoformat("minutes"),
        "check_out_time": listing.check_out_time.isoformat("minutes"),
        "priced": quotes.dump(quote.priced),
    }
