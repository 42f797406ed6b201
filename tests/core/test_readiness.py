"""Whether a process may be sent requests: its tables must be there, whatever came after them."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client

from backend.core import health

pytestmark = pytest.mark.usefixtures("db")


def forget(app: str, name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE (app, name) = (%s, %s)", [app, name])


def remember(app: str, name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO django_migrations (app, name, applied) VALUES (%s, %s, now())", [app, name]
        )


def test_process_is_not_ready_before_its_migrations_have_run() -> None:
    app, name = sorted(health._last_migrations())[0]
    forget(app, name)
    try:
        answer = Client().get("/health/ready")
    finally:
        remember(app, name)

    assert (answer.status_code, answer.json()["status"]) == (503, "down")
    part = answer.json()["parts"]["migrations"]
    assert (part["status"], part["missing"]) == ("down", [f"{app}.{name}"])
    assert Client().get("/health/live").status_code == 200


def test_process_is_ready_when_later_migrations_have_run() -> None:
    remember("accounts", "9999_of_tomorrow")
    try:
        parts = Client().get("/health/ready").json()["parts"]
    finally:
        forget("accounts", "9999_of_tomorrow")

    assert (parts["migrations"]["status"], parts["database"]["status"]) == ("ok", "ok")
    assert health.standing({**parts, "queue": {"status": health.OK}}) in (health.OK, health.DEGRADED)
