"""Ask the calendars of other sites, and bring their entries up to date.

Asking and reading happen outside of any transaction; what was heard is applied under the listing's lock. Only a whole
answer that can be believed removes anything: a broken one, a cut one, and an empty one where there were entries still
to come, change nothing but the feed's status.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from urllib.parse import urlsplit

import structlog
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Coalesce

from backend.accounts.models import User
from backend.availability import feed_nights, ical, ical_reading
from backend.availability import services as availability
from backend.availability.ical_reading import FeedBroken
from backend.availability.models import CalendarFeed, FeedEvent, FeedStatus
from backend.core import net, platform
from backend.core.db import lock, prepared, retrying
from backend.core.errors import DomainError, NotFound
from backend.core.net import FetchFailed
from backend.listings.models import Listing
from backend.listings.states import ListingStatus
from backend.notifications import services as notifications
from backend.telemetry import gauges
from backend.telemetry.recorder import recorder

POLL_EVERY = timedelta(minutes=9, seconds=30)
"""How long an answer is left alone; a little less than the sweep's ten minutes, so that no round is missed."""

LONGEST_PAUSE = timedelta(hours=3)
"""A feed that goes on failing is asked this seldom at the most."""

REFRESH_S = 5.0
"""How long all of a listing's feeds together may keep a guest waiting."""

RETRY_S = 30
"""A feed that has just been asked in vain does not make the next guest wait too."""

AT_ONCE = 4
"""Feeds that are asked at the same time."""

UNFOLD_DAYS = feed_nights.AHEAD_DAYS + 365
"""How far recurring entries are unfolded; a feed that says for a year that nothing has changed misses no night."""

KEPT = timedelta(days=90)
"""How long entries are kept after they are over or gone."""

EMPTY = "empty"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a feed said: nothing new, its entries, or ``error``, the word of what went wrong."""

    error: str = ""
    is_unchanged: bool = False
    found: ical.Read | None = None
    prodid: str = ""
    etag: str = ""
    last_modified: str = ""
    digest: str = ""


_STAMPS = re.compile(rb"^DTSTAMP[:;].*\r?\n", re.M | re.I)


def _digest(body: bytes, today: date) -> str:
    """What a calendar says today, but for the stamps that say nothing: the same twice needs no second reading."""
    return hashlib.blake2b(_STAMPS.sub(b"", body), digest_size=16, key=today.isoformat().encode()).hexdigest()


def poll(*, feed_id: int, now: datetime, accept_empty: bool = False) -> CalendarFeed:
    """Ask a feed and let its listing's nights follow what it says. What goes wrong stands in its ``error``.

    ``accept_empty``: its host knows that nothing is taken there any more, so that an empty answer may be believed.

    Raises: NotFound, Unavailable when somebody else holds the listing for too long.
    """
    feed = CalendarFeed.objects.select_related("listing").filter(pk=feed_id).first()
    if feed is None:
        raise NotFound
    return _apply(feed, _ask(feed, now, net.TOTAL_S), now, accept_empty=accept_empty)


def _ask(feed: CalendarFeed, now: datetime, total_s: float) -> Answer:
    """Fetch and read, and count what came of it. Touches no table, so that several can be asked at once."""
    answer = _read(feed, now, total_s)
    outcome = "failed" if answer.error else "unchanged" if answer.is_unchanged else "read"
    recorder.count(gauges.FEED_POLLS, outcome=outcome)
    return answer


def _read(feed: CalendarFeed, now: datetime, total_s: float) -> Answer:
    try:
        got = net.fetch(
            feed.url,
            accept="text/calendar, */*;q=0.5",
            etag=feed.etag,
            last_modified=feed.last_modified,
            total_s=total_s,
        )
        if got.is_unchanged:
            return Answer(is_unchanged=True)
        today = availability.rules_of(feed.listing).today(now)
        digest = _digest(got.body, today)
        if digest == feed.digest and not feed.error:
            return Answer(is_unchanged=True)
        parsed = ical_reading.read(got.body, first=today, last=today + timedelta(days=UNFOLD_DAYS))
    except (FetchFailed, FeedBroken) as error:
        return Answer(error=error.code)
    found = ical.entries(parsed.events, zone=feed.listing.timezone)
    return Answer(
        found=ical.Read(found.entries, found.refused + parsed.refused),
        prodid=parsed.prodid,
        etag=got.etag,
        last_modified=got.last_modified,
        digest=digest,
    )


@retrying
def _apply(asked: CalendarFeed, answer: Answer, now: datetime, *, accept_empty: bool = False) -> CalendarFeed:
    """Make what a feed said true, unless a later answer was applied or the feed was removed meanwhile."""
    with transaction.atomic(durable=True):
        listing = lock(Listing.objects.select_related("host"), pk=asked.listing_id)
        feed = CalendarFeed.objects.filter(pk=asked.pk).first()
        if feed is None or feed.version != asked.version:
            return feed or asked
        feed.listing = listing
        error = answer.error
        if answer.found is not None:
            error = _hear(feed, answer.found, now, accept_empty=accept_empty)
        if error:
            feed.status, feed.error, feed.failures = FeedStatus.FAILING, error, feed.failures + 1
        else:
            feed.status, feed.error, feed.failures = FeedStatus.OK, "", 0
            feed.last_healthy_at = now
            if answer.found is not None:
                feed.etag, feed.last_modified = answer.etag, answer.last_modified
                feed.digest = answer.digest
                feed.refused_events = len(answer.found.refused)
                feed.kind = ical.site_of(urlsplit(feed.url).hostname or "", answer.prodid)
        feed.last_polled_at, feed.version = now, feed.version + 1
        feed.next_poll_at = now + min(POLL_EVERY * 2 ** min(max(feed.failures - 1, 0), 8), LONGEST_PAUSE)
        feed.save()
        feed_nights.settle(listing=listing, now=now)
    if error:
        log.warning("feed_failed", object_id=feed.pk, listing_id=listing.pk, error_code=error)
    return feed


def _hear(feed: CalendarFeed, read: ical.Read, now: datetime, *, accept_empty: bool) -> str:
    """Bring the entries of a feed up to date; the word of what is wrong when the answer cannot be believed.

    Entries that are over are left as they are, whether they are still there or not.
    """
    today = availability.rules_of(feed.listing).today(now)
    kept = list(FeedEvent.objects.filter(feed=feed, removed_at=None, ends_on__gt=today))
    if kept and not read.entries and not accept_empty:
        return EMPTY
    coming = [entry for entry in read.entries if entry.ends_on > today]
    matched = ical.match(kept, coming, today=today)
    # An entry that is there but makes no sense any more is not one that is gone.
    gone = [event for event in matched.gone if event.uid not in read.refused]
    for event, entry in matched.present:
        _update(event, entry, today)
    FeedEvent.objects.filter(pk__in=[event.pk for event in gone]).update(removed_at=now)
    FeedEvent.objects.bulk_create(
        FeedEvent(
            feed=feed,
            uid=entry.uid,
            starts_on=entry.starts_on,
            ends_on=entry.ends_on,
            summary=entry.summary,
            kind=ical.classify(entry, today=today),
            created_at=now,
        )
        for entry in matched.new
    )
    return ""


def _update(event: FeedEvent, entry: ical.Entry, today: date) -> None:
    has_moved = (max(event.starts_on, today), event.ends_on) != (max(entry.starts_on, today), entry.ends_on)
    # The nights of a stay that has begun are history, whether its site still shows them or not.
    starts_on = min(event.starts_on, entry.starts_on) if event.starts_on < today else entry.starts_on
    if has_moved:
        starts_on = entry.starts_on
    changed = {
        "uid": entry.uid,
        "starts_on": starts_on,
        "ends_on": entry.ends_on,
        "summary": entry.summary,
        "kind": ical.classify(entry, today=today),
    }
    if has_moved and event.conflicts.exists():
        # What the host decided was about other nights.
        event.conflicts.all().delete()
    if has_moved and event.skipped_at:
        changed["skipped_at"] = None
    if any(getattr(event, name) != value for name, value in changed.items()):
        FeedEvent.objects.filter(pk=event.pk).update(**changed)


def refresh_before_booking(*, listing_id: int, now: datetime, guest: User | None = None) -> None:
    """Ask the feeds of a listing again whose last good answer is too old to sell a stay on, in at most seconds.

    To be called outside of a transaction, before the nights are claimed. A feed that fails only stays as it is. For
    a ``guest`` who may not book the listing nothing is asked: the time that it takes would tell that there is one.
    """
    if not _has_feeds(listing_id):
        return
    if guest is not None:
        bookable = Listing.objects.known_to(guest).exclude(host_id=guest.pk)
        if not bookable.filter(pk=listing_id).exists():
            return
    feeds = CalendarFeed.objects.select_related("listing").filter(listing_id=listing_id)
    age = timedelta(minutes=platform.get("feed_refresh_minutes"))
    due = [
        feed
        for feed in feeds
        if (feed.last_healthy_at is None or now - feed.last_healthy_at > age)
        and (feed.last_polled_at is None or now - feed.last_polled_at > timedelta(seconds=RETRY_S))
    ]
    if due:
        _poll_all(due, now, total_s=REFRESH_S)
    else:
        _settle_again(listing_id, now)


@retrying
def _settle_again(listing_id: int, now: datetime) -> None:
    """A stay that was canceled since the feeds were last asked has left nights that an entry wants."""
    with transaction.atomic(durable=True):
        feed_nights.settle(listing=lock(Listing.objects.select_related("host"), pk=listing_id), now=now)


def _poll_all(feeds: Sequence[CalendarFeed], now: datetime, *, total_s: float) -> dict[str, int]:
    """Ask ``feeds`` several at once and apply what they say one after the other; how many were well and how many not."""
    done = {"healthy": 0, "failing": 0}
    with ThreadPoolExecutor(min(AT_ONCE, len(feeds)), thread_name_prefix="feeds") as pool:
        for feed, answer in zip(feeds, pool.map(lambda each: _ask(each, now, total_s), feeds), strict=True):
            try:
                is_well = _apply(feed, answer, now).error == ""
            except DomainError as error:
                log.warning("feed_not_applied", object_id=feed.pk, error_code=error.code)
                is_well = False
            done["healthy" if is_well else "failing"] += 1
    return done


def poll_due(*, now: datetime, all_of_them: bool = False, budget_s: float = 240.0) -> dict[str, int]:
    """Ask every feed whose time has come (or ``all_of_them``), the longest waiting first, and mark those out of date.

    New ones are not begun after ``budget_s`` seconds; ``left`` says how many wait for the next round.
    """
    waiting = CalendarFeed.objects.exclude(listing__status=ListingStatus.ARCHIVED).select_related("listing")
    if not all_of_them:
        # A clock that was set ahead may have left instants that are still to come.
        waiting = waiting.filter(Q(next_poll_at__lte=now) | Q(last_polled_at__gt=now))
    feeds, done, began = (
        list(waiting.order_by("next_poll_at")),
        {"healthy": 0, "failing": 0},
        time.monotonic(),
    )
    while feeds and time.monotonic() - began < budget_s:
        batch, feeds = feeds[: AT_ONCE * 4], feeds[AT_ONCE * 4 :]
        for name, count in _poll_all(batch, now, total_s=net.TOTAL_S).items():
            done[name] += count
    return {**done, "stale": mark_stale(now=now), "left": len(feeds)}


def purge(*, now: datetime) -> int:
    """Forget the entries that are long over or long gone; they may hold the names of guests. How many."""
    over = (now - KEPT).date()
    found = FeedEvent.objects.filter(Q(ends_on__lt=over) | Q(removed_at__lt=now - KEPT))
    count = found.count()
    found.delete()
    return count


def _too_old(now: datetime) -> Q:
    """The feeds whose last good answer (or, when there was none, their beginning) is too long ago at ``now``."""
    limit = now - timedelta(hours=platform.get("feed_stale_hours"))
    return Q(last_healthy_at__lt=limit) | Q(last_healthy_at=None, created_at__lt=limit)


def mark_stale(*, now: datetime) -> int:
    """Mark the feeds that are out of date at ``now`` (UTC), and tell their hosts once; how many are newly so."""
    found = (
        CalendarFeed.objects.filter(_too_old(now))
        .exclude(status=FeedStatus.STALE)
        .exclude(listing__status=ListingStatus.ARCHIVED)
        .select_related("listing__host")
        .annotate(since=Coalesce("last_healthy_at", "created_at"))
    )
    marked = 0
    for feed in found:
        with transaction.atomic():
            changed = (
                CalendarFeed.objects.filter(_too_old(now), pk=feed.pk)
                .exclude(status=FeedStatus.STALE)
                .update(status=FeedStatus.STALE)
            )
            if not changed:
                continue
            marked += 1
            notifications.notify(
                user=feed.listing.host,
                kind="calendar.feed_stale",
                object_key=f"feed:{feed.pk}:{feed.since.isoformat()}",
                now=now,
                params={"listing": feed.listing.title, "feed": feed.name},
                data={"property_id": feed.listing_id, "feed_id": feed.pk},
                url=f"/host/properties/{feed.listing_id}/calendar",
            )
    return marked


def is_stale(listing_id: int, now: datetime) -> bool:
    """Whether a feed of the listing is out of date at ``now``, so that its nights may be sold elsewhere already."""
    if not _has_feeds(listing_id):
        return False
    return CalendarFeed.objects.filter(_too_old(now), listing_id=listing_id).exists()


def _has_feeds(listing_id: int) -> bool:
    """Most listings have none, and every booking asks."""
    with prepared() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM calendar_feeds WHERE listing_id = %s)", [listing_id])
        (has_feeds,) = cursor.fetchone()
    return bool(has_feeds)
