"""A restore drill: the newest backup is restored beside everything else, its books are checked, and it is thrown away.

A backup that was never restored is a hope. What comes out of a drill is a row that says how long it took, until when the
rows went, how many invariants were violated, and whether the providers' lists agree with the books that came back.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.utils import timezone

from backend.jobs.backups import restoring, source
from backend.jobs.backups.errors import BackupError
from backend.jobs.backups.making import STAMP, work_folder
from backend.jobs.backups.places import Place, place
from backend.jobs.models import BackupRun
from backend.local.errors import LocalError
from backend.local.postgres import ROLE, Postgres

PATIENCE_S = 3600.0


def drill(*, now: datetime, identity: str = "", where: Place | None = None) -> BackupRun:
    """Restore the newest backup into a scratch cluster and prove what is in it; the row of it.

    It failed (``failure`` says why) when it cannot be restored or an invariant is violated. Differences with the providers'
    lists are told: what was paid since the last shipment is one of them, and no fault of the backup.
    Raises: BackupError when it could not even be tried; that is noted too.
    """
    run = BackupRun.objects.create(kind=BackupRun.Kind.DRILL, name=now.strftime(STAMP), started_at=now)
    scratch = Path(tempfile.mkdtemp(prefix="drill-", dir=work_folder()))
    server: Postgres | None = None
    try:
        file = identity or settings.BACKUP_IDENTITY_FILE
        if not file:
            raise BackupError(
                "A drill needs the identity that opens backups: --identity or BACKUP_IDENTITY_FILE."
            )
        restored = restoring.restore(
            where or place(),
            into=scratch / "state",
            identity=file,
            secret_key=settings.SECRET_KEY,
            durable=False,
        )
        server = Postgres(restored.state, scratch=True)
        server.start()
        run.reached_at = restored.reached_at
        run.result = {
            "base": restored.base,
            "files": restored.files,
            "seconds": round((timezone.now() - run.started_at).total_seconds(), 1),
            **_proven(server, restored),
        }
        run.failure = _failure(run.result)
    except (BackupError, LocalError, OSError) as error:
        run.failure = str(error)[:500]
        raise BackupError(run.failure) from error
    finally:
        if server is not None:
            server.stop()
        _remove(scratch)
        run.ended_at = timezone.now()
        run.save()
    return run


def _proven(server: Postgres, restored: restoring.Restored) -> dict[str, Any]:
    """What ``restore_drill --prove`` says of the scratch database, in a process of its own."""
    env = {
        **os.environ,
        "DATABASE_URL": f"postgresql://{ROLE}:{quote(restored.state.database_password)}@127.0.0.1:{server.port}"
        f"/{quote(restored.database)}",
        "REDIS_URL": "",
        "STATE_DIR": str(restored.state.path),
        "SECRET_KEY": settings.SECRET_KEY,
        "BACKUP_TARGET": "",
    }
    said = source.finished(
        [sys.executable, str(settings.BASE_DIR / "manage.py"), "restore_drill", "--prove"],
        env,
        timeout_s=PATIENCE_S,
    )
    proof: dict[str, Any] = json.loads(said.strip().splitlines()[-1])
    return proof


def prove() -> dict[str, Any]:
    """Check the books of this database and compare them with the providers' lists; run in a scratch database only."""
    from backend.jobs import books
    from backend.payments import reconciliation

    findings = books.check_books(full=True)
    compared = reconciliation.reconcile(now=timezone.now())
    return {
        "checks": len(findings),
        "violations": sum(finding.count for finding in findings),
        "violated": sorted(finding.check.name for finding in findings if finding.count),
        "compared": compared["compared"],
        "differences": compared["differences"],
        "providers_silent": compared["failed"],
    }


def _failure(result: dict[str, Any]) -> str:
    if result["violations"]:
        return f"{result['violations']} violations: {', '.join(result['violated'])}"[:500]
    return ""


def _remove(scratch: Path) -> None:
    """Delete all that the drill made, wherever the cluster's files lie."""
    if (scratch / "state" / "secrets.json").exists():
        Postgres(restoring.open_state(scratch / "state")).remove()
    shutil.rmtree(scratch, ignore_errors=True)
