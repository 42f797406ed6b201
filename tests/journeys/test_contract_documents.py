"""Languages, documents and health as clients are promised them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.test import Client

from tests.api.client import ApiClient
from tests.journeys.contract import body, confirmed, list_a_place, register, rows

pytestmark = pytest.mark.usefixtures("db")

anyone = ApiClient()


def test_amenities_speak_the_language_that_is_asked_for() -> None:
    names = {
        language: {
            row["slug"]: row["name"] for row in rows(anyone.get("/api/amenities/", accept_language=language))
        }
        for language in ("en", "fr", "es", "sw", "ar")
    }

    assert {language: set(each) for language, each in names.items()} == {
        key: set(names["en"]) for key in names
    }
    assert len({each["pool"] for each in names.values()}) > 3


def test_notices_speak_the_language_of_the_request_or_of_the_user() -> None:
    host, guest = register(), register()
    confirmed(guest, list_a_place(host))

    def newest(**headers: str) -> dict[str, Any]:
        return dict(rows(host.get("/api/notifications/", None, **headers))[0])

    shown = {code: newest(accept_language=code) for code in ("en", "fr", "es", "sw", "ar")}
    for name in ("title", "body"):
        assert len({each[name] for each in shown.values()}) == 5, name
    host.patch("/api/profile/", {"preferences": {"language": "fr"}})
    assert newest() == shown["fr"]


def test_openapi_describes_every_operation() -> None:
    document = body(anyone.get("/api/openapi.json"))

    assert document["openapi"].startswith("3.1")
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], (method, path)
            assert operation["tags"], (method, path)
            assert operation["responses"], (method, path)
            assert "example" in json.dumps(operation), (method, path)
    for method, path in (
        *(("post", f"/api/{name}/") for name in ("register", "login", "token/refresh", "logout", "bookings")),
        *(("get", f"/api/{name}/") for name in ("properties", "bookings", "payments", "notifications")),
        ("get", "/api/users/{id}/"),
        ("put", "/api/profile/photo/"),
        ("post", "/api/realtime/ticket/"),
        ("post", "/api/properties/{id}/quote/"),
        ("get", "/api/bookings/{id}/cancellation/"),
    ):
        known = {re.sub(r"\{[^}]+\}", "{id}", each): each for each in document["paths"]}
        assert method in document["paths"][known[path]], (method, path)


def test_documentation_works_offline() -> None:
    page = Client().get("/api/docs")
    assert page.status_code == 200
    assert page["Content-Type"].startswith("text/html")
    assert re.findall(rb'(?:src|href)="(?:https?:)?//', page.content) == []
    socket = body(anyone.get("/api/asyncapi.json"))
    assert re.match(r"[23]\.\d+\.\d+$", socket["asyncapi"])


def test_health_says_alive_and_ready() -> None:
    assert anyone.get("/health/live").status_code == 200
    ready = anyone.get("/health/ready")
    assert ready.status_code == 200
    for part in (b"database", b"cache", b"channel", b"storage", b"queue"):
        assert part in ready.content
