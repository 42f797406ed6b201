"""When a base or a drill is due, and what the back office says of backups."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backend.core import platform
from backend.jobs.backups import schedule
from backend.jobs.backups.standing import standing
from backend.jobs.models import BackupRun

NOW = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture(autouse=True)
def set_up(settings: Any) -> None:
    settings.BACKUP_TARGET, settings.BACKUP_RECIPIENTS = "/kept", ("age1",)
    settings.BACKUP_IDENTITY_FILE = "/identity"


def run(kind: str, hours: float, *, failure: str = "", ended: bool = True) -> BackupRun:
    at = NOW - timedelta(hours=hours)
    return BackupRun.objects.create(
        kind=kind, name="x", started_at=at, ended_at=at if ended else None, reached_at=at, failure=failure
    )


def test_base_is_due_once_after_its_hour() -> None:
    platform.put("backup_hour", 10)
    run("drill", 1)

    assert schedule.due(NOW) == "base"
    run("base", 2.5)
    assert schedule.due(NOW) == "base"
    run("base", 1.5)
    assert schedule.due(NOW) == ""
    assert schedule.due(NOW + timedelta(hours=22, minutes=1)) == "base"

    platform.put("backup_hour", 13)
    assert schedule.due(NOW) == ""
    assert schedule.due(NOW + timedelta(hours=1)) == "base"


def test_what_failed_or_died_is_tried_again_after_an_hour() -> None:
    run("base", 0.5, failure="no room")
    assert schedule.due(NOW) == ""
    assert schedule.due(NOW + timedelta(hours=1)) == "base"

    run("base", -0.6, ended=False)
    assert schedule.due(NOW + timedelta(hours=1)) == ""
    assert schedule.due(NOW + timedelta(hours=2)) == "base"


def test_base_is_due_at_once_when_the_log_has_a_hole() -> None:
    run("base", 1.5)
    run("drill", 1.5)
    assert schedule.due(NOW) == ""

    run("wal", 0, failure="What was written between A and B was lost: make a new backup.")

    assert schedule.due(NOW) == "base"


def test_drill_is_due_by_its_days(settings: Any) -> None:
    run("base", 2)
    platform.put("restore_drill_days", 3)
    assert schedule.due(NOW) == "drill"
    run("drill", 71)
    assert schedule.due(NOW) == ""
    assert schedule.due(NOW + timedelta(hours=2)) == "drill"

    platform.put("restore_drill_days", 0)
    assert schedule.due(NOW + timedelta(hours=2)) == ""
    platform.put("restore_drill_days", 3)
    settings.BACKUP_IDENTITY_FILE = ""
    assert schedule.due(NOW + timedelta(hours=2)) == ""


def test_nothing_is_due_or_shipped_where_no_backups_are_made(settings: Any) -> None:
    settings.BACKUP_TARGET = ""

    assert (schedule.due(NOW), schedule.ship(NOW), schedule.start_due(NOW)) == ("", {}, {})
    assert not BackupRun.objects.exists()


def test_standing_says_what_is_to_be_done(settings: Any) -> None:
    empty = standing(NOW)
    assert (empty.is_late, empty.based_at, len(empty.advice)) == (True, None, 1)

    run("base", 2)
    run("drill", 2)
    shipment = run("wal", 0.01)
    well = standing(NOW)
    assert (well.is_late, well.advice, well.safe_until) == (False, [], shipment.reached_at)

    run("base", 1, failure="no room")
    run("drill", 1, failure="3 violations: ledger")
    BackupRun.objects.filter(kind="wal").update(reached_at=NOW - timedelta(minutes=6), failure="away")
    ill = standing(NOW)
    assert ill.is_late
    assert [str(sentence) for sentence in ill.advice] == [
        "The last backup failed: no room",
        "What was written lately is not safe yet: see whether a worker runs and reaches the place of backups.",
        "The last shipment failed: away",
        "The last restore drill failed: 3 violations: ledger",
    ]
    BackupRun.objects.filter(kind__in=["base", "wal", "drill"]).update(failure="", reached_at=NOW)
    files = run("files", 0.2, failure="full")
    BackupRun.objects.filter(pk=files.pk).update(result={"missing": 3})
    uploads = standing(NOW)
    assert (uploads.is_late, uploads.files_until) == (True, files.reached_at)
    assert [str(sentence).partition(":")[0] for sentence in uploads.advice] == [
        "What was uploaded lately is not safe yet",
        "The last shipment of uploaded files failed",
        "Uploaded files that are gone from the disk and lie in the backups only",
    ]
    settings.BACKUP_TARGET = ""
    assert str(standing(NOW).advice[0]).startswith("No backups are made")
