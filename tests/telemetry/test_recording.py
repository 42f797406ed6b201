"""From a request to its row: what is noted, what is left out, and what becomes of notes without a database."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog
from django.db import DatabaseError, connection
from django.test import Client

from backend.core import platform
from backend.telemetry import writing
from backend.telemetry.models import AccessLine, ErrorLine, RequestFigure, SlowStatement
from backend.telemetry.recorder import Answered, Recorder
from tests.api.client import access_token
from tests.factories import make_user

AT = datetime(2027, 3, 1, 12, 0, 30, tzinfo=UTC).timestamp()


def answered(**changed: Any) -> Answered:
    note = Answered(AT, "r-1", "api", "GET", "/api/properties/", 200, 4.0, 1.5, 3, None, "203.0.113.77")
    return note._replace(**changed)


def test_request_becomes_a_line_and_figures(listening: Recorder) -> None:
    user = make_user()
    headers = {"X-Request-ID": "seen-1", "Authorization": f"Bearer {access_token(user)}"}

    answer = Client(REMOTE_ADDR="203.0.113.77").get("/api/profile/", headers=headers)
    written = listening.flush()

    assert (answer.status_code, answer["X-Request-ID"], written) == (200, "seen-1", 1)
    line = AccessLine.objects.get()
    assert (line.request_id, line.method, line.route, line.status, line.user_id, line.network) == (
        *("seen-1", "GET", "/api/profile/", 200),
        *(user.pk, "203.0.113.0/24"),
    )
    assert line.ms > 0
    figures = RequestFigure.objects.order_by("span", "method")
    assert [(row.span, row.method, row.route, row.status_class, row.requests) for row in figures] == [
        (0, "", "api", 2, 1),
        (1, "", "api", 2, 1),
        (60, "", "api", 2, 1),
        (60, "GET", "/api/profile/", 2, 1),
        (1440, "GET", "/api/profile/", 2, 1),
    ]
    assert [sum(row.spans) for row in figures] == [1] * 5


def test_query_and_body_are_never_noted(listening: Recorder) -> None:
    Client().get("/api/properties/?q=my-secret-place")
    Client().post("/api/login/", {"email": "a@b.example", "password": "my-secret-word"}, "application/json")

    listening.flush()

    assert AccessLine.objects.count() == 2
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(l::text, ' ') FROM access_lines l")
        assert "secret" not in cursor.fetchone()[0]


def test_figures_of_two_processes_add_up(listening: Recorder) -> None:
    writing.write(writing.Notes([answered(), answered(ms=40.0, status=500)]))
    writing.write(writing.Notes([answered(ms=8.0)]))

    rows = RequestFigure.objects.filter(span=RequestFigure.HOUR, method="GET").order_by("status_class")
    assert [(row.requests, row.ms, row.slowest_ms, row.statements, sum(row.spans)) for row in rows] == [
        (2, 12.0, 8.0, 6, 2),
        (1, 40.0, 40.0, 3, 1),
    ]


def test_processes_that_write_the_same_rows_do_not_lose_any(listening: Recorder) -> None:
    notes = [answered(route=f"/api/{number}/") for number in range(20)]

    def write(order: int) -> None:
        for _ in range(5):
            writing.write(writing.Notes(notes[::order]))
        connection.close()

    threads = [threading.Thread(target=write, args=(order,)) for order in (1, -1, 1, -1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    total = RequestFigure.objects.get(span=RequestFigure.EVER)
    assert (total.requests, sum(total.spans), AccessLine.objects.count()) == (400, 400, 400)


def test_error_is_kept_with_its_trace_and_without_values(listening: Recorder) -> None:
    structlog.contextvars.bind_contextvars(request_id="broken-1", door="api")
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 / 0 -- anna@example.com, Bearer abc.def")
    except DatabaseError as error:
        structlog.get_logger("tests").error("request.failed", exc_info=error)
    finally:
        structlog.contextvars.clear_contextvars()

    listening.flush()

    line = ErrorLine.objects.get()
    assert (line.request_id, line.door, line.event, line.exception) == (
        *("broken-1", "api", "request.failed"),
        "DataError",
    )
    assert "division by zero" in line.trace
    assert "anna@" not in line.trace
    assert "abc.def" not in line.trace


def test_slow_statement_is_noted_without_its_values(
    listening: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from api import health

    def slow() -> dict[str, Any]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(%s)", [0.03])
        return {"status": "ok"}

    def dawdle(request: Any) -> Any:
        slow()
        return health.live(request)

    monkeypatch.setattr("backend.urls.live", dawdle)
    platform.put("slow_statement_ms", 20)
    from django.test import override_settings
    from django.urls import path

    class Routes:
        urlpatterns = [path("slow", dawdle)]

    with override_settings(ROOT_URLCONF=Routes):
        Client().get("/slow", headers={"X-Request-ID": "slow-1"})
        platform.put("slow_statement_ms", 5000)
        Client().get("/slow", headers={"X-Request-ID": "slow-2"})
    listening.flush()

    row = SlowStatement.objects.get()
    assert (row.sql, row.times, row.route, row.request_id) == ("SELECT pg_sleep(%s)", 1, "/slow", "slow-1")
    assert row.slowest_ms >= 30


def test_notes_wait_while_the_database_does_not_take_them(
    listening: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = writing.write

    def refuse(notes: writing.Notes) -> None:
        raise DatabaseError("away")

    monkeypatch.setattr(writing, "write", refuse)
    for number in range(3):
        listening.answer(answered(request_id=f"r-{number}"))

    assert listening.flush() == 0
    assert [note.request_id for note in listening.answered] == ["r-0", "r-1", "r-2"]

    monkeypatch.setattr(writing, "write", write)
    assert listening.flush() == 3
    assert AccessLine.objects.count() == 3


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("", ""),
    ],
)
def test_network_says_less_than_the_address(address: str, network: str) -> None:
    assert writing.network(address) == network
