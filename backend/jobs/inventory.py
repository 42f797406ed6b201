"""What runs here: versions, migrations that are not applied, settings that look unsafe, and when the periodic jobs run."""

from __future__ import annotations

import platform as machine
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from typing import Any

import django
from croniter import croniter
from django.conf import settings
from django.core import checks
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from backend.jobs.models import SweepRun
from backend.jobs.sweeps import SWEEPS

LIBRARIES = (
    *("django-ninja", "django-unfold", "django-allauth", "channels", "procrastinate", "psycopg", "pydantic"),
    *("uvicorn", "redis", "stripe", "pillow", "icalendar", "typst", "pyrage", "structlog"),
)


@cache
def versions() -> dict[str, str]:
    """Name → version of the application, the language, and the libraries that matter; fixed for this process."""
    with (settings.BASE_DIR / "pyproject.toml").open("rb") as file:
        ours = tomllib.load(file)["project"]["version"]
    found = {"Karibu": ours, "Python": machine.python_version(), "Django": django.get_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def database_version() -> str:
    """The version of PostgreSQL, as it says itself."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        return str(cursor.fetchone()[0])


def pending_migrations() -> list[str]:
    """The migrations of this code that the database does not have yet. One query."""
    applied = MigrationRecorder(connection).applied_migrations()
    return [f"{app}.{name}" for app, name in _migrations() if (app, name) not in applied]


@cache
def _migrations() -> list[tuple[str, str]]:
    """Every migration of this code, by app and name; one that stands for others that were applied counts as they do."""
    loader = MigrationLoader(connection)
    return sorted(loader.graph.nodes)


@cache
def unsafe_settings() -> list[tuple[str, str]]:
    """What Django's and our checks for deployment say of the settings of this process: (id, sentence)."""
    found = checks.run_checks(include_deployment_checks=True, tags=[checks.Tags.security, "deploying"])
    return [(str(each.id), str(each.msg)) for each in found if not each.is_silenced()]


@dataclass(frozen=True, slots=True)
class Periodic:
    """A sweep with its schedule (cron, UTC), its last run and the next one; of sweeps without a schedule none is known."""

    name: str
    cron: str
    run: SweepRun | None
    next_at: datetime


def periodic(now: datetime) -> list[Periodic]:
    """Every sweep that runs by itself. One query."""
    runs = SweepRun.objects.in_bulk()
    return [
        Periodic(
            sweep.name,
            sweep.cron,
            runs.get(sweep.name),
            croniter(sweep.cron, now.astimezone(UTC)).get_next(datetime),
        )
        for sweep in SWEEPS
        if sweep.cron
    ]


def books() -> dict[str, Any]:
    """The last nightly check of the books: ``ran_at`` and what it found; empty when it never ran."""
    run = SweepRun.objects.filter(name="check_books").first()
    return {} if run is None else {"ran_at": run.ran_at, "failure": run.failure, **run.result}
