"""Calendars of other sites: which are read, how that goes, and where they contradict a stay that was sold here."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.contrib import admin
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RadioFilter
from unfold.decorators import display

from admin_site.frame import fields, finding, masking
from admin_site.frame.actions import WARNING, ReasonForm, dialog_action
from admin_site.frame.base import Page, Rows
from admin_site.frame.display import FEED_COLOURS, days, label, link
from backend.availability import feeds
from backend.availability.models import (
    CalendarFeed,
    CalendarSubscriber,
    Decision,
    FeedConflict,
    FeedEvent,
    FeedStatus,
)
from backend.bookings import feed_conflicts
from backend.bookings.models import Booking
from backend.core import access

OPEN = Q(decision="", closed_at=None)
"""A conflict that waits for its host."""


def with_conflicts(feeds: QuerySet[CalendarFeed]) -> QuerySet[CalendarFeed]:
    """Each feed with the number of its open conflicts, as ``open_conflicts``."""
    still_open = Q(events__conflicts__decision="", events__conflicts__closed_at=None)
    return feeds.annotate(open_conflicts=Count("events__conflicts", filter=still_open))


class FeedColumns:
    @display(description=_("site"))
    def site(self, feed: CalendarFeed) -> str:
        """The host name only: the rest of the address is the host's secret."""
        return f"{feed.get_kind_display()} ({urlsplit(feed.url).hostname or '–'})"

    @display(description=_("status"))
    def state(self, feed: CalendarFeed) -> str:
        return label(feed.get_status_display(), FEED_COLOURS[feed.status])

    @display(description=_("error"))
    def trouble(self, feed: CalendarFeed) -> str:
        return f"{feed.error} ({feed.failures}×)" if feed.error else "–"

    @display(description=_("conflicts"))
    def conflicts(self, feed: CalendarFeed) -> str:
        count = getattr(feed, "open_conflicts", 0)
        return label(count, "warning") if count else "–"


class Feeds(FeedColumns, Rows):
    model = CalendarFeed
    verbose_name_plural = _("Calendar feeds")
    fields = ("feed_link", "site", "state", "trouble", "last_healthy_at", "conflicts")
    readonly_fields = fields
    ordering = ("id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[CalendarFeed]:
        return with_conflicts(super().get_queryset(request))

    @display(description=_("feed"))
    def feed_link(self, feed: CalendarFeed) -> str:
        return link(feed)


class Subscribers(Rows):
    """Who reads this listing's calendar. Their addresses are never shown."""

    model = CalendarSubscriber
    verbose_name_plural = _("Calendar readers")
    fields = ("name", "is_default", "created_at", "last_used_at", "revoked_at")
    readonly_fields = fields
    ordering = ("id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[CalendarSubscriber]:
        return super().get_queryset(request).defer("salt")


class Entries(Rows):
    """What the feed says, the latest stay first."""

    model = FeedEvent
    verbose_name_plural = _("Entries")
    fields = ("starts_on", "ends_on", "said", "kind", "created_at", "skipped_at", "removed_at")
    readonly_fields = fields
    ordering = ("-ends_on", "-id")

    @display(description=_("summary"))
    def said(self, event: FeedEvent) -> str:
        """Other sites name guests here."""
        return masking.named(event.summary) or "–"


class UnwellFilter(RadioFilter):
    """Those that the badge counts."""

    title = _("trouble")
    parameter_name = "unwell"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("1", _("out of date or failing"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[CalendarFeed]) -> QuerySet[CalendarFeed]:
        return queryset.exclude(status=FeedStatus.OK) if self.value() else queryset


@admin.register(CalendarFeed)
class CalendarFeedPage(FeedColumns, Page):
    icon = "sync"
    list_display = ("name", "place", "site", "state", "trouble", "last_healthy_at", "conflicts")
    list_filter = (UnwellFilter, ("status", ChoicesDropdownFilter), ("kind", ChoicesDropdownFilter))
    list_filter_submit = True
    search_fields = ("name",)
    search_help_text = _("Name, listing or host")
    ordering = ("-id",)
    inlines = (Entries,)
    actions_detail = ("poll",)
    fields = (
        ("name", "place"),
        ("site", "state", "trouble"),
        ("last_healthy_at", "last_polled_at", "next_poll_at"),
        ("conflicts", "refused_events", "created_at"),
    )
    readonly_fields = ("place", "site", "state", "trouble", "conflicts")

    def get_queryset(self, request: HttpRequest) -> QuerySet[CalendarFeed]:
        return with_conflicts(super().get_queryset(request).select_related("listing"))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[CalendarFeed], search_term: str
    ) -> tuple[QuerySet[CalendarFeed], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        of_host = Q(listing__host__in=finding.people_ids(term))
        by_name = Q(name__icontains=term) | Q(listing__title__icontains=term)
        return queryset.filter(by_name | of_host), False

    def has_correct_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.get_row(request, str(object_id))
        return row is not None and access.can(request.user, "listing.correct", row.listing)

    @dialog_action(
        title=_("Poll now"),
        question=_(
            "The other site is asked at once. A broken answer takes nothing away; what it says stands on the page."
        ),
        done=_("The feed was asked."),
        permission="correct",
        icon="sync",
    )
    def poll(self, request: HttpRequest, row: CalendarFeed, given: dict[str, Any]) -> None:
        feeds.poll_of(
            actor=request.user,
            listing=row.listing,
            feed_id=row.pk,
            reason=given["reason"],
            now=timezone.now(),
        )

    @display(description=_("listing"))
    def place(self, feed: CalendarFeed) -> str:
        return link(feed.listing)


class DecisionForm(ReasonForm):
    """What becomes of the stay that two sites have sold, and why."""

    decision = fields.choice(_("Decision"), Decision.choices)
    field_order = ("decision", "reason")


class DecidedFilter(RadioFilter):
    title = _("decision")
    parameter_name = "decided"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("open", _("waits for the host")), ("decided", _("decided")), ("over", _("over by itself"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[FeedConflict]) -> QuerySet[FeedConflict]:
        if self.value() == "open":
            return queryset.filter(OPEN)
        if self.value() == "decided":
            return queryset.exclude(decision="")
        return queryset.filter(decision="", closed_at__isnull=False) if self.value() == "over" else queryset


@admin.register(FeedConflict)
class FeedConflictPage(Page):
    icon = "event_busy"
    list_display = ("place", "feed_link", "entry", "sold", "booking", "state", "found_at")
    list_filter = (DecidedFilter,)
    list_filter_submit = True
    ordering = ("-id",)
    actions_detail = ("decide",)
    offered = {"decide": lambda conflict: conflict.closed_at is None and conflict.decision in ("", "keep")}
    fields = (
        ("place", "feed_link"),
        ("entry", "sold", "booking"),
        ("state", "found_at", "closed_at"),
        ("decided_by", "decided_at"),
    )
    readonly_fields = ("place", "feed_link", "entry", "sold", "booking", "state")

    def get_queryset(self, request: HttpRequest) -> QuerySet[FeedConflict]:
        rows = super().get_queryset(request)
        return rows.select_related("event__feed__listing", "block", "decided_by").annotate(
            reference=_reference()
        )

    def has_correct_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        row = self.get_row(request, str(object_id))
        return row is not None and access.can(request.user, "listing.correct", row.event.feed.listing)

    @dialog_action(
        title=_("Decide"),
        question=_(
            "You act in the host's stead. A booking that is canceled here is canceled in the platform's name: the guest "
            "gets everything back."
        ),
        done=_("It is decided."),
        permission="correct",
        icon="balance",
        variant=WARNING,
        form_class=DecisionForm,
    )
    def decide(self, request: HttpRequest, row: FeedConflict, given: dict[str, Any]) -> None:
        feed_conflicts.decide(
            actor=request.user,
            listing=row.event.feed.listing,
            feed_id=row.event.feed_id,
            conflict_id=row.pk,
            decision=Decision(given["decision"]),
            reason=given["reason"],
            now=timezone.now(),
        )

    @display(description=_("listing"))
    def place(self, conflict: FeedConflict) -> str:
        return link(conflict.event.feed.listing)

    @display(description=_("feed"))
    def feed_link(self, conflict: FeedConflict) -> str:
        return link(conflict.event.feed)

    @display(description=_("entry of the feed"))
    def entry(self, conflict: FeedConflict) -> str:
        event = conflict.event
        dates = days(event.starts_on, event.ends_on)
        return f"{dates}, {masking.named(event.summary)}" if event.summary else dates

    @display(description=_("sold here"))
    def sold(self, conflict: FeedConflict) -> str:
        nights = conflict.block.nights
        return days(nights.lower, nights.upper)

    @display(description=_("booking"))
    def booking(self, conflict: FeedConflict) -> str:
        return getattr(conflict, "reference", None) or "–"

    @display(description=_("decision"))
    def state(self, conflict: FeedConflict) -> str:
        if conflict.decision:
            return label(conflict.get_decision_display(), "success")
        return label(_("over by itself"), "default") if conflict.closed_at else label(_("open"), "warning")


def _reference() -> Any:
    """The reference of the booking that has the nights of a conflict."""
    bookings = Booking.objects.filter(block=OuterRef("block")).order_by("-id")
    return Subquery(bookings.values("reference")[:1])
