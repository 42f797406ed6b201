"""What privacy keeps of itself: who was erased and how far that has come, and what was dropped because it was old."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from backend.core.sealed import SealedJSONField


def no_traces() -> dict[str, Any]:
    """What is known of a person whose erasure is done."""
    return {}


class Erasure(models.Model):
    """An account that was erased: at once for everybody's eyes, and step by step in all that was kept of it.

    ``traces`` is what must be known to find the rest (the former address, names, files); it is empty once all is done.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="erasure", verbose_name=_("account")
    )
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name=_("asked for by")
    )
    reason = models.CharField(_("reason"), max_length=500, blank=True)
    asked_at = models.DateTimeField(_("asked at"))
    traces = SealedJSONField(default=no_traces, editable=False)
    steps = models.JSONField(_("steps that are done"), default=list)
    failure = models.CharField(_("failure"), max_length=120, blank=True)
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)

    class Meta:
        db_table = "erasures"
        ordering = ["-id"]
        verbose_name = _("erasure")
        verbose_name_plural = _("erasures")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(finished_at=None) | models.Q(traces=""), name="erasures_leave_no_traces"
            )
        ]
        indexes = [
            models.Index(
                fields=["asked_at"], condition=models.Q(finished_at=None), name="erasures_unfinished"
            )
        ]

    def __str__(self) -> str:
        return f"{self.user_id}"


class RetentionRun(models.Model):
    """What became of a retention rule: when it ran last, and how many rows it dropped or blanked."""

    rule = models.CharField(_("rule"), max_length=40, primary_key=True)
    ran_at = models.DateTimeField(_("ran at"))
    last_count = models.PositiveBigIntegerField(_("last time"))
    total = models.PositiveBigIntegerField(_("in all"))

    class Meta:
        db_table = "retention_runs"
        ordering = ["rule"]
        verbose_name = _("retention rule")
        verbose_name_plural = _("retention")

    def __str__(self) -> str:
        return self.rule
