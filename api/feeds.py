"""Calendars of other sites, over HTTP: import theirs, decide what is taken twice, let them read ours."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from ninja import Query, Router
from ninja.responses import Status
from pydantic import Field

from api.conditional import etag, etag_response, not_modified, require_match
from api.pagination import Page, whole
from api.problems import responses
from api.types import In, Out, Params, Text
from backend.availability import feeds, subscribers
from backend.availability.feeds import BadFeedUrl, TooManyFeeds
from backend.availability.models import CalendarFeed, CalendarSubscriber, Decision, FeedConflict
from backend.availability.subscribers import TooManySubscribers
from backend.bookings import feed_conflicts
from backend.core import access, limits, platform
from backend.core.errors import NotAllowed, NotFound, Stale, WrongState
from backend.core.net import MAX_URL
from backend.listings.models import Listing

router = Router(tags=["Calendar feeds"])

HOUR_S = 3600

ERRORS = {
    "unresolved": _("The address has no server."),
    "unreachable": _("The server does not answer."),
    "timeout": _("The server took too long."),
    "tls": _("The server's certificate is not valid."),
    "broken": _("The server broke off its answer."),
    "redirect": _("The server sent us to another address. Use that one."),
    "too_large": _("The calendar is too large."),
    "bad_encoding": _("The answer could not be unpacked."),
    "no_calendar": _("The answer is no calendar."),
    "incomplete": _("The calendar is cut off."),
    "too_complex": _("The calendar is too complex."),
    "empty": _("The calendar is empty all of a sudden. Its nights stay closed until you say that this is right."),
    "bad_url": _("This is not the address of a calendar."),
    "not_https": _("The address must begin with https://."),
    "address_refused": _("This address is not reachable from the internet."),
}  # fmt: skip
"""What people read about a feed's error, by its word."""


class FeedIn(In):
    name: Annotated[str, Text(100, min=1)] = Field(examples=["Airbnb"])
    url: Annotated[str, Text(MAX_URL, min=1)] = Field(
        examples=["https://www.airbnb.com/calendar/ical/1.ics?s=secret"],
        description="Https, reachable from the internet. Shown to nobody else.",
    )


class ConflictOut(Out):
    """An entry of the other calendar over a stay that was sold here."""

    id: int
    from_: date = Field(alias="from", description="The entry's first night.")
    to: date
    summary: str
    booking_id: int | None
    decision: str | None = Field(description="keep, skip or cancel; null until the host decides.")


class FeedOut(Out):
    """An imported calendar."""

    id: int
    name: str
    url: str
    kind: str = Field(
        description="airbnb, booking_com, vrbo or other, by its address and its maker.", examples=["airbnb"]
    )
    last_polled_at: datetime | None
    last_healthy_at: datetime | None = Field(
        description="When it last gave a whole answer that can be believed."
    )
    status: str = Field(description="ok, stale or failing.", examples=["ok"])
    error: str | None = Field(description="What went wrong when it was last asked.")
    error_code: str | None = Field(description="The same as a stable word.")
    refused_events: int = Field(description="Entries of the last good answer that make no sense.")
    conflicts: list[ConflictOut]
    created_at: datetime


class PollIn(In):
    accept_empty: bool = Field(
        default=False,
        description="An empty calendar is right: nothing is taken there any more. Without this it opens no night.",
    )


class DecisionIn(In):
    decision: Decision = Field(
        description="keep: the booking stays. skip: the entry is ignored until it moves. "
        "cancel: the booking is canceled in the name of its host, and the entry takes the nights.",
        examples=["keep"],
    )
    reason: Annotated[str, Text(500, lines=True)] | None = Field(
        default=None, description="Told to the guest when the booking is canceled."
    )


class SubscriberIn(In):
    name: Annotated[str, Text(100, min=1)] = Field(examples=["Booking.com"])


class SubscriberOut(Out):
    """Somebody who may read the listing's calendar, and their address."""

    id: int
    name: str
    url: str
    is_default: bool = Field(description="The listing's own address, `calendar_url`.")
    created_at: datetime
    last_used_at: datetime | None


class TokenQuery(Params):
    token: Annotated[str, Text(100)] = Field(
        default="", description="The subscriber's.", examples=["1f-0b5c"]
    )


def _own(request: HttpRequest, property_id: int) -> Listing:
    """The listing for its host. Raises: NotFound, NotAllowed."""
    user = request.auth  # type: ignore[attr-defined]
    listing = Listing.objects.visible_to(user).filter(pk=property_id).first()
    if listing is None:
        raise NotFound
    access.require(user, "listing.calendar", listing)
    return listing


def _conflict(each: FeedConflict, booking_ids: dict[int, int]) -> dict[str, Any]:
    return {
        "id": each.pk,
        "from": each.event.starts_on,
        "to": each.event.ends_on,
        "summary": each.event.summary,
        "booking_id": booking_ids.get(each.block_id),
        "decision": each.decision or None,
    }


def _rows(shown: Sequence[tuple[CalendarFeed, Sequence[FeedConflict]]]) -> list[dict[str, Any]]:
    booking_ids = feed_conflicts.booking_ids({each.block_id for _feed, found in shown for each in found})
    return [
        {
            "id": feed.pk,
            "name": feed.name,
            "url": feed.url,
            "kind": feed.kind,
            "last_polled_at": feed.last_polled_at,
            "last_healthy_at": feed.last_healthy_at,
            "status": feed.status,
            "error": _sentence(feed.error) if feed.error else None,
            "error_code": feed.error or None,
            "refused_events": feed.refused_events,
            "conflicts": [_conflict(each, booking_ids) for each in found],
            "created_at": feed.created_at,
        }
        for feed, found in shown
    ]


def _sentence(code: str) -> str:
    if code in ERRORS:
        return str(ERRORS[code])
    return str(_("The server answered with an error (%(status)s).") % {"status": code.removeprefix("http_")})


def _row(listing: Listing, feed_id: int) -> dict[str, Any]:
    for feed, found in feeds.shown(listing, timezone.now()):
        if feed.pk == feed_id:
            return _rows([(feed, found)])[0]
    raise NotFound


@router.get(
    "/properties/{int:property_id}/calendar-feeds/",
    response=responses(Page[FeedOut], NotFound, NotAllowed),
    by_alias=True,
    summary="Imported calendars",
)
def list_feeds(request: HttpRequest, property_id: int) -> Any:
    """The calendars of other sites that close nights here, with what is taken twice. For the host alone."""
    listing = _own(request, property_id)
    payload = whole(_rows(feeds.shown(listing, timezone.now())))
    return etag_response(request, etag(payload), payload)


@router.post(
    "/properties/{int:property_id}/calendar-feeds/",
    response=responses(FeedOut, NotFound, NotAllowed, BadFeedUrl, TooManyFeeds, status=201),
    by_alias=True,
    summary="Import a calendar",
)
def add_feed(request: HttpRequest, property_id: int, body: FeedIn) -> Any:
    """Import the calendar at `url`. It is asked at once, then every ten minutes, and before bookings.

    A calendar that cannot be read is imported all the same: `status` and `error` say what is wrong.
    """
    listing = _own(request, property_id)
    _count(request)
    feed = feeds.add(
        actor=request.auth,  # type: ignore[attr-defined]
        listing=listing,
        name=body.name,
        url=body.url,
        now=timezone.now(),
    )
    return Status(201, _row(listing, feed.pk))


@router.get(
    "/properties/{int:property_id}/calendar-feeds/{int:feed_id}/",
    response=responses(FeedOut, NotFound, NotAllowed),
    by_alias=True,
    summary="An imported calendar",
)
def get_feed(request: HttpRequest, property_id: int, feed_id: int) -> Any:
    """One imported calendar. For the host alone."""
    payload = _row(_own(request, property_id), feed_id)
    return etag_response(request, etag(payload), payload)


@router.delete(
    "/properties/{int:property_id}/calendar-feeds/{int:feed_id}/",
    response=responses(None, NotFound, NotAllowed, Stale, status=204),
    summary="Stop importing a calendar",
)
def remove_feed(request: HttpRequest, property_id: int, feed_id: int) -> HttpResponse:
    """Forget an imported calendar. The nights that it closed are open again."""
    listing = _own(request, property_id)
    if request.headers.get("If-Match"):
        require_match(request, etag(_row(listing, feed_id)))
    feeds.remove(actor=request.auth, listing=listing, feed_id=feed_id, now=timezone.now())  # type: ignore[attr-defined]
    return HttpResponse(status=204)


@router.post(
    "/properties/{int:property_id}/calendar-feeds/{int:feed_id}/poll/",
    response=responses(FeedOut, NotFound, NotAllowed),
    by_alias=True,
    summary="Ask an imported calendar now",
)
def poll_feed(request: HttpRequest, property_id: int, feed_id: int, body: PollIn | None = None) -> Any:
    """Ask the calendar now. One that cannot be read is `failing`, and nothing is opened."""
    listing = _own(request, property_id)
    _count(request)
    feeds.poll_of(
        actor=request.auth,  # type: ignore[attr-defined]
        listing=listing,
        feed_id=feed_id,
        accept_empty=body is not None and body.accept_empty,
        now=timezone.now(),
    )
    return _row(listing, feed_id)


@router.post(
    "/properties/{int:property_id}/calendar-feeds/{int:feed_id}/conflicts/{int:conflict_id}/",
    response=responses(ConflictOut, NotFound, NotAllowed, WrongState),
    by_alias=True,
    summary="Decide about nights that are taken twice",
)
def decide_conflict(
    request: HttpRequest, property_id: int, feed_id: int, conflict_id: int, body: DecisionIn
) -> Any:
    """Say what becomes of a booking over which another calendar has an entry."""
    listing = _own(request, property_id)
    conflict = feed_conflicts.decide(
        actor=request.auth,  # type: ignore[attr-defined]
        listing=listing,
        feed_id=feed_id,
        conflict_id=conflict_id,
        decision=body.decision,
        reason=body.reason or "",
        now=timezone.now(),
    )
    return _conflict(conflict, feed_conflicts.booking_ids([conflict.block_id]))


def _count(request: HttpRequest) -> None:
    """Raises: Throttled."""
    limit = platform.get("limit_feed_polls_user")
    limits.hit(f"feed_polls:{request.auth.pk}", limit=limit, window_s=HOUR_S)  # type: ignore[attr-defined]


def _subscriber(each: CalendarSubscriber) -> dict[str, Any]:
    return {
        "id": each.pk,
        "name": each.name,
        "url": subscribers.url(each),
        "is_default": each.is_default,
        "created_at": each.created_at,
        "last_used_at": each.last_used_at,
    }


@router.get(
    "/properties/{int:property_id}/calendar-subscribers/",
    response=responses(Page[SubscriberOut], NotFound, NotAllowed),
    summary="Who may read the calendar",
)
def list_subscribers(request: HttpRequest, property_id: int) -> Any:
    """The addresses by which others read this listing's calendar. For the host alone."""
    payload = whole([_subscriber(each) for each in subscribers.shown(_own(request, property_id))])
    return etag_response(request, etag(payload), payload)


@router.post(
    "/properties/{int:property_id}/calendar-subscribers/",
    response=responses(SubscriberOut, NotFound, NotAllowed, TooManySubscribers, status=201),
    summary="Let somebody read the calendar",
)
def add_subscriber(request: HttpRequest, property_id: int, body: SubscriberIn) -> Any:
    """Make an address of the calendar for one reader, to be revoked by itself."""
    listing = _own(request, property_id)
    made = subscribers.add(actor=request.auth, listing=listing, name=body.name, now=timezone.now())  # type: ignore[attr-defined]
    return Status(201, _subscriber(made))


@router.delete(
    "/properties/{int:property_id}/calendar-subscribers/{int:subscriber_id}/",
    response=responses(None, NotFound, NotAllowed, status=204),
    summary="Revoke an address of the calendar",
)
def revoke_subscriber(request: HttpRequest, property_id: int, subscriber_id: int) -> HttpResponse:
    """Close one reader's address; it answers 404 from now on. The listing's own address is made anew."""
    listing = _own(request, property_id)
    subscribers.revoke(
        actor=request.auth,  # type: ignore[attr-defined]
        listing=listing,
        subscriber_id=subscriber_id,
        now=timezone.now(),
    )
    return HttpResponse(status=204)


CALENDAR = "text/calendar; charset=utf-8"
_EXAMPLE = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Karibu//Calendar 1.0//EN\r\nEND:VCALENDAR\r\n"


@router.get(
    "/properties/{int:property_id}/calendar.ics",
    auth=None,
    response=responses(str, NotFound),
    summary="The calendar for other sites",
    openapi_extra={
        "responses": {
            200: {"content": {"text/calendar": {"schema": {"type": "string"}, "example": _EXAMPLE}}}
        }
    },
)
def export(request: HttpRequest, property_id: int, params: Query[TokenQuery]) -> HttpResponse:
    """The taken nights as iCalendar, without a word about any guest. The token is the subscriber's secret."""
    body = subscribers.read(listing_id=property_id, given=params.token, now=timezone.now())
    tag = etag(body)
    if not_modified(request, tag):
        response = HttpResponse(status=304)
    else:
        response = HttpResponse(body, content_type=CALENDAR)
        response["Content-Disposition"] = f'inline; filename="karibu-{property_id}.ics"'
    response["ETag"] = tag
    response["Cache-Control"] = "private, no-cache"
    return response
