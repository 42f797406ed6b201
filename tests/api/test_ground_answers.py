"""The API's ground: what surrounds an answer, and how faults look."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.test import Client, override_settings

from backend.core.models import Currency
from tests.api.client import ApiClient
from tests.api.test_ground_input import refused

pytestmark = [pytest.mark.usefixtures("db"), pytest.mark.urls("tests.api.ground_world")]

anyone = ApiClient()


@pytest.mark.parametrize(
    "path", ["/api/nothing/", "/api/nothing", "/api/", "/api", "/api/things/x/", "/api/%00/"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_unknown_route_is_a_problem(method: str, path: str) -> None:
    refused(anyone.request(method, path), 404, "not_found")


def test_unknown_page_outside_the_api_is_plain_for_browsers_and_a_problem_for_programs() -> None:
    page = Client().get("/nothing/", headers={"accept": "text/html,application/xhtml+xml,*/*;q=0.8"})

    assert (page.status_code, page["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert page["X-Request-ID"]
    assert b"There is nothing here." in page.content
    refused(Client().get("/nothing/"), 404, "not_found")


def test_method_that_is_not_there_says_which_are() -> None:
    response = anyone.request("PATCH", "/api/things/")

    refused(response, 405, "method_not_allowed")
    assert response["Allow"] == "DELETE, GET, HEAD, POST"


def test_operations_of_two_files_share_a_path() -> None:
    assert anyone.get("/api/things/").status_code == 200
    assert anyone.delete("/api/things/").status_code == 204


def test_head_answers_as_get() -> None:
    get, head = anyone.get("/api/things/7/"), anyone.request("HEAD", "/api/things/7/")

    assert (head.status_code, head["ETag"]) == (200, get["ETag"])
    assert head.content == b""


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_path_without_its_slash_answers_the_same(method: str) -> None:
    path = "/api/things" if method == "POST" else "/api/things/7"

    response = anyone.request(method, path, {"title": "x"})

    assert response.status_code == {"POST": 201, "PUT": 200}[method]
    assert response.json()["title"] == "x"


def test_path_with_many_slashes_and_a_query_is_kept() -> None:
    assert anyone.get("/api/find?q=a").json()["title"] == "a"
    assert anyone.get("/api/openapi.json/").status_code == 200
    assert anyone.get("/api/docs/").status_code == 200


@pytest.mark.parametrize("given", ["abc-123", "A", "x" * 64, "trace:1.2_3"[:8]])
def test_request_id_is_taken_where_it_is_sane(given: str) -> None:
    assert anyone.get("/api/things/", x_request_id=given)["X-Request-ID"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "a\nb", "é", "<script>", "-x"])
def test_request_id_is_made_otherwise(given: str) -> None:
    response = anyone.get("/api/things/", x_request_id=given)

    assert response["X-Request-ID"] != given
    assert len(response["X-Request-ID"]) == 32


def test_request_id_is_on_answers_of_every_door() -> None:
    assert Client().get("/health/live", headers={"x-request-id": "abc"})["X-Request-ID"] == "abc"


def test_defect_is_a_problem_without_details() -> None:
    response = anyone.post("/api/defect/")

    refused(response, 500, "internal_error")
    assert b"secret detail" not in response.content
    assert b"Traceback" not in response.content


def test_lock_that_is_not_granted_is_unavailable() -> None:
    other = connections.create_connection("default")
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute("SELECT 1 FROM currencies WHERE code = 'EUR' FOR UPDATE")
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = 100")

        response = anyone.post("/api/lock/")
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET lock_timeout")
        other.rollback()
        other.close()

    refused(response, 503, "unavailable")
    assert response["Retry-After"] == "2"
    with transaction.atomic():
        assert Currency.objects.filter(code="EUR").exists()


def test_host_that_is_not_ours_is_a_bad_request() -> None:
    refused(Client().get("/api/things/", headers={"host": "evil.example"}), 400, "bad_request")


def test_problem_speaks_the_language_that_is_asked_for(tmp_path: Any) -> None:
    french = anyone.post("/api/things/", {}, accept_language="fr")
    english = anyone.post("/api/things/", {}, accept_language="en")

    assert french["Content-Language"] == "fr"
    assert english["Content-Language"] == "en"
    assert english.json()["title"] == "Some of what was sent is not valid."


@override_settings(CORS_ORIGINS=["https://front.example"])
def test_origin_of_the_list_may_read_answers() -> None:
    response = anyone.get("/api/things/", origin="https://front.example")

    assert response["Access-Control-Allow-Origin"] == "https://front.example"
    assert "ETag" in response["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Credentials" not in response
    assert "Origin" in response["Vary"]


@override_settings(CORS_ORIGINS=["https://front.example"])
def test_origin_of_the_list_may_ask_beforehand() -> None:
    ask = {"access_control_request_method": "POST", "origin": "https://front.example"}

    response = anyone.request("OPTIONS", "/api/things/", **ask)

    assert response.status_code == 204
    assert "POST" in response["Access-Control-Allow-Methods"]
    assert "Idempotency-Key" in response["Access-Control-Allow-Headers"]


@override_settings(CORS_ORIGINS=["https://front.example"])
@pytest.mark.parametrize("origin", ["https://front.example.evil.example", "http://front.example", "null"])
def test_origin_outside_of_the_list_may_not(origin: str) -> None:
    response = anyone.get("/api/things/", origin=origin)

    assert "Access-Control-Allow-Origin" not in response


def test_answers_carry_security_headers() -> None:
    response = anyone.get("/api/things/")

    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["X-Frame-Options"] == "DENY"
    assert response["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert response["Cache-Control"] == "no-store"


def test_etag_spares_the_body() -> None:
    first = anyone.get("/api/things/7/")
    tag = first["ETag"]

    assert tag.startswith('"')
    for header in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = anyone.get("/api/things/7/", if_none_match=header)
        assert (again.status_code, again.content, again["ETag"]) == (304, b"", tag)
    assert anyone.get("/api/things/7/", if_none_match='"other"').status_code == 200
    assert anyone.get("/api/things/8/")["ETag"] != tag


@pytest.mark.parametrize("header", ['"v1"', "*", '"v0", "v1"'])
def test_change_of_the_version_that_was_seen_passes(header: str) -> None:
    assert anyone.put("/api/things/7/", {"title": "x"}, if_match=header).status_code == 200


@pytest.mark.parametrize("header", ['"v0"', 'W/"v1"', "v1"])
def test_change_of_another_version_is_refused(header: str) -> None:
    response = anyone.put("/api/things/7/", {"title": "x"}, if_match=header)

    refused(response, 412, "precondition_failed")


def test_access_log_has_a_line_without_personal_data(capfd: pytest.CaptureFixture[str]) -> None:
    handler = logging.getLogger().handlers[0]
    lines: list[str] = []
    collector = logging.Handler()
    collector.emit = lambda record: lines.append(handler.format(record))  # type: ignore[method-assign]
    logging.getLogger("access").addHandler(collector)
    try:
        anyone.get("/api/find/?q=ann@example.com", x_request_id="line-1", authorization="")
        anyone.get("/api/named/ann@example.com/")
    finally:
        logging.getLogger("access").removeHandler(collector)

    first, second = (json.loads(line) for line in lines)
    assert first["request_id"] == "line-1"
    assert (first["method"], first["route"], first["status"]) == ("GET", "/api/find/", 200)
    assert first["address"] == "127.0.0.1"
    assert second["route"] == "/api/named/<name>/"
    assert "example.com" not in "".join(lines)
