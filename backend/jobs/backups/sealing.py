"""Backups are sealed for their readers (age): who makes them holds public keys only and cannot open them again."""

from __future__ import annotations

import gzip
import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import pyrage
from django.conf import settings

from backend.jobs.backups.errors import BackupError

SUFFIX = ".gz.age"


def new_identity() -> tuple[str, str]:
    """A new pair: the recipient (public) and the identity (secret, for whoever restores)."""
    identity = pyrage.x25519.Identity.generate()
    return str(identity.to_public()), str(identity)


def recipients() -> list[Any]:
    """For whom backups are sealed: BACKUP_RECIPIENTS. Raises: BackupError when there are none, or one is no recipient."""
    if not settings.BACKUP_RECIPIENTS:
        raise BackupError(
            "Backups are sealed for somebody: set BACKUP_RECIPIENTS (manage.py backup --new-key)."
        )
    try:
        return [pyrage.x25519.Recipient.from_str(text) for text in settings.BACKUP_RECIPIENTS]
    except pyrage.RecipientError as error:
        raise BackupError(f"BACKUP_RECIPIENTS holds what is no recipient: {error}.") from None


def identities(file: str | Path) -> list[Any]:
    """The identities of a file as age-keygen writes it. Raises: BackupError."""
    try:
        lines = Path(file).expanduser().read_text(encoding="utf-8").splitlines()
        found = [
            pyrage.x25519.Identity.from_str(line.strip())
            for line in lines
            if line.strip() and not line.startswith("#")
        ]
    except (OSError, pyrage.IdentityError) as error:
        raise BackupError(f"The identity in {file} cannot be read: {error}.") from None
    if not found:
        raise BackupError(f"There is no identity in {file}.")
    return found


class _Pipe:
    """What is written goes on into a file, and into a hash on the way."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.digest, self.size = file, hashlib.sha256(), 0

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        self.size += len(data)
        return self.file.write(data)

    def flush(self) -> None:
        self.file.flush()


class _Zipping:
    """A reader that gives what another one gives, compressed."""

    def __init__(self, source: IO[bytes]) -> None:
        import zlib

        self.source, self.ended, self.rest = source, False, b""
        self.packer = zlib.compressobj(3, zlib.DEFLATED, 31)

    def read(self, size: int = -1) -> bytes:
        wanted = size if size >= 0 else 1 << 62
        while len(self.rest) < wanted and not self.ended:
            chunk = self.source.read(1 << 20)
            if chunk:
                self.rest += self.packer.compress(chunk)
            else:
                self.rest += self.packer.flush()
                self.ended = True
        given, self.rest = self.rest[:wanted], self.rest[wanted:]
        return given


def seal(source: IO[bytes], into: Path, readers: Sequence[Any]) -> tuple[str, int]:
    """Write ``source`` compressed and sealed into a file; its SHA-256 (hex) and its size in bytes."""
    with into.open("wb") as file:
        pipe = _Pipe(file)
        pyrage.encrypt_io(_Zipping(source), pipe, list(readers))
    return pipe.digest.hexdigest(), pipe.size


def open_sealed(sealed: Path, into: Path, keys: Sequence[Any], *, name: str) -> None:
    """Write what ``sealed`` holds into a file. Raises: BackupError for another key, and for what was changed or cut."""
    packed = into.with_name(f"{into.name}.packed")
    try:
        with sealed.open("rb") as source, packed.open("wb") as file:
            pyrage.decrypt_io(source, file, list(keys))
        with gzip.open(packed) as source, into.open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
    except pyrage.DecryptError:
        raise BackupError(f"{name} was not sealed for this identity.") from None
    except (OSError, EOFError) as error:
        into.unlink(missing_ok=True)
        raise BackupError(f"{name} is damaged: {error}.") from None
    finally:
        packed.unlink(missing_ok=True)


def sha256(file: Path) -> str:
    """The SHA-256 (hex) of a file."""
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
