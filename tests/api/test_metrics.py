"""The figures for a monitoring system, and who gets them."""

from __future__ import annotations

import re
from datetime import timedelta
from math import isnan

import pytest
from django.test import Client
from django.utils import timezone

from backend.core import rate_book
from backend.jobs.models import BackupRun
from backend.notifications.models import Delivery
from backend.payments import reconciliation
from backend.payments.models import SandboxRecord
from backend.telemetry import writing
from backend.telemetry.recorder import Recorder
from tests.bookings.making import book, pay
from tests.factories import make_listing
from tests.telemetry.conftest import listening as listening
from tests.telemetry.test_recording import answered

pytestmark = pytest.mark.usefixtures("db")

RATES_LATE = 'karibu_exchange_rates_days_late{source="European Central Bank"}'


SYSTEM = (
    *("karibu_http_", "karibu_job", "karibu_workers", "karibu_backup_", "karibu_database_"),
    *("karibu_sockets", "karibu_webhook_", "karibu_feeds_"),
)


def figures() -> dict[str, float]:
    """What is told of the market."""
    return {name: value for name, value in everything().items() if not name.startswith(SYSTEM)}


def everything() -> dict[str, float]:
    answer = Client().get("/metrics")
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    lines = [line for line in answer.content.decode().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r'[a-z_]+\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\} \S+', line) for line in lines)
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def nothing_waits() -> dict[str, float]:
    waiting = {f'karibu_deliveries_waiting{{channel="{channel}"}}': 0.0 for channel in ("email", "sms")}
    oldest = {f'karibu_deliveries_oldest_seconds{{channel="{channel}"}}': 0.0 for channel in ("email", "sms")}
    oldest.pop('karibu_deliveries_oldest_seconds{channel="email"}')
    stopped = {
        'karibu_deliveries_stopped{channel="sms"}': 0.0,
        'karibu_carrier_rests{channel="email",carrier="files"}': 0.0,
    }
    return {**waiting, **oldest, **stopped}


def test_metrics_tell_what_waits_and_what_differs() -> None:
    empty = figures()
    assert isnan(empty.pop('karibu_reconciliation_age_seconds{provider="sandbox"}'))
    assert empty.pop(RATES_LATE) == rate_book.age(timezone.now()).days_late
    assert empty.pop('karibu_deliveries_oldest_seconds{channel="email"}') == 0
    assert empty == {'karibu_reconciliation_differences{provider="sandbox"}': 0, **nothing_waits()}
    now = timezone.now()
    pay(book(make_listing(), now=now), now=now)
    pay(book(make_listing(), now=now), "timeout", now=now)
    SandboxRecord.objects.filter(outcome="succeed").update(amount_minor=1)

    reconciliation.reconcile(now=now - timedelta(minutes=5))
    shown = figures()
    shown.pop(RATES_LATE)

    ages = {name: shown.pop(name) for name in list(shown) if "_age_" in name}
    oldest = shown.pop('karibu_deliveries_oldest_seconds{channel="email"}')
    assert 0 <= oldest < 60
    assert shown == {
        'karibu_reconciliation_differences{provider="sandbox"}': 1,
        'karibu_money_operations_open{provider="sandbox"}': 1,
        **nothing_waits(),
        'karibu_deliveries_waiting{channel="email"}': Delivery.objects.count(),
    }
    assert ages.keys() == {
        'karibu_reconciliation_age_seconds{provider="sandbox"}',
        'karibu_money_operations_open_age_seconds{provider="sandbox"}',
    }
    assert 300 <= ages['karibu_reconciliation_age_seconds{provider="sandbox"}'] < 400


def test_metrics_tell_of_requests_jobs_and_backups(listening: Recorder) -> None:
    now = timezone.now()
    BackupRun.objects.create(kind="base", name="x", started_at=now, ended_at=now - timedelta(hours=1))
    notes = [answered(ms=4.0), answered(ms=40.0), answered(ms=20_000.0, status=503, door="admin")]
    writing.write(writing.Notes(notes))

    shown = {name: value for name, value in everything().items() if name.startswith(SYSTEM)}

    assert 3600 <= shown.pop('karibu_backup_age_seconds{kind="base"}') < 3700
    for kind in ("shipment", "files", "drill"):
        assert isnan(shown.pop(f'karibu_backup_age_seconds{{kind="{kind}"}}'))
    buckets = {name: shown.pop(name) for name in list(shown) if "_bucket" in name}
    connections = [shown.pop(name) for name in list(shown) if "karibu_database_connections" in name]
    assert min(connections) >= 1
    assert shown == {
        'karibu_http_statements_total{door="admin"}': 3,
        'karibu_http_statements_total{door="api"}': 6,
        'karibu_http_database_seconds_total{door="admin"}': 0.0015,
        'karibu_http_database_seconds_total{door="api"}': 0.003,
        'karibu_sockets{kind="live"}': 0,
        'karibu_webhook_deliveries_due{queue="webhooks"}': 0,
        'karibu_webhook_deliveries_late_seconds{queue="webhooks"}': 0,
        'karibu_webhook_endpoints_failing{state="failing"}': 0,
        'karibu_feeds_unwell{status="failing"}': 0,
        'karibu_feeds_unwell{status="stale"}': 0,
        'karibu_http_requests_total{door="admin",status="5xx"}': 1,
        'karibu_http_requests_total{door="api",status="2xx"}': 2,
        'karibu_http_request_seconds_sum{door="admin"}': 20,
        'karibu_http_request_seconds_sum{door="api"}': 0.044,
        'karibu_http_request_seconds_count{door="admin"}': 1,
        'karibu_http_request_seconds_count{door="api"}': 2,
        'karibu_jobs{state="due"}': 0,
        'karibu_jobs{state="failed"}': 0,
        'karibu_jobs{state="stalled"}': 0,
        'karibu_jobs_lag_seconds{queue="all"}': 0,
        'karibu_workers{queue="all"}': 0,
        'karibu_backup_kept_back_bytes{kind="shipment"}': 0,
    }
    told = [
        buckets[f'karibu_http_request_seconds_bucket{{door="{door}",le="{end}"}}']
        for door, end in (
            ("api", "0.003"),
            ("api", "0.005"),
            ("api", "0.05"),
            ("admin", "10"),
            ("admin", "+Inf"),
        )
    ]
    assert (told, len(buckets)) == ([0, 1, 2, 0, 1], 44)


@pytest.mark.parametrize(
    "request_from",
    [
        {"REMOTE_ADDR": "93.184.216.34"},
        {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "10.0.0.1"},
        {"REMOTE_ADDR": ""},
    ],
)
def test_metrics_are_not_public(request_from: dict[str, str]) -> None:
    answer = Client().get("/metrics", **request_from)

    assert answer.status_code == 404
    assert b"karibu_" not in answer.content


def test_metrics_are_not_given_to_a_proxy(settings: object) -> None:
    settings.TRUSTED_PROXIES = ["127.0.0.1"]  # type: ignore[attr-defined]

    assert Client().get("/metrics").status_code == 404


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/metrics"])
def test_doors_for_machines_refuse_as_the_api(path: str) -> None:
    client = Client(enforce_csrf_checks=True)

    slashed = 404 if path == "/metrics" else 200
    assert [client.get(f"{path}{slash}").status_code for slash in ("", "/")] == [200, slashed]
    put = client.post(path, {})
    assert (put.status_code, put["Content-Type"], put["Allow"]) == (
        405,
        "application/problem+json",
        "GET, HEAD",
    )
    assert (put.json()["code"], put.json()["request_id"]) == ("method_not_allowed", put["X-Request-ID"])


def test_the_back_office_is_found_without_its_slash() -> None:
    answer = Client().get("/admin")

    assert (answer.status_code, answer["Location"]) == (302, "/admin/")
