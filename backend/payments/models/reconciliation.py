"""What a provider's list and our operations say of each other."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class ReconciliationRun(models.Model):
    """One comparison with one provider."""

    provider = models.CharField(_("provider"), max_length=12)
    since = models.DateTimeField(_("from"))
    until = models.DateTimeField(_("to"))
    compared = models.PositiveIntegerField(_("compared"), default=0)
    differences = models.PositiveIntegerField(_("differences"), default=0)
    failure = models.CharField(_("failure"), max_length=300, blank=True)
    ran_at = models.DateTimeField(_("ran at"))

    class Meta:
        db_table = "reconciliation_runs"
        ordering = ["-id"]
        verbose_name = _("reconciliation")
        verbose_name_plural = _("reconciliations")

    def __str__(self) -> str:
        return f"{self.provider} {self.ran_at:%Y-%m-%d %H:%M}"


class ReconciliationDifference(models.Model):
    """One order that the two sides tell differently, from when it was first seen until it was settled."""

    class What(models.TextChoices):
        UNKNOWN_TO_US = "unknown_to_us", _("unknown to us")
        UNKNOWN_TO_THEM = "unknown_to_them", _("unknown to the provider")
        OUTCOME = "outcome", _("another outcome")
        TERMS = "terms", _("other terms")

    provider = models.CharField(_("provider"), max_length=12)
    key = models.CharField(_("key"), max_length=120)
    what = models.CharField(_("difference"), max_length=15, choices=What.choices)
    ours = models.CharField(_("we say"), max_length=120, blank=True)
    theirs = models.CharField(_("they say"), max_length=120, blank=True)
    first_seen_at = models.DateTimeField(_("first seen"))
    last_seen_at = models.DateTimeField(_("last seen"))
    settled_at = models.DateTimeField(_("settled"), null=True, blank=True)
    note = models.CharField(_("note"), max_length=500, blank=True)

    class Meta:
        db_table = "reconciliation_differences"
        ordering = ["-id"]
        verbose_name = _("difference")
        verbose_name_plural = _("differences")
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "key", "what"],
                condition=Q(settled_at=None),
                name="reconciliation_differences_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.key}"
