"""Backups: a copy of the whole database each day, everything that is written since each few seconds, and the files.

A base is PostgreSQL's own copy of its cluster, with a manifest of hashes. Shipments carry the write-ahead log behind it,
the segment that is being written too, so that what is lost with the machine is what was written since the last one. A
slot keeps the server from dropping what was not fetched yet. Files are kept by their contents, each once.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from backend.core import platform
from backend.jobs.backups import files, sealing, source
from backend.jobs.backups.errors import BackupError, Busy
from backend.jobs.backups.places import Place, place
from backend.jobs.backups.source import alone, work_folder
from backend.jobs.models import BackupRun

log = structlog.get_logger(__name__)

SLOT = "karibu_backup"
SEGMENT = re.compile(r"[0-9A-F]{24}")
STAMP = "%Y%m%dT%H%M%SZ"
LOCK_BASE, LOCK_WAL = 0x6B61_7201, 0x6B61_7202
HALF_PUT = timedelta(days=2)
"""What somebody has begun to put so long ago, and not ended, is waste."""
ANEW = "make a new backup"
"""What a failure says that only a new base mends."""


def is_set_up() -> bool:
    """Whether this installation makes backups at all."""
    return bool(settings.BACKUP_TARGET and settings.BACKUP_RECIPIENTS)


def instant(name: str) -> datetime:
    """When the backup of that name began."""
    return datetime.strptime(name[:16], STAMP).replace(tzinfo=UTC)


def base(*, now: datetime, where: Place | None = None) -> BackupRun:
    """Copy the whole cluster and its files to the place of backups, ship what was written meanwhile, drop old backups.

    Raises: BackupError; the run is noted with its failure then.
    """
    run = BackupRun(kind=BackupRun.Kind.BASE, name=now.strftime(STAMP), started_at=now)
    try:
        place_, readers = where or place(), sealing.recipients()
        with alone(LOCK_BASE) as ours:
            if not ours:
                raise Busy("A backup is being made already.")
            run.save()
            _make(run, place_, readers, now)
    except Busy:
        raise
    except (BackupError, OSError) as error:
        run.failure, run.ended_at = str(error)[:500], timezone.now()
        run.save()
        raise
    return run


def _make(run: BackupRun, where: Place, readers: list[Any], now: datetime) -> None:
    _ensure_slot()
    manifest = _copy_cluster(run.name, where, readers)
    run.reached_at = ship(now=timezone.now(), where=where, begin=manifest["wal_from"])
    if files.folders():
        files.ship(now=timezone.now(), where=where, all_of_them=True)
    run.bytes = sum(file["bytes"] for file in manifest["files"])
    run.result = {
        "wal_from": manifest["wal_from"],
        "system": manifest["system"],
        "dropped": prune(now=now, where=where),
    }
    run.ended_at = timezone.now()
    run.save()


def _ensure_slot() -> None:
    with source.connect() as server:
        row = server.execute(
            "SELECT wal_status FROM pg_replication_slots WHERE slot_name = %s", [SLOT]
        ).fetchone()
        if row is not None and row[0] == "lost":
            # It waited for too long, and the server has dropped what it should have kept: begin anew.
            server.execute("SELECT pg_drop_replication_slot(%s)", [SLOT])
            shutil.rmtree(work_folder() / "wal", ignore_errors=True)
            row = None
        if row is None:
            server.execute("SELECT pg_create_physical_replication_slot(%s, true)", [SLOT])


def _facts() -> dict[str, Any]:
    with source.connect() as server:
        row = server.execute(
            """
            SELECT pg_walfile_name(pg_current_wal_lsn()), (SELECT system_identifier::text FROM pg_control_system()),
                current_setting('server_version_num')::int / 10000,
                (SELECT rolname FROM pg_roles WHERE oid = 10)
            """
        ).fetchone()
        assert row is not None  # noqa: S101 - it has no FROM
    names = ("wal_from", "system", "postgresql", "superuser")
    return dict(zip(names, row, strict=True))


def _copy_cluster(name: str, where: Place, readers: list[Any]) -> dict[str, Any]:
    facts = _facts()
    line, env = source.command(
        "pg_basebackup",
        *("--pgdata=-", "--format=tar", "--wal-method=fetch", "--checkpoint=fast"),
        *("--manifest-checksums=SHA256", f"--label=karibu {name}"),
    )
    file = work_folder() / f"base-{name}{sealing.SUFFIX}"
    try:
        digest, size = _stream(line, env, file, readers)
        key = f"bases/{name}/base.tar{sealing.SUFFIX}"
        where.put(key, file)
    finally:
        file.unlink(missing_ok=True)
    at = settings.DATABASES["default"]
    manifest = {
        "version": 1,
        "name": name,
        "ended_at": timezone.now().isoformat(),
        "database": at["NAME"],
        "role": at["USER"],
        "files": [{"key": key, "bytes": size, "sha256": digest}],
        **facts,
    }
    # Written last: a base without its manifest is none.
    _put_json(where, f"bases/{name}/manifest.json", manifest)
    return manifest


def _stream(line: list[str], env: dict[str, str], file: Path, readers: list[Any]) -> tuple[str, int]:
    """Run a program whose output is sealed into a file. Raises: BackupError with its last words."""
    with tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(
            line, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors
        )
        assert child.stdout is not None  # noqa: S101 - asked for above
        try:
            digest, size = sealing.seal(child.stdout, file, readers)
        finally:
            child.stdout.close()
            code = child.wait()
        errors.seek(0)
        said = errors.read().decode(errors="replace")
    if code:
        raise BackupError(f"{Path(line[0]).name}: {source.last_words(said) or code}")
    return digest, size


def _put_json(where: Place, key: str, content: Any) -> None:
    file = work_folder() / f"{threading.get_ident()}.json"
    file.write_text(json.dumps(content, indent=1), encoding="utf-8")
    where.put(key, file)
    file.unlink()


def ship(*, now: datetime, where: Place | None = None, begin: str = "") -> datetime | None:
    """Fetch what was written to the database since the last shipment and put it to the backups.

    ``begin`` is the segment from which a new base needs everything: what lies before it is not asked for any more.
    Gives the instant until when all rows are safe now; None when somebody else ships. Raises: BackupError.
    """
    run, _made = BackupRun.objects.get_or_create(
        kind=BackupRun.Kind.WAL, defaults={"name": "wal", "started_at": now}
    )
    try:
        with alone(LOCK_WAL, wait=bool(begin)) as ours:
            if not ours:
                return None
            run.refresh_from_db()
            return _ship(run, where or place(), begin, now)
    except (BackupError, OSError) as error:
        BackupRun.objects.filter(pk=run.pk).update(
            failure=str(error)[:500], started_at=now, ended_at=timezone.now()
        )
        raise


def _ship(run: BackupRun, where: Place, begin: str, now: datetime) -> datetime:
    try:
        _begin(run, where, begin)
        safe_until, lsn = _mark(run)
        folder = work_folder() / "wal"
        folder.mkdir(mode=0o700, exist_ok=True)
        source.run(
            "pg_receivewal",
            *("--directory", str(folder), "--slot", SLOT, "--endpos", lsn, "--no-loop", "--no-sync"),
        )
        run.bytes += _send(folder, where, run)
        run.failure, run.reached_at = "", safe_until
    finally:
        # How far it has come counts, whatever came then.
        run.started_at, run.ended_at = now, timezone.now()
        run.save()
    return safe_until


def _begin(run: BackupRun, where: Place, begin: str) -> None:
    """Take up where the last shipment ended, or anew behind a base. Raises: BackupError when only a base helps."""
    if begin:
        done = str(run.result.get("segment", ""))
        goes_on = run.result.get("place") == where.name and done >= begin
        run.result = {"place": where.name, **({"segment": done} if goes_on else {})}
        return
    with source.connect() as server:
        slots = server.execute("SELECT FROM pg_replication_slots WHERE slot_name = %s", [SLOT]).fetchall()
    if not slots:
        raise BackupError(f"The database was not asked to keep its log (it is another server): {ANEW}.")
    if run.result.get("place") != where.name:
        raise BackupError(f"The place of backups is another one now: {ANEW}.")


def _mark(run: BackupRun) -> tuple[datetime, str]:
    """An instant and a place in the log behind it, with a commit in between: a restore to the instant finds its end."""
    touch = "UPDATE backup_runs SET ended_at = clock_timestamp() WHERE id = %s"
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (at,) = cursor.fetchone()
        # The commit that is looked for must be there for sure, whatever the connection's settings are.
        with transaction.atomic():
            cursor.execute("SET LOCAL synchronous_commit = on")
            cursor.execute(touch, [run.pk])
        cursor.execute("SELECT pg_current_wal_flush_lsn()::text")
        (lsn,) = cursor.fetchone()
        # The program ends with the first thing that lies behind the place, so something has to.
        with transaction.atomic():
            cursor.execute("SET LOCAL synchronous_commit = on")
            cursor.execute(touch, [run.pk])
    return at, lsn


def _send(folder: Path, where: Place, run: BackupRun) -> int:
    """Put every segment that is new, and the one that is being written; how many bytes."""
    readers, sent = sealing.recipients(), 0
    complete = sorted(file for file in folder.iterdir() if SEGMENT.fullmatch(file.name))
    others = [file for file in folder.iterdir() if file.name.endswith((".partial", ".history"))]
    done = str(run.result.get("segment", ""))
    for file in complete:
        if file.name > done:
            _require_next(done, file.name)
            sent += _put(where, file, readers)
            where.drop(f"wal/{file.name}.partial{sealing.SUFFIX}")
            done = file.name
            run.result = {**run.result, "segment": done}
    # The last one stays, so that the program knows where to go on.
    for file in complete[:-1]:
        file.unlink()
    for file in others:
        sent += _put(where, file, readers)
    return sent


def _require_next(before: str, segment: str) -> None:
    """Raises: BackupError when a segment between the two is missing, as after a shipment that was lost with its disk."""
    if before and before[:8] == segment[:8] and _number(segment) != _number(before) + 1:
        raise BackupError(f"What was written between {before} and {segment} was lost: {ANEW}.")


def _number(segment: str) -> int:
    """The number of a segment of 16 MB within its timeline."""
    return int(segment[8:16], 16) * 256 + int(segment[16:], 16)


def _put(where: Place, file: Path, readers: list[Any]) -> int:
    sealed = work_folder() / f"{file.name}{sealing.SUFFIX}"
    try:
        with file.open("rb") as content:
            _digest, size = sealing.seal(content, sealed, readers)
        where.put(f"wal/{file.name}{sealing.SUFFIX}", sealed)
    finally:
        sealed.unlink(missing_ok=True)
    return size


def manifests(where: Place) -> list[dict[str, Any]]:
    """The manifests of all complete bases, the oldest first."""
    found = []
    for key, _size in where.keys("bases/"):
        if key.endswith("/manifest.json"):
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "manifest.json"
                where.fetch(key, file)
                try:
                    found.append(json.loads(file.read_text(encoding="utf-8")))
                except ValueError:
                    raise BackupError(f"{key} is damaged.") from None
    return sorted(found, key=lambda manifest: str(manifest["name"]))


def prune(*, now: datetime, where: Place) -> int:
    """Drop bases older than ``backup_keep_days``, but never the newest, and what only they needed; how many bases."""
    before = now - timedelta(days=platform.get("backup_keep_days"))
    every = manifests(where)
    kept = [each for each in every if instant(each["name"]) >= before] or every[-1:]
    names = {each["name"] for each in kept}
    gone = 0
    for key, _size in list(where.keys("bases/")):
        name = key.split("/")[1]
        # One that is being made, or was left half-made, has no manifest.
        if name not in names and (instant(name) < before or name in {each["name"] for each in every}):
            gone += key.endswith("/manifest.json")
            where.drop(key)
    needed = min(each["wal_from"] for each in kept)
    for key, _size in list(where.keys("wal/")):
        segment = key.removeprefix("wal/")[:24]
        if SEGMENT.fullmatch(segment) and segment < needed:
            where.drop(key)
    where.tidy(before=now - HALF_PUT)
    files.prune(before=before, first_base=instant(kept[0]["name"]), where=where)
    BackupRun.objects.filter(kind=BackupRun.Kind.BASE, started_at__lt=before).exclude(name__in=names).delete()
    return gone
