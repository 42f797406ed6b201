"""What the jobs keep of themselves."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class SweepRun(models.Model):
    """The last run of a sweep: with which clock, when it really was, and what it did."""

    name = models.CharField(_("sweep"), max_length=40, primary_key=True)
    clock = models.DateTimeField(_("clock"))
    ran_at = models.DateTimeField(_("ran at"))
    result = models.JSONField(_("result"), default=dict)
    failure = models.CharField(_("failure"), max_length=300, blank=True)

    class Meta:
        db_table = "sweep_runs"
        ordering = ["name"]
        verbose_name = _("sweep")
        verbose_name_plural = _("sweeps")

    def __str__(self) -> str:
        return self.name
