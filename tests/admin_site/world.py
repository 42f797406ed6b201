"""Staff of every role and a marketplace with a row on every page, as the operations leave it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.test import Client
from django.utils import timezone

from backend.accounts.models import User
from backend.audit.models import AuditEntry
from backend.availability.models import (
    CalendarDay,
    CalendarFeed,
    CalendarSubscriber,
    FeedConflict,
    FeedEvent,
)
from backend.bookings.models import Alteration, Booking, CancellationPolicy, HostPenalty, Inquiry
from backend.core.stay import Stay
from backend.listings.models import Listing
from backend.moderation import cases, deciding
from backend.moderation.models import Case, Flag, Report, TextRule
from backend.notifications.models import SuppressedAddress
from backend.rates.models import Fee, PriceRule, PromoCode, ServiceFeeTerms, Tax
from backend.reviews.models import Review
from tests.bookings.making import book, confirmed
from tests.factories import PASSWORD, make_listing, make_user

HTMX = {"HTTP_HX_REQUEST": "true"}


def staff(*roles: str, **fields: Any) -> User:
    """A member of staff with ``roles`` who can sign in with ``PASSWORD``."""
    return make_user(*roles, password=PASSWORD, is_staff=True, **fields)


def signed_in(user: User) -> Client:
    """A browser in which ``user`` is signed in to the back office."""
    client = Client()
    client.force_login(user, backend="backend.identity.backends.AccountBackend")
    return client


def coming_stay(nights: int = 3, in_days: int = 20) -> Stay:
    """A stay that is still to come by the machine's clock, which the pages go by."""
    check_in = (timezone.now() + timedelta(days=in_days)).date()
    return Stay(check_in, check_in + timedelta(days=nights))


def make_booking(**listing: Any) -> Booking:
    """A paid and confirmed booking of three coming nights at 100.00 EUR."""
    now = timezone.now()
    return confirmed(make_listing(**listing), make_user(), now=now, stay=coming_stay())


def make_request(**listing: Any) -> Booking:
    """A booking that waits for its host."""
    place = make_listing(instant_book=False, **listing)
    return book(place, make_user(), now=timezone.now(), stay=coming_stay())


def make_terms(booking: Booking) -> None:
    """A row of everything that stands beside ``booking``: its listing's rates, what was asked about it, what it cost."""
    listing, now = booking.listing, timezone.now()
    stamps: dict[str, Any] = {"created_at": now, "updated_at": now}
    first = booking.check_in
    PriceRule.objects.create(
        listing=listing, kind="season", starts_on=first, ends_on=booking.check_out, percent=20, **stamps
    )
    PriceRule.objects.create(listing=listing, kind="length_of_stay", min_nights=7, percent=10, **stamps)
    Fee.objects.create(listing=listing, kind="pet", amount_minor=1500, per="pet", **stamps)
    Tax.objects.create(listing=listing, name="City tax", amount_minor=200, per="guest_night", **stamps)
    Tax.objects.create(listing=listing, name="VAT", percent=6, bases=["nights", "cleaning"], **stamps)
    PromoCode.objects.create(listing=listing, code=f"SPRING{booking.pk}", percent=15, **stamps)
    CalendarDay.objects.create(listing=listing, date=first, price_minor=12_000, min_nights=2)
    ServiceFeeTerms.objects.create(
        host=booking.host,
        model="split",
        host_percent=3,
        guest_percent=14,
        effective_from=now,
        reason="Agreed",
        created_at=now,
    )
    CancellationPolicy.objects.create(
        code="strict",
        version=100 + booking.pk,
        rules=CancellationPolicy.objects.get(code="strict", version=1).rules,
        effective_from=now,
        created_at=now,
    )
    make_feed(booking)
    dates = {"check_in": first, "check_out": booking.check_out}
    Alteration.objects.create(
        booking=booking,
        proposed_by="guest",
        guests=2,
        total_minor=35_000,
        host_payout_minor=30_000,
        difference_minor=5_000,
        expires_at=now,
        created_at=now,
        **dates,
    )
    Inquiry.objects.create(
        listing=listing,
        guest=booking.guest,
        host=booking.host,
        guests=2,
        message="Is it quiet?",
        currency="EUR",
        expires_at=now,
        **dates,
        **stamps,
    )
    HostPenalty.objects.create(
        booking=booking,
        host=booking.host,
        percent=25,
        base_minor=30_000,
        amount_minor=7_500,
        currency="EUR",
        created_at=now,
    )
    SuppressedAddress.objects.create(
        user=make_user(), channel="email", address="gone@example.com", created_at=now
    )
    Report.objects.create(reporter=booking.guest, listing=listing, reason="fraud", created_at=now)
    make_case(listing)
    make_review(booking)


def make_case(listing: Listing) -> Case:
    """A case about ``listing`` with a finding, beside one about somebody that was decided against them."""
    now, moderator = timezone.now(), make_user("moderator")
    with transaction.atomic():
        about_person = cases.gather("user", make_user(), priority=Case.Priority.HIGH, now=now)
        case = cases.gather("listing", listing, priority=Case.Priority.NORMAL, now=now)
    deciding.decide(
        actor=moderator, case_id=about_person.pk, action="suspend_person", code="harassment", now=now
    )
    rule = TextRule.objects.create(pattern=f"balcony{listing.pk}", created_at=now)
    Flag.objects.create(
        case=case,
        listing=listing,
        kind="words",
        fingerprint=str(listing.pk),
        found={"rule": rule.pattern, "places": [{"field": "description", "word": "balcony"}]},
        created_at=now,
    )
    return case


def make_review(booking: Booking, **fields: Any) -> Review:
    """A published review of the place of ``booking`` by its guest."""
    now = timezone.now()
    values = {"status": "published", "created_at": now, "updated_at": now, "published_at": now}
    return Review.objects.create(
        booking=booking,
        listing=booking.listing,
        about="property",
        author=booking.guest,
        subject=booking.host,
        rating=4,
        comment="Quiet and bright.",
        **{**values, **fields},
    )


def make_feed(booking: Booking, **fields: Any) -> CalendarFeed:
    """A calendar feed of the listing of ``booking`` with one entry, which contradicts it."""
    now = timezone.now()
    values = {
        "name": "Airbnb",
        "url": "https://www.airbnb.com/calendar/ical/1.ics?s=secret-of-the-host",
        "kind": "airbnb",
        "next_poll_at": now,
        "created_at": now,
    }
    feed = CalendarFeed.objects.create(listing=booking.listing, **{**values, **fields})
    event = FeedEvent.objects.create(
        feed=feed,
        uid=f"uid-{feed.pk}",
        starts_on=booking.check_in,
        ends_on=booking.check_out,
        summary="Reserved",
        kind="stay",
        created_at=now,
    )
    FeedConflict.objects.create(event=event, block=booking.block, found_at=now)
    CalendarSubscriber.objects.create(
        listing=booking.listing, name=f"Reader {feed.pk}", salt="salt-of-the-reader", created_at=now
    )
    return feed


def audited(action: str) -> AuditEntry:
    """The one entry of ``action`` in the audit log."""
    return AuditEntry.objects.select_related("actor").get(action=action)
