"""Real backups of the test cluster: made, shipped, restored to an instant, and refused where they are not whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from backend.core import platform
from backend.jobs.backups import drilling, making, restoring, sealing, source
from backend.jobs.backups.errors import BackupError
from backend.jobs.backups.places import Folder, place
from backend.jobs.models import BackupRun
from backend.local.postgres import Postgres
from tests.factories import make_user
from tests.fakes import bucket as buckets
from tests.jobs.keeping import set_up


@pytest.fixture
def kept(db: None, tmp_path: Path, settings: Any) -> Iterator[Folder]:
    """A folder for backups, everything set up to make them; the log is not kept for them afterwards."""
    yield set_up(settings, tmp_path)
    with source.connect() as server:
        server.execute(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s",
            [making.SLOT],
        )


@pytest.fixture
def clusters() -> Iterator[list[Postgres]]:
    """Clusters to be ended and removed after the test."""
    made: list[Postgres] = []
    yield made
    for cluster in made:
        cluster.stop()
        cluster.remove()


def names_in(restored: restoring.Restored, clusters: list[Postgres]) -> list[str]:
    """The users that a restored database knows."""
    server = Postgres(restored.state, scratch=True)
    clusters.append(server)
    server.start()
    with psycopg.connect(server.url.rpartition("/")[0] + f"/{restored.database}") as scratch:
        return [name for (name,) in scratch.execute("SELECT username FROM users ORDER BY id")]


def clock() -> Any:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]


def test_restore_gives_the_rows_and_files_until_an_instant(
    kept: Folder, tmp_path: Path, clusters: list[Postgres]
) -> None:
    make_user(username="before")
    (tmp_path / "state" / "media" / "a photo.webp").write_bytes(b"picture")
    run = making.base(now=timezone.now())
    make_user(username="between")
    instant = clock()
    make_user(username="after")
    safe_until = making.ship(now=timezone.now())

    restored = restoring.restore(
        kept,
        into=tmp_path / "then",
        identity=tmp_path / "identity",
        to=instant,
        secret_key="x" * 50,
        durable=False,
    )

    assert (run.failure, run.bytes > 100_000, safe_until is not None and safe_until > instant) == (
        *("", True),
        True,
    )
    assert restored.base == run.name
    assert restored.reached_at is not None
    assert restored.reached_at <= instant
    assert restored.state.secret_key == "x" * 50
    assert names_in(restored, clusters) == ["before", "between"]
    assert restored.files == 1
    assert (tmp_path / "then" / "media" / "a photo.webp").read_bytes() == b"picture"
    with pytest.raises(BackupError, match="is not empty"):
        restoring.restore(kept, into=tmp_path / "then", identity=tmp_path / "identity")


def test_restore_goes_as_late_as_was_shipped_and_not_further(
    kept: Folder, tmp_path: Path, clusters: list[Postgres]
) -> None:
    first = making.base(now=timezone.now())
    make_user(username="late")
    safe_until = making.ship(now=timezone.now())
    assert safe_until is not None
    make_user(username="lost")

    restored = restoring.restore(kept, into=tmp_path / "now", identity=tmp_path / "identity", durable=False)

    assert names_in(restored, clusters) == ["late"]
    for to, words in (
        (clock() + timedelta(hours=1), "do not reach that instant"),
        (first.started_at - timedelta(seconds=1), "no backup from before"),
    ):
        with pytest.raises(BackupError, match=words):
            restoring.restore(
                kept, into=tmp_path / words, identity=tmp_path / "identity", to=to, durable=False
            )


def test_a_backup_that_is_not_whole_or_not_ours_is_refused(kept: Folder, tmp_path: Path) -> None:
    run = making.base(now=timezone.now())
    other = tmp_path / "other"
    other.write_text(sealing.new_identity()[1])

    with pytest.raises(BackupError, match="not sealed for this identity"):
        restoring.restore(kept, into=tmp_path / "a", identity=other)
    key = f"bases/{run.name}/base.tar{sealing.SUFFIX}"
    whole = (kept.path / key).read_bytes()
    (kept.path / key).write_bytes(whole[:500_000] + bytes([whole[500_000] ^ 1]) + whole[500_001:])
    with pytest.raises(BackupError, match="is not what was put there"):
        restoring.restore(kept, into=tmp_path / "b", identity=tmp_path / "identity")
    (kept.path / key).write_bytes(whole)
    (segment, _size), *_rest = kept.keys("wal/")
    whole = (kept.path / segment).read_bytes()
    (kept.path / segment).write_bytes(whole[:-9])
    with pytest.raises(BackupError, match="is damaged"):
        restoring.restore(kept, into=tmp_path / "c", identity=tmp_path / "identity")
    for name in ("a", "b", "c"):
        Postgres(restoring.open_state(tmp_path / name)).remove()
    with pytest.raises(BackupError, match="cannot be read"):
        sealing.identities(tmp_path / "nothing")


def test_nothing_readable_is_kept(kept: Folder, tmp_path: Path) -> None:
    make_user(username="somebody_to_find")
    (tmp_path / "state" / "media" / "somebody_to_find.txt").write_text("somebody_to_find")

    making.base(now=timezone.now())

    files = [file for file in kept.path.rglob("*") if file.is_file()]
    assert len(files) >= 5
    assert [
        file for file in files if b"somebody_to_find" in file.read_bytes() or "somebody" in file.name
    ] == []
    assert [file.name for file in source.work_folder().iterdir()] == ["wal"]


def test_old_backups_go_and_the_newest_stays(kept: Folder) -> None:
    now = timezone.now()
    platform.put("backup_keep_days", 3)
    for days in (5, 4):
        making.base(now=now - timedelta(days=days))

    assert [each["name"] for each in making.manifests(kept)] == [
        (now - timedelta(days=days)).strftime(making.STAMP) for days in (5, 4)
    ]
    with source.connect() as server:
        server.execute("SELECT pg_switch_wal()")
    last = making.base(now=now)

    assert [each["name"] for each in making.manifests(kept)] == [last.name]
    assert {key.split("/")[1] for key, _size in kept.keys("bases/")} == {last.name}
    segments = [key.removeprefix("wal/")[:24] for key, _size in kept.keys("wal/")]
    assert min(segments) == last.result["wal_from"]
    assert list(BackupRun.objects.filter(kind="base").values_list("name", flat=True)) == [last.name]


def test_a_gap_in_what_was_shipped_is_told(kept: Folder, tmp_path: Path) -> None:
    making.base(now=timezone.now())
    run = BackupRun.objects.get(kind="wal")
    with source.connect() as server:
        server.execute("SELECT pg_switch_wal()")
    make_user(username="more")
    making.ship(now=timezone.now())
    run.refresh_from_db()
    segment = run.result["segment"]
    BackupRun.objects.filter(pk=run.pk).update(
        result={**run.result, "segment": f"{segment[:16]}{int(segment[16:], 16) - 3:08X}"}
    )

    with source.connect() as server:
        server.execute("SELECT pg_switch_wal()")
    with pytest.raises(BackupError, match="was lost: make a new backup"):
        making.ship(now=timezone.now())

    run.refresh_from_db()
    assert "was lost" in run.failure
    making.base(now=timezone.now())
    run.refresh_from_db()
    assert run.failure == ""


def test_a_shipment_to_another_place_or_from_another_server_asks_for_a_new_base(
    kept: Folder, tmp_path: Path
) -> None:
    making.base(now=timezone.now())

    with pytest.raises(BackupError, match="another one now: make a new backup"):
        making.ship(now=timezone.now(), where=Folder(tmp_path / "elsewhere"))
    with source.connect() as server:
        server.execute("SELECT pg_drop_replication_slot(%s)", [making.SLOT])
    with pytest.raises(BackupError, match=r"another server.*: make a new backup"):
        making.ship(now=timezone.now())

    assert not (tmp_path / "elsewhere").exists()


def test_a_backup_says_what_is_missing(db: None, settings: Any) -> None:
    assert not making.is_set_up()
    with pytest.raises(BackupError, match="no place for backups"):
        making.base(now=timezone.now())

    run = BackupRun.objects.get()
    assert (run.kind, run.ended_at is not None, "BACKUP_TARGET" in run.failure) == ("base", True, True)


def test_drill_proves_the_books_and_leaves_nothing_behind(kept: Folder, tmp_path: Path) -> None:
    make_user(username="whole")
    base = making.base(now=timezone.now())

    run = drilling.drill(now=timezone.now(), identity=str(tmp_path / "identity"))

    assert (run.failure, run.result["base"], run.result["violations"], run.result["violated"]) == (
        *("", base.name),
        *(0, []),
    )
    assert run.result["checks"] > 20
    assert run.reached_at is not None
    assert [each.name for each in source.work_folder().iterdir()] == ["wal"]
    assert BackupRun.objects.get(kind="drill", ended_at__isnull=False) == run


def test_bucket_takes_a_backup_whole_or_not_at_all(kept: Folder, tmp_path: Path, settings: Any) -> None:
    (tmp_path / "state" / "media" / "a.webp").write_bytes(b"picture")
    settings.BACKUP_TARGET = "s3://backups/here"
    with buckets.bucket() as remote:
        settings.ENV = replace(
            settings.ENV,
            storage_access_key=buckets.KEY,
            storage_secret_key=buckets.SECRET,
            storage_region="eu-west-1",
            s3_endpoint_url=f"http://127.0.0.1:{remote.port}",
        )
        first = making.base(now=timezone.now() - timedelta(hours=1))
        run = drilling.drill(now=timezone.now(), identity=str(tmp_path / "identity"))
        remote.cut_after = 300_000
        with pytest.raises(BackupError, match="The bucket backups does not"):
            making.base(now=timezone.now())
        remote.cut_after = None
        there = place()

        assert (run.failure, run.result["base"], run.result["files"]) == ("", first.name, 1)
        assert [each["name"] for each in making.manifests(there)] == [first.name]
        assert remote.uploads == {}
        assert [each.failure[:10] for each in BackupRun.objects.filter(kind="base").order_by("pk")] == [
            *("", "The bucket"),
        ]


def test_proof_names_what_is_violated(db: None) -> None:
    user = make_user()
    with connection.cursor() as cursor:
        cursor.execute("SET ROLE karibu_unbound")
        cursor.execute("UPDATE users SET erased_at = now() WHERE id = %s", [user.pk])
        cursor.execute("RESET ROLE")

    proof = drilling.prove()

    assert (proof["violations"], proof["violated"]) == (1, ["erased_people_are_nameless"])


def test_drill_without_an_identity_is_noted_as_failed(kept: Folder) -> None:
    with pytest.raises(BackupError, match="needs the identity"):
        drilling.drill(now=timezone.now())

    assert "needs the identity" in BackupRun.objects.get(kind="drill").failure
