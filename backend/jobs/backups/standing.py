"""How the backups stand: when the last ones were made, until when everything is safe, and what is to be done. Reads only."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils.translation import gettext_lazy as _

from backend.core import platform
from backend.core.errors import Text
from backend.jobs.backups.making import SLOT, is_set_up
from backend.jobs.models import BackupRun

BASE_LATE = timedelta(hours=30)
"""A day, and the time that making one may take."""
WAL_LATE = timedelta(minutes=5)
DRILL_LATE = timedelta(days=2)
"""So much later than it was due a drill is late."""


@dataclass(slots=True)
class Standing:
    """The last good backup, shipment and drill, with their failures since. ``is_late`` when data could be lost by it."""

    based_at: datetime | None = None
    bytes: int = 0
    base_failure: str = ""
    safe_until: datetime | None = None
    wal_failure: str = ""
    files_until: datetime | None = None
    """None where no files are shipped: before the first list of them, and where they lie in a bucket."""
    files_failure: str = ""
    files_missing: int = 0
    drilled_at: datetime | None = None
    drill_failure: str = ""
    drill: dict[str, Any] = field(default_factory=dict)
    is_late: bool = False
    advice: list[Text] = field(default_factory=list)


def latest(kind: str) -> tuple[BackupRun | None, BackupRun | None]:
    """The newest run of a kind that ended, and the newest that ended well."""
    ended = BackupRun.objects.filter(kind=kind, ended_at__isnull=False).order_by("-started_at")
    return ended.first(), ended.filter(failure="").first()


def standing(now: datetime) -> Standing:
    """How the backups stand at ``now`` (UTC)."""
    found = Standing()
    base, good_base = latest(BackupRun.Kind.BASE)
    drill, good_drill = latest(BackupRun.Kind.DRILL)
    shipment = BackupRun.objects.filter(kind=BackupRun.Kind.WAL).first()
    if good_base is not None:
        found.based_at, found.bytes = good_base.ended_at, good_base.bytes
    if good_drill is not None:
        found.drilled_at = good_drill.ended_at
    found.base_failure = base.failure if base else ""
    found.drill_failure = drill.failure if drill else ""
    found.drill = drill.result if drill else {}
    if shipment is not None:
        found.safe_until, found.wal_failure = shipment.reached_at, shipment.failure
    uploads = BackupRun.objects.filter(kind=BackupRun.Kind.FILES).first()
    if uploads is not None:
        found.files_until, found.files_failure = uploads.reached_at, uploads.failure
        found.files_missing = int(uploads.result.get("missing", 0))
    _judge(found, now)
    return found


def _judge(found: Standing, now: datetime) -> None:
    if not is_set_up():
        found.advice.append(
            _("No backups are made: name a place and recipients (BACKUP_TARGET, BACKUP_RECIPIENTS).")
        )
        found.is_late = settings.PRODUCTION
        return
    if found.based_at is None or now - found.based_at > BASE_LATE:
        found.is_late = True
        found.advice.append(
            _("There is no backup of the last day: see why the last one failed, and make one by hand.")
        )
    if found.base_failure:
        found.advice.append(_("The last backup failed: %s") % found.base_failure)
    if found.based_at is not None and (found.safe_until is None or now - found.safe_until > WAL_LATE):
        found.is_late = True
        found.advice.append(_("What was written lately is not safe yet: see whether a worker runs and reaches the place of backups."))  # fmt: skip
    if found.wal_failure:
        found.advice.append(_("The last shipment failed: %s") % found.wal_failure)
    _judge_files(found, now)
    _judge_drills(found, now)


def _judge_files(found: Standing, now: datetime) -> None:
    if found.files_until is not None and now - found.files_until > WAL_LATE:
        found.is_late = True
        found.advice.append(_("What was uploaded lately is not safe yet: see whether a worker runs and reaches the place of backups."))  # fmt: skip
    if found.files_failure:
        found.advice.append(_("The last shipment of uploaded files failed: %s") % found.files_failure)
    if found.files_missing:
        found.advice.append(_("Uploaded files that are gone from the disk and lie in the backups only: %d. Bring them back (restore --only-files).") % found.files_missing)  # fmt: skip


def _judge_drills(found: Standing, now: datetime) -> None:
    days = platform.get("restore_drill_days")
    if found.drill_failure:
        found.advice.append(_("The last restore drill failed: %s") % found.drill_failure)
    if days and found.based_at is not None and not settings.BACKUP_IDENTITY_FILE:
        if found.drilled_at is None or now - found.drilled_at > timedelta(days=days):
            found.advice.append(_("No identity is at hand here, so that no drill runs by itself: run restore_drill where it is."))  # fmt: skip
    elif days and found.based_at is not None:
        # What was never proven counts from the first backup on.
        first = BackupRun.objects.filter(kind=BackupRun.Kind.BASE).order_by("started_at").first()
        since = found.drilled_at or (first.started_at if first else now)
        if now - since > timedelta(days=days) + DRILL_LATE:
            found.advice.append(_("The backups were not proven for too long: run restore_drill."))


def kept_back() -> int | None:
    """The bytes that the server keeps for the next shipment; None without a slot."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint FROM pg_replication_slots"
            " WHERE slot_name = %s",
            [SLOT],
        )
        row = cursor.fetchone()
    return None if row is None else int(row[0] or 0)
