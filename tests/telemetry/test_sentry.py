"""Errors on their way to Sentry: a real sink takes the envelope, and finds nobody's data in it."""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import sentry_sdk
import structlog
from django.core.exceptions import ImproperlyConfigured
from django.test import Client, override_settings
from django.urls import path

from backend.settings import Environment
from backend.telemetry import sentry
from tests.far_end import FarEnd, far_end

PLANTED = (
    "planted-cookie",
    "planted-header",
    "planted-query",
    "planted-body",
    "planted-local",
    "anna@example",
)
KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def sink() -> Iterator[FarEnd]:
    with far_end() as end:
        end.serve(b"{}")
        dsn = f"http://{KEY}@127.0.0.1:{end.port}/42"
        with override_settings(SENTRY_DSN=dsn, RELEASE="1.2.3"):
            sentry.start()
            try:
                yield end
            finally:
                sentry.stop()
                sentry_sdk.get_global_scope().set_client(None)


def sent(end: FarEnd) -> list[dict[str, Any]]:
    """The events that arrived, in their order."""
    sentry_sdk.flush(timeout=5)
    found = []
    for headers, body in zip(end.requests, end.bodies, strict=True):
        text = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
        found.append(json.loads(text.splitlines()[2]))
    return found


def broken(request: Any) -> Any:
    number = "planted-local"
    raise RuntimeError(f"no room for anna@example.com, token=planted-body {len(number)}")


class Routes:
    urlpatterns = [path("broken", broken)]


def test_error_is_sent_with_its_request_and_without_its_data(db: None, sink: FarEnd) -> None:
    client = Client(raise_request_exception=False, headers={"cookie": "sessionid=planted-cookie"})
    headers = {"X-Request-ID": "broken-1", "Authorization": "Bearer planted-header"}

    with override_settings(ROOT_URLCONF=Routes):
        answer = client.post("/broken?q=planted-query", {"card": "planted-body"}, headers=headers)

    assert answer.status_code == 500
    (event,) = sent(sink)
    assert (event["release"], event["environment"], event["tags"]) == (
        *("1.2.3", "test"),
        {"request_id": "broken-1", "door": "api"},
    )
    (raised,) = event["exception"]["values"]
    assert (raised["type"], raised["value"]) == (
        "RuntimeError",
        "no room for <email>, token=<secret> 13",
    )
    frames = raised["stacktrace"]["frames"]
    assert frames[-1]["function"] == "broken"
    assert [frame for frame in frames if "vars" in frame] == []
    assert event.keys() <= sentry.SENT
    # The lines of this file around the error, which frames show, hold the planted words.
    for frame in frames:
        for name in ("context_line", "pre_context", "post_context"):
            frame.pop(name, None)
    assert [word for word in PLANTED if word in json.dumps(event)] == []


def test_our_own_errors_and_those_of_libraries_are_sent_once(sink: FarEnd) -> None:
    try:
        raise ValueError("Bearer abc.def")
    except ValueError as error:
        structlog.get_logger("ours").error("ours.failed", exc_info=error)
    logging.getLogger("theirs").error("theirs failed for %s", "anna@example.com")
    structlog.get_logger("ours").warning("ours.slow")

    events = sent(sink)

    assert [(event["logger"], event["logentry"]["message"]) for event in events] == [
        ("ours", "ours.failed"),
        ("theirs", "theirs failed for <email>"),
    ]
    assert events[0]["exception"]["values"][0]["value"] == "Bearer<secret>"


def test_what_an_integration_puts_in_does_not_leave(sink: FarEnd) -> None:
    with sentry_sdk.new_scope() as scope:
        scope.set_user({"id": 7, "email": "anna@example.com", "ip_address": "203.0.113.7"})
        scope.set_extra("card", "planted-body")
        scope.set_tag("phone", "+254700000001")
        scope.set_context("request", {"cookie": "planted-cookie"})
        structlog.get_logger("ours").error("ours.failed")

    (event,) = sent(sink)

    assert (event["tags"], event.keys() - sentry.SENT) == ({}, set())
    assert set(event["contexts"]) <= {"trace"}
    assert "planted" not in json.dumps(event)
    assert "203.0.113.7" not in json.dumps(event)


def test_nothing_is_sent_without_an_address() -> None:
    sentry.start()

    structlog.get_logger("ours").error("ours.failed")

    assert not sentry_sdk.get_client().is_active()


def test_production_sends_over_tls_only() -> None:
    source = {
        "ENVIRONMENT": "production",
        "SECRET_KEY": "k" * 60,
        "ALLOWED_HOSTS": "karibu.example",
        "PUBLIC_URL": "https://karibu.example",
        "SENTRY_DSN": f"http://{KEY}@sentry.example/1",
    }

    with pytest.raises(ImproperlyConfigured, match="SENTRY_DSN"):
        Environment.read(source)

    assert Environment.read({**source, "SENTRY_DSN": f"https://{KEY}@sentry.example/1"}).sentry_dsn
