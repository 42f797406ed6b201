"""When backups are made: a base each day, what was written every few seconds, a drill each week.

A base or a drill may take hours; a worker that did it would do nothing else meanwhile. So the sweep only starts a process
of its own, and the next one looks what became of it.
"""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from backend.core import platform
from backend.jobs.backups import files, making
from backend.jobs.backups.standing import latest
from backend.jobs.models import BackupRun

SHIPPED = "* * * * * */20" if making.is_set_up() else ""
"""Every twenty seconds; where no backups are made, not at all."""
AGAIN_AFTER = timedelta(hours=1)
"""A base or drill that failed, or whose process is gone, is tried again after so long."""


def ship(now: datetime) -> dict[str, Any]:
    """Send what was written lately, where backups are made and there is one to add to."""
    if not making.is_set_up() or latest(BackupRun.Kind.BASE)[1] is None:
        return {}
    reached = making.ship(now=now)
    return {"safe_until": reached.isoformat()} if reached else {}


def ship_files(now: datetime) -> dict[str, Any]:
    """Send what was uploaded lately, where there is a list to add to."""
    if not making.is_set_up():
        return {}
    if not files.folders():
        # They lie in a bucket now; that there are none any more is not late.
        BackupRun.objects.filter(kind=BackupRun.Kind.FILES).delete()
        return {}
    reached = files.ship(now=now)
    return {"safe_until": reached.isoformat()} if reached else {}


def due(now: datetime) -> str:
    """What is to be started at ``now``: ``base``, ``drill`` or nothing."""
    if not making.is_set_up():
        return ""
    if _wanted(BackupRun.Kind.BASE, _last_hour(now), now):
        return "base"
    if not settings.BACKUP_IDENTITY_FILE or latest(BackupRun.Kind.BASE)[1] is None:
        return ""
    days = platform.get("restore_drill_days")
    return "drill" if days and _wanted(BackupRun.Kind.DRILL, now - timedelta(days=days), now) else ""


def _last_hour(now: datetime) -> datetime:
    """The last time that the hour of the backup began."""
    at = now.replace(hour=platform.get("backup_hour"), minute=0, second=0, microsecond=0)
    return at if at <= now else at - timedelta(days=1)


def _wanted(kind: str, since: datetime, now: datetime) -> bool:
    """Whether none ended well since then, and none was tried or runs within the last hour."""
    runs = BackupRun.objects.filter(kind=kind)
    if runs.filter(started_at__gte=since, failure="", ended_at__isnull=False).exists():
        gap = kind == BackupRun.Kind.BASE and _is_broken()
        if not gap:
            return False
    return not runs.filter(started_at__gt=now - AGAIN_AFTER).exists()


def _is_broken() -> bool:
    """Whether what was shipped has a hole, so that only a new base helps."""
    return BackupRun.objects.filter(kind=BackupRun.Kind.WAL, failure__contains=making.ANEW).exists()


def start_due(now: datetime) -> dict[str, Any]:
    """Start what is due in a process of its own."""
    what = due(now)
    if not what:
        return {}
    command = {"base": "backup", "drill": "restore_drill"}[what]
    log = making.work_folder() / f"{command}.log"
    with log.open("ab") as output:
        subprocess.Popen(
            [sys.executable, str(settings.BASE_DIR / "manage.py"), command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return {"started": what}
