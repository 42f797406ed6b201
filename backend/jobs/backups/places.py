"""Where backups lie: a folder, or a bucket of an object store. What is put there is complete or not there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from django.conf import settings

from backend.jobs.backups.errors import BackupError


class Place(Protocol):
    """Keeps files by keys such as ``bases/20270301T020000Z/manifest.json``."""

    @property
    def name(self) -> str:
        """What tells it from other places."""

    def put(self, key: str, file: Path) -> None:
        """Keep a copy of ``file`` under ``key``, in place of what was there."""

    def fetch(self, key: str, into: Path) -> None:
        """Copy what lies under ``key`` to the file ``into``. Raises: BackupError when there is nothing."""

    def keys(self, prefix: str) -> Iterator[tuple[str, int]]:
        """All keys that begin so, in order, with their sizes in bytes."""

    def drop(self, key: str) -> None:
        """Delete what lies there, if anything does."""

    def tidy(self, *, before: datetime) -> None:
        """Delete what somebody had begun to put ``before`` and never ended."""


class Folder:
    """A folder, best on another machine's disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        return str(self.path)

    def put(self, key: str, file: Path) -> None:
        target = self.path / key
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = target.with_name(f".{target.name}.new")
        with file.open("rb") as source, new.open("wb") as copy:
            shutil.copyfileobj(source, copy, 1 << 20)
            copy.flush()
            os.fsync(copy.fileno())
        new.replace(target)

    def fetch(self, key: str, into: Path) -> None:
        try:
            shutil.copyfile(self.path / key, into)
        except FileNotFoundError:
            raise BackupError(f"{key} is missing in {self.path}.") from None

    def keys(self, prefix: str) -> Iterator[tuple[str, int]]:
        top = self.path / prefix
        for file in sorted(top.rglob("*")) if top.is_dir() else ():
            if file.is_file() and not file.name.startswith("."):
                yield str(file.relative_to(self.path)), file.stat().st_size

    def drop(self, key: str) -> None:
        file = self.path / key
        file.unlink(missing_ok=True)
        if file.parent != self.path and file.parent.is_dir() and not any(file.parent.iterdir()):
            file.parent.rmdir()

    def tidy(self, *, before: datetime) -> None:
        for file in self.path.rglob(".*.new") if self.path.is_dir() else ():
            if file.stat().st_mtime < before.timestamp():
                file.unlink(missing_ok=True)


class Bucket:
    """A bucket of an object store, below a prefix."""

    def __init__(self, bucket: str, prefix: str, client: Any) -> None:
        self.bucket, self.client = bucket, client
        self.prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    @property
    def name(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"

    def put(self, key: str, file: Path) -> None:
        # What is large goes in parts; an object is there when all of them are, and never before.
        with self._answered(key):
            self.client.upload_file(str(file), self.bucket, self.prefix + key)

    def fetch(self, key: str, into: Path) -> None:
        with self._answered(key):
            self.client.download_file(self.bucket, self.prefix + key, str(into))

    def keys(self, prefix: str) -> Iterator[tuple[str, int]]:
        with self._answered(prefix):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self.prefix + prefix
            )
            for page in pages:
                for item in page.get("Contents", ()):
                    yield item["Key"].removeprefix(self.prefix), item["Size"]

    def drop(self, key: str) -> None:
        with self._answered(key):
            self.client.delete_object(Bucket=self.bucket, Key=self.prefix + key)

    def tidy(self, *, before: datetime) -> None:
        with self._answered("uploads"):
            pages = self.client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self.bucket, Prefix=self.prefix
            )
            for each in [upload for page in pages for upload in page.get("Uploads", ())]:
                if each["Initiated"] < before:
                    self.client.abort_multipart_upload(
                        Bucket=self.bucket, Key=each["Key"], UploadId=each["UploadId"]
                    )

    @contextmanager
    def _answered(self, key: str) -> Iterator[None]:
        """Raises: BackupError when the bucket refuses, or cannot be reached."""
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (Boto3Error, BotoCoreError, ClientError) as error:
            raise BackupError(f"The bucket {self.bucket} does not take or give {key}: {error}") from None


def place(target: str = "") -> Place:
    """The place that ``target`` names, else the one of BACKUP_TARGET. Raises: BackupError when there is none."""
    target = target or settings.BACKUP_TARGET
    if not target:
        raise BackupError(
            "There is no place for backups: set BACKUP_TARGET to a folder or s3://bucket/prefix."
        )
    parts = urlsplit(target)
    if parts.scheme == "s3":
        import boto3
        from botocore.config import Config

        env = settings.ENV
        client = boto3.client(
            "s3",
            endpoint_url=env.s3_endpoint_url or None,
            region_name=env.storage_region or None,
            aws_access_key_id=env.storage_access_key or None,
            aws_secret_access_key=env.storage_secret_key or None,
            # Nobody waits for the answer; but a bucket that hangs must not hold a shipment for hours.
            config=Config(
                connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 4, "mode": "standard"}
            ),
        )
        return Bucket(parts.netloc, parts.path, client)
    return Folder(Path(target).expanduser().resolve())
