"""Through which door an act came: the command line and the worker say so themselves."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.utils import timezone
from procrastinate.contrib.django import app

from backend.audit.models import AuditEntry
from backend.reviews import standing
from tests.api.client import ApiClient
from tests.conftest import ROOT, _environment
from tests.factories import make_listing, make_user
from tests.reviews.test_standing import stays

pytestmark = pytest.mark.usefixtures("db")


def manage(folder: Path, *words: str) -> None:
    command = [sys.executable, "manage.py", *words]
    done = subprocess.run(
        command, cwd=ROOT, env=_environment(1, folder), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_api() -> None:
    user = make_user("guest")

    ApiClient(user).post("/api/profile/host/")

    entry = AuditEntry.objects.get(action="role.granted")
    assert (entry.door, entry.actor, entry.session_id is None) == ("api", user, False)


def test_command_line(tmp_path: Path) -> None:
    user = make_user()

    manage(tmp_path, "suspend_user", user.username, "--reason", "Fraud")

    entry = AuditEntry.objects.get(action="user.suspended")
    assert (entry.door, entry.actor, entry.address, entry.reason) == ("command", None, None, "Fraud")


def test_worker(tmp_path: Path) -> None:
    quarter = standing.quarter_of(timezone.now())
    begin = datetime(quarter.year, quarter.month, quarter.day, tzinfo=UTC)
    stays(make_listing(rating=Decimal(5), review_count=9), 10, ended=begin - timedelta(days=1))
    app.configure_task("sweep.host_standing").defer(timestamp=0)

    manage(tmp_path, "procrastinate", "worker", "--one-shot", "--queues", "sweeps")

    entry = AuditEntry.objects.get(action="host.superhost")
    assert (entry.door, entry.actor) == ("job", None)
