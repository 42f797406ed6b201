"""Proofs over the wire: reset, email, phone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.api.client import ApiClient
from tests.identity.post import Post, secret_of
from tests.identity.test_phones import code_of

pytestmark = pytest.mark.usefixtures("db")

JOHN = {"username": "john_doe", "email": "john@example.com", "password": "securePassword123"}
NEW = "battery-staple-7"


@pytest.fixture
def post(tmp_path: Path, settings: Any) -> Post:
    return Post(tmp_path, settings)


@pytest.fixture
def api() -> ApiClient:
    return ApiClient()


def register(api: ApiClient) -> ApiClient:
    """John's account; answers a client that is signed in to it."""
    answer = api.post("/api/register/", JOHN)
    assert answer.status_code == 201
    return ApiClient(token=answer.json()["token"])


def test_forgotten_password(api: ApiClient, post: Post) -> None:
    john = register(api)
    post.mails()

    known = api.post("/api/password/reset/", {"email": JOHN["email"]})
    unknown = api.post("/api/password/reset/", {"email": "nobody@example.com"})

    assert (known.status_code, known.content) == (unknown.status_code, unknown.content) == (202, b"")
    (mail,) = post.mails()
    body = {"token": secret_of(mail, "token"), "new_password": NEW}
    assert api.post("/api/password/reset/confirm/", body).status_code == 204
    assert john.get("/api/profile/").status_code == 401
    again = api.post("/api/password/reset/confirm/", body)
    assert (again.status_code, again.json()["code"]) == (422, "invalid_token")
    assert [error["field"] for error in again.json()["errors"]] == ["token"]
    assert api.post("/api/login/", {"email": JOHN["email"], "password": JOHN["password"]}).status_code == 401
    assert api.post("/api/login/", {"email": JOHN["email"], "password": NEW}).status_code == 200


def test_email_is_verified_by_whoever_has_the_key(api: ApiClient, post: Post) -> None:
    john = register(api)
    assert john.get("/api/profile/").json()["email_verified"] is False
    assert john.post("/api/email/verify/resend/").status_code == 202
    key = secret_of(post.mails()[-1], "key")

    assert api.post("/api/email/verify/", {"key": key}).status_code == 204

    assert john.get("/api/profile/").json()["email_verified"] is True
    assert api.post("/api/email/verify/", {"key": key}).json()["code"] == "invalid_key"
    resent = john.post("/api/email/verify/resend/")
    assert (resent.status_code, resent.json()["code"]) == (409, "already_verified")
    assert api.post("/api/email/verify/resend/").status_code == 401


def test_phone_is_verified_by_its_code(api: ApiClient, post: Post) -> None:
    john = register(api)
    assert john.post("/api/phone/", {"phone": "+254 712 345678"}).status_code == 202
    profile = john.get("/api/profile/").json()
    assert (profile["phone"], profile["phone_verified"]) == ("+254712345678", False)
    code = code_of(post.messages()[0])

    refused = john.post("/api/phone/verify/", {"code": "x"})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_code")
    assert john.post("/api/phone/verify/", {"code": code}).status_code == 204

    assert john.get("/api/profile/").json()["phone_verified"] is True
    assert john.post("/api/phone/verify/", {"code": code}).json()["code"] == "already_verified"
    assert api.post("/api/phone/", {"phone": "+254712345678"}).status_code == 401


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/api/password/reset/", {"email": "no address"}, "email"),
        ("/api/password/reset/", {}, "email"),
        ("/api/password/reset/confirm/", {"token": "x", "new_password": NEW}, "token"),
        ("/api/email/verify/", {"key": "x"}, "key"),
    ],
)
def test_bad_input_names_its_field(api: ApiClient, path: str, body: dict[str, str], field: str) -> None:
    answer = api.post(path, body)

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
