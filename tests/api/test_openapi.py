"""The OpenAPI document: valid, complete, and the one that is committed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from openapi_spec_validator import OpenAPIV31SpecValidator

from api import documents
from api.documents import DOCS_POLICY
from api.main import api
from api.management.commands.export_openapi import DOCUMENT, rendered

METHODS = ("get", "post", "put", "patch", "delete")


@cache
def document() -> dict[str, Any]:
    import json

    return json.loads(rendered())  # type: ignore[no-any-return]


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document()["paths"].items():
        for method, details in methods.items():
            yield path, method, details


def test_document_is_valid_openapi() -> None:
    assert document()["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(document()).validate()


def test_document_is_the_committed_one() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == rendered(), "run manage.py export_openapi"
    call_command("export_openapi", "--check")


def test_every_operation_is_described() -> None:
    missing = []
    for path, method, details in operations():
        where = f"{method.upper()} {path}"
        if method not in METHODS:
            missing.append(f"{where}: method")
        missing += [
            f"{where}: {name}" for name in ("summary", "tags", "operationId") if not details.get(name)
        ]
        if "security" not in details:
            missing.append(f"{where}: security")
        if not path.startswith("/api/") or not (path.endswith("/") or "." in path.rpartition("/")[2]):
            missing.append(f"{where}: canonical path")
    assert missing == []


def test_operation_ids_are_unique() -> None:
    ids = [details["operationId"] for _, _, details in operations()]

    assert len(ids) == len(set(ids))


def test_every_operation_names_its_answers() -> None:
    missing = []
    for path, method, details in operations():
        expected = {"422", "429", "500", "503"}
        if details["security"]:
            expected.add("401")
        if "{" in path:
            expected.add("404")
        if method != "get":
            expected |= {"400", "413", "415"}
        answers = set(details["responses"])
        missing += [f"{method.upper()} {path}: {status}" for status in sorted(expected - answers)]
        if not any(status.startswith("2") or status == "302" for status in answers):
            missing.append(f"{method.upper()} {path}: success")
        for status, answer in details["responses"].items():
            if int(status) >= 400 and set(answer["content"]) != {"application/problem+json"}:
                missing.append(f"{method.upper()} {path}: problem {status}")
    assert missing == []


def test_every_operation_has_examples() -> None:
    missing = []
    for path, method, details in operations():
        where = f"{method.upper()} {path}"
        for media in details.get("requestBody", {}).get("content", {}).values():
            if "example" not in media and "examples" not in media:
                missing.append(f"{where}: request")
        for status, answer in details["responses"].items():
            for media in answer.get("content", {}).values():
                if "example" not in media and "examples" not in media:
                    missing.append(f"{where}: {status}")
        missing += [f"{where}: {each['name']}" for each in details["parameters"] if "example" not in each]
    assert missing == []


def test_every_reference_leads_somewhere() -> None:
    schemas = set(document()["components"]["schemas"])

    def references(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            for key, value in node.items():
                if key == "$ref" and isinstance(value, str):
                    yield value
                yield from references(value)
        elif isinstance(node, list):
            for item in node:
                yield from references(item)

    assert {each.rpartition("/")[2] for each in references(document())} <= schemas


def test_names_of_schemas_mean_one_thing() -> None:
    """Ninja files schemas by their class name: two classes of one name would overwrite each other."""
    found: dict[str, set[str]] = {}
    for bound in api._get_bound_routers():
        for view in bound.path_operations.values():
            for operation in view.operations:
                for model in [*operation.models, *filter(None, operation.response_models.values())]:
                    for each in _models(model):
                        found.setdefault(each.__name__, set()).add(f"{each.__module__}.{each.__qualname__}")
    assert {name: places for name, places in found.items() if len(places) > 1} == {}


def _models(annotation: Any) -> Iterator[type]:
    from typing import get_args

    from pydantic import BaseModel

    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if not annotation.__module__.startswith("ninja") and "Params" not in annotation.__name__:
            yield annotation
        for field in annotation.model_fields.values():
            if field.annotation is not annotation:
                yield from _models(field.annotation)
    for part in get_args(annotation):
        yield from _models(part)


@pytest.mark.usefixtures("db")
def test_many_who_ask_after_a_start_wait_for_one_that_makes_it() -> None:
    documents._made.cache_clear()
    start, got = threading.Barrier(4), []

    def ask() -> None:
        start.wait()
        got.append(documents._document()[0])

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(got) == 4
    assert [body for body in got if body is not got[0]] == []


@pytest.mark.usefixtures("db")
def test_document_and_docs_page_are_served_without_other_hosts() -> None:
    client = Client()

    served, page = client.get("/api/openapi.json"), client.get("/api/docs")

    assert served["Content-Type"] == "application/json"
    assert served.json() == document()
    assert page.status_code == 200
    text = page.content.decode()
    assert "/static/ninja/swagger-ui-bundle.js" in text
    assert "http://" not in text
    assert "https://" not in text
    assert page["Content-Security-Policy"] == DOCS_POLICY
