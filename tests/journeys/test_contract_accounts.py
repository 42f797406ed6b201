"""Accounts as their clients are promised them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.utils import timezone

from backend.accounts.models import User
from backend.core import platform
from tests.api.client import ApiClient
from tests.journeys.contract import (
    FIVE,
    PASSWORD,
    body,
    confirmed,
    list_a_place,
    refused,
    register,
    rows,
    sign_in_again,
)
from tests.listings.pictures import drawn, encoded

pytestmark = pytest.mark.usefixtures("db")

anyone = ApiClient()

JOHN = {"username": "john_doe", "email": "john@example.com", "password": PASSWORD}
USER = {
    *("id", "username", "email", "first_name", "last_name", "phone", "bio", "languages", "photo", "roles"),
    *("preferences", "email_verified", "phone_verified", "mfa_enabled", "created_at"),
}


def login(status: int = 200, **sent: Any) -> Any:
    """The answer to a sign-in with JOHN's password unless another is given."""
    answer = anyone.post("/api/login/", {"password": PASSWORD, **sent})
    return body(answer) if status == 200 else refused(answer, status)


def works(token: str) -> bool:
    """Whether an access token opens the profile."""
    answer = ApiClient(token=token).get("/api/profile/")
    if answer.status_code != 200:
        refused(answer, 401)
    return answer.status_code == 200


def test_register_answers_with_a_signed_in_account() -> None:
    made = body(anyone.post("/api/register/", JOHN), 201)

    assert {"id", "username", "email", "roles", "token", "refresh"} <= set(made)
    assert (made["username"], made["email"]) == ("john_doe", "john@example.com")
    assert set(made["roles"]) == {"guest", "host"}, "without a role the account may do both"
    assert works(made["token"])


def test_register_with_a_role_gives_that_one() -> None:
    guest, host = register("guest"), register("host")

    assert guest.account["roles"] == ["guest"]
    assert "host" in host.account["roles"]
    refused(guest.post("/api/properties/", FIVE), 403)
    assert guest.post("/api/profile/host/").status_code in (200, 204)
    assert set(body(guest.get("/api/profile/"))["roles"]) == {"guest", "host"}
    list_a_place(guest)
    list_a_place(host)
    for role in ("admin", "staff", "moderator", "", ["host"]):
        refused(anyone.post("/api/register/", {**JOHN, "role": role}), 422, field="role")


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"username": "john doe!"}, "username", None),
        ({"username": "john-doe"}, "username", None),
        ({"username": ""}, "username", None),
        ({"username": None}, "username", None),
        ({"email": "john"}, "email", None),
        ({"email": "john@@example.com"}, "email", None),
        ({"password": "xK4!s9q"}, "password", None),
        ({"password": "password"}, "password", None),
        ({"password": "12345678"}, "password", None),
        ({"username": "TAKEN_name"}, "username", "username_taken"),
        ({"email": "Taken@Example.COM"}, "email", "email_taken"),
    ],
)
def test_register_refuses(change: dict[str, Any], field: str, code: str | None) -> None:
    taken = {"username": "taken_Name", "email": "taken@example.com"}
    body(anyone.post("/api/register/", {**JOHN, **taken}), 201)

    problem = refused(anyone.post("/api/register/", {**JOHN, **change}), 422, code)

    assert field in [error["field"] for error in problem["errors"]]
    assert User.objects.count() == 1


def test_login_takes_email_or_username_and_answers_as_register() -> None:
    made = body(anyone.post("/api/register/", JOHN), 201)

    names: list[dict[str, Any]] = [
        {"email": "john@example.com"},
        {"email": "JOHN@example.com"},
        {"username": "john_doe"},
    ]
    for name in names:
        again = login(**name)
        assert set(made) <= set(again)
        assert {key: again[key] for key in ("id", "username", "email")} == {
            key: made[key] for key in ("id", "username", "email")
        }
        assert works(again["token"])


def test_login_refused_says_the_same_of_known_and_unknown_accounts() -> None:
    body(anyone.post("/api/register/", JOHN), 201)

    wrong = login(401, username="john_doe", password="wrong-horse-9")
    unknown = login(401, username="jane_doe", password="wrong-horse-9")
    by_email = login(401, email="jane@example.com", password="wrong-horse-9")

    assert wrong["code"] == "invalid_credentials"
    same = ("type", "title", "status", "detail", "code")
    assert [wrong[key] for key in same] == [unknown[key] for key in same] == [by_email[key] for key in same]


def test_failed_sign_ins_stop_an_account_after_ten_but_not_a_device_of_a_living_session() -> None:
    phone = {"user_agent": "Phone/1.0"}
    assert anyone.post("/api/register/", JOHN, **phone).status_code == 201
    guess = {"username": "john_doe", "password": "wrong-horse-9"}
    right = {**guess, "password": PASSWORD}
    far = ApiClient()
    far.client.defaults["REMOTE_ADDR"] = "203.0.113.77"

    for number in range(10):
        answer = far.post("/api/login/", guess, x_forwarded_for=f"198.51.100.{number}")
        refused(answer, 401, "invalid_credentials")

    limited = far.post("/api/login/", guess, x_forwarded_for="198.51.100.200")
    refused(limited, 429)
    assert int(limited["Retry-After"]) > 0
    by_email = {"email": "JOHN@example.com", "password": "wrong-horse-9"}
    refused(far.post("/api/login/", by_email), 429)
    refused(far.post("/api/login/", right), 429)
    assert anyone.post("/api/login/", right, **phone).status_code == 200
    assert anyone.post("/api/login/", guess, user_agent="Another/2.0").status_code == 429


def test_refresh_rotates_and_reuse_ends_the_session() -> None:
    first = body(anyone.post("/api/register/", JOHN), 201)

    second = body(anyone.post("/api/token/refresh/", {"refresh": first["refresh"]}))
    assert set(second) >= {"token", "refresh"}
    assert second["refresh"] != first["refresh"]
    assert works(second["token"])
    again = body(anyone.post("/api/token/refresh/", {"refresh": first["refresh"]}))
    assert again["refresh"] == second["refresh"], "the same successor within ten seconds"
    third = body(anyone.post("/api/token/refresh/", {"refresh": second["refresh"]}))
    refused(anyone.post("/api/token/refresh/", {"refresh": first["refresh"]}), 401)

    refused(anyone.post("/api/token/refresh/", {"refresh": third["refresh"]}), 401)
    assert not works(third["token"])


def test_refresh_used_twice_after_ten_seconds_ends_the_session() -> None:
    first = body(anyone.post("/api/register/", JOHN), 201)
    second = body(anyone.post("/api/token/refresh/", {"refresh": first["refresh"]}))

    with time_machine.travel(timezone.now() + timedelta(seconds=11)):
        refused(anyone.post("/api/token/refresh/", {"refresh": first["refresh"]}), 401)
        refused(anyone.post("/api/token/refresh/", {"refresh": second["refresh"]}), 401)
        assert not works(second["token"])


def test_logout_kills_both_tokens_of_this_session_only() -> None:
    one, other = body(anyone.post("/api/register/", JOHN), 201), login(username="john_doe")

    assert ApiClient(token=one["token"]).post("/api/logout/").status_code == 204

    assert not works(one["token"])
    refused(anyone.post("/api/token/refresh/", {"refresh": one["refresh"]}), 401)
    assert works(other["token"])
    refused(anyone.post("/api/logout/"), 401)


def test_profile_shows_and_takes_the_agreed_fields() -> None:
    john = register(**JOHN)
    shown = body(john.get("/api/profile/"))
    assert set(shown) >= USER
    assert set(shown["preferences"]) >= {"currency", "language", "timezone", "notifications"}
    assert (shown["email_verified"], shown["phone_verified"], shown["mfa_enabled"]) == (False, False, False)

    changed = body(
        john.patch(
            "/api/profile/",
            {
                "first_name": "John",
                "last_name": "Doe",
                "phone": "+254712345678",
                "bio": "I like rivers.",
                "languages": ["en", "fr"],
                "preferences": {"currency": "KES", "language": "fr", "timezone": "Africa/Nairobi"},
            },
        )
    )
    assert changed == body(john.get("/api/profile/"))
    assert (changed["first_name"], changed["phone"], changed["languages"]) == (
        "John",
        "+254712345678",
        ["en", "fr"],
    )
    assert changed["preferences"]["currency"] == "KES"
    assert changed["preferences"]["notifications"] == shown["preferences"]["notifications"]
    assert body(john.put("/api/profile/", changed))["bio"] == "I like rivers."
    put = body(john.put("/api/profile/", {"email": "john@example.com", "bio": "Seas too."}))
    assert (put["first_name"], put["bio"]) == ("John", "Seas too.")
    for field, value in (("id", 77), ("roles", ["admin"]), ("email_verified", True), ("mfa_enabled", True)):
        refused(john.patch("/api/profile/", {field: value}), 422, "read_only", field=field)
    assert set(body(john.get("/api/profile/"))["roles"]) == {"guest", "host"}


def test_profile_refuses_another_ones_email() -> None:
    register(**JOHN)
    jane = register(email="jane@example.com")

    refused(jane.patch("/api/profile/", {"email": "JOHN@EXAMPLE.com"}), 422, "email_taken", field="email")

    assert body(jane.get("/api/profile/"))["email"] == "jane@example.com"


def test_profile_photo_is_put_and_deleted() -> None:
    john = register()
    picture = SimpleUploadedFile("me.jpg", encoded(drawn()), content_type="image/jpeg")
    answer = john.upload("/api/profile/photo/", {"photo": picture}, method="PUT")

    assert answer.status_code == 200, answer.content
    assert body(john.get("/api/profile/"))["photo"]
    assert john.delete("/api/profile/photo/").status_code == 204
    assert not body(john.get("/api/profile/"))["photo"]
    text = SimpleUploadedFile("me.jpg", b"no picture", content_type="image/jpeg")
    refused(john.upload("/api/profile/photo/", {"photo": text}, method="PUT"), 422)


def test_sessions_show_devices_and_sign_one_out() -> None:
    one = register(**JOHN)
    other = ApiClient(token=login(username="john_doe")["token"])

    seen = rows(one.get("/api/profile/sessions/"))
    assert len(seen) == 2
    for each in seen:
        assert set(each) >= {"id", "device", "address", "created_at", "last_used_at", "current"}
    assert [each["current"] for each in seen].count(True) == 1
    theirs = next(each["id"] for each in seen if not each["current"])

    stranger = register()
    refused(stranger.delete(f"/api/profile/sessions/{theirs}/"), 404, "not_found")
    assert one.delete(f"/api/profile/sessions/{theirs}/").status_code == 204

    assert not works(str(other.token))
    assert works(str(one.token))
    assert [each["current"] for each in rows(one.get("/api/profile/sessions/"))] == [True]


def test_users_show_the_public_face_only() -> None:
    host, guest = register(**JOHN), register()
    host.patch("/api/profile/", {"first_name": "John", "phone": "+254712345678", "languages": ["sw"]})
    place = list_a_place(host)
    confirmed(guest, place)

    shown = body(anyone.get(f"/api/users/{host.account['id']}/"))

    assert shown["first_name"] == "John"
    assert "sw" in str(shown["languages"])
    text = str(shown)
    assert "john@example.com" not in text
    assert "712345678" not in text
    refused(anyone.get("/api/users/999999/"), 404, "not_found")


def test_a_suspended_user_is_out_at_once_until_restored() -> None:
    john = register(**JOHN)

    call_command("suspend_user", "john_doe", "--reason", "Fraud")
    assert not works(str(john.token))
    refused(anyone.post("/api/token/refresh/", {"refresh": john.account["refresh"]}), 401)
    assert login(401, username="john_doe")["code"] == "invalid_credentials"

    call_command("restore_user", "john_doe")
    sign_in_again(john)
    assert works(str(john.token))
    call_command("grant_role", "john_doe", "support")
    assert "support" in body(john.get("/api/profile/"))["roles"]


def test_password_change_takes_the_current_one() -> None:
    john = register(**JOHN)
    path, new = "/api/password/change/", "staple-battery-7"

    answer = john.post(path, {"current_password": "wrong", "new_password": new})
    assert answer.status_code in (401, 403, 422)
    refused(
        john.post(path, {"current_password": PASSWORD, "new_password": "password"}), 422, field="new_password"
    )
    assert works(login(username="john_doe")["token"])

    assert john.post(path, {"current_password": PASSWORD, "new_password": new}).status_code in (200, 204)
    assert login(401, username="john_doe")["code"] == "invalid_credentials"
    assert works(login(username="john_doe", password=new)["token"])


def test_an_address_is_stopped_after_its_failed_sign_ins_and_no_other() -> None:
    platform.put("limit_sign_in_address", 3)
    near, far = ApiClient(), ApiClient()
    near.client.defaults["REMOTE_ADDR"], far.client.defaults["REMOTE_ADDR"] = "203.0.113.1", "203.0.113.2"

    statuses = [
        near.post("/api/login/", {"username": f"nobody_{number}", "password": "x"}).status_code
        for number in range(5)
    ]

    assert statuses == [401, 401, 401, 429, 429]
    refused(far.post("/api/login/", {"username": "nobody_9", "password": "x"}), 401, "invalid_credentials")


def test_createsuperuser_works_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("USERNAME", "root_1"), ("EMAIL", "root@example.com"), ("PASSWORD", PASSWORD)):
        monkeypatch.setenv(f"DJANGO_SUPERUSER_{name}", value)

    call_command("createsuperuser", "--noinput", verbosity=0)

    staff = ApiClient(token=login(username="root_1")["token"])
    assert body(staff.get("/api/profile/"))["email"] == "root@example.com"
    assert staff.client.login(username="root_1", password=PASSWORD)
    assert staff.client.get("/admin/").status_code == 200
