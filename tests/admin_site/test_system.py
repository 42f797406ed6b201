"""The pages of the system: what they say of parts, requests and errors, and to whom."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from admin_site.system.system import length, size
from backend.jobs.models import BackupRun, SweepRun
from backend.telemetry import writing
from backend.telemetry.recorder import Failed, Recorder
from tests.admin_site.world import HTMX, signed_in, staff
from tests.telemetry.conftest import listening as listening
from tests.telemetry.test_recording import answered

pytestmark = pytest.mark.usefixtures("db")


def page(key: str, client: Client | None = None, **query: Any) -> str:
    answer = (client or signed_in(staff("admin", username=f"admin-{key}"))).get(
        reverse(f"admin:page_{key}"), query
    )
    assert answer.status_code == 200
    return answer.content.decode()


def part(text: str, key: str) -> str:
    """What the card of a part says."""
    return text.split(f'data-testid="part-{key}"')[1].split("</section>")[0]


def worker(silent_s: int = 0) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - make_interval(secs => %s))",
            [silent_s],
        )


def job(status: str, *, due_s: int = 0) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, args, status, scheduled_at)"
            " VALUES ('sweeps', 'test', '{}', 'todo', now() - make_interval(secs => %s)) RETURNING id",
            [due_s],
        )
        (pk,) = cursor.fetchone()
        cursor.execute("UPDATE procrastinate_jobs SET status = %s WHERE id = %s", [status, pk])
        return int(pk)


def test_system_says_what_is_well_and_what_to_do() -> None:
    text = page("system")
    assert "No worker runs: no mail goes out" in part(text, "queue")
    assert "out of order" in part(text, "queue")
    assert "in order" in part(text, "database")
    assert "connections" in part(text, "database").lower()
    assert "No backups are made" in part(text, "backups")
    assert "Not yet: it runs every night" in text
    assert "sweep" not in part(text, "feeds")

    worker()
    job("failed")
    job("todo", due_s=300)
    cache.clear()
    text = page("system", signed_in(staff("admin")))
    assert "Jobs wait for minutes" in part(text, "queue")
    assert "Some jobs failed for good" in part(text, "queue")
    assert "needs a look" in part(text, "queue")


def test_system_tells_of_books_jobs_backups_and_versions() -> None:
    now = timezone.now()
    SweepRun.objects.create(
        name="check_books",
        clock=now,
        ran_at=now,
        result={"checks": 9, "violations": 2, "violated": {"ledger": 2}},
    )
    SweepRun.objects.create(name="payouts", clock=now, ran_at=now, failure="<b>Broken</b>")
    BackupRun.objects.create(
        kind="drill", name="x", started_at=now, ended_at=now, result={"violations": 0, "seconds": 4.5}
    )

    text = page("system")

    assert "2 rows broke an invariant" in text
    assert "&lt;b&gt;Broken&lt;/b&gt;" in text
    assert "<b>Broken</b>" not in text
    assert "&quot;seconds&quot;: 4.5" in text
    assert "The database has every migration of this code." in text
    assert "expire_bookings" in text


def test_system_asks_a_fixed_number_of_questions() -> None:
    client = signed_in(staff("admin"))

    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            page("system", client)
        return len(queries)

    page("system", client)
    few = asked()
    worker()
    for number in range(5):
        job("failed", due_s=number)
    cache.set("health.storage", {"status": "ok", "ms": 1.0})

    assert asked() <= few


def test_figures_show_requests_routes_errors_and_statements(listening: Recorder) -> None:
    now = timezone.now()
    at = (now - timedelta(minutes=4)).timestamp()
    writing.write(
        writing.Notes(
            [answered(at=at), answered(at=at, status=500, method="POST", route="/api/bookings/", ms=400.0)],
            [Failed(at, "r-9", "api", "x", "request.failed", "KeyError", "Trace", None)],
            [writing.Slow(at, "SELECT <script>", 900.0, "/api/bookings/", "r-9")],
        )
    )

    text = page("figures")

    assert '<p class="ko-value text-important">2</p>' in text
    assert "50.00 %" in text
    assert "<code>POST /api/bookings/</code>" in text
    assert "KeyError" in text
    assert "SELECT &lt;script&gt;" in text
    assert "SELECT <script>" not in text
    for period in ("24h", "30d", "nonsense"):
        assert "<code>POST /api/bookings/</code>" in page(
            "figures", signed_in(staff("admin", username=period)), period=period
        )


def test_request_is_found_by_its_number_and_traces_are_for_administrators(listening: Recorder) -> None:
    at = (timezone.now() - timedelta(minutes=4)).timestamp()
    writing.write(
        writing.Notes(
            [
                answered(at=at, request_id="lost-1", status=500, user_id=7),
                answered(at=at, request_id="other-1"),
            ],
            [Failed(at, "lost-1", "api", "x", "request.failed", "KeyError", "File secret.py", None)],
        )
    )
    support = signed_in(staff("support"))

    seen = page("requests", support, id="lost-1")
    assert "<code>GET /api/properties/</code>" in seen
    assert "KeyError" in seen
    assert "other-1" not in seen
    assert "File secret.py" not in seen
    assert "203.0.113.0/24" in seen
    assert "203.0.113.77" not in seen
    assert "File secret.py" in page("requests", id="lost-1")
    assert "other-1" not in page("requests", support, status="5")
    assert page("requests", support, user="7").count("<code>GET") == 1
    assert (
        page("requests", support, user="9" * 30, status="x", hours="-1", id='"><script>').count("<script>")
        == 0
    )


def test_discarded_job_is_done_with() -> None:
    admin, given = signed_in(staff("admin")), {"_form_submitted": "on", "reason": "Its listing is gone"}
    pk = job("failed")
    url = reverse("admin:procrastinate_procrastinatejob_discard", args=(pk,))

    admin.post(url, given, **HTMX)
    again = admin.post(url, given, **HTMX)

    assert ProcrastinateJob.objects.get(pk=pk).status == "aborted"
    assert "Only a job that failed can be discarded." in again.content.decode()


@pytest.mark.parametrize(
    ("bytes_", "words"), [(0, "0 B"), (999, "999 B"), (3_400_000, "3.4 MB"), (250_000_000_000, "250 GB")]
)
def test_size_is_told_in_a_unit_that_suits(bytes_: int, words: str) -> None:
    assert size(bytes_) == words


@pytest.mark.parametrize(("seconds", "words"), [(5, "5 s"), (300, "5 min"), (90_000, "25 h")])
def test_length_is_told_in_a_unit_that_suits(seconds: float, words: str) -> None:
    assert length(seconds) == words
