"""Backups are sealed for their readers (age): who makes them holds public keys only and cannot open them again."""

from __future__ import annotations

import hashlib
import os
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import pyrage
from django.conf import settings

from backend.jobs.backups.errors import BackupError

SUFFIX = ".gz.age"
LEVEL = 3
"""Of zlib: higher ones take twice the time for a tenth of the size."""
GZIP = 31


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
    """A reader that gives what another one gives, compressed; as much at a time as comes out."""

    def __init__(self, source: IO[bytes]) -> None:
        self.source, self.ended, self.rest = source, False, memoryview(b"")
        self.packer = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP)

    def read(self, size: int = -1) -> bytes:
        while not self.rest and not self.ended:
            chunk = self.source.read(1 << 20)
            self.ended = not chunk
            self.rest = memoryview(self.packer.compress(chunk) if chunk else self.packer.flush())
        given = self.rest if size < 0 else self.rest[:size]
        self.rest = self.rest[len(given) :]
        return bytes(given)


class _Unzipping:
    """What is written goes on into a file as it was before it was compressed."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.unpacker = file, zlib.decompressobj(GZIP)

    def write(self, data: bytes) -> int:
        self.file.write(self.unpacker.decompress(data))
        return len(data)

    def flush(self) -> None:
        self.file.flush()


def seal(source: IO[bytes], into: Path, readers: Sequence[Any]) -> tuple[str, int]:
    """Write ``source`` compressed and sealed into a file; its SHA-256 (hex) and its size in bytes."""
    with into.open("wb") as file:
        pipe = _Pipe(file)
        pyrage.encrypt_io(_Zipping(source), pipe, list(readers))
    return pipe.digest.hexdigest(), pipe.size


def open_sealed(sealed: Path, into: Path, keys: Sequence[Any], *, name: str) -> None:
    """Write what ``sealed`` holds into a file. Raises: BackupError for another key, and for what was changed or cut."""
    try:
        with into.open("wb") as file:
            _unseal(sealed, file, keys, name)
    except BackupError:
        into.unlink(missing_ok=True)
        raise


@contextmanager
def reading(sealed: Path, keys: Sequence[Any], *, name: str) -> Iterator[IO[bytes]]:
    """What ``sealed`` holds, as a stream that may be read once: a large thing needs no room for a copy in between.

    Raises: BackupError at the end of the block, for another key and for what was changed or cut, so that what was made
    of the stream counts only after it.
    """
    out, into = os.pipe()
    failures: list[BackupError] = []

    def pour() -> None:
        # Whoever reads may have enough before the end.
        with suppress(BrokenPipeError), os.fdopen(into, "wb") as file:
            try:
                _unseal(sealed, file, keys, name)
            except BackupError as error:
                failures.append(error)

    thread = threading.Thread(target=pour, daemon=True)
    thread.start()
    try:
        with os.fdopen(out, "rb") as stream:
            yield stream
            while stream.read(1 << 20):
                pass
    finally:
        thread.join()
        if failures:
            raise failures[0]


def _unseal(sealed: Path, file: IO[bytes], keys: Sequence[Any], name: str) -> None:
    unzipping = _Unzipping(file)
    try:
        with sealed.open("rb") as source:
            pyrage.decrypt_io(source, unzipping, list(keys))
    except pyrage.DecryptError:
        raise BackupError(f"{name} was not sealed for this identity.") from None
    except (OSError, zlib.error) as error:
        raise BackupError(f"{name} is damaged: {error}.") from None
    if not unzipping.unpacker.eof:
        raise BackupError(f"{name} is damaged: it ends too early.")


def sha256(file: Path) -> str:
    """The SHA-256 (hex) of a file."""
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
