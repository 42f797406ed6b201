"""The calendar: taken nights as blocks under one exclusion constraint, and what a host set for single dates."""

from __future__ import annotations

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateRangeField, RangeOperators
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from backend.listings.models import Listing


class Reason(models.TextChoices):
    HOLD = "hold", _("held for a guest")
    BOOKING = "booking", _("booked")
    HOST = "host", _("closed by the host")
    FEED = "feed", _("imported calendar")


class Block(models.Model):
    """A taken range of nights ``[check-in, check-out)``. While it is active no other active one may share a night.

    ``guarded`` is set on stays of listings with preparation days: the nights followed by the gap that must lie
    before the next stay; two guarded ranges never overlap either. Triggers keep it at what the listing asks for now, as
    far as the next stay lets it reach. Holds carry ``expires_at``. ``event`` is the entry
    of another site's calendar that an imported one comes from. A ``pinned`` one is not the host's to open.
    """

    listing = models.ForeignKey(
        Listing, on_delete=models.CASCADE, related_name="blocks", verbose_name=_("listing")
    )
    nights = DateRangeField(_("nights"))
    guarded = DateRangeField(_("nights and preparation"), null=True, blank=True)
    reason = models.CharField(_("reason"), max_length=8, choices=Reason.choices)
    active = models.BooleanField(_("active"), default=True)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    note = models.CharField(_("note"), max_length=500, blank=True)
    pinned = models.BooleanField(_("kept closed by the platform"), default=False, db_default=False)
    created_at = models.DateTimeField(_("created at"))
    released_at = models.DateTimeField(_("released at"), null=True, blank=True)
    event = models.ForeignKey(
        "availability.FeedEvent",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="blocks",
        db_index=False,
        verbose_name=_("entry of a calendar feed"),
    )

    class Meta:
        db_table = "blocks"
        verbose_name = _("block")
        verbose_name_plural = _("blocks")
        constraints = [
            ExclusionConstraint(
                name="blocks_no_overlap",
                expressions=[("listing", RangeOperators.EQUAL), ("nights", RangeOperators.OVERLAPS)],
                condition=Q(active=True),
            ),
            ExclusionConstraint(
                name="blocks_no_guard_overlap",
                expressions=[("listing", RangeOperators.EQUAL), ("guarded", RangeOperators.OVERLAPS)],
                condition=Q(active=True, guarded__isnull=False),
            ),
            models.CheckConstraint(
                condition=Q(nights__isempty=False, nights__lower_inf=False, nights__upper_inf=False),
                name="blocks_nights_bounded",
            ),
            models.CheckConstraint(
                condition=Q(reason=Reason.HOLD, expires_at__isnull=False) | ~Q(reason=Reason.HOLD),
                name="blocks_holds_expire",
            ),
            models.CheckConstraint(
                condition=Q(active=True, released_at=None) | Q(active=False, released_at__isnull=False),
                name="blocks_released_when_inactive",
            ),
        ]
        indexes = [
            models.Index(
                fields=["expires_at"], condition=Q(active=True, reason="hold"), name="blocks_expiring"
            ),
            models.Index(fields=["event"], condition=Q(event__isnull=False), name="blocks_of_events"),
        ]

    def __str__(self) -> str:
        return f"{self.listing_id} {self.nights} {self.reason}"


class CalendarDay(models.Model):
    """What the host set for one evening of one listing. Empty fields fall back to the listing's own rules."""

    listing = models.ForeignKey(
        Listing, on_delete=models.CASCADE, related_name="calendar_days", verbose_name=_("listing")
    )
    date = models.DateField(_("date"))
    price_minor = models.BigIntegerField(_("price"), null=True, blank=True)
    min_nights = models.PositiveSmallIntegerField(_("nights at least"), null=True, blank=True)
    max_nights = models.PositiveSmallIntegerField(_("nights at most"), null=True, blank=True)
    closed_to_arrival = models.BooleanField(_("closed to arrival"), null=True, blank=True)
    closed_to_departure = models.BooleanField(_("closed to departure"), null=True, blank=True)
    note = models.CharField(_("note"), max_length=500, blank=True)

    class Meta:
        db_table = "calendar_days"
        verbose_name = _("calendar day")
        verbose_name_plural = _("calendar days")
        constraints = [
            models.UniqueConstraint(fields=["listing", "date"], name="calendar_days_once"),
            models.CheckConstraint(
                condition=Q(price_minor=None) | Q(price_minor__gt=0), name="calendar_days_price_positive"
            ),
            models.CheckConstraint(
                condition=Q(min_nights=None) | Q(max_nights=None) | Q(max_nights__gte=F("min_nights")),
                name="calendar_days_nights_in_order",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.listing_id} {self.date}"
