"""What may come before a booking: a guest's question about dates, and the host's pre-approval or special offer."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from backend.bookings.models.booking import Booking
from backend.listings.models import Listing, hosted_by
from backend.messaging.models import BODY_LONGEST, Conversation


class InquiryStatus(models.TextChoices):
    OPEN = "open", _("open")
    PRE_APPROVED = "pre_approved", _("pre-approved")
    OFFERED = "offered", _("special offer")
    DECLINED = "declined", _("declined")
    WITHDRAWN = "withdrawn", _("withdrawn")
    EXPIRED = "expired", _("expired")
    BOOKED = "booked", _("booked")


class InquiryQuerySet(models.QuerySet["Inquiry"]):
    def as_host(self, actor: Any) -> InquiryQuerySet:
        """Those about one's places, and about those that one keeps for somebody else."""
        return self.filter(hosted_by(actor, "bookings"))

    def visible_to(self, actor: Any) -> InquiryQuerySet:
        """One's own as guest, host or co-host; staff see all."""
        if actor.has_role("support", "moderator", "finance", "admin", "system"):
            return self
        return self.filter(Q(guest_id=actor.pk) | hosted_by(actor, "bookings"))


class Inquiry(models.Model):
    """A guest asks about a stay. It takes no nights; neither does what the host answers, until it is booked.

    A pre-approval lets the guest book without asking again, a special offer at ``total_minor`` besides; both for 24
    hours (``expires_at``), never past check-in.
    """

    listing = models.ForeignKey(
        Listing, on_delete=models.PROTECT, related_name="inquiries", verbose_name=_("listing")
    )
    guest = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="inquiries", verbose_name=_("guest")
    )
    host = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name=_("host")
    )
    booking = models.OneToOneField(
        Booking,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="inquiry",
        verbose_name=_("booking"),
    )
    conversation = models.ForeignKey(
        Conversation,
        null=True,
        on_delete=models.PROTECT,
        related_name="inquiries",
        verbose_name=_("conversation"),
    )
    status = models.CharField(
        _("status"), max_length=12, choices=InquiryStatus.choices, default=InquiryStatus.OPEN, editable=False
    )
    check_in = models.DateField(_("check-in"))
    check_out = models.DateField(_("check-out"))
    guests = models.PositiveSmallIntegerField(_("guests"))
    pets = models.PositiveSmallIntegerField(_("pets"), default=0)
    message = models.TextField(_("message"), max_length=BODY_LONGEST)
    answer = models.TextField(_("answer"), max_length=2000, blank=True)
    currency = models.CharField(_("currency"), max_length=3)
    total_minor = models.BigIntegerField(_("offered total"), null=True, blank=True)
    terms = models.JSONField(_("terms"), default=dict, help_text=_("What the offered price is made of."))
    expires_at = models.DateTimeField(_("expires at"))
    created_at = models.DateTimeField(_("created at"))
    answered_at = models.DateTimeField(_("answered at"), null=True, blank=True)
    updated_at = models.DateTimeField(_("updated at"))

    objects = InquiryQuerySet.as_manager()

    class Meta:
        db_table = "inquiries"
        ordering = ["-id"]
        verbose_name = _("inquiry")
        verbose_name_plural = _("inquiries")
        indexes = [
            models.Index(fields=["guest", "-id"], name="inquiries_guest"),
            models.Index(fields=["host", "-id"], name="inquiries_host"),
            models.Index(
                fields=["expires_at"],
                condition=Q(status__in=["open", "pre_approved", "offered"]),
                name="inquiries_expiring",
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(check_out__gt=F("check_in")), name="inquiries_dates_in_order"),
            models.CheckConstraint(
                condition=Q(total_minor=None) | Q(total_minor__gt=0), name="inquiries_total_positive"
            ),
            models.CheckConstraint(
                condition=Q(status="booked", booking__isnull=False) | (~Q(status="booked") & Q(booking=None)),
                name="inquiries_booked_have_booking",
            ),
            models.CheckConstraint(
                condition=~Q(status="offered") | Q(total_minor__isnull=False),
                name="inquiries_offer_has_total",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.listing_id} {self.check_in}–{self.check_out}"
