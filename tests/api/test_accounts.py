"""Register, sign in, refresh, sign out: the contract, and what attackers try."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import jwt
import pytest
import time_machine
from django.db import connections
from django.utils import timezone

from backend.accounts.models import Session, User
from backend.core import platform
from backend.core.access import SYSTEM
from backend.identity import services as identity
from tests.api.client import ApiClient
from tests.factories import make_user

pytestmark = pytest.mark.usefixtures("db")

JOHN = {"username": "john_doe", "email": "john@example.com", "password": "securePassword123"}
FIREFOX, CURL, OPERA = "Mozilla/5.0 Firefox", "curl/8", "Opera/9"


@pytest.fixture
def api() -> ApiClient:
    return ApiClient()


def register(api: ApiClient, **changes: Any) -> dict[str, Any]:
    answer = api.post("/api/register/", {**JOHN, **changes}, user_agent=FIREFOX)
    assert answer.status_code == 201, answer.content
    return answer.json()  # type: ignore[no-any-return, attr-defined]


def fields(answer: Any) -> dict[str, str]:
    return {error["field"]: error["code"] for error in answer.json()["errors"]}


def signed(token: str) -> ApiClient:
    return ApiClient(token=token)


def test_register_makes_an_account_and_signs_it_in(api: ApiClient) -> None:
    body = register(api)

    assert set(body) == {"id", "username", "email", "roles", "token", "refresh"}
    assert (body["username"], body["email"], body["roles"]) == (
        "john_doe",
        "john@example.com",
        ["guest", "host"],
    )
    assert signed(body["token"]).get("/api/profile/").json()["id"] == body["id"]
    user = User.objects.get()
    assert user.password.startswith("argon2$argon2id$v=19$m=19456,t=2,p=1$")
    assert user.emailaddress_set.get().verified is False


@pytest.mark.parametrize(
    ("role", "roles"), [("guest", ["guest"]), ("host", ["host"]), (None, ["guest", "host"])]
)
def test_register_gives_the_roles_that_were_asked_for(
    api: ApiClient, role: str | None, roles: list[str]
) -> None:
    assert register(api, role=role)["roles"] == roles


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"username": "john doe!"}, "username", "invalid_username"),
        ({"username": "jöhn"}, "username", "invalid_username"),
        ({"username": "john\u200b"}, "username", "invalid_username"),
        ({"username": "１２３"}, "username", "invalid_username"),
        ({"username": ""}, "username", "invalid_username"),
        ({"username": "j" * 61}, "username", "invalid_username"),
        ({"email": "john"}, "email", "invalid_email"),
        ({"email": "john@"}, "email", "invalid_email"),
        ({"email": f"{'j' * 250}@example.com"}, "email", "too_long"),
        ({"password": "short12"}, "password", "password_too_short"),
        ({"password": "password123"}, "password", "password_too_common"),
        ({"password": "iloveyou"}, "password", "password_too_common"),
        ({"password": "JOHN_DOE"}, "password", "password_too_similar"),
        ({"password": "john@example.com"}, "password", "password_too_similar"),
        ({"password": "x" * 513}, "password", "too_long"),
        ({"role": "admin"}, "role", "unknown_value"),
        ({"is_staff": True}, "is_staff", "unknown_field"),
        ({"username": 5}, "username", "invalid_text"),
        ({"email": None}, "email", "invalid_text"),
    ],
)
def test_register_refuses_bad_fields(api: ApiClient, change: dict[str, Any], field: str, code: str) -> None:
    answer = api.post("/api/register/", {**JOHN, **change})

    assert answer.status_code == 422
    assert fields(answer)[field] == code
    assert User.objects.count() == 0
    assert Session.objects.count() == 0


def test_register_names_every_bad_field(api: ApiClient) -> None:
    answer = api.post("/api/register/", {"username": "john doe!", "email": "john", "password": "1234"})

    assert set(fields(answer)) == {"username", "email", "password"}
    assert fields(api.post("/api/register/", {})) == {
        "username": "required",
        "email": "required",
        "password": "required",
    }


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"username": "JOHN_doe", "email": "other@example.com"}, {"username": "username_taken"}),
        ({"username": "other", "email": "John@EXAMPLE.com"}, {"email": "email_taken"}),
        (
            {"username": "John_Doe", "email": "JOHN@example.com"},
            {"username": "username_taken", "email": "email_taken"},
        ),
        ({"username": "other", "email": "ｊohn@example.com"}, {"email": "email_taken"}),
    ],
)
def test_register_refuses_what_is_taken_in_any_case(
    api: ApiClient, change: dict[str, str], expected: dict[str, str]
) -> None:
    register(api)

    answer = api.post("/api/register/", {**JOHN, **change})

    assert answer.status_code == 422
    assert fields(answer) == expected
    assert User.objects.count() == 1


def test_register_in_parallel_makes_one_account_of_a_name(api: ApiClient) -> None:
    def run(number: int) -> tuple[int, str]:
        try:
            mail = "same@example.com" if number % 2 else f"mail_{number}@example.com"
            name = f"name_{number}" if number % 2 else ("Same_Name" if number % 4 else "same_name")
            answer = ApiClient().post("/api/register/", {**JOHN, "username": name, "email": mail})
            code = "" if answer.status_code == 201 else ",".join(fields(answer).values())
            return answer.status_code, code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(run, range(24)))

    assert sorted(answers) == [(201, "")] * 2 + [(422, "email_taken")] * 11 + [(422, "username_taken")] * 11
    assert User.objects.count() == 2
    assert {user.profile.user_id for user in User.objects.all()} == set(
        User.objects.values_list("pk", flat=True)
    )


def test_register_is_limited_by_address_whatever_the_headers_say(api: ApiClient) -> None:
    platform.put("limit_register_address", 3)

    answers = [
        api.post(
            "/api/register/",
            {**JOHN, "username": f"user{number}", "email": f"user{number}@example.com"},
            x_forwarded_for=f"203.0.113.{number}",
            forwarded=f"for=203.0.113.{number}",
            x_real_ip=f"203.0.113.{number}",
        )
        for number in range(5)
    ]

    assert [answer.status_code for answer in answers] == [201, 201, 201, 429, 429]
    assert answers[-1].json()["code"] == "rate_limited"
    assert int(answers[-1]["Retry-After"]) > 0
    assert User.objects.count() == 3


def test_login_takes_email_or_username_in_any_case(api: ApiClient) -> None:
    made = register(api)

    for who in (
        {"email": "john@example.com"},
        {"email": "JOHN@Example.com"},
        {"username": "john_doe"},
        {"username": "JOHN_Doe"},
    ):
        answer = api.post("/api/login/", {**who, "password": JOHN["password"]})
        assert answer.status_code == 200
        body = answer.json()
        assert {key: body[key] for key in ("id", "username", "email", "roles")} == {
            key: made[key] for key in ("id", "username", "email", "roles")
        }
        assert signed(body["token"]).get("/api/profile/").status_code == 200


def test_login_refuses_unknown_wrong_and_suspended_with_the_same_words(api: ApiClient) -> None:
    made = register(api)
    wrong = api.post("/api/login/", {"email": JOHN["email"], "password": "wrong-horse-9"})
    unknown = api.post("/api/login/", {"email": "nobody@example.com", "password": "wrong-horse-9"})
    unusable = make_user()
    without = api.post("/api/login/", {"username": unusable.username, "password": "wrong-horse-9"})
    identity.suspend(actor=SYSTEM, user=User.objects.get(pk=made["id"]), reason="Fraud", now=timezone.now())
    suspended = api.post("/api/login/", {"email": JOHN["email"], "password": JOHN["password"]})

    problems = [answer.json() for answer in (wrong, unknown, without, suspended)]
    assert {
        (answer.status_code, answer["Content-Type"]) for answer in (wrong, unknown, without, suspended)
    } == {(401, "application/problem+json")}
    for problem in problems:
        problem.pop("request_id")
    assert problems[0]["code"] == "invalid_credentials"
    assert problems.count(problems[0]) == 4
    assert Session.objects.filter(revoked_at=None).count() == 0


def test_login_works_as_long_for_an_unknown_account_as_for_a_known_one(api: ApiClient) -> None:
    """Both run the password hasher once: the processor time of one hash is most of either, and about the same.

    Time of the processor, not of the clock, so that a busy machine does not matter.
    """
    register(api)
    platform.put("limit_sign_in_account", 1000)

    def spent(login: str) -> float:
        taken = []
        for _attempt in range(9):
            before = time.thread_time()
            api.post("/api/login/", {"username": login, "password": "wrong-horse-9"})
            taken.append(time.thread_time() - before)
        return sorted(taken)[4]

    known, unknown = spent("john_doe"), spent("nobody_here")

    assert 0.6 < unknown / known < 1.6


@pytest.mark.parametrize(
    "body",
    [
        {"password": "x"},
        {"email": "a@example.com", "username": "a", "password": "x"},
        {"email": "a@example.com"},
        {"email": "a@example.com", "password": "x", "remember": True},
    ],
)
def test_login_refuses_a_body_of_another_form(api: ApiClient, body: dict[str, Any]) -> None:
    assert api.post("/api/login/", body).status_code == 422


def guess(api: ApiClient, login: str, password: str, agent: str = CURL, **headers: str) -> int:
    field = "email" if "@" in login else "username"
    return api.post(
        "/api/login/", {field: login, "password": password}, user_agent=agent, **headers
    ).status_code


def test_login_stops_after_ten_failures_of_an_account_and_still_hears_a_known_device(api: ApiClient) -> None:
    made = register(api)
    spellings = ["john_doe", "JOHN_DOE", "john@example.com", "John@Example.Com", " john_doe "]

    failures = [
        guess(api, spellings[number % 5], "wrong-horse-9", x_forwarded_for=f"203.0.113.{number}")
        for number in range(12)
    ]

    assert failures == [401] * 10 + [429] * 2
    assert guess(api, "john_doe", JOHN["password"], CURL) == 429
    assert guess(api, "john_doe", "wrong-horse-9", FIREFOX) == 429
    assert guess(api, "john_doe", JOHN["password"], FIREFOX) == 200
    with_session = {"authorization": f"Bearer {made['token']}"}
    assert guess(api, "john_doe", JOHN["password"], CURL, **with_session) == 200
    other = register(api, username="mallory", email="mallory@example.com")
    foreign = {"authorization": f"Bearer {other['token']}"}
    assert guess(api, "john_doe", JOHN["password"], OPERA, **foreign) == 429


def test_login_hears_a_known_device_only_while_its_session_lives(api: ApiClient) -> None:
    made = register(api)
    for _attempt in range(10):
        guess(api, "john_doe", "wrong-horse-9")

    assert signed(made["token"]).post("/api/logout/").status_code == 204

    assert guess(api, "john_doe", JOHN["password"], FIREFOX) == 429


def test_login_counts_unknown_accounts_like_known_ones(api: ApiClient) -> None:
    spellings = ["nobody", "NOBODY", "nobôdy", "nobody "]

    assert [guess(api, spellings[number % 4], "wrong-horse-9") for number in range(11)] == [401] * 10 + [429]


def test_login_stops_an_address_after_its_failures_and_no_other(api: ApiClient) -> None:
    register(api)
    platform.put("limit_sign_in_address", 5)

    failures = [guess(api, f"victim_{number}", "wrong-horse-9") for number in range(6)]

    assert failures == [401] * 5 + [429]
    elsewhere = ApiClient()
    elsewhere.client.defaults["REMOTE_ADDR"] = "198.51.100.9"
    assert guess(elsewhere, "john_doe", JOHN["password"]) == 200


@pytest.mark.parametrize("shared_cache", ["there", "away"])
def test_login_that_succeeds_is_not_counted(api: ApiClient, settings: Any, shared_cache: str) -> None:
    register(api)
    if shared_cache == "away":
        settings.REDIS_URL = ""
    platform.put("limit_sign_in_account", 2)
    platform.put("limit_sign_in_address", 2)

    assert [guess(api, "john_doe", JOHN["password"]) for _attempt in range(5)] == [200] * 5


def test_login_in_parallel_gets_no_more_guesses_than_one_by_one(api: ApiClient) -> None:
    register(api)

    def run(number: int) -> int:
        try:
            return guess(ApiClient(), "john_doe", f"wrong-horse-{number}")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(12) as threads:
        answers = sorted(threads.map(run, range(24)))

    assert answers == [401] * 10 + [429] * 14


def test_login_limit_holds_while_the_shared_cache_is_away(api: ApiClient, settings: Any) -> None:
    register(api)
    settings.REDIS_URL = ""

    assert [guess(api, "john_doe", "wrong-horse-9") for _attempt in range(11)] == [401] * 10 + [429]
    assert guess(api, "john_doe", JOHN["password"], FIREFOX) == 200


def test_token_refresh_rotates_and_a_lost_answer_is_given_again(api: ApiClient) -> None:
    made = register(api)

    first = api.post("/api/token/refresh/", {"refresh": made["refresh"]})
    again = api.post("/api/token/refresh/", {"refresh": made["refresh"]})

    assert (first.status_code, again.status_code) == (200, 200)
    assert set(first.json()) == {"token", "refresh"}
    assert first.json()["refresh"] == again.json()["refresh"] != made["refresh"]
    assert signed(first.json()["token"]).get("/api/profile/").status_code == 200


def test_token_refresh_used_twice_ends_the_session(api: ApiClient) -> None:
    made = register(api)
    second = api.post("/api/token/refresh/", {"refresh": made["refresh"]}).json()
    third = api.post("/api/token/refresh/", {"refresh": second["refresh"]}).json()

    reused = api.post("/api/token/refresh/", {"refresh": made["refresh"]})

    assert (reused.status_code, reused.json()["code"]) == (401, "invalid_refresh")
    assert api.post("/api/token/refresh/", {"refresh": third["refresh"]}).status_code == 401
    for token in (made["token"], second["token"], third["token"]):
        assert signed(token).get("/api/profile/").status_code == 401


def test_token_refresh_works_when_the_access_token_has_run_out(api: ApiClient) -> None:
    made = register(api)

    with time_machine.travel(timezone.now() + timedelta(minutes=11), tick=True):
        assert signed(made["token"]).get("/api/profile/").status_code == 401
        body = api.post("/api/token/refresh/", {"refresh": made["refresh"]}).json()
        assert signed(body["token"]).get("/api/profile/").status_code == 200


@pytest.mark.parametrize("value", ["", "nonsense", "é", "A" * 1001, 5, None])
def test_token_refresh_refuses_what_is_no_refresh_token(api: ApiClient, value: Any) -> None:
    assert api.post("/api/token/refresh/", {"refresh": value}).status_code in (401, 422)


def test_logout_kills_access_and_refresh_at_once(api: ApiClient) -> None:
    made = register(api)
    client = signed(made["token"])

    answer = client.post("/api/logout/")

    assert (answer.status_code, answer.content) == (204, b"")
    assert client.get("/api/profile/").status_code == 401
    assert client.post("/api/logout/").status_code == 401
    assert api.post("/api/token/refresh/", {"refresh": made["refresh"]}).status_code == 401


def test_suspension_is_felt_at_the_next_request(api: ApiClient) -> None:
    made = register(api)
    client = signed(made["token"])
    assert client.get("/api/profile/").status_code == 200

    identity.suspend(actor=SYSTEM, user=User.objects.get(pk=made["id"]), reason="Fraud", now=timezone.now())

    assert client.get("/api/profile/").status_code == 401
    assert api.post("/api/token/refresh/", {"refresh": made["refresh"]}).status_code == 401


def test_bearer_refuses_a_token_without_signature_and_of_another_key(api: ApiClient) -> None:
    made = register(api)
    said = jwt.decode(made["token"], options={"verify_signature": False})

    for forged in (
        jwt.encode(said, None, algorithm="none"),
        jwt.encode(said, "another-key" * 8, algorithm="HS256"),
    ):
        answer = signed(forged).get("/api/profile/")
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    for header in (
        "",
        "Bearer",
        "Bearer ",
        f"Basic {made['token']}",
        made["token"],
        f"Bearer {made['refresh']}",
    ):
        assert api.get("/api/profile/", authorization=header).status_code == 401


def test_password_change_ends_the_other_sessions(api: ApiClient) -> None:
    made = register(api)
    elsewhere = api.post("/api/login/", {"email": JOHN["email"], "password": JOHN["password"]}).json()
    client = signed(made["token"])

    answer = client.post(
        "/api/password/change/", {"current_password": JOHN["password"], "new_password": "battery-staple-7"}
    )

    assert answer.status_code == 204
    assert client.get("/api/profile/").status_code == 200
    assert signed(elsewhere["token"]).get("/api/profile/").status_code == 401
    assert api.post("/api/token/refresh/", {"refresh": elsewhere["refresh"]}).status_code == 401
    assert guess(api, "john_doe", JOHN["password"]) == 401
    assert guess(api, "john_doe", "battery-staple-7") == 200


@pytest.mark.parametrize(
    ("current", "new", "expected"),
    [
        ("wrong-horse-9", "battery-staple-7", {"current_password": "wrong_password"}),
        (JOHN["password"], "short12", {"new_password": "password_too_short"}),
        (JOHN["password"], "iloveyou", {"new_password": "password_too_common"}),
    ],
)
def test_password_change_refuses_and_changes_nothing(
    api: ApiClient, current: str, new: str, expected: dict[str, str]
) -> None:
    made = register(api)

    answer = signed(made["token"]).post(
        "/api/password/change/", {"current_password": current, "new_password": new}
    )

    assert (answer.status_code, fields(answer)) == (422, expected)
    assert guess(api, "john_doe", JOHN["password"]) == 200
    assert signed(made["token"]).get("/api/profile/").status_code == 200


def test_password_change_guesses_are_limited(api: ApiClient) -> None:
    made = register(api)
    body = {"current_password": "wrong-horse-9", "new_password": "battery-staple-7"}

    answers = [
        signed(made["token"]).post("/api/password/change/", body).status_code for _attempt in range(11)
    ]

    assert answers == [422] * 10 + [429]
    assert guess(api, "john_doe", JOHN["password"], FIREFOX) == 200
