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


class BackupRun(models.Model):
    """A backup, a shipment of what was written since, or a restore that proved that both can be used.

    ``reached_at`` is until when everything is safe by it (of a drill: until when the restored rows went). Of shipments
    only the last one is kept.
    """

    class Kind(models.TextChoices):
        BASE = "base"
        WAL = "wal"
        DRILL = "drill"

    kind = models.CharField(max_length=5, choices=Kind.choices)
    name = models.CharField(max_length=40)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    bytes = models.BigIntegerField(default=0)
    reached_at = models.DateTimeField(null=True)
    failure = models.CharField(max_length=500, blank=True)
    result = models.JSONField(default=dict)

    class Meta:
        db_table = "backup_runs"
        indexes = [models.Index(fields=["kind", "-started_at"], name="backup_runs_latest")]
        constraints = [
            models.UniqueConstraint(
                fields=["kind"], condition=models.Q(kind="wal"), name="backup_runs_one_shipment"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"
