"""How bookings end early: the policies as versioned data, and what a host owes who cancels."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from backend.availability.models import Block
from backend.bookings.models.booking import Booking


class CancellationPolicy(models.Model):
    """One version of a policy; never changed once written, so that a booking's snapshot can be looked up.

    ``rules`` are what ``policies.Policy`` reads: tiers of cut-off, share and night arithmetic. The newest version that
    has begun is offered.
    """

    code = models.CharField(_("policy"), max_length=16)
    version = models.PositiveIntegerField(_("version"))
    rules = models.JSONField(_("rules"))
    effective_from = models.DateTimeField(_("in force from"))
    reason = models.CharField(_("reason"), max_length=500, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )
    created_at = models.DateTimeField(_("created at"))

    class Meta:
        db_table = "cancellation_policies"
        ordering = ["code", "-version"]
        verbose_name = _("cancellation policy")
        verbose_name_plural = _("cancellation policies")
        constraints = [models.UniqueConstraint(fields=["code", "version"], name="cancellation_policies_once")]

    def __str__(self) -> str:
        return f"{self.code} v{self.version}"


class HostPenalty(models.Model):
    """What a host owes for canceling a confirmed stay, in the booking's currency; taken from coming payouts.

    ``block`` keeps the nights closed. Staff may waive both with a reason.
    """

    booking = models.OneToOneField(
        Booking, on_delete=models.PROTECT, related_name="host_penalty", verbose_name=_("booking")
    )
    host = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="penalties", verbose_name=_("host")
    )
    percent = models.DecimalField(_("percent"), max_digits=5, decimal_places=2)
    base_minor = models.BigIntegerField(_("unstayed amount"))
    amount_minor = models.BigIntegerField(_("penalty"))
    currency = models.CharField(_("currency"), max_length=3)
    block = models.ForeignKey(
        Block,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("closed nights"),
    )
    created_at = models.DateTimeField(_("created at"))
    waived_at = models.DateTimeField(_("waived at"), null=True, blank=True)
    waived_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    waiver_reason = models.CharField(_("reason of the waiver"), max_length=500, blank=True)

    class Meta:
        db_table = "host_penalties"
        ordering = ["-id"]
        verbose_name = _("host's penalty")
        verbose_name_plural = _("hosts' penalties")
        indexes = [models.Index(fields=["host", "-id"], name="host_penalties_host")]
        constraints = [
            models.CheckConstraint(condition=Q(amount_minor__gte=0), name="host_penalties_not_negative"),
            models.CheckConstraint(
                condition=Q(waived_at=None, waiver_reason="")
                | (Q(waived_at__isnull=False) & ~Q(waiver_reason="")),
                name="host_penalties_waived_with_reason",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.booking_id}: {self.amount_minor} {self.currency}"
