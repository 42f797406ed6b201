"""Calendars of other sites that close nights here: what their host may do with them, and what others ask about them.

How they are asked stands in ``feed_polling``, which nights they take in ``feed_nights``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.db import transaction
from django.db.models import Count, Q
from django.utils.translation import gettext_lazy as _

from backend.audit import services as audit
from backend.availability import feed_nights, ical
from backend.availability import services as availability
from backend.availability.feed_polling import (
    is_stale,
    mark_stale,
    poll,
    poll_due,
    purge,
    refresh_before_booking,
)
from backend.availability.models import CalendarFeed, Decision, FeedConflict, FeedEvent, FeedStatus
from backend.core import access, net, platform
from backend.core.db import lock, retrying
from backend.core.errors import Conflict, Invalid, NotFound
from backend.core.net import FetchFailed
from backend.listings import access as listing_access
from backend.listings.correcting import tell_host
from backend.listings.models import Listing

__all__ = [
    "BadFeedUrl",
    "TooManyFeeds",
    "add",
    "decide",
    "figures",
    "is_stale",
    "mark_stale",
    "poll",
    "poll_due",
    "poll_of",
    "purge",
    "refresh_before_booking",
    "remove",
    "shown",
]

MAX_FEEDS = 10
"""Calendars that one listing may import."""


class BadFeedUrl(Invalid):
    """An address that is never fetched."""

    code = "invalid_url"
    title = _("This address cannot be used for a calendar.")


class TooManyFeeds(Conflict):
    """The listing imports as many calendars as it may."""

    code = "too_many_feeds"
    title = _("This place imports as many calendars as it may. Remove one first.")


_BAD_URLS = {
    "bad_url": ("invalid_url", _("This is not the address of a calendar.")),
    "not_https": ("not_https", _("The address must begin with https://.")),
    "address_refused": ("address_not_public", _("This address is not reachable from the internet.")),
}


def add(*, actor: Any, listing: Listing, name: str, url: str, now: datetime) -> CalendarFeed:
    """Import another site's calendar into ``listing`` and ask it at once; when that fails the feed says so.

    Raises: NotAllowed, BadFeedUrl, TooManyFeeds.
    """
    access.require(actor, "listing.calendar", listing)
    platform.require("calendar_imports")
    try:
        url = net.normal(url)
        net.require_fetchable(url)
    except FetchFailed as error:
        if error.is_final:
            code, message = _BAD_URLS[error.code]
            raise BadFeedUrl.field("url", code, message) from None
    with transaction.atomic(durable=True):
        lock(Listing.objects.all(), pk=listing.pk)
        if CalendarFeed.objects.filter(listing=listing).count() >= MAX_FEEDS:
            raise TooManyFeeds
        feed = CalendarFeed.objects.create(
            listing=listing,
            name=name,
            url=url,
            kind=ical.site_of(urlsplit(url).hostname or ""),
            next_poll_at=now,
            created_at=now,
        )
        audit.record(
            actor=actor,
            action="listing.feed_added",
            subject=listing,
            now=now,
            after={"feed": feed.pk, "site": feed.kind},
            in_stead_of=listing.host_id,
        )
    return poll(feed_id=feed.pk, now=now)


@retrying
def remove(*, actor: Any, listing: Listing, feed_id: int, now: datetime) -> None:
    """Forget a feed; the nights that it took are free, but where another feed or a stay has them.

    Raises: NotAllowed, NotFound.
    """
    access.require(actor, "listing.calendar", listing)
    with transaction.atomic(durable=True):
        lock(Listing.objects.all(), pk=listing.pk)
        feed = CalendarFeed.objects.filter(listing=listing, pk=feed_id).first()
        if feed is None:
            raise NotFound
        feed_nights.let_go(listing=listing, events=feed.events.all(), now=now)
        audit.record(
            actor=actor,
            action="listing.feed_removed",
            subject=listing,
            now=now,
            before={"feed": feed.pk, "site": feed.kind},
            in_stead_of=listing.host_id,
        )
        feed.delete()
        feed_nights.settle(listing=listing, now=now)


def poll_of(
    *,
    actor: Any,
    listing: Listing,
    feed_id: int,
    now: datetime,
    reason: str = "",
    accept_empty: bool = False,
) -> CalendarFeed:
    """Ask a feed now, for its host, or in the host's stead with a ``reason``; ``accept_empty`` as for ``poll``.

    Raises: NotAllowed, NotFound.
    """
    listing_access.require_change(actor, "listing.calendar", listing, reason)
    if not CalendarFeed.objects.filter(listing=listing, pk=feed_id).exists():
        raise NotFound
    if reason:
        audit.record(
            actor=actor,
            action="listing.feed_polled",
            subject=listing,
            now=now,
            after={"feed": feed_id},
            reason=reason,
            in_stead_of=listing.host_id,
        )
    return poll(feed_id=feed_id, now=now, accept_empty=accept_empty)


def figures() -> dict[str, int]:
    """How many feeds there are in each status, for those who watch over them."""
    counts = dict(CalendarFeed.objects.values_list("status").annotate(n=Count("pk")))
    return {status: counts.get(status, 0) for status in FeedStatus.values}


def shown(listing: Listing, now: datetime) -> list[tuple[CalendarFeed, list[FeedConflict]]]:
    """The feeds of a listing in the order of their making, each with its conflicts that matter. Two queries.

    Those are the ones that stand, and those that the host has decided while the entry is still to come.
    """
    today = availability.rules_of(listing).today(now)
    conflicts: dict[int, list[FeedConflict]] = {}
    matter = Q(closed_at=None) | (~Q(decision="") & Q(event__removed_at=None, event__ends_on__gt=today))
    for each in (
        FeedConflict.objects.filter(matter, event__feed__listing_id=listing.pk)
        .select_related("event")
        .order_by("event__starts_on", "pk")
    ):
        conflicts.setdefault(each.event.feed_id, []).append(each)
    feeds = CalendarFeed.objects.filter(listing_id=listing.pk).order_by("pk")
    return [(feed, conflicts.get(feed.pk, [])) for feed in feeds]


@retrying
def decide(
    *, actor: Any, conflict: FeedConflict, decision: Decision, now: datetime, reason: str = ""
) -> FeedConflict:
    """Write down what the host decided about a conflict, or staff for them with a ``reason``, and let the nights follow.

    KEEP leaves the stay where it is, SKIP lets go of the entry's nights as long as it does not move. What CANCEL means
    for the stay was done before. Raises: NotAllowed, NotFound.
    """
    listing_id = conflict.event.feed.listing_id
    with transaction.atomic(durable=True):
        listing = lock(Listing.objects.select_related("host"), pk=listing_id)
        listing_access.require_change(actor, "listing.calendar", listing, reason)
        changed = FeedConflict.objects.filter(pk=conflict.pk).update(
            decision=decision, decided_by=actor, decided_at=now
        )
        if not changed:
            raise NotFound
        FeedEvent.objects.filter(pk=conflict.event_id).update(
            skipped_at=now if decision == Decision.SKIP else None
        )
        feed_nights.settle(listing=listing, now=now)
        audit.record(
            actor=actor,
            action="listing.feed_conflict",
            subject=listing,
            now=now,
            after={"conflict": conflict.pk, "decision": str(decision)},
            reason=reason,
            in_stead_of=listing.host_id,
        )
        tell_host(actor=actor, listing=listing, action="listing.feed_conflict", reason=reason, now=now)
    conflict.refresh_from_db()
    return conflict
