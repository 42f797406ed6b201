"""Our calendar for others: who may read it, and what they are told.

Every subscriber has an address of their own, which can be revoked without touching the others. What they are told is
what was sold or closed here, and what an imported calendar says is somebody's stay for sure. Imported closed nights
are not passed on: they may be an echo of ours, and two sites that tell each other "closed" would never open again.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from backend.audit import services as audit
from backend.availability import ical
from backend.availability import services as availability
from backend.availability.models import Block, CalendarSubscriber, EventKind, Reason
from backend.core import access
from backend.core.db import lock
from backend.core.errors import Conflict, NotFound
from backend.listings.models import Listing
from backend.listings.states import ListingStatus

MAX_SUBSCRIBERS = 20
DEFAULT_NAME = "calendar_url"
PAST_DAYS = 30
"""How long a stay that is over is still told of."""

NOTE_EVERY = timedelta(minutes=1)
"""How exactly it is written down when a subscriber was last here."""


class TooManySubscribers(Conflict):
    """The calendar has as many readers as it may."""

    code = "too_many_subscribers"
    title = _("This calendar has as many addresses as it may. Revoke one first.")


def token(subscriber: CalendarSubscriber) -> str:
    """The secret part of a subscriber's address; needs the platform's secret to be made."""
    text = f"calendar:{subscriber.pk}:{subscriber.salt}".encode()
    digest = hmac.new(settings.SECRET_KEY.encode(), text, hashlib.sha256).hexdigest()[:40]
    return f"{subscriber.pk:x}-{digest}"


def url(subscriber: CalendarSubscriber) -> str:
    """Where a subscriber reads the calendar."""
    return (
        f"{settings.PUBLIC_URL}/api/properties/{subscriber.listing_id}/calendar.ics?token={token(subscriber)}"
    )


def default_urls(listing_ids: Collection[int], *, now: datetime) -> dict[int, str]:
    """The own address of each listing's calendar, made where there is none yet. One query when they are there."""
    found = _defaults(listing_ids)
    missing = [each for each in listing_ids if each not in found]
    if missing:
        CalendarSubscriber.objects.bulk_create(
            [_new(listing_id, DEFAULT_NAME, now, is_default=True) for listing_id in missing],
            ignore_conflicts=True,
        )
        found = _defaults(listing_ids)
    return {listing_id: url(subscriber) for listing_id, subscriber in found.items()}


def _defaults(listing_ids: Collection[int]) -> dict[int, CalendarSubscriber]:
    rows = CalendarSubscriber.objects.filter(
        listing_id__in=list(listing_ids), is_default=True, revoked_at=None
    )
    return {row.listing_id: row for row in rows}


def _new(listing_id: int, name: str, now: datetime, *, is_default: bool = False) -> CalendarSubscriber:
    return CalendarSubscriber(
        listing_id=listing_id, name=name, salt=secrets.token_hex(16), is_default=is_default, created_at=now
    )


def shown(listing: Listing) -> list[CalendarSubscriber]:
    """Who may read the calendar of ``listing``, in the order in which they were let in."""
    return list(CalendarSubscriber.objects.filter(listing=listing, revoked_at=None).order_by("pk"))


def add(*, actor: Any, listing: Listing, name: str, now: datetime) -> CalendarSubscriber:
    """Make an address by which somebody may read the calendar. Raises: NotAllowed, TooManySubscribers."""
    access.require(actor, "listing.calendar", listing)
    with transaction.atomic(durable=True):
        lock(Listing.objects.all(), pk=listing.pk)
        if CalendarSubscriber.objects.filter(listing=listing, revoked_at=None).count() >= MAX_SUBSCRIBERS:
            raise TooManySubscribers
        subscriber = _new(listing.pk, name, now)
        subscriber.save()
        audit.record(
            actor=actor,
            action="listing.subscriber_added",
            subject=listing,
            now=now,
            after={"subscriber": subscriber.pk},
            in_stead_of=listing.host_id,
        )
    return subscriber


def revoke(*, actor: Any, listing: Listing, subscriber_id: int, now: datetime) -> None:
    """Close an address for good. The listing's own is made anew when it is next asked for.

    Raises: NotAllowed, NotFound.
    """
    access.require(actor, "listing.calendar", listing)
    with transaction.atomic(durable=True):
        changed = CalendarSubscriber.objects.filter(
            listing=listing, pk=subscriber_id, revoked_at=None
        ).update(revoked_at=now)
        if not changed:
            raise NotFound
        audit.record(
            actor=actor,
            action="listing.subscriber_revoked",
            subject=listing,
            now=now,
            after={"subscriber": subscriber_id},
            in_stead_of=listing.host_id,
        )


def read(*, listing_id: int, given: str, now: datetime) -> str:
    """The calendar (RFC 5545) for whoever has the token ``given``.

    Raises: NotFound for a token that was never given, was revoked, or belongs to another listing.
    """
    subscriber = _bearer(listing_id, given)
    listing = subscriber.listing
    if subscriber.last_used_at is None or now - subscriber.last_used_at > NOTE_EVERY:
        CalendarSubscriber.objects.filter(pk=subscriber.pk).update(last_used_at=now)
    today = availability.rules_of(listing).today(now)
    passed_on = Q(event=None) | Q(event__kind=EventKind.STAY)
    rows = (
        Block.objects.filter(availability.living(now), passed_on, listing_id=listing.pk)
        .filter(nights__endswith__gt=today - timedelta(days=PAST_DAYS))
        .order_by("nights")
        .values_list("pk", "nights", "reason", "event_id", "created_at")
    )
    told = [
        ical.Told(
            f"block-{pk}", nights.lower, nights.upper, _summary(reason, event_id is not None), created_at
        )
        for pk, nights, reason, event_id, created_at in rows
    ]
    return ical.written(listing.title, urlsplit(settings.PUBLIC_URL).hostname or "karibu", told)


def _summary(reason: str, is_imported: bool) -> str:
    return (
        "Not available"
        if reason == Reason.HOST or (reason == Reason.FEED and not is_imported)
        else "Reserved"
    )


def _bearer(listing_id: int, given: str) -> CalendarSubscriber:
    number = given.partition("-")[0]
    try:
        pk = int(number, 16) if len(number) <= 15 else 0
    except ValueError:
        raise NotFound from None
    found = (
        CalendarSubscriber.objects.filter(pk=pk, listing_id=listing_id, revoked_at=None)
        .exclude(listing__status=ListingStatus.ARCHIVED)
        .select_related("listing")
        .first()
    )
    if found is None or not hmac.compare_digest(token(found).encode(), given.encode()):
        raise NotFound
    return found
