"""The ticket's endpoint and the socket's document."""

from __future__ import annotations

from typing import Any

import pytest

from backend.core import platform
from backend.notifications.models import SocketTicket
from tests.api.client import ApiClient
from tests.factories import make_user

pytestmark = pytest.mark.usefixtures("db")


def test_ticket_is_kept_as_a_hash_only() -> None:
    user = make_user()

    body = ApiClient(user).post("/api/realtime/ticket/").json()

    row = SocketTicket.objects.get()
    assert row.user_id == user.pk
    assert body["ticket"].encode() not in bytes(row.hash)
    assert body["url"] == f"ws://testserver/ws/?ticket={body['ticket']}"


def test_tickets_are_limited_per_user() -> None:
    platform.put("limit_tickets_user", 2)
    client, other = ApiClient(make_user()), ApiClient(make_user())

    answers = [client.post("/api/realtime/ticket/") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].json()["code"] == "rate_limited"
    assert int(answers[2]["Retry-After"]) > 0
    assert other.post("/api/realtime/ticket/").status_code == 200
    assert SocketTicket.objects.count() == 3


def test_ticket_takes_no_fields() -> None:
    answer = ApiClient(make_user()).post("/api/realtime/ticket/", {"for": "me"})

    assert answer.status_code == 422
    assert SocketTicket.objects.count() == 0


def test_document_describes_every_frame_and_its_references_exist() -> None:
    document = ApiClient().get("/api/asyncapi.json").json()

    assert document["asyncapi"] == "3.0.0"
    assert set(document["components"]["messages"]) == {
        *("hello", "notification", "booking", "error", "pong", "client.resume", "client.ping"),
    }
    for reference in references(document):
        found: Any = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]


def references(value: Any) -> list[str]:
    """Every ``$ref`` into the document itself."""
    if isinstance(value, list):
        return [found for each in value for found in references(each)]
    if not isinstance(value, dict):
        return []
    own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
    return own + [found for each in value.values() for found in references(each)]
