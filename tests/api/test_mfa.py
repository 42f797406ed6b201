"""The second step over the wire."""

from __future__ import annotations

import pytest
from django.utils import timezone

from tests.api.client import ApiClient
from tests.factories import PASSWORD, make_user
from tests.identity.test_mfa import code_at

pytestmark = pytest.mark.usefixtures("db")


def test_second_step_from_set_up_to_off() -> None:
    user = make_user(password=PASSWORD)
    own, api = ApiClient(user), ApiClient()
    made = own.post("/api/mfa/totp/").json()
    assert set(made) == {"secret", "uri"}
    codes = own.post("/api/mfa/totp/confirm/", {"code": code_at(made["secret"], timezone.now())})
    assert codes.status_code == 200
    recovery = codes.json()["recovery_codes"]
    assert own.get("/api/profile/").json()["mfa_enabled"] is True

    login = {"username": user.username, "password": PASSWORD}
    asked = api.post("/api/login/", login)
    assert (asked.status_code, asked.json()["code"]) == (401, "mfa_required")
    step = {"mfa_token": asked.json()["mfa_token"]}
    wrong = api.post("/api/login/mfa/", {**step, "code": "x"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_code")
    done = api.post("/api/login/mfa/", {**step, "code": recovery[0]})
    assert done.status_code == 200
    assert set(done.json()) == {"id", "username", "email", "roles", "token", "refresh"}
    assert api.post("/api/login/mfa/", {**step, "code": recovery[1]}).json()["code"] == "invalid_credentials"

    renewed = own.post("/api/mfa/recovery-codes/", {"password": PASSWORD})
    assert len(renewed.json()["recovery_codes"]) == 10
    refused = own.delete("/api/mfa/totp/", {"password": "wrong-horse-9"})
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "wrong_password")
    assert own.delete("/api/mfa/totp/", {"password": PASSWORD}).status_code == 204
    assert own.delete("/api/mfa/totp/", {"password": PASSWORD}).json()["code"] == "wrong_state"
    assert api.post("/api/login/", login).status_code == 200


@pytest.mark.parametrize("path", ["/api/mfa/totp/", "/api/mfa/totp/confirm/", "/api/mfa/recovery-codes/"])
def test_second_step_is_set_up_by_its_user(path: str) -> None:
    assert ApiClient().post(path, {"code": "123456"}).status_code == 401
