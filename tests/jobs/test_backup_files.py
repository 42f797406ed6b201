"""Uploaded files on their way to the backups, and back as they were at an instant."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone

from backend.accounts.models import Profile
from backend.core import stored
from backend.core.stored import NotedStorage
from backend.jobs.backups import files, restoring, schedule, sealing
from backend.jobs.backups.errors import BackupError
from backend.jobs.backups.places import Folder
from backend.jobs.models import BackedUpFile, BackupRun
from backend.messaging import attaching
from backend.privacy import cleaning, erasure
from tests import later
from tests.factories import NOW, make_user
from tests.jobs.keeping import set_up
from tests.messaging.making import talk

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def kept(tmp_path: Path, settings: Any) -> Folder:
    return set_up(settings, tmp_path)


@pytest.fixture
def media(kept: Folder, settings: Any) -> NotedStorage:
    return NotedStorage(place="media", location=settings.MEDIA_ROOT)


@pytest.fixture
def private(kept: Folder, settings: Any) -> NotedStorage:
    return NotedStorage(place="private", location=settings.STATE_DIR / "private")


def save(storage: NotedStorage, name: str, content: bytes) -> str:
    return str(storage.save(name, ContentFile(content)))


def came_back(kept: Folder, tmp_path: Path, to: datetime | None = None) -> dict[str, bytes]:
    """Name → content of the files that a restore lays out."""
    into = tmp_path / f"back-{len(list(tmp_path.iterdir()))}"
    into.mkdir()
    count = restoring.fetch_files(kept, sealing.identities(tmp_path / "identity"), into, to)
    found = {
        str(path.relative_to(into)): path.read_bytes() for path in sorted(into.rglob("*")) if path.is_file()
    }
    assert count == len(found)
    return found


def contents(kept: Folder) -> int:
    return len(list(kept.keys("files/contents/")))


def test_what_is_uploaded_and_deleted_between_bases_comes_back_as_it_was(
    kept: Folder, media: NotedStorage, private: NotedStorage, tmp_path: Path
) -> None:
    save(media, "listings/1/old.webp", b"old")
    files.ship(now=timezone.now(), all_of_them=True)
    save(private, "messages/new.pdf", b"new")
    first = files.ship(now=timezone.now())
    between = datetime.now(UTC)
    media.delete("listings/1/old.webp")
    save(media, "people/same.webp", b"new")
    save(media, "health/probe", b"karibu")
    second = files.ship(now=timezone.now())

    assert first is not None
    assert second is not None
    assert first < between < second
    assert came_back(kept, tmp_path, between) == {
        "media/listings/1/old.webp": b"old",
        "private/messages/new.pdf": b"new",
    }
    assert came_back(kept, tmp_path) == {
        "media/people/same.webp": b"new",
        "private/messages/new.pdf": b"new",
    }
    assert contents(kept) == 2
    assert BackupRun.objects.get(kind="files").reached_at == second
    assert [path.name for path in (tmp_path / "state" / "backup").iterdir()] == ["files.pending"]


def test_what_was_erased_for_good_leaves_the_backups_at_once(
    kept: Folder, media: NotedStorage, tmp_path: Path
) -> None:
    for name, content in (("a", b"portrait"), ("b", b"portrait"), ("c", b"passport"), ("d", b"view")):
        save(media, name, content)
    files.ship(now=timezone.now(), all_of_them=True)
    before = datetime.now(UTC)
    assert contents(kept) == 3

    with stored.for_good():
        media.delete("a")
        media.delete("c")
    media.delete("d")
    files.ship(now=timezone.now())

    # "b" has the same content as "a", "d" was only taken down: both stay for as long as backups do.
    assert contents(kept) == 2
    assert came_back(kept, tmp_path) == {"media/b": b"portrait"}
    assert came_back(kept, tmp_path, before) == {
        "media/a": b"portrait",
        "media/b": b"portrait",
        "media/d": b"view",
    }
    assert not BackedUpFile.objects.filter(name__in=["media/a", "media/c"]).exists()


def test_what_an_erased_person_had_uploaded_leaves_the_backups(
    kept: Folder, settings: Any, tmp_path: Path
) -> None:
    private = {**settings.STORAGES["private"]["OPTIONS"], "location": settings.STATE_DIR / "private"}
    settings.STORAGES = {**settings.STORAGES, "private": {**settings.STORAGES["private"], "OPTIONS": private}}
    conversation = talk()
    guest, host = conversation.guest, conversation.host
    theirs, others = (
        attaching.upload(
            actor=person, conversation_id=conversation.pk, file=BytesIO(pdf), name="a.pdf", now=NOW
        )
        for person, pdf in (
            (guest, b"%PDF-1.7 of the guest\n%%EOF\n"),
            (host, b"%PDF-1.7 of the host\n%%EOF\n"),
        )
    )
    photo = default_storage.save("people/guest.webp", ContentFile(b"face"))
    Profile.objects.filter(user=guest).update(photo=photo)
    files.ship(now=timezone.now(), all_of_them=True)
    assert contents(kept) == 3

    erasure.erase(actor=make_user("admin"), user=guest, now=NOW, reason="asked")
    assert cleaning.resume(now=NOW) == {"finished": 1, "left": 0}
    assert later.run("messaging.remove_files") == 1
    files.ship(now=timezone.now())

    assert contents(kept) == 1
    assert list(came_back(kept, tmp_path)) == [f"private/{others.file}"]
    assert not BackedUpFile.objects.filter(name__in=[f"private/{theirs.file}", f"media/{photo}"]).exists()


def test_what_was_taken_down_goes_with_the_backups_of_its_time(
    kept: Folder, media: NotedStorage, tmp_path: Path
) -> None:
    now = timezone.now()
    save(media, "a", b"one")
    save(media, "b", b"two")
    files.ship(now=now, all_of_them=True)
    media.delete("a")
    files.ship(now=now)
    files.ship(now=now, all_of_them=True)

    files.prune(before=now - timedelta(days=1), first_base=now - timedelta(days=1), where=kept)
    assert (contents(kept), len(list(kept.keys("files/lists/")))) == (2, 2)
    files.prune(before=now + timedelta(days=1), first_base=timezone.now() + timedelta(seconds=1), where=kept)

    assert contents(kept) == 1
    assert len(list(kept.keys("files/lists/"))) == 1
    assert list(kept.keys("files/changes/")) == []
    assert came_back(kept, tmp_path) == {"media/b": b"two"}


def test_a_folder_that_is_lost_is_no_deletion(
    kept: Folder, media: NotedStorage, tmp_path: Path, settings: Any
) -> None:
    save(media, "a", b"one")
    files.ship(now=timezone.now(), all_of_them=True)
    os.unlink(Path(settings.MEDIA_ROOT) / "a")

    files.ship(now=timezone.now(), all_of_them=True)

    assert BackupRun.objects.get(kind="files").result["missing"] == 1
    assert came_back(kept, tmp_path) == {"media/a": b"one"}


def test_a_base_finds_what_no_note_told_of_and_what_the_place_has_lost(
    kept: Folder, media: NotedStorage, tmp_path: Path, settings: Any
) -> None:
    save(media, "a", b"one")
    files.ship(now=timezone.now(), all_of_them=True)
    (Path(settings.MEDIA_ROOT) / "by hand").write_bytes(b"two")
    ((key, _size),) = kept.keys("files/contents/")
    kept.drop(key)
    stranger = tmp_path / "stranger"
    stranger.write_bytes(b"x")
    kept.put(f"files/contents/{'0' * 64}{sealing.SUFFIX}", stranger)

    files.ship(now=timezone.now(), all_of_them=True)

    assert came_back(kept, tmp_path) == {"media/a": b"one", "media/by hand": b"two"}
    assert BackedUpFile.objects.get(name="").gone_at is not None
    assert contents(kept) == 3


def test_nothing_is_shipped_before_there_is_a_list_at_the_place(
    kept: Folder, media: NotedStorage, tmp_path: Path
) -> None:
    save(media, "a", b"one")
    assert files.ship(now=timezone.now()) is None
    assert list(kept.keys("")) == []

    files.ship(now=timezone.now(), all_of_them=True)
    save(media, "b", b"two")
    assert files.ship(now=timezone.now(), where=Folder(tmp_path / "elsewhere")) is None

    assert not (tmp_path / "elsewhere").exists()
    assert "safe_until" in schedule.ship_files(timezone.now())
    assert came_back(kept, tmp_path) == {"media/a": b"one", "media/b": b"two"}


def test_a_shipment_that_fails_is_noted_and_made_up_for(
    kept: Folder, media: NotedStorage, tmp_path: Path
) -> None:
    files.ship(now=timezone.now(), all_of_them=True)
    reached = BackupRun.objects.get(kind="files").reached_at
    save(media, "a", b"one")
    (kept.path / "files" / "contents").write_bytes(b"in the way")

    with pytest.raises(OSError):
        files.ship(now=timezone.now())

    run = BackupRun.objects.get(kind="files")
    assert (run.reached_at, bool(run.failure), BackedUpFile.objects.count()) == (reached, True, 0)
    (kept.path / "files" / "contents").unlink()
    files.ship(now=timezone.now())
    assert came_back(kept, tmp_path) == {"media/a": b"one"}
    assert BackupRun.objects.get(kind="files").failure == ""


def test_a_content_that_is_missing_or_changed_is_refused(
    kept: Folder, media: NotedStorage, tmp_path: Path
) -> None:
    save(media, "a", b"one")
    files.ship(now=timezone.now(), all_of_them=True)
    ((key, _size),) = kept.keys("files/contents/")
    kept.drop(key)

    with pytest.raises(BackupError, match="is missing"):
        came_back(kept, tmp_path)


def test_no_notes_are_taken_where_no_backups_are_made(
    kept: Folder, media: NotedStorage, settings: Any
) -> None:
    settings.BACKUP_TARGET = ""

    media.delete(save(media, "a", b"one"))

    assert not (settings.STATE_DIR / "files.journal").exists()
