"""Every operation against its own description: input made from the OpenAPI document, right and wrong, and the answers
held against what the document promises (status, content type, schema)."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import requests
import schemathesis
import urllib3
from hypothesis import HealthCheck, settings
from schemathesis import checks
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi import checks as openapi_checks

from api.main import api
from backend.core import platform
from tests.api.client import ApiClient
from tests.factories import make_listing, make_user

HOST = "http://testserver"
EXAMPLES = 12
"""How many requests an operation gets of each kind; more is looked for with ``--hypothesis-profile=default``."""

schema = schemathesis.openapi.from_dict(api.get_openapi_schema())
# Signing out would end the session that the rest of an operation's examples needs.
walked = schema.exclude(path="/api/logout/")

CHECKED = [
    checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_schema_conformance,
]


class InProcess(requests.adapters.HTTPAdapter):
    """Carries a request to the application in this process instead of over the wire."""

    def __init__(self, client: ApiClient) -> None:
        super().__init__()
        self.client = client

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        headers = {name: value for name, value in request.headers.items() if name != "Content-Length"}
        body = request.body if isinstance(request.body, bytes) else (request.body or "").encode()
        sent: Any = self.client.request(request.method or "GET", request.path_url, body or None, **headers)
        content = b"".join(sent.streaming_content) if sent.streaming else sent.content
        answer = urllib3.HTTPResponse(
            body=io.BytesIO(content),
            headers=dict(sent.headers),
            status=sent.status_code,
            preload_content=False,
        )
        return self.build_response(request, answer)


@pytest.fixture
def door(db: None) -> requests.Session:
    """A host with a listing, so that the paths lead somewhere, under no limits: those are tested elsewhere."""
    for setting in platform.DECLARED.values():
        if setting.key.startswith("limit_") and setting.high:
            platform.put(setting.key, setting.high)
    host = make_user()
    make_listing(host)
    session = requests.Session()
    session.mount(HOST, InProcess(ApiClient(host)))
    return session


@walked.parametrize()
@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
def test_an_operation_does_what_its_document_says(case: schemathesis.Case, door: requests.Session) -> None:
    case.call_and_validate(base_url=HOST, session=door, checks=CHECKED)


@pytest.mark.parametrize("broken", ["status", "schema"])
def test_an_answer_that_was_not_promised_is_noticed(broken: str, door: requests.Session) -> None:
    document = copy.deepcopy(dict(api.get_openapi_schema()))
    responses = document["paths"]["/api/amenities/"]["get"]["responses"]
    if broken == "status":
        responses["204"] = responses.pop("200")
    else:
        responses["200"]["content"]["application/json"]["schema"] = {
            "type": "object",
            "required": ["no_such_field"],
        }
    case = schemathesis.openapi.from_dict(document)["/api/amenities/"]["GET"].Case()

    with pytest.raises(FailureGroup):
        case.call_and_validate(base_url=HOST, session=door, checks=CHECKED)
