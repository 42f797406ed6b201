"""A change of a booking that one side asks for; until it counts the old terms stand."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from backend.bookings.models.booking import Booking
from backend.payments.models import Payment


class AlterationStatus(models.TextChoices):
    PROPOSED = "proposed", _("proposed")
    ACCEPTED = "accepted", _("accepted")
    DECLINED = "declined", _("declined")
    WITHDRAWN = "withdrawn", _("withdrawn")
    EXPIRED = "expired", _("expired")


OPEN = Q(status="proposed") | Q(status="accepted", settled_at=None)
"""Those that wait: for the other side's answer, or accepted for the difference to be paid."""


class AlterationQuerySet(models.QuerySet["Alteration"]):
    def open(self) -> AlterationQuerySet:
        return self.filter(OPEN)


class Alteration(models.Model):
    """Other dates, another number of guests or another price for a confirmed stay.

    ``difference_minor`` is what the guest pays more (below zero: less) in the booking's currency; ``refund_minor`` what
    of a lower price comes back under the booking's policy. An accepted one counts from ``settled_at`` on: at once, or
    when the difference is paid by ``payment`` (the latest attempt; one that comes too late goes back).
    """

    booking = models.ForeignKey(
        Booking, on_delete=models.PROTECT, related_name="alterations", verbose_name=_("booking")
    )
    proposed_by = models.CharField(
        _("proposed by"),
        max_length=8,
        choices=[("guest", _("guest")), ("host", _("host")), ("platform", _("platform"))],
    )
    status = models.CharField(
        _("status"),
        max_length=10,
        choices=AlterationStatus.choices,
        default=AlterationStatus.PROPOSED,
        editable=False,
    )
    check_in = models.DateField(_("check-in"))
    check_out = models.DateField(_("check-out"))
    guests = models.PositiveSmallIntegerField(_("guests"))
    pets = models.PositiveSmallIntegerField(_("pets"), default=0)
    total_minor = models.BigIntegerField(_("new total"))
    host_payout_minor = models.BigIntegerField(_("host's new payout"))
    difference_minor = models.BigIntegerField(_("difference"))
    refund_minor = models.BigIntegerField(_("refund"), default=0)
    terms = models.JSONField(_("terms"), default=dict, help_text=_("What the new price is made of."))
    reason = models.CharField(_("reason"), max_length=500, blank=True)
    expires_at = models.DateTimeField(_("expires at"))
    created_at = models.DateTimeField(_("created at"))
    answered_at = models.DateTimeField(_("answered at"), null=True, blank=True)
    settled_at = models.DateTimeField(_("in force from"), null=True, blank=True)
    payment = models.ForeignKey(
        Payment, null=True, blank=True, on_delete=models.PROTECT, related_name="+", verbose_name=_("payment")
    )

    objects = AlterationQuerySet.as_manager()

    class Meta:
        db_table = "alterations"
        ordering = ["-id"]
        verbose_name = _("alteration")
        verbose_name_plural = _("alterations")
        indexes = [
            models.Index(
                fields=["expires_at"],
                condition=OPEN,
                name="alterations_expiring",
            )
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["booking"],
                condition=OPEN,
                name="alterations_one_open",
            ),
            models.CheckConstraint(
                condition=Q(check_out__gt=F("check_in")), name="alterations_dates_in_order"
            ),
            models.CheckConstraint(
                condition=Q(total_minor__gte=0, refund_minor__gte=0), name="alterations_not_negative"
            ),
            models.CheckConstraint(
                condition=Q(status="accepted") | Q(settled_at=None), name="alterations_settled_when_accepted"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.booking_id} {self.check_in}–{self.check_out}"
