"""Uploaded files on their way to the place of backups: what is new each few seconds, all that there are at each base.

A content lies there once, under its hash. Beside the contents lie **lists** of all names at a base and **changes** since,
so that a restore knows which files there were at an instant. They are sealed, and whoever makes backups cannot read
them again: what lies where is remembered in the table ``backup_files``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from backend.core import stored
from backend.core.stored import Note
from backend.jobs.backups import sealing
from backend.jobs.backups.errors import BackupError
from backend.jobs.backups.places import Place, place
from backend.jobs.backups.source import alone, work_folder
from backend.jobs.models import BackedUpFile, BackupRun

T = TypeVar("T")
LOCK_FILES = 0x6B61_7203
AT_ONCE = 500
"""So many notes are carried out before they are forgotten."""
THREADS = 8
"""A bucket is far away: what is waited for is mostly the way."""
UNDER_WAY = timedelta(minutes=10)
"""How long after its note a file may still be there before the deletion counts as one that never was."""
PRECISE = "%Y%m%dT%H%M%S.%fZ"


@dataclass(frozen=True, slots=True)
class _Found:
    """A file as it lies on disk."""

    name: str
    path: Path
    bytes: int
    modified_ns: int


def folders() -> dict[str, Path]:
    """The folders of uploaded files by the name that they have in a backup; none where files lie in a bucket."""
    if settings.ENV.storage_bucket:
        return {}
    return {"media": Path(settings.MEDIA_ROOT), "private": Path(settings.STATE_DIR) / "private"}


def ship(*, now: datetime, where: Place | None = None, all_of_them: bool = False) -> datetime | None:
    """Put what was uploaded since the last time to the backups, and take from them what was erased.

    ``all_of_them`` looks at every file, makes a list of them and is waited for; without a list there is nothing to add to.
    Gives the instant until when all files are safe now; None when somebody else ships or there is no list. Raises:
    BackupError, OSError; the row of the shipment says so, too.
    """
    run, _made = BackupRun.objects.get_or_create(
        kind=BackupRun.Kind.FILES, defaults={"name": "files", "started_at": now}
    )
    try:
        with alone(LOCK_FILES, wait=all_of_them) as ours:
            if not ours:
                return None
            run.refresh_from_db()
            shipment = _Shipment(where or place(), run)
            return _ship(shipment, all_of_them, now) if all_of_them or shipment.has_a_list else None
    except (BackupError, OSError) as error:
        BackupRun.objects.filter(pk=run.pk).update(
            failure=str(error)[:500], started_at=now, ended_at=timezone.now()
        )
        raise


def _ship(shipment: _Shipment, all_of_them: bool, now: datetime) -> datetime:
    safe_until = timezone.now()
    try:
        shipment.changes()
        if all_of_them:
            shipment.everything()
        shipment.run.failure, shipment.run.reached_at = "", safe_until
    finally:
        shipment.run.bytes += shipment.sent
        shipment.run.started_at, shipment.run.ended_at = now, timezone.now()
        shipment.run.save()
    return safe_until


class _Shipment:
    """One round of it."""

    def __init__(self, where: Place, run: BackupRun) -> None:
        self.where, self.run, self.sent = where, run, 0
        self.readers = sealing.recipients()
        self.folder, self.tops = work_folder(), folders()
        self.pending = self.folder / "files.pending"

    @property
    def has_a_list(self) -> bool:
        """Whether a list of all files was made at this very place."""
        return bool(self.run.result.get("place") == self.where.name)

    def changes(self) -> None:
        """Carry out every note there is."""
        stored.take(self.pending)
        if not self.pending.exists():
            return
        # Read at once: what must be tried again is written to the file's end.
        lines = self.pending.read_text(encoding="utf-8").splitlines(keepends=True)
        for start in range(0, len(lines), AT_ONCE):
            again = self._carry_out([stored.read(line) for line in lines[start : start + AT_ONCE]])
            lines += [line for line in lines[start : start + AT_ONCE] if stored.read(line) in again]
            new = self.pending.with_suffix(".new")
            new.write_text("".join(lines[start + AT_ONCE :]), encoding="utf-8")
            new.replace(self.pending)

    def _carry_out(self, notes: list[Note]) -> set[Note]:
        """Put what came and note what went; the notes whose deletion is still under way."""
        last = {note.name: note for note in notes}
        new, gone, again = [], [], set()
        for note in last.values():
            found = self._find(note.name)
            if found is None and note.is_gone:
                gone.append(note)
            elif found is not None and note.is_gone and timezone.now() - note.at < UNDER_WAY:
                again.add(note)
            elif found is not None:
                new.append(found)
        put = self._put(new)
        lines: list[dict[str, Any]] = [
            {"at": last[found.name].at.isoformat(), "name": found.name, "sha256": digest}
            for found, digest in put
        ]
        lines += [
            {"at": note.at.isoformat(), "name": note.name, "gone": True, "for_good": note.for_good}
            for note in gone
        ]
        if lines:
            self._put_lines(f"files/changes/{timezone.now():{PRECISE}}.jsonl{sealing.SUFFIX}", lines)
        for note in gone:
            self._forget(note)
        return again

    def _find(self, name: str) -> _Found | None:
        folder, _slash, rest = name.partition("/")
        if folder not in self.tops:
            return None
        path = self.tops[folder] / rest
        try:
            about = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return _Found(name, path, about.st_size, about.st_mtime_ns) if path.is_file() else None

    def _put(self, files: Sequence[_Found]) -> list[tuple[_Found, str]]:
        """See to it that these contents lie there, and remember them; each with its hash."""
        with ThreadPoolExecutor(THREADS) as pool:
            hashed = [
                (found, digest) for found, digest in zip(files, pool.map(_hash, files), strict=True) if digest
            ]
            known = set(
                BackedUpFile.objects.filter(sha256__in={digest for _found, digest in hashed}).values_list(
                    "sha256", flat=True
                )
            )
            new = {digest: found for found, digest in hashed if digest not in known}
            self.sent += sum(pool.map(self._put_content, new.values(), new))
        with transaction.atomic():
            for found, digest in hashed:
                self._remember(found, digest)
        return hashed

    def _put_content(self, found: _Found, digest: str) -> int:
        sealed = self.folder / f"{uuid4().hex}{sealing.SUFFIX}"
        try:
            with found.path.open("rb") as content:
                _digest, size = sealing.seal(content, sealed, self.readers)
            self.where.put(_content_key(digest), sealed)
        except FileNotFoundError:
            # It was deleted meanwhile; the note of that comes next.
            return 0
        finally:
            sealed.unlink(missing_ok=True)
        return size

    def _remember(self, found: _Found, digest: str) -> None:
        standing = BackedUpFile.objects.filter(name=found.name, gone_at=None)
        if standing.filter(sha256=digest).update(modified_ns=found.modified_ns):
            return
        standing.update(gone_at=timezone.now())
        BackedUpFile.objects.create(
            name=found.name, sha256=digest, bytes=found.bytes, modified_ns=found.modified_ns
        )

    def _forget(self, note: Note) -> None:
        rows = BackedUpFile.objects.filter(name=note.name)
        if not note.for_good:
            rows.filter(gone_at=None).update(gone_at=note.at)
            return
        digests = set(rows.values_list("sha256", flat=True))
        drop_contents(self.where, digests, but_for=rows)
        rows.delete()

    def everything(self) -> None:
        """Look at every file and at every content, and write the list."""
        for some in _batches(self._walk()):
            known = {
                (row.name, row.bytes, row.modified_ns)
                for row in BackedUpFile.objects.filter(name__in=[found.name for found in some], gone_at=None)
            }
            self._put([found for found in some if (found.name, found.bytes, found.modified_ns) not in known])
        self._compare()
        stored.take(self.pending)
        missing = [row.name for row in self._listed() if self._find(row.name) is None]
        if missing and self.pending.exists():
            deleted = {stored.read(line).name for line in self.pending.read_text("utf-8").splitlines()}
            missing = [name for name in missing if name not in deleted]
        self._put_lines(
            f"files/lists/{timezone.now():{PRECISE}}.jsonl{sealing.SUFFIX}",
            ({"name": row.name, "sha256": row.sha256} for row in self._listed()),
        )
        self.run.result = {
            "place": self.where.name,
            "files": BackedUpFile.objects.filter(gone_at=None).count(),
            "missing": len(missing),
        }

    def _walk(self) -> Iterator[_Found]:
        for folder, top in self.tops.items():
            for path in top.rglob("*") if top.is_dir() else ():
                found = self._find(f"{folder}/{path.relative_to(top)}")
                if found is not None and not path.is_relative_to(top / "health"):
                    yield found

    def _listed(self) -> Iterator[BackedUpFile]:
        return BackedUpFile.objects.filter(gone_at=None).order_by("pk").iterator(AT_ONCE)

    def _compare(self) -> None:
        """Hold the contents at the place against what is remembered: put again what is missing, adopt what is unknown."""
        there = set()
        for some in _batches(self.where.keys("files/contents/")):
            digests = {bytes.fromhex(_digest(key)) for key, _size in some}
            there |= digests
            known = BackedUpFile.objects.filter(sha256__in=[digest.hex() for digest in digests])
            unknown = digests - {bytes.fromhex(text) for text in known.values_list("sha256", flat=True)}
            # Of a world that was restored to before they came: they go when backups of that time do.
            BackedUpFile.objects.bulk_create(
                BackedUpFile(name="", sha256=digest.hex(), bytes=0, modified_ns=0, gone_at=timezone.now())
                for digest in unknown
            )
        for row in self._listed():
            if bytes.fromhex(row.sha256) not in there and (found := self._find(row.name)):
                self.sent += self._put_content(found, row.sha256)
                there.add(bytes.fromhex(row.sha256))

    def _put_lines(self, key: str, lines: Iterable[dict[str, Any]]) -> None:
        plain, sealed = self.folder / f"{uuid4().hex}.jsonl", self.folder / f"{uuid4().hex}{sealing.SUFFIX}"
        try:
            with plain.open("w", encoding="utf-8") as file:
                file.writelines(json.dumps(line) + "\n" for line in lines)
            with plain.open("rb") as content:
                sealing.seal(content, sealed, self.readers)
            self.where.put(key, sealed)
        finally:
            plain.unlink(missing_ok=True)
            sealed.unlink(missing_ok=True)


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(items)
    while some := list(islice(iterator, AT_ONCE)):
        yield some


def _hash(found: _Found) -> str:
    try:
        return sealing.sha256(found.path)
    except FileNotFoundError:
        return ""


def _content_key(digest: str) -> str:
    return f"files/contents/{digest}{sealing.SUFFIX}"


def _digest(key: str) -> str:
    return key.removeprefix("files/contents/").removesuffix(sealing.SUFFIX)


def drop_contents(where: Place, digests: Iterable[str], *, but_for: Any) -> None:
    """Delete contents that no remembered file has but for the rows ``but_for``."""
    for digest in digests:
        if not BackedUpFile.objects.filter(sha256=digest).exclude(Q(pk__in=but_for.values("pk"))).exists():
            where.drop(_content_key(digest))


def prune(*, before: datetime, first_base: datetime, where: Place) -> None:
    """Drop what was deleted ``before``, and the lists and changes that only bases before ``first_base`` needed."""
    while old := list(BackedUpFile.objects.filter(gone_at__lt=before).order_by("pk")[:AT_ONCE]):
        rows = BackedUpFile.objects.filter(pk__in=[row.pk for row in old])
        drop_contents(where, {row.sha256 for row in old}, but_for=rows)
        rows.delete()
    lists = [key for key, _size in where.keys("files/lists/")]
    older = [key for key in lists if moment(key) <= first_base]
    # The last one before the first base says what there was at it.
    keep_from = moment(older[-1]) if older else None
    for key in older[:-1]:
        where.drop(key)
    for key, _size in list(where.keys("files/changes/")):
        if keep_from is not None and moment(key) < keep_from:
            where.drop(key)


def moment(key: str) -> datetime:
    """When a list or changes were written, by their key."""
    name = key.rpartition("/")[2].removesuffix(f".jsonl{sealing.SUFFIX}")
    return datetime.strptime(f"{name}+0000", f"{PRECISE}%z")
