"""The sandbox provider's side."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class SandboxRecord(models.Model):
    """The sandbox provider's own journal: what it was asked under which key, and what it did."""

    key = models.CharField(_("idempotency key"), max_length=80, primary_key=True)
    reference = models.CharField(_("reference"), max_length=40, unique=True)
    kind = models.CharField(_("kind"), max_length=9)
    parent_ref = models.CharField(_("of"), max_length=40, blank=True)
    amount_minor = models.BigIntegerField(_("amount"))
    currency = models.CharField(_("currency"), max_length=3)
    outcome = models.CharField(_("asked outcome"), max_length=12)
    state = models.CharField(_("state"), max_length=12)
    error_code = models.CharField(_("error"), max_length=60, blank=True)
    calls = models.PositiveIntegerField(_("calls"), default=1)
    created_at = models.DateTimeField(_("created at"))

    class Meta:
        db_table = "sandbox_journal"
        ordering = ["-created_at"]
        verbose_name = _("sandbox record")
        verbose_name_plural = _("sandbox journal")

    def __str__(self) -> str:
        return self.reference
