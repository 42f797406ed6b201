"""The disk is full: database, its log, pictures and mails at once, for they lie in one folder on a small file system."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from bench.faults.place import Place
from bench.faults.trial import Fault

SIZE = "1500m"
BLOCK = bytes(1 << 20)
LEFT = 8 << 20


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """A file system of its own in memory at ``folder``; gives False where we may not mount one."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=711", "karibu", folder],
        capture_output=True,
        check=False,
    )
    try:
        yield mounted.returncode == 0
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def full_disk(place: Place) -> Iterator[None]:
    """Not one byte is left, whatever is deleted meanwhile, until somebody makes room."""
    filler, stopped = place.path / "logs" / "filler", threading.Event()
    with filler.open("wb", buffering=0) as file:
        _take_all(file, shutil.disk_usage(filler).free)
        _write_all(file)

        def fill() -> None:
            while not stopped.wait(0.05):
                _write_all(file)

        filling = threading.Thread(target=fill, daemon=True)
        filling.start()
        try:
            yield
        finally:
            stopped.set()
            filling.join()
            os.truncate(filler, 0)
            filler.unlink()


def _take_all(file: IO[bytes], free: int) -> None:
    """Claim most of what is free at once; others take some of it meanwhile."""
    with suppress(OSError):
        os.posix_fallocate(file.fileno(), 0, max(1, free - LEFT))
    file.seek(0, os.SEEK_END)


def _write_all(file: IO[bytes]) -> None:
    """Write until there is no room for one byte more."""
    for piece in (BLOCK, BLOCK[:4096], BLOCK[:1]):
        try:
            while True:
                file.write(piece)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


DISK = [Fault("disk full", full_disk)]
