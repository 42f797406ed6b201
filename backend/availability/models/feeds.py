"""Calendars of other sites: what we import from them, and who reads ours."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from backend.availability.models.calendar import Block
from backend.core.sealed import SealedTextField
from backend.listings.models import Listing


class FeedKind(models.TextChoices):
    AIRBNB = "airbnb", "Airbnb"
    BOOKING_COM = "booking_com", "Booking.com"
    VRBO = "vrbo", "Vrbo"
    OTHER = "other", _("another site")


class FeedStatus(models.TextChoices):
    OK = "ok", _("up to date")
    STALE = "stale", _("out of date")
    FAILING = "failing", _("failing")


class EventKind(models.TextChoices):
    STAY = "stay", _("stay")
    BLOCK = "block", _("closed")
    WINDOW = "window", _("beyond the window of the other site")


class Decision(models.TextChoices):
    KEEP = "keep", _("keep the booking")
    SKIP = "skip", _("ignore the other calendar's entry")
    CANCEL = "cancel", _("cancel the booking")


class CalendarFeed(models.Model):
    """A calendar of another site that closes nights here.

    ``url`` holds a secret of the host: it is shown to nobody else and never logged. ``last_healthy_at`` is when the
    feed last gave a whole answer that could be believed; ``error`` is the word of what went wrong since.
    ``version`` counts the answers that were applied, so that a slow one never overwrites a later one.
    """

    listing = models.ForeignKey(
        Listing, on_delete=models.CASCADE, related_name="calendar_feeds", verbose_name=_("listing")
    )
    name = models.CharField(_("name"), max_length=100)
    url = SealedTextField(_("address"), max_length=2000)
    kind = models.CharField(_("site"), max_length=12, choices=FeedKind.choices, default=FeedKind.OTHER)
    status = models.CharField(
        _("status"), max_length=8, choices=FeedStatus.choices, default=FeedStatus.OK, editable=False
    )
    error = models.CharField(_("error"), max_length=40, blank=True, editable=False)
    failures = models.PositiveIntegerField(_("failures in a row"), default=0, editable=False)
    etag = models.CharField(max_length=200, blank=True, editable=False)
    last_modified = models.CharField(max_length=80, blank=True, editable=False)
    digest = models.CharField(max_length=32, blank=True, editable=False)
    refused_events = models.PositiveIntegerField(_("entries that make no sense"), default=0, editable=False)
    last_polled_at = models.DateTimeField(_("last asked at"), null=True, blank=True, editable=False)
    last_healthy_at = models.DateTimeField(_("last good answer at"), null=True, blank=True, editable=False)
    next_poll_at = models.DateTimeField(_("asked again at"), editable=False)
    version = models.PositiveIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(_("created at"))

    class Meta:
        db_table = "calendar_feeds"
        verbose_name = _("calendar feed")
        verbose_name_plural = _("calendar feeds")
        indexes = [models.Index(fields=["next_poll_at"], name="calendar_feeds_due")]

    def __str__(self) -> str:
        return self.name


class FeedEvent(models.Model):
    """An entry of a feed: ``[starts_on, ends_on)`` in the listing's local dates. A UID may have several.

    It takes nights while ``removed_at`` and ``skipped_at`` are empty. An entry that is over stays as it was.
    """

    feed = models.ForeignKey(
        CalendarFeed, on_delete=models.CASCADE, related_name="events", verbose_name=_("calendar feed")
    )
    uid = models.CharField(_("UID"), max_length=300)
    starts_on = models.DateField(_("from"))
    ends_on = models.DateField(_("to"))
    summary = models.CharField(_("summary"), max_length=200, blank=True)
    kind = models.CharField(_("kind"), max_length=6, choices=EventKind.choices)
    created_at = models.DateTimeField(_("first seen at"))
    skipped_at = models.DateTimeField(_("ignored since"), null=True, blank=True)
    removed_at = models.DateTimeField(_("removed at"), null=True, blank=True)

    class Meta:
        db_table = "feed_events"
        verbose_name = _("entry of a calendar feed")
        verbose_name_plural = _("entries of calendar feeds")
        constraints = [
            models.CheckConstraint(condition=Q(ends_on__gt=F("starts_on")), name="feed_events_in_order")
        ]
        indexes = [
            models.Index(fields=["feed", "ends_on"], condition=Q(removed_at=None), name="feed_events_live")
        ]

    def __str__(self) -> str:
        return f"{self.starts_on}/{self.ends_on} {self.summary}"


class FeedConflict(models.Model):
    """An entry of a feed over a stay that was sold here. The stay keeps its nights until the host decides."""

    event = models.ForeignKey(
        FeedEvent, on_delete=models.CASCADE, related_name="conflicts", verbose_name=_("entry")
    )
    block = models.ForeignKey(Block, on_delete=models.CASCADE, related_name="+", verbose_name=_("block"))
    found_at = models.DateTimeField(_("found at"))
    decision = models.CharField(_("decision"), max_length=6, choices=Decision.choices, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("decided by"),
    )
    decided_at = models.DateTimeField(_("decided at"), null=True, blank=True)
    closed_at = models.DateTimeField(_("over since"), null=True, blank=True)

    class Meta:
        db_table = "feed_conflicts"
        verbose_name = _("calendar conflict")
        verbose_name_plural = _("calendar conflicts")
        constraints = [
            models.UniqueConstraint(fields=["event", "block"], name="feed_conflicts_once"),
            models.CheckConstraint(
                condition=Q(decision="", decided_at=None) | (~Q(decision="") & Q(decided_at__isnull=False)),
                name="feed_conflicts_decided_at",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event_id} over {self.block_id}"


class CalendarSubscriber(models.Model):
    """Somebody who reads a listing's calendar by an address of their own, until it is revoked.

    The address's token is derived from ``salt`` with the platform's secret, so that the table alone opens nothing.
    """

    listing = models.ForeignKey(
        Listing, on_delete=models.CASCADE, related_name="calendar_subscribers", verbose_name=_("listing")
    )
    name = models.CharField(_("name"), max_length=100)
    salt = models.CharField(max_length=32, editable=False)
    is_default = models.BooleanField(_("the listing's own address"), default=False, editable=False)
    created_at = models.DateTimeField(_("created at"))
    last_used_at = models.DateTimeField(_("last read at"), null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True, editable=False)

    class Meta:
        db_table = "calendar_subscribers"
        verbose_name = _("calendar subscriber")
        verbose_name_plural = _("calendar subscribers")
        constraints = [
            models.UniqueConstraint(
                fields=["listing"],
                condition=Q(is_default=True, revoked_at=None),
                name="calendar_subscribers_one_default",
            )
        ]

    def __str__(self) -> str:
        return self.name
