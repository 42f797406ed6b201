"""The state directory: where one world of Karibu keeps its data, secrets, locks and logs."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backend.local.errors import LocalError

ROOT = Path(__file__).resolve().parents[2]
SUBDIRECTORIES = ("logs", "mail", "media", "sms", "static", "valkey")


def say(sentence: str) -> None:
    """Tell the person at the terminal what happens, on standard error so that a command's output stays clean."""
    # Where it is written to a full disk, nobody hears it, and everything goes on.
    with contextlib.suppress(OSError):
        os.write(2, f"{sentence}\n".encode())


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a small private file in one step, so that a reader never sees half of it."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    with os.fdopen(
        os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
    ) as file:
        json.dump(content, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """What ``write_json`` left; empty when the file is missing or was never finished."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


@dataclass(frozen=True)
class State:
    """One state directory, made by ``open_state``."""

    path: Path
    id: str
    secret_key: str = field(repr=False)
    database_password: str = field(repr=False)
    superuser_password: str = field(repr=False)
    valkey_password: str = field(repr=False)

    @property
    def marker(self) -> str:
        """What the processes of this state carry in their environment.

        It holds the path beside the random id: a copied directory must not take its original's processes for its own.
        """
        return f"{self.id}:{self.path}"

    @property
    def logs(self) -> Path:
        """Where the processes write what they have to say."""
        return self.path / "logs"

    def servers(self) -> dict[str, Any]:
        """What runs now, as its owner wrote it down: ports, process ids, the public address."""
        return read_json(self.path / "servers.json")

    def write_servers(self, content: dict[str, Any]) -> None:
        """Write down what runs now."""
        write_json(self.path / "servers.json", content)

    def world(self) -> dict[str, Any]:
        """What was done to this world once: demo data, the migrations that were applied."""
        return read_json(self.path / "world.json")

    def write_world(self, **changes: Any) -> None:
        """Remember what was done to this world."""
        write_json(self.path / "world.json", {**self.world(), **changes})

    @contextlib.contextmanager
    def lock(self, name: str, *, shared: bool = False, wait_s: float = 0.0, who: str = "") -> Iterator[bool]:
        """Hold a lock file of the state; yields False when somebody else has it after ``wait_s`` seconds.

        The kernel lets go of it when the process ends, however it ends: who holds it is alive.
        """
        with open(self.path / f"{name}.lock", "a+", encoding="utf-8") as file:
            mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
            if not _flock(file.fileno(), mode, wait_s):
                yield False
                return
            if who:
                file.seek(0)
                file.truncate()
                file.write(who)
                file.flush()
            yield True

    def lock_owner(self, name: str) -> str:
        """Who wrote itself into a lock file last, as a phrase."""
        with contextlib.suppress(FileNotFoundError):
            return (self.path / f"{name}.lock").read_text(encoding="utf-8").strip()
        return ""


def _flock(descriptor: int, mode: int, wait_s: float) -> bool:
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.1)
        else:
            return True


def open_state(path: Path, *, new_secret: Callable[[], str] = lambda: secrets.token_urlsafe(48)) -> State:
    """Open a state directory, making it and its secrets when it is new.

    Raises: LocalError when it cannot be made or belongs to somebody else.
    """
    path = path.expanduser().resolve()
    try:
        path.mkdir(parents=True, exist_ok=True)
        foreign = {entry.name for entry in path.iterdir()} - {*SUBDIRECTORIES, "state.lock"}
        if foreign and not (path / "secrets.json").exists():
            raise LocalError(
                f"{path} holds other files ({min(foreign)}, …) and no state of Karibu; choose another --state."
            )
        # Root's database server runs as another user, who must pass through; nobody may look inside.
        path.chmod(0o711 if os.geteuid() == 0 else 0o700)
        for name in SUBDIRECTORIES:
            (path / name).mkdir(mode=0o700, exist_ok=True)
        with open(path / "state.lock", "w", encoding="utf-8") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            known = read_json(path / "secrets.json")
            if not known:
                known = {
                    "id": secrets.token_hex(8),
                    "secret_key": new_secret(),
                    "database_password": new_secret(),
                    "superuser_password": new_secret(),
                    "valkey_password": new_secret(),
                }
                write_json(path / "secrets.json", known)
    except OSError as error:
        raise LocalError(f"The state directory {path} cannot be used: {error.strerror}.") from error
    try:
        return State(path=path, **known)
    except TypeError as error:
        raise LocalError(
            f"{path / 'secrets.json'} is not a file of Karibu; is {path} the right directory?"
        ) from error
