"""The ticket's endpoint and the socket's document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from pydantic import BaseModel

from api.messages import AttachmentOut, MessageOut
from api.notifications import NotificationOut
from api.problems import Problem
from backend.core import platform
from backend.notifications import frames
from backend.notifications.frames import CLIENT, SERVER
from backend.notifications.models import SocketTicket
from tests.api.client import ApiClient
from tests.factories import make_user

ASYNCAPI = Path(__file__).parent / "asyncapi-3.0.0.json"
"""The schema of such documents, as its makers publish it."""

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


def test_document_is_asyncapi_and_its_references_exist() -> None:
    document = ApiClient().get("/api/asyncapi.json").json()

    Draft7Validator(json.loads(ASYNCAPI.read_text())).validate(document)
    assert document["asyncapi"] == "3.0.0"
    for reference in references(document):
        found: Any = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]


def test_document_describes_what_is_said_with_the_models_that_frames_are_held_against() -> None:
    document = ApiClient().get("/api/asyncapi.json").json()

    kinds = {**SERVER, **{f"client.{name}": kind for name, kind in CLIENT.items()}}
    schemas = document["components"]["schemas"]
    assert set(document["components"]["messages"]) == set(kinds)
    for name, kind in kinds.items():
        mode: Any = "validation" if name.startswith("client.") else "serialization"
        expected = kind.frame.model_json_schema(ref_template="#/components/schemas/{model}", mode=mode)
        parts = expected.pop("$defs")
        assert document["components"]["messages"][name]["payload"] == {
            "$ref": f"#/components/schemas/{kind.frame.__name__}"
        }
        assert {kind.frame.__name__: expected, **parts}.items() <= schemas.items()
    assert set(document["channels"]["socket"]["messages"]) == set(kinds)


def test_frames_show_notices_messages_and_problems_as_the_api_does() -> None:
    def fields(model: type[BaseModel]) -> dict[str, Any]:
        schema = model.model_json_schema(mode="serialization")
        return {name: set(part) & {"type", "anyOf", "format"} for name, part in schema["properties"].items()}

    assert fields(SERVER["notification"].data) == fields(NotificationOut)
    assert fields(frames.Message) == fields(MessageOut)
    assert fields(frames.Attachment) == fields(AttachmentOut)
    assert fields(Problem).items() <= fields(SERVER["error"].data).items()


def references(value: Any) -> list[str]:
    """Every ``$ref`` into the document itself."""
    if isinstance(value, list):
        return [found for each in value for found in references(each)]
    if not isinstance(value, dict):
        return []
    own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
    return own + [found for each in value.values() for found in references(each)]
