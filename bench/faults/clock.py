"""The wall clock of web and worker jumps, while the database's goes on: as on a machine whose clock is set by hand."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.faults.place import Place
from bench.faults.trial import Fault

SOURCE = Path(__file__).with_name("clock.c")
JUMP_S = 2 * 3600.0
"""Longer than an access token and a hold live."""


class Clock:
    """How many seconds the clock of our processes is ahead."""

    def __init__(self, folder: Path) -> None:
        self.file, self._library = folder / "clock", folder / "clock.so"
        self.set(0.0)

    def build(self) -> bool:
        """Compile what stands before the C library; False where there is no compiler."""
        compiler = shutil.which("cc")
        if compiler is None:
            return False
        command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(self._library), str(SOURCE), "-ldl"]
        subprocess.run(command, check=True, capture_output=True)
        return True

    def set(self, ahead_s: float) -> None:
        """Let the clock jump there; who reads it sees it at once."""
        with self.file.open("r+b" if self.file.exists() else "wb") as file:
            file.write(struct.pack("d", ahead_s))

    @property
    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self._library), "KARIBU_CLOCK": str(self.file)}


def jumps(clock: Clock) -> list[Fault]:
    """Ahead and home again, back and home again; each jump is a fault of its own."""

    def jump(name: str, ahead_s: float) -> Fault:
        @contextmanager
        def trouble(place: Place) -> Iterator[None]:
            clock.set(ahead_s)
            yield

        return Fault(name, trouble, seconds=0.0)

    return [
        jump("clock ahead", JUMP_S),
        jump("clock home", 0.0),
        jump("clock behind", -JUMP_S),
        jump("clock home again", 0.0),
    ]


NAMES = ["clock ahead", "clock home", "clock behind", "clock home again"]
