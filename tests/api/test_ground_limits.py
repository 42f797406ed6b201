"""The API's ground: who asks how often, and who asks at all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from backend.accounts.models import Session
from backend.core import limits, platform
from backend.core.valkey import breaker
from tests.api.client import ApiClient
from tests.api.test_ground_input import refused
from tests.factories import make_user

pytestmark = [pytest.mark.usefixtures("db"), pytest.mark.urls("tests.api.ground_world")]

anyone = ApiClient()


@pytest.fixture(autouse=True)
def three_reads(db: None) -> Iterator[None]:
    breaker.mend()
    limits._memory.counters.clear()
    platform.put("limit_reads_address", 3)
    yield
    breaker.mend()


def test_anonymous_reads_are_counted_and_then_refused() -> None:
    for left in (2, 1, 0):
        response = anyone.get("/api/things/")
        assert response.status_code == 200
        assert response["RateLimit-Policy"] == '"anonymous";q=3;w=60'
        assert response["RateLimit"].startswith(f'"anonymous";r={left};t=')

    response = anyone.get("/api/things/")

    refused(response, 429, "rate_limited")
    assert 1 <= int(response["Retry-After"]) <= 60
    assert response["RateLimit"].startswith('"anonymous";r=0;t=')


def test_anonymous_reads_are_counted_before_anything_else() -> None:
    for path in ("/api/private/", "/api/find/?x=1", "/api/things/9/"):
        assert anyone.get(path).status_code != 429

    refused(anyone.get("/api/private/"), 429, "rate_limited")
    refused(anyone.get("/api/find/?x=1"), 429, "rate_limited")
    refused(anyone.post("/api/quote/", {"title": "x"}), 429, "rate_limited")


def test_anonymous_writes_are_not_counted() -> None:
    for _ in range(5):
        assert anyone.post("/api/things/", {"title": "x"}).status_code == 201


def test_signed_in_reads_are_not_counted() -> None:
    user = ApiClient(make_user())

    for _ in range(5):
        response = user.get("/api/things/")
        assert response.status_code == 200
    assert "RateLimit" not in response


def test_bad_tokens_are_counted_as_reads() -> None:
    stranger = ApiClient(token="nonsense")
    for _ in range(3):
        refused(stranger.get("/api/things/"), 401, "unauthenticated")

    refused(stranger.get("/api/things/"), 429, "rate_limited")


def test_forged_forwarding_headers_change_nothing() -> None:
    for number in range(3):
        anyone.get(
            "/api/things/", x_forwarded_for=f"1.2.3.{number}", forwarded="for=9.9.9.9", x_real_ip="8.8.8.8"
        )

    refused(anyone.get("/api/things/", x_forwarded_for="5.5.5.5"), 429, "rate_limited")


@override_settings(TRUSTED_PROXIES=["127.0.0.1"])
def test_trusted_proxy_says_whose_request_it_is() -> None:
    for number in range(5):
        assert anyone.get("/api/things/", x_forwarded_for=f"1.2.3.{number}").status_code == 200
    for _ in range(3):
        anyone.get("/api/things/", x_forwarded_for="6.6.6.6, 1.2.3.9")

    refused(anyone.get("/api/things/", x_forwarded_for="7.7.7.7, 1.2.3.9"), 429, "rate_limited")


@override_settings(REDIS_URL="redis://127.0.0.1:1/0")
def test_reads_are_limited_while_valkey_is_away() -> None:
    for _ in range(3):
        assert anyone.get("/api/things/").status_code == 200

    refused(anyone.get("/api/things/"), 429, "rate_limited")


@pytest.mark.parametrize(
    "header",
    [
        "nonsense",
        "Bearer",
        "Bearer ",
        "Basic dXNlcjpwYXNz",
        "Bearer a.b.c",
        "Bearer " + "x" * 10_000,
        "Bearer \x00",
    ],
)
@pytest.mark.parametrize("path", ["/api/private/", "/api/things/"])
def test_bad_token_is_unauthenticated_everywhere(path: str, header: str) -> None:
    response = anyone.get(path, authorization=header)

    refused(response, 401, "unauthenticated")
    assert response["WWW-Authenticate"] == "Bearer"


def test_nobody_may_not_enter_what_is_private() -> None:
    response = anyone.get("/api/private/")

    refused(response, 401, "unauthenticated")
    assert response["WWW-Authenticate"] == "Bearer"


def test_good_token_enters_with_one_query_on_sessions() -> None:
    user = make_user(username="ann")
    client = ApiClient(user)
    client.get("/api/private/")

    with CaptureQueriesContext(connection) as queries:
        response = client.get("/api/private/")

    assert response.json()["title"] == "ann"
    assert len([each for each in queries if "sessions" in each["sql"]]) == 1


def test_token_of_an_ended_session_is_unauthenticated() -> None:
    client = ApiClient(make_user())
    assert client.get("/api/private/").status_code == 200

    Session.objects.all().delete()

    refused(client.get("/api/private/"), 401, "unauthenticated")
    refused(client.get("/api/things/"), 401, "unauthenticated")


def test_problem_speaks_the_users_language_unless_another_is_asked_for() -> None:
    user = make_user()
    user.profile.language = "fr"
    user.profile.save()
    client = ApiClient(user)

    assert client.get("/api/find/?x=1")["Content-Language"] == "fr"
    assert client.get("/api/find/?x=1", accept_language="es")["Content-Language"] == "es"
