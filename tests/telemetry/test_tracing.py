"""A trace that began in front of us: into the log, into jobs, into calls to providers; and none from strangers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from django.test import Client, override_settings
from django.urls import path
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob

from api import health
from backend.core import jobs, tracing
from backend.payments.providers.wire import Wire
from backend.telemetry import gauges, watching
from backend.telemetry.models import Tally
from backend.telemetry.recorder import Recorder
from tests.far_end import far_end

NUMBER, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GIVEN = f"00-{NUMBER}-{PARENT}-01"


def seen(**headers: str) -> tuple[str, Any]:
    """The header for further calls, and the trace in the log, as they are within a request with ``headers``."""
    found: list[tuple[str, Any]] = []

    def look(request: Any) -> Any:
        found.append((tracing.written(), structlog.contextvars.get_contextvars().get("trace_id")))
        return health.live(request)

    class Routes:
        urlpatterns = [path("look", look)]

    with override_settings(ROOT_URLCONF=Routes):
        assert Client().get("/look", headers=headers).status_code == 200
    assert (tracing.written(), structlog.contextvars.get_contextvars()) == ("", {})
    return found[0]


def test_trace_of_a_trusted_proxy_is_taken_up(db: None, settings: Any) -> None:
    settings.TRUSTED_PROXIES = ["127.0.0.1"]

    onward, logged = seen(traceparent=GIVEN)

    version, number, span, flags = onward.split("-")
    assert (version, number, flags, logged) == ("00", NUMBER, "01", NUMBER)
    assert len(span) == 16
    assert span != PARENT


def test_trace_of_a_stranger_is_not(db: None) -> None:
    assert seen(traceparent=GIVEN) == ("", None)


@pytest.mark.parametrize(
    ("header", "is_trace"),
    [
        (GIVEN, True),
        (f"00-{NUMBER}-{PARENT}-00", True),
        (f"01-{NUMBER}-{PARENT}-01-of-later-versions", True),
        (f"{GIVEN}-more", False),
        (f"ff-{NUMBER}-{PARENT}-01", False),
        (f"00-{'0' * 32}-{PARENT}-01", False),
        (f"00-{NUMBER}-{'0' * 16}-01", False),
        (f"00-{NUMBER.upper()}-{PARENT}-01", False),
        ("secret", False),
        ("", False),
        (f"01-{NUMBER}-{PARENT}-01-{'x' * 300}", False),
    ],
)
def test_what_a_trace_looks_like(header: str, is_trace: bool) -> None:
    found = tracing.read(header)

    assert (found is not None) == is_trace
    assert found is None or found.number == NUMBER


def test_job_takes_the_trace_along_and_its_task_knows_nothing_of_it(listening: Recorder) -> None:
    with tracing.within(tracing.read(GIVEN)):
        app.configure_task("webhooks.deliver", queue="webhooks").defer(endpoint_id=7)
    row = ProcrastinateJob.objects.get()
    job = SimpleNamespace(
        id=row.pk, task_name=row.task_name, queue=row.queue_name, task_kwargs=dict(row.args)
    )
    found: list[Any] = []

    def task() -> None:
        bound = structlog.contextvars.get_contextvars()
        found.append((dict(job.task_kwargs), tracing.written()[:35], bound["trace_id"], bound["job_id"]))

    watching.watch(task, SimpleNamespace(job=job), None)

    assert found == [({"endpoint_id": 7}, f"00-{NUMBER}", NUMBER, row.pk)]
    assert structlog.contextvars.get_contextvars() == {}
    listening.flush()
    counted = Tally.objects.get(name=gauges.JOBS)
    assert (counted.labels, counted.times) == ("task=webhooks.deliver,queue=webhooks,outcome=done", 1)


def test_job_without_a_trace_is_as_it_was_deferred(listening: Recorder) -> None:
    app.configure_task("webhooks.deliver", queue="webhooks").defer(endpoint_id=7)

    row = ProcrastinateJob.objects.get()
    assert row.args == {"endpoint_id": 7}
    job = SimpleNamespace(
        id=row.pk, task_name=row.task_name, queue=row.queue_name, task_kwargs=dict(row.args)
    )

    def task() -> None:
        raise ValueError

    with pytest.raises(ValueError):
        watching.watch(task, SimpleNamespace(job=job), None)

    listening.flush()
    assert Tally.objects.get().labels == "task=webhooks.deliver,queue=webhooks,outcome=error"
    assert app.worker_defaults["task_middleware"] == [jobs.on_living_connections, watching.watch]


def test_provider_is_told_the_trace_and_counted(listening: Recorder) -> None:
    with far_end() as provider:
        provider.serve(b"{}")
        with tracing.within(tracing.read(GIVEN)), Wire("paypal", f"http://127.0.0.1:{provider.port}") as wire:
            assert wire.ask("GET", "/v2/orders/1").is_ok
        with Wire("paypal", f"http://127.0.0.1:{provider.port}") as wire:
            wire.ask("GET", "/v2/orders/1")

    with_trace, without = provider.requests
    assert with_trace["traceparent"].startswith(f"00-{NUMBER}-")
    assert "traceparent" not in without
    listening.flush()
    counted = Tally.objects.get(name=gauges.PROVIDER_CALLS)
    assert (counted.labels, counted.times) == ("provider=paypal,outcome=answered", 2)
