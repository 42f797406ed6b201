"""The API's ground: how input is read and refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from tests.api.client import ApiClient

pytestmark = [pytest.mark.usefixtures("db"), pytest.mark.urls("tests.api.ground_world")]

anyone = ApiClient()


def refused(response: Any, status: int, code: str) -> dict[str, Any]:
    """The problem document of a refusal, after checking that it is one."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    document = response.json()
    assert document["code"] == code
    assert document["status"] == status
    assert document["type"] == f"urn:karibu:problem:{code}"
    assert document["title"]
    assert document["detail"]
    assert document["request_id"] == response["X-Request-ID"]
    assert ("errors" in document) == (status == 422)
    return document


def fields(document: dict[str, Any]) -> dict[str, str]:
    return {error["field"]: error["code"] for error in document["errors"]}


def test_body_comes_in_as_it_was_sent() -> None:
    sent = {
        "title": " café ",
        "price": 75.5,
        "count": 3,
        "on": "2027-01-31",
        "ratio": 0.25,
        "ready": True,
        "kind": "b",
    }

    response = anyone.post("/api/things/", {**sent, "place": {"city": "Lisbon"}, "names": ["x"]})

    assert response.status_code == 201
    assert response.json()["title"] == "café"
    data = response.json()["data"]
    assert data["price"] == "75.5"
    assert (data["count"], data["on"], data["ratio"], data["ready"]) == (3, "2027-01-31", 0.25, True)
    assert data["place"] == {"city": "Lisbon", "number": None}


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({}, "title", "required"),
        ({"title": None}, "title", "invalid_text"),
        ({"title": 5}, "title", "invalid_text"),
        ({"title": "  "}, "title", "blank"),
        ({"title": "x" * 11}, "title", "too_long"),
        ({"title": "a\nb"}, "title", "invalid_text"),
        ({"title": "a\x00b"}, "title", "invalid_text"),
        ({"title": "a\x07b"}, "title", "invalid_text"),
        ({"title": "ok", "titel": "x"}, "titel", "unknown_field"),
        ({"title": "ok", "count": 0}, "count", "too_small"),
        ({"title": "ok", "count": 101}, "count", "too_large"),
        ({"title": "ok", "count": "5"}, "count", "invalid_integer"),
        ({"title": "ok", "count": 5.0}, "count", "invalid_integer"),
        ({"title": "ok", "count": True}, "count", "invalid_integer"),
        ({"title": "ok", "count": 10**30}, "count", "too_large"),
        ({"title": "ok", "price": "75"}, "price", "invalid_number"),
        ({"title": "ok", "price": -1}, "price", "too_small"),
        ({"title": "ok", "price": False}, "price", "invalid_number"),
        ({"title": "ok", "on": 20270131}, "on", "invalid_date"),
        ({"title": "ok", "on": "31.01.2027"}, "on", "invalid_date"),
        ({"title": "ok", "on": "2027-02-30"}, "on", "invalid_date"),
        ({"title": "ok", "on": "2027-01-31T00:00:00Z"}, "on", "invalid_date"),
        ({"title": "ok", "on": "9999-12-31"}, "on", "date_out_of_range"),
        ({"title": "ok", "on": "1999-12-31"}, "on", "date_out_of_range"),
        ({"title": "ok", "day": "9999-12-31"}, "day", "date_out_of_range"),
        ({"title": "ok", "ready": "true"}, "ready", "invalid_boolean"),
        ({"title": "ok", "ready": 1}, "ready", "invalid_boolean"),
        ({"title": "ok", "kind": "c"}, "kind", "unknown_value"),
        ({"title": "ok", "ratio": "x"}, "ratio", "invalid_number"),
        ({"title": "ok", "place": {}}, "place.city", "required"),
        ({"title": "ok", "place": {"city": "x", "zip": 1}}, "place.zip", "unknown_field"),
        ({"title": "ok", "place": []}, "place", "invalid_object"),
        ({"title": "ok", "place": {"city": "x", "number": "1"}}, "place.number", "invalid_integer"),
        ({"title": "ok", "names": "x"}, "names", "invalid_list"),
        ({"title": "ok", "names": ["long-one"]}, "names.0", "too_long"),
        ({"title": "ok", "names": [1]}, "names.0", "invalid_text"),
        ([], "", "invalid_object"),
        ("text", "", "invalid_object"),
        (5, "", "invalid_object"),
    ],
)
def test_body_of_wrong_shape_names_the_field(body: Any, field: str, code: str) -> None:
    document = refused(anyone.post("/api/things/", json.dumps(body)), 422, "invalid")

    assert fields(document) == {field: code}


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"{'title': 'x'}",
        b'{"title": "x"} trailing',
        b'{"title": "x", "title": "y"}',
        b'{"title": "x", "place": {"city": "a", "city": "b"}}',
        b'{"title": "\xff\xfe"}',
        '{"title": "x"}'.encode("utf-16"),
        b'{"title": "x", "ratio": NaN}',
        b'{"title": "x", "ratio": -Infinity}',
        b'{"title": "x", "count": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b'{"title": "x", "names": ' + b"[" * 40 + b"]" * 40 + b"}",
        b"\xef\xbb\xbf{}",
    ],
)
def test_body_that_is_no_json_is_malformed(body: bytes) -> None:
    refused(anyone.post("/api/things/", body), 400, "malformed_body")


@pytest.mark.parametrize("literal", ["1e400", "1e999999999", "-1e400", "1e25"])
def test_body_with_a_huge_number_is_refused_at_its_field(literal: str) -> None:
    document = refused(anyone.post("/api/things/", f'{{"title": "x", "price": {literal}}}'), 422, "invalid")

    assert fields(document) == {"price": "too_large"}


def test_body_with_a_tiny_number_is_read_exactly() -> None:
    response = anyone.post("/api/things/", '{"title": "x", "price": 1e-999999999}')

    assert response.status_code == 422
    assert fields(response.json()) == {"price": "too_precise"}


def test_body_with_a_lone_surrogate_is_refused() -> None:
    document = refused(anyone.post("/api/things/", '{"title": "\\ud800"}'), 422, "invalid")

    assert fields(document) == {"title": "invalid_text"}


def test_body_missing_is_refused() -> None:
    refused(anyone.post("/api/things/"), 422, "invalid")


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/xml",
        "application/json; charset=latin-1",
    ],
)
def test_body_of_another_content_type_is_unsupported(content_type: str) -> None:
    response = anyone.post("/api/things/", b'{"title": "x"}', **{"content-type": content_type})

    refused(response, 415, "unsupported_media_type")


def test_body_compressed_is_unsupported() -> None:
    response = anyone.post("/api/things/", b"\x1f\x8b", content_encoding="gzip")

    refused(response, 415, "unsupported_media_type")


def test_body_where_none_is_taken_is_refused_unless_empty() -> None:
    assert anyone.post("/api/empty/").status_code == 204
    assert anyone.post("/api/empty/", {}).status_code == 204
    document = refused(anyone.post("/api/empty/", {"x": 1}), 422, "invalid")
    assert fields(document) == {"x": "unknown_field"}
    refused(anyone.post("/api/empty/", b"{"), 400, "malformed_body")
    for body in (b"5", b"[]", b'"x"', b"true"):
        document = refused(anyone.post("/api/empty/", body), 422, "invalid")
        assert fields(document) == {"": "invalid_object"}


def test_body_of_a_foreign_sender_is_left_to_the_route() -> None:
    response = anyone.post("/api/hook/", b"\x00\xff{", **{"content-type": "application/octet-stream"})

    assert (response.status_code, response.content) == (200, b"3")


def test_body_over_the_limit_is_too_large() -> None:
    refused(anyone.post("/api/things/", b" " * (1024 * 1024 + 1)), 413, "too_large")


def test_text_is_normalized_and_keeps_lines_where_allowed() -> None:
    response = anyone.post("/api/things/", {"title": "e\u0301", "story": "a\r\nb\rc"})

    assert response.json()["title"] == "é"
    assert response.json()["data"]["story"] == "a\nb\nc"


def test_upload_by_put_is_read() -> None:
    file = SimpleUploadedFile("a.png", b"12345", "image/png")

    response = anyone.upload("/api/photo/", {"file": file}, method="PUT")

    assert response.json() == {"title": "a.png", "data": {"size": 5}}


def test_upload_of_wrong_shape_is_refused() -> None:
    file = SimpleUploadedFile("a.png", b"12345", "image/png")

    refused(anyone.put("/api/photo/", {"file": "x"}), 415, "unsupported_media_type")
    document = refused(
        anyone.upload("/api/photo/", {"file": file, "more": "x"}, method="PUT"), 422, "invalid"
    )
    assert fields(document) == {"more": "unknown_field"}
    document = refused(anyone.upload("/api/photo/", {}, method="PUT"), 422, "invalid")
    assert fields(document) == {"file": "required"}
    response = anyone.put("/api/photo/", b"nonsense", **{"content-type": "multipart/form-data"})
    refused(response, 400, "malformed_body")


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ("x=1", "x", "unknown_parameter"),
        ("q=a&q=b", "q", "repeated_parameter"),
        ("q=%00", "q", "invalid_text"),
        ("q=" + "x" * 21, "q", "too_long"),
        ("near=NaN", "near", "invalid_number"),
        ("near=inf", "near", "invalid_number"),
        ("near=1e999", "near", "invalid_number"),
        ("near=abc", "near", "invalid_number"),
        ("on=9999-12-31", "on", "date_out_of_range"),
        ("on=20270131", "on", "invalid_date"),
        ("on=1234567890", "on", "invalid_date"),
        ("day=9999-12-31", "day", "date_out_of_range"),
        ("bare=99999999999999999999", "bare", "too_large"),
        ("bare=" + "9" * 5000, "bare", "too_large"),
        ("bare=x", "bare", "invalid_integer"),
    ],
)
def test_query_out_of_bounds_is_refused(query: str, field: str, code: str) -> None:
    document = refused(anyone.get(f"/api/find/?{query}"), 422, "invalid")

    assert fields(document) == {field: code}


def test_query_dates_reach_ten_years_ahead() -> None:
    far = datetime.now(UTC).date() + timedelta(days=3653)

    assert anyone.get(f"/api/find/?on={far}").status_code == 200
    assert anyone.get(f"/api/find/?on={far + timedelta(days=1)}").status_code == 422


def test_query_is_unknown_on_an_operation_without_parameters() -> None:
    document = refused(anyone.get("/api/whole/?page=1"), 422, "invalid")

    assert fields(document) == {"page": "unknown_parameter"}


@pytest.mark.parametrize(
    "path",
    ["/api/things/0/", "/api/things/99999999999999999999999999/", "/api/things/-1/", "/api/named/%00/"],
)
def test_path_that_names_nothing_possible_is_not_found(path: str) -> None:
    refused(anyone.get(path), 404, "not_found")


def test_number_that_the_database_refuses_is_invalid() -> None:
    document = refused(anyone.post("/api/overflow/"), 422, "invalid")

    assert fields(document) == {"": "out_of_range"}
