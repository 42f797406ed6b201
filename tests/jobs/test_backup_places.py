"""Folders and buckets as places of backups: what is put there is whole or is not there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backend.jobs.backups.errors import BackupError
from backend.jobs.backups.places import Place, place
from tests.fakes import bucket as buckets

NOW = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)
LARGE = 9_000_000
"""More than goes in one part."""


@pytest.fixture
def remote(settings: Any) -> Iterator[buckets.Bucket]:
    with buckets.bucket() as made:
        settings.ENV = replace(
            settings.ENV,
            storage_access_key=buckets.KEY,
            storage_secret_key=buckets.SECRET,
            storage_region="eu-west-1",
            s3_endpoint_url=f"http://127.0.0.1:{made.port}",
        )
        yield made


@pytest.fixture(params=["folder", "bucket"])
def somewhere(request: Any, remote: buckets.Bucket, tmp_path: Path) -> Place:
    return place(str(tmp_path / "kept") if request.param == "folder" else "s3://backups/below/here")


def test_place_keeps_what_is_put_there(somewhere: Place, tmp_path: Path) -> None:
    small, large, again = tmp_path / "small", tmp_path / "large", tmp_path / "again"
    small.write_bytes(b"small")
    large.write_bytes(os.urandom(LARGE))
    names = [f"wal/{number}" for number in range(7)]

    somewhere.put("bases/one/base.tar", large)
    for name in names:
        somewhere.put(name, small)
    somewhere.put("wal/3", large)
    somewhere.drop("wal/5")
    somewhere.drop("wal/nothing")
    somewhere.fetch("bases/one/base.tar", again)

    assert again.read_bytes() == large.read_bytes()
    assert list(somewhere.keys("wal/")) == [
        (name, LARGE if name == "wal/3" else 5) for name in names if name != "wal/5"
    ]
    assert [key for key, _size in somewhere.keys("")] == [
        "bases/one/base.tar",
        *(name for name in names if name != "wal/5"),
    ]
    with pytest.raises(BackupError, match="wal/5"):
        somewhere.fetch("wal/5", tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_bucket_refuses_another_secret_and_keeps_nothing(
    remote: buckets.Bucket, settings: Any, tmp_path: Path
) -> None:
    settings.ENV = replace(settings.ENV, storage_secret_key="another")
    somewhere, file = place("s3://backups/here"), tmp_path / "file"
    file.write_bytes(b"file")

    for act in (
        lambda: somewhere.put("a", file),
        lambda: somewhere.fetch("a", file),
        lambda: list(somewhere.keys("")),
        lambda: somewhere.drop("a"),
    ):
        with pytest.raises(BackupError, match="The bucket backups does not"):
            act()

    assert (remote.kept, remote.refused) == ({}, 4)
    assert file.read_bytes() == b"file"


def test_what_breaks_off_on_its_way_is_not_there(remote: buckets.Bucket, tmp_path: Path) -> None:
    somewhere, file = place("s3://backups/here"), tmp_path / "file"
    file.write_bytes(bytes(LARGE))
    # The first part goes through, the second does not.
    remote.cut_after = 8_500_000

    with pytest.raises(BackupError, match="does not take or give whole"):
        somewhere.put("whole", file)

    assert (remote.kept, remote.uploads) == ({}, {})
    remote.cut_after = None
    somewhere.put("whole", file)
    assert remote.keys("backups") == ["here/whole"]


def test_what_was_never_ended_is_tidied_away(
    somewhere: Place, remote: buckets.Bucket, tmp_path: Path
) -> None:
    file, half = tmp_path / "file", tmp_path / "kept" / "bases" / ".base.tar.new"
    file.write_bytes(b"file")
    somewhere.put("bases/whole", file)
    half.parent.mkdir(parents=True, exist_ok=True)
    half.write_bytes(b"hal")
    os.utime(half, (NOW.timestamp(),) * 2)
    remote.uploads["left"] = ("/backups/below/here/half", {1: b"hal"})

    somewhere.tidy(before=NOW - timedelta(days=500))
    assert (half.exists(), list(remote.uploads)) == (True, ["left"])
    somewhere.tidy(before=NOW + timedelta(days=1))

    assert half.exists() is ("s3" in somewhere.name)
    assert list(remote.uploads) == ([] if "s3" in somewhere.name else ["left"])
    assert [key for key, _size in somewhere.keys("")] == ["bases/whole"]
