"""Uploaded files on a disk of ours, with a note of each that comes or goes.

A backup must not walk through millions of files to find the one that is new. So the storage writes a line for each into a
journal of the state directory, where backups are made at all; they take it from there (``backend.jobs.backups.files``).
Files in a bucket need none of this.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.core.files.storage import FileSystemStorage
from django.utils import timezone

_for_good: ContextVar[bool] = ContextVar("for_good", default=False)


@dataclass(frozen=True, slots=True)
class Note:
    """That a file came or went, at an instant (UTC). ``name`` begins with its folder: ``media/…`` or ``private/…``.

    What went ``for_good`` is to be nowhere any more, in no backup either.
    """

    at: datetime
    name: str
    is_gone: bool = False
    for_good: bool = False


@contextmanager
def for_good(really: bool = True) -> Iterator[None]:
    """What is deleted inside is deleted from the backups too, at once: somebody has their account erased."""
    token = _for_good.set(really)
    try:
        yield
    finally:
        _for_good.reset(token)


def is_for_good() -> bool:
    """Whether what is deleted now goes for good; for jobs that carry a deletion out later."""
    return _for_good.get()


class NotedStorage(FileSystemStorage):
    """Django's files on disk, with notes. ``place`` is what their folder is called in notes and backups."""

    def __init__(self, *args: Any, place: str, **options: Any) -> None:
        super().__init__(*args, **options)
        self.place = place

    def _save(self, name: str, content: Any) -> str:
        kept = str(super()._save(name, content))  # type: ignore[misc]
        self._note(kept)
        return kept

    def delete(self, name: str) -> None:
        """Delete a file, if it is there. The note comes first: one without its deletion does no harm."""
        self._note(name, is_gone=True)
        super().delete(name)

    def _note(self, name: str, *, is_gone: bool = False) -> None:
        # The probe of the health page is no upload.
        if not name.startswith("health/"):
            write(Note(timezone.now(), f"{self.place}/{name}", is_gone, is_gone and is_for_good()))


def write(note: Note) -> None:
    """Add a line to the journal, where backups are made."""
    if settings.BACKUP_TARGET and settings.BACKUP_RECIPIENTS:
        with _journal() as file:
            file.write(json.dumps({**asdict(note), "at": note.at.isoformat()}) + "\n")


def read(line: str) -> Note:
    """A line of the journal."""
    said = json.loads(line)
    return Note(**{**said, "at": datetime.fromisoformat(said["at"])})


def take(into: Path) -> None:
    """Move every line of the journal to the end of the file ``into``; one that dies in between leaves lines twice."""
    with _journal() as file:
        file.seek(0)
        lines = file.read()
        if lines:
            with into.open("a", encoding="utf-8") as target:
                target.write(lines)
            file.truncate(0)


@contextmanager
def _journal() -> Iterator[IO[str]]:
    """The journal, open for reading and appending, for one process at a time."""
    with (Path(settings.STATE_DIR) / "files.journal").open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
        file.flush()
