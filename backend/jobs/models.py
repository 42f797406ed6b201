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
    """A backup, a shipment of what was written or uploaded since, or a restore that proved that they can be used.

    ``reached_at`` is until when everything is safe by it (of a drill: until when the restored rows went). Of shipments
    only the last one of each sort is kept.
    """

    class Kind(models.TextChoices):
        BASE = "base"
        WAL = "wal"
        DRILL = "drill"
        FILES = "files"

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
                fields=["kind"],
                condition=models.Q(kind__in=["wal", "files"]),
                name="backup_runs_one_shipment",
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class BackedUpFile(models.Model):
    """An uploaded file that lies at the place of backups, by its content. Who makes backups cannot read its lists there.

    ``gone_at`` is when it was deleted here; its content stays for as long as backups do. A row without a name is a content
    that nobody here has put there.
    """

    name = models.CharField(max_length=500)
    sha256 = models.CharField(max_length=64)
    bytes = models.BigIntegerField()
    modified_ns = models.BigIntegerField()
    gone_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "backup_files"
        indexes = [
            models.Index(fields=["sha256"], name="backup_files_contents"),
            models.Index(
                fields=["gone_at"], condition=models.Q(gone_at__isnull=False), name="backup_files_gone"
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["name"], condition=models.Q(gone_at=None), name="backup_files_one_of_a_name"
            )
        ]

    def __str__(self) -> str:
        return self.name
