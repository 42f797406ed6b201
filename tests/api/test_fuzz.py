"""Every operation of the API is sent what no client should send: each answers with a problem, none with a defect."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from functools import cache
from typing import Any
from urllib.parse import quote

import pytest
from django.http import HttpResponse

from api.main import api
from backend.core import platform
from tests.api.client import ApiClient
from tests.factories import make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

PATHS = [
    "0",
    "-1",
    "1",
    "99999999999999999999999999",
    "9223372036854775807",
    "abc",
    "%00",
    "%F0%9F%8F%A0",
    "..%2f",
    "1e3",
]
QUERY = [
    "",
    "%00",
    "NaN",
    "Infinity",
    "-1",
    "0",
    "99999999999999999999999999",
    "1e400",
    "9999-12-31",
    "0001-01-01",
    "2027-02-30",
    "x" * 5000,
    "%ED%A0%80",
    "';DROP TABLE users;--",
    "<script>",
    "[]",
    "{}",
    "null",
    "a,b,,c",
    "1,2",
    "180,90,-180,-90",
    "%E2%80%AE",
]
VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    10**30,
    -(10**30),
    2**53 + 1,
    2**31,
    1.5,
    1e300,
    "",
    " ",
    "x" * 20_000,
    "a\x00b",
    "\ud800",
    "\u202e",
    "9999-12-31",
    "0001-01-01",
    "2027-02-30",
    "NaN",
    [],
    [None],
    [[]],
    ["x"] * 1000,
    {},
    {"x": {"y": 1}},
]
BODIES = [
    b"",
    b"{",
    b"null",
    b"[]",
    b"5",
    b'"x"',
    b"{}",
    b'{"a":1,"a":2}',
    b"\xff\xfe",
    b'{"x":NaN}',
    b"[" * 2000,
    b'{"x":' + b"9" * 3000 + b"}",
    b'{"unknown_field": 1}',
]


ENDING = ("/api/logout/",)
"""Operations that would end the session which the walk needs."""


@cache
def operations() -> list[tuple[str, str, dict[str, Any]]]:
    schema = json.loads(json.dumps(api.get_openapi_schema(), default=str))
    return [
        (path, method, details)
        for path, methods in schema["paths"].items()
        for method, details in methods.items()
    ]


def named(path: str, value: str = "1") -> str:
    """The path with ``value`` in place of each parameter."""
    return "/".join(value if part.startswith("{") else part for part in path.split("/"))


def variations(example: Any) -> Iterator[Any]:
    """The example body with each field in turn replaced by each bad value, left out, and with one too many."""
    if not isinstance(example, dict):
        return
    for name, present in example.items():
        for value in VALUES:
            yield {**example, name: value}
        if isinstance(present, dict):
            for inner in variations(present):
                yield {**example, name: inner}
        if isinstance(present, list) and present:
            for value in VALUES:
                yield {**example, name: [value]}
        without = copy.copy(example)
        del without[name]
        yield without
    yield {**example, "no_such_field": 1}


def requests(path: str, method: str, details: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Method, URL and body of everything that this operation is sent."""
    content = details.get("requestBody", {}).get("content", {})
    example = content.get("application/json", {}).get("example")
    if "{" in path:
        for value in PATHS:
            yield method, named(path, value), example
    queries = [each for each in details["parameters"] if each["in"] == "query"]
    for parameter in queries:
        for value in QUERY:
            safe = value if "%" in value else quote(value)
            yield method, f"{named(path)}?{parameter['name']}={safe}", example
    yield method, f"{named(path)}?no_such_parameter=1", example
    if method != "get":
        for body in BODIES:
            yield method, named(path), body
        for body in variations(example):
            yield method, named(path), json.dumps(body)


def complaint(response: HttpResponse) -> str:
    """What is wrong with an answer; empty when nothing is."""
    status = response.status_code
    if status >= 500:
        return f"{status} {response.content[:200]!r}"
    if status >= 400:
        if response["Content-Type"] != "application/problem+json":
            return f"{status} is no problem document"
        document = json.loads(response.content)
        if not document.get("code") or document["status"] != status or not document.get("request_id"):
            return f"{status} {document}"
    return ""


def walk(client: ApiClient) -> list[str]:
    """Send everything everywhere; the complaints, one for each operation and kind.

    Nobody in particular is stopped before the input is looked at where a token is needed; once is enough there.
    """
    found: dict[str, str] = {}
    for path, method, details in operations():
        if path in ENDING:
            continue
        if client.token is None and details["security"] and {} not in details["security"]:
            assert client.request(method.upper(), named(path), b"{").status_code in (401, 404), path
            continue
        for verb, url, body in requests(path, method, details):
            said = complaint(client.request(verb.upper(), url, body))
            if said:
                shown = body if isinstance(body, (str, bytes)) else json.dumps(body)
                found.setdefault(
                    f"{verb.upper()} {path} {said[:60]}", f"{url[:120]} {str(shown)[:200]} → {said}"
                )
    return [f"{key}\n    {value}" for key, value in found.items()]


@pytest.fixture(autouse=True)
def unlimited(db: None) -> None:
    """The limits are tested elsewhere; here they would hide what lies behind them."""
    for setting in platform.DECLARED.values():
        if setting.key.startswith("limit_") and setting.high:
            platform.put(setting.key, setting.high)


@pytest.fixture
def world(db: None) -> ApiClient:
    """A host with a listing of id 1, so that the paths lead somewhere."""
    host = make_user()
    make_listing(host)
    return ApiClient(host)


def test_bad_input_of_nobody_is_a_problem_everywhere(world: ApiClient) -> None:
    assert not (found := walk(ApiClient())), "\n".join(found)


def test_bad_input_of_a_host_is_a_problem_everywhere(world: ApiClient) -> None:
    assert not (found := walk(world)), "\n".join(found)


def test_bad_headers_are_a_problem_everywhere(world: ApiClient) -> None:
    found = []
    headers = [
        {"authorization": "Bearer \x00"},
        {"authorization": "Bearer " + "x" * 9000},
        {"if_none_match": '"' * 100, "if_match": "W/" * 100},
        {"idempotency_key": "\xff"},
        {"accept_language": "x" * 5000},
        {"accept_language": "\x00;q=NaN"},
        {"accept": "text/html"},
        {"origin": "http://\x00"},
        {"x_request_id": "a\r\nb: c"},
        {"x_forwarded_for": "\x00, 1.2.3.4"},
        {"content-type": "application/json; charset=no-such-one"},
        {"content-type": "multipart/form-data"},
        {"content-type": "multipart/form-data; boundary=" + "x" * 500},
    ]
    for path, method, _ in operations():
        for more in headers:
            said = complaint(
                world.request(method.upper(), named(path), b"{}" if method != "get" else None, **more)
            )
            if said:
                found.append(f"{method.upper()} {path} {more} → {said}")
        world = ApiClient(world.user) if path == "/api/logout/" else world
    assert not found, "\n".join(found)
