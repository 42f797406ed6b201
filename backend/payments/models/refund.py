"""Money that is given back beside what a policy says: who asks, who agrees, who bears it."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from backend.payments.models.folio import Folio
from backend.payments.states import RefundRequestStatus


class RefundRequest(models.Model):
    """A refund by a person's generosity. Above a limit it waits for a second person of the finance team."""

    class Bearer(models.TextChoices):
        SHARED = "shared", _("host, platform and taxes in proportion")
        HOST = "host", _("the host")
        PLATFORM = "platform", _("the platform")

    Status = RefundRequestStatus

    folio = models.ForeignKey(
        Folio, on_delete=models.PROTECT, related_name="refund_requests", verbose_name=_("folio")
    )
    amount_minor = models.BigIntegerField(_("amount"))
    currency = models.CharField(_("currency"), max_length=3)
    bearer = models.CharField(_("borne by"), max_length=8, choices=Bearer.choices, default=Bearer.SHARED)
    reason = models.CharField(_("reason"), max_length=500)
    status = models.CharField(
        _("status"), max_length=9, choices=RefundRequestStatus.choices, default=RefundRequestStatus.WAITING
    )
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name=_("asked for by")
    )
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("decided by"),
    )
    decision_note = models.CharField(_("note"), max_length=500, blank=True)
    created_at = models.DateTimeField(_("created at"))
    decided_at = models.DateTimeField(_("decided at"), null=True, blank=True)

    class Meta:
        db_table = "refund_requests"
        ordering = ["-id"]
        verbose_name = _("refund request")
        verbose_name_plural = _("refund requests")
        indexes = [models.Index(fields=["id"], condition=Q(status="waiting"), name="refund_requests_waiting")]
        constraints = [
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="refund_requests_positive"),
            models.CheckConstraint(
                condition=Q(status="waiting", decided_at=None)
                | ~Q(status="waiting") & Q(decided_at__isnull=False),
                name="refund_requests_decided",
            ),
            models.CheckConstraint(
                condition=Q(decided_at=None) | Q(decided_by=None) | ~Q(decided_by=F("requested_by")),
                name="refund_requests_four_eyes",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount_minor} {self.currency}"
