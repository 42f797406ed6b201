"""The disk is full: database, its log, pictures and mails at once, for they lie in one folder on a small file system."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from bench.faults.place import Place
from bench.faults.trial import Fault

SIZE = "1500m"
BLOCK = bytes(1 << 20)


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

        def fill() -> None:
            while True:
                for piece in (BLOCK, BLOCK[:4096], BLOCK[:1]):
                    _write_all(file, piece)
                if stopped.wait(0.1):
                    return

        filling = threading.Thread(target=fill, daemon=True)
        filling.start()
        try:
            yield
        finally:
            stopped.set()
            filling.join(10)
            os.truncate(filler, 0)
            filler.unlink()


def _write_all(file: IO[bytes], piece: bytes) -> None:
    """Write until there is no room for one more."""
    try:
        while True:
            file.write(piece)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise


DISK = [Fault("disk full", full_disk)]
