"""Backups: a copy of the whole database each day, everything that is written since each few seconds, and the files.

A base is PostgreSQL's own copy of its cluster, with a manifest of hashes. Shipments carry the write-ahead log behind it,
the segment that is being written too, so that what is lost with the machine is what was written since the last one. A
slot keeps the server from dropping what was not fetched yet. Files are kept by their contents, each once.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.db import connection
from django.utils import timezone

from backend.core import platform
from backend.jobs.backups import sealing, source
from backend.jobs.backups.errors import BackupError
from backend.jobs.backups.places import Place, place
from backend.jobs.models import BackupRun

log = structlog.get_logger(__name__)

SLOT = "karibu_backup"
SEGMENT = re.compile(r"[0-9A-F]{24}")
STAMP = "%Y%m%dT%H%M%SZ"
FILES_EVERY = timedelta(minutes=10)
LOCK_BASE, LOCK_WAL = 0x6B61_7269_6201, 0x6B61_7269_6202


def is_set_up() -> bool:
    """Whether this installation makes backups at all."""
    return bool(settings.BACKUP_TARGET and settings.BACKUP_RECIPIENTS)


def instant(name: str) -> datetime:
    """When the backup of that name began."""
    return datetime.strptime(name[:16], STAMP).replace(tzinfo=UTC)


def work_folder() -> Path:
    """Where things lie on their way; for our eyes only."""
    folder = settings.STATE_DIR / "backup"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


@contextmanager
def alone(key: int) -> Iterator[bool]:
    """Whether nobody else does the same now, on any machine; held until the end of the block."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [key])
        (ours,) = cursor.fetchone()
        try:
            yield bool(ours)
        finally:
            if ours:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [key])


def base(*, now: datetime, where: Place | None = None) -> BackupRun:
    """Copy the whole cluster and its files to the place of backups, ship what was written meanwhile, drop old backups.

    Raises: BackupError; the run is noted with its failure then.
    """
    with alone(LOCK_BASE) as ours:
        if not ours:
            raise BackupError("A backup is being made already.")
        run = BackupRun.objects.create(kind=BackupRun.Kind.BASE, name=now.strftime(STAMP), started_at=now)
        try:
            place_ = where or place()
            readers = sealing.recipients()
            _ensure_slot()
            manifest = _copy_cluster(run.name, place_, readers)
            sync_files(now=now, where=place_)
            reached = ship(now=timezone.now(), where=place_, force=True)
            run.bytes = sum(file["bytes"] for file in manifest["files"])
            run.result = {"wal_from": manifest["wal_from"], "system": manifest["system"]}
            run.reached_at = reached
            run.result["dropped"] = prune(now=now, where=place_)
        except (BackupError, OSError) as error:
            run.failure = str(error)[:500]
            raise
        finally:
            run.ended_at = timezone.now()
            run.save()
    return run


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


def ship(*, now: datetime, where: Place | None = None, force: bool = False) -> datetime | None:
    """Fetch what was written to the database since the last shipment and put it to the backups.

    Gives the instant until when everything is safe now; None when somebody else ships. Raises: BackupError.
    """
    with alone(LOCK_WAL) as ours:
        if not ours and not force:
            return None
        run, _made = BackupRun.objects.get_or_create(
            kind=BackupRun.Kind.WAL, defaults={"name": "wal", "started_at": now}
        )
        try:
            safe_until, lsn = _mark(run)
            folder = work_folder() / "wal"
            folder.mkdir(mode=0o700, exist_ok=True)
            source.run(
                "pg_receivewal",
                *("--directory", str(folder), "--slot", SLOT, "--endpos", lsn, "--no-loop", "--no-sync"),
            )
            sent = _send(folder, where or place(), run)
            run.failure, run.reached_at = "", safe_until
        except (BackupError, OSError) as error:
            run.failure = str(error)[:500]
            raise
        else:
            run.bytes += sent
        finally:
            run.started_at, run.ended_at = now, timezone.now()
            run.save()
    return safe_until


def _mark(run: BackupRun) -> tuple[datetime, str]:
    """An instant and a place in the log behind it, with a commit in between: a restore to the instant finds its end."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (at,) = cursor.fetchone()
        # The commit that is looked for must be there for sure, whatever the connection's settings are.
        cursor.execute("SET synchronous_commit = on")
        touch = "UPDATE backup_runs SET ended_at = clock_timestamp() WHERE id = %s"
        cursor.execute(touch, [run.pk])
        cursor.execute("SELECT pg_current_wal_flush_lsn()::text")
        (lsn,) = cursor.fetchone()
        # The program ends with the first thing that lies behind the place, so something has to.
        cursor.execute(touch, [run.pk])
        cursor.execute("RESET synchronous_commit")
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
        raise BackupError(f"What was written between {before} and {segment} was lost: make a new backup.")


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


def file_folders() -> dict[str, Path]:
    """The folders of uploaded files by the name that they have in a backup; none where files lie in a bucket."""
    if settings.ENV.storage_bucket:
        return {}
    return {"media": Path(settings.MEDIA_ROOT), "private": settings.STATE_DIR / "private"}


def sync_files(*, now: datetime, where: Place) -> dict[str, int]:
    """Put every uploaded file that is not there yet, and a list of all there are; how many there are and were put."""
    readers = sealing.recipients()
    known = {key.split("/")[-1] for key, _size in where.keys("files/contents/")}
    listed: dict[str, dict[str, Any]] = {}
    put = 0
    for name, path in _files():
        digest = sealing.sha256(path)
        listed[name] = {"sha256": digest, "bytes": path.stat().st_size}
        if f"{digest}{sealing.SUFFIX}" not in known:
            sealed = work_folder() / f"{digest}{sealing.SUFFIX}"
            try:
                with path.open("rb") as content:
                    sealing.seal(content, sealed, readers)
                where.put(f"files/contents/{digest}{sealing.SUFFIX}", sealed)
            finally:
                sealed.unlink(missing_ok=True)
            known.add(f"{digest}{sealing.SUFFIX}")
            put += 1
    sealed = work_folder() / f"files{sealing.SUFFIX}"
    sealing.seal(io.BytesIO(json.dumps(listed).encode()), sealed, readers)
    where.put(f"files/lists/{now.strftime(STAMP)}.json{sealing.SUFFIX}", sealed)
    sealed.unlink()
    return {"files": len(listed), "put": put}


def _files() -> Iterator[tuple[str, Path]]:
    for folder, top in file_folders().items():
        for path in sorted(top.rglob("*")) if top.is_dir() else ():
            if path.is_file():
                yield f"{folder}/{path.relative_to(top)}", path


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
    first = kept[0]["name"]
    lists = [key for key, _size in where.keys("files/lists/")]
    for key in lists[:-1]:
        if key.split("/")[-1][: len(first)] < first:
            where.drop(key)
    BackupRun.objects.filter(kind=BackupRun.Kind.BASE, started_at__lt=before).exclude(name__in=names).delete()
    return gone
