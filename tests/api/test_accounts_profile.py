"""The profile, its photo, the devices, the public face: the contract word by word."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import PIL.Image
import pytest
from django.core.files.storage import default_storage
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backend.accounts.models import Profile, Session, User
from backend.audit.models import AuditEntry
from backend.core.access import SYSTEM
from backend.identity import services as identity
from tests.api.client import ApiClient
from tests.factories import make_user

pytestmark = pytest.mark.usefixtures("db")

USER_FIELDS = {
    *("id", "username", "email", "first_name", "last_name", "phone", "bio", "languages", "photo", "roles"),
    *("preferences", "email_verified", "phone_verified", "mfa_enabled", "created_at"),
}


@pytest.fixture
def anna() -> User:
    return make_user(username="anna", email="anna@example.com", first_name="Anna")


@pytest.fixture
def api(anna: User) -> ApiClient:
    return ApiClient(anna)


@pytest.fixture(autouse=True)
def _media(tmp_path: Any, settings: Any) -> None:
    settings.MEDIA_ROOT = tmp_path / "media"


def fields(answer: Any) -> dict[str, str]:
    return {error["field"]: error["code"] for error in answer.json()["errors"]}


def picture(kind: str = "JPEG", size: tuple[int, int] = (40, 30)) -> io.BytesIO:
    buffer = io.BytesIO()
    PIL.Image.new("RGB", size, (10, 120, 200)).save(buffer, kind)
    buffer.seek(0)
    buffer.name = f"me.{kind.lower()}"
    return buffer


def test_profile_shows_all_fields_of_the_contract(api: ApiClient, anna: User) -> None:
    answer = api.get("/api/profile/")

    body = answer.json()
    assert (answer.status_code, set(body)) == (200, USER_FIELDS)
    assert body["preferences"] == {"currency": None, "language": None, "timezone": None, "notifications": {}}
    assert (body["id"], body["roles"], body["photo"]) == (anna.pk, ["guest", "host"], None)
    assert (body["email_verified"], body["phone_verified"], body["mfa_enabled"]) == (False, False, False)
    assert body["created_at"].endswith("Z")


def test_profile_is_read_with_one_query_beside_the_session(api: ApiClient) -> None:
    api.get("/api/profile/")

    with CaptureQueriesContext(connection) as queries:
        api.get("/api/profile/")

    assert len(queries) == 2


def test_profile_needs_a_session() -> None:
    for method in ("GET", "PUT", "PATCH"):
        answer = ApiClient().request(method, "/api/profile/", {} if method != "GET" else None)
        assert (answer.status_code, answer["Content-Type"]) == (401, "application/problem+json")


def test_patch_changes_what_is_sent_and_nothing_else(api: ApiClient) -> None:
    before = api.get("/api/profile/").json()

    answer = api.patch(
        "/api/profile/",
        {
            "last_name": " Wanjiku ",
            "phone": "+254 712 345-678",
            "bio": "I like the sea.\nAnd the hills.",
            "languages": ["EN", "sw", "en", "pt-BR"],
            "preferences": {"currency": "kes", "language": "sw", "timezone": "Africa/Nairobi"},
        },
    )

    assert answer.status_code == 200
    assert answer.json() == {
        **before,
        "last_name": "Wanjiku",
        "phone": "+254712345678",
        "bio": "I like the sea.\nAnd the hills.",
        "languages": ["en", "sw", "pt-br"],
        "preferences": {
            "currency": "KES",
            "language": "sw",
            "timezone": "Africa/Nairobi",
            "notifications": {},
        },
    }
    assert api.get("/api/profile/").json() == answer.json()
    assert answer["ETag"] == api.get("/api/profile/")["ETag"]


def test_patch_merges_preferences_by_key_and_notices_by_kind(api: ApiClient) -> None:
    api.patch(
        "/api/profile/",
        {"preferences": {"currency": "USD", "notifications": {"booking.completed": {"email": True}}}},
    )

    answer = api.patch(
        "/api/profile/",
        {
            "preferences": {
                "language": "fr",
                "notifications": {"message.received": {"email": False, "sms": True}},
            }
        },
    )

    assert answer.json()["preferences"] == {
        "currency": "USD",
        "language": "fr",
        "timezone": None,
        "notifications": {
            "booking.completed": {"email": True},
            "message.received": {"email": False, "sms": True},
        },
    }


def test_put_needs_the_email_and_leaves_what_is_not_sent(api: ApiClient) -> None:
    api.patch("/api/profile/", {"bio": "I like the sea."})

    missing = api.put("/api/profile/", {"first_name": "Ann"})
    answer = api.put("/api/profile/", {"email": "anna@example.com", "first_name": "Ann"})

    assert (missing.status_code, fields(missing)) == (422, {"email": "required"})
    assert (answer.status_code, answer.json()["first_name"], answer.json()["bio"]) == (
        200,
        "Ann",
        "I like the sea.",
    )


def test_put_takes_back_what_get_has_shown(api: ApiClient) -> None:
    api.upload("/api/profile/photo/", {"photo": picture()}, method="PUT")
    shown = api.get("/api/profile/").json()

    answer = api.put("/api/profile/", shown)

    assert (answer.status_code, answer.json()) == (200, shown)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", 999),
        ("username", "another"),
        ("roles", ["admin"]),
        ("roles", []),
        ("photo", "https://example.com/me.jpg"),
        ("email_verified", True),
        ("phone_verified", True),
        ("mfa_enabled", True),
        ("created_at", "2020-01-01T00:00:00Z"),
        ("created_at", 5),
    ],
)
def test_read_only_fields_are_refused_when_changed(api: ApiClient, name: str, value: Any) -> None:
    before = api.get("/api/profile/").json()

    for answer in (
        api.patch("/api/profile/", {name: value, "first_name": "Changed"}),
        api.put("/api/profile/", {**before, name: value, "first_name": "Changed"}),
    ):
        assert (answer.status_code, fields(answer)) == (422, {name: "read_only"})

    assert api.get("/api/profile/").json() == before


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"phone": "0712345678"}, "phone", "invalid_phone"),
        ({"phone": "+0712345678"}, "phone", "invalid_phone"),
        ({"phone": "+254712345678901234"}, "phone", "invalid_phone"),
        ({"phone": "+25471234567x"}, "phone", "invalid_phone"),
        ({"email": "nonsense"}, "email", "invalid_email"),
        ({"email": None}, "email", "invalid_email"),
        ({"first_name": "x" * 81}, "first_name", "too_long"),
        ({"bio": "x" * 2001}, "bio", "too_long"),
        ({"languages": ["English please"]}, "languages.0", "too_long"),
        ({"languages": ["e"]}, "languages", "invalid_language"),
        ({"languages": "en"}, "languages", "invalid_list"),
        ({"preferences": {"currency": "XXX"}}, "preferences.currency", "unknown_currency"),
        ({"preferences": {"language": "tlh"}}, "preferences.language", "unknown_language"),
        ({"preferences": {"timezone": "Mars/Olympus"}}, "preferences.timezone", "unknown_timezone"),
        ({"preferences": {"timezone": "../../etc/passwd"}}, "preferences.timezone", "unknown_timezone"),
        (
            {"preferences": {"notifications": {"x.y": {"pigeon": True}}}},
            "preferences.notifications",
            "unknown_notice",
        ),
        ({"preferences": {"colour": "red"}}, "preferences.colour", "unknown_field"),
        ({"is_staff": True}, "is_staff", "unknown_field"),
        ({"first_name": "a\x00b"}, "first_name", "invalid_text"),
    ],
)
def test_patch_refuses_bad_values_and_changes_nothing(
    api: ApiClient, change: dict[str, Any], field: str, code: str
) -> None:
    before = api.get("/api/profile/").json()

    answer = api.patch("/api/profile/", {"last_name": "Changed", **change})

    assert answer.status_code == 422
    assert fields(answer) == {field: code}
    assert api.get("/api/profile/").json() == before


def test_patch_names_every_bad_value(api: ApiClient) -> None:
    answer = api.patch("/api/profile/", {"phone": "1", "email": "x", "preferences": {"currency": "XXX"}})

    assert fields(answer) == {
        "phone": "invalid_phone",
        "email": "invalid_email",
        "preferences.currency": "unknown_currency",
    }


def test_email_change_starts_unverified_and_is_on_the_record(api: ApiClient, anna: User) -> None:
    anna.emailaddress_set.create(email="anna@example.com", primary=True, verified=True)
    assert api.get("/api/profile/").json()["email_verified"] is True
    assert api.patch("/api/profile/", {"email": "ANNA@example.com"}).json()["email_verified"] is True

    answer = api.patch("/api/profile/", {"email": "New@Example.com"})

    assert (answer.json()["email"], answer.json()["email_verified"]) == ("new@example.com", False)
    assert [(row.email, row.primary, row.verified) for row in anna.emailaddress_set.all()] == [
        ("new@example.com", True, False)
    ]
    entry = AuditEntry.objects.get(action="email.changed")
    assert (entry.actor, entry.object_id) == (anna, str(anna.pk))


def test_email_change_to_a_taken_one_is_refused(api: ApiClient) -> None:
    make_user(email="bert@example.com")

    answer = api.patch("/api/profile/", {"email": "Bert@example.com"})

    assert (answer.status_code, fields(answer)) == (422, {"email": "email_taken"})
    assert api.get("/api/profile/").json()["email"] == "anna@example.com"


def test_phone_change_starts_unverified(api: ApiClient, anna: User) -> None:
    api.patch("/api/profile/", {"phone": "+254712345678"})
    Profile.objects.update(phone_verified_at=timezone.now())

    assert api.patch("/api/profile/", {"phone": "+254 712 345678"}).json()["phone_verified"] is True
    assert api.patch("/api/profile/", {"phone": "+254712345679"}).json()["phone_verified"] is False
    assert api.patch("/api/profile/", {"phone": None}).json()["phone"] == ""


def test_profile_etag_answers_304_and_refuses_a_lost_update(api: ApiClient) -> None:
    tag = api.get("/api/profile/")["ETag"]
    assert api.get("/api/profile/", if_none_match=tag).status_code == 304

    first = api.patch("/api/profile/", {"bio": "One"}, if_match=tag)
    second = api.patch("/api/profile/", {"bio": "Two"}, if_match=tag)

    assert (first.status_code, second.status_code) == (200, 412)
    assert second.json()["code"] == "precondition_failed"
    assert api.get("/api/profile/").json()["bio"] == "One"
    assert (
        api.put(
            "/api/profile/", {"email": "anna@example.com", "bio": "Three"}, if_match=first["ETag"]
        ).status_code
        == 200
    )


def test_profile_updates_in_parallel_with_one_version_let_one_through(api: ApiClient) -> None:
    tag = api.get("/api/profile/")["ETag"]

    def run(number: int) -> int:
        try:
            return api.patch("/api/profile/", {"bio": f"Number {number}"}, if_match=tag).status_code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(run, range(8))) == [200] + [412] * 7


@pytest.mark.parametrize(("kind", "field"), [("JPEG", "photo"), ("PNG", "file"), ("WEBP", "image")])
def test_photo_upload_shows_a_fresh_picture(api: ApiClient, kind: str, field: str) -> None:
    answer = api.upload("/api/profile/photo/", {field: picture(kind, (3000, 1500))}, method="PUT")

    assert answer.status_code == 200
    profile = Profile.objects.get(user__username="anna")
    assert answer.json()["photo"].endswith(default_storage.url(profile.photo.name))
    with profile.photo.open() as file, PIL.Image.open(file) as stored:
        assert (stored.format, stored.size) == ("JPEG", (1024, 512))
    assert "me." not in profile.photo.name


def test_photo_replaces_and_removes_the_former_file(api: ApiClient) -> None:
    api.upload("/api/profile/photo/", {"photo": picture()}, method="PUT")
    former = Profile.objects.get(user__username="anna").photo.name
    api.upload("/api/profile/photo/", {"photo": picture()}, method="PUT")
    present = Profile.objects.get(user__username="anna").photo.name

    assert (default_storage.exists(former), default_storage.exists(present)) == (False, True)

    assert api.delete("/api/profile/photo/").status_code == 204
    assert api.delete("/api/profile/photo/").status_code == 204
    assert api.get("/api/profile/").json()["photo"] is None
    assert default_storage.exists(present) is False


def test_photo_refuses_what_is_no_picture_and_keeps_the_former(api: ApiClient) -> None:
    api.upload("/api/profile/photo/", {"photo": picture()}, method="PUT")
    former = Profile.objects.get(user__username="anna").photo.name
    text = io.BytesIO(b"#!/bin/sh\necho hello")
    text.name = "me.jpg"

    answer = api.upload("/api/profile/photo/", {"photo": text}, method="PUT")

    assert (answer.status_code, fields(answer)) == (422, {"photo": "unsupported_image"})
    assert fields(api.upload("/api/profile/photo/", {"photo": picture("GIF")}, method="PUT")) == {
        "photo": "unsupported_image"
    }
    assert fields(api.upload("/api/profile/photo/", {}, method="PUT")) == {"photo": "required"}
    assert Profile.objects.get(user__username="anna").photo.name == former
    assert default_storage.exists(former)
    assert len(default_storage.listdir("people")[1]) == 1


def test_become_host_gives_the_role_at_once_and_again_changes_nothing() -> None:
    guest = make_user("guest")
    api = ApiClient(guest)
    assert api.get("/api/profile/").json()["roles"] == ["guest"]

    answers = [api.post("/api/profile/host/") for _time in range(2)]

    assert [(answer.status_code, answer.json()["roles"]) for answer in answers] == [
        (200, ["guest", "host"])
    ] * 2
    assert AuditEntry.objects.filter(action="role.granted", object_id=str(guest.pk)).count() == 1


def test_sessions_list_shows_ones_living_devices(api: ApiClient, anna: User) -> None:
    ApiClient(make_user())
    device = identity.Device("198.51.100.7", "Firefox")
    elsewhere = identity.sign_in(login="anna", password="correct-horse-9", device=device, now=timezone.now())
    ended = identity.sign_in(login="anna", password="correct-horse-9", device=device, now=timezone.now())
    identity.sign_out(session_id=ended.user.session_id, now=timezone.now())  # type: ignore[arg-type]

    body = api.get("/api/profile/sessions/").json()

    assert (body["count"], body["next"], body["previous"]) == (2, None, None)
    assert set(body["results"][0]) == {
        *("id", "device", "user_agent", "address", "created_at", "last_used_at", "current")
    }
    assert [(row["device"], row["address"], row["current"]) for row in body["results"]] == [
        ("Firefox", "198.51.100.7", False),
        ("tests", "127.0.0.1", True),
    ]
    assert body["results"][0]["id"] == str(elsewhere.user.session_id)


def test_sessions_list_costs_the_same_with_one_row_and_with_three(api: ApiClient) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert api.get("/api/profile/sessions/").status_code == 200
        return len(captured)

    with_one = queries()
    for _time in range(2):
        identity.sign_in(
            login="anna", password="correct-horse-9", device=identity.Device(None, "x"), now=timezone.now()
        )

    assert with_one == queries() == 3


def test_sessions_list_pages_by_cursor(api: ApiClient) -> None:
    for number in range(24):
        identity.sign_in(
            login="anna",
            password="correct-horse-9",
            device=identity.Device(None, f"d{number}"),
            now=timezone.now(),
        )

    first = api.get("/api/profile/sessions/").json()
    second = api.get(first["next"].partition("testserver")[2]).json()

    assert (first["count"], len(first["results"]), len(second["results"]), second["next"]) == (
        25,
        20,
        5,
        None,
    )
    assert len({row["id"] for row in first["results"] + second["results"]}) == 25


def test_session_delete_signs_one_device_out(api: ApiClient, anna: User) -> None:
    other = identity.sign_in(
        login="anna", password="correct-horse-9", device=identity.Device(None, "x"), now=timezone.now()
    )
    assert ApiClient(token=other.access).get("/api/profile/").status_code == 200

    answer = api.delete(f"/api/profile/sessions/{other.user.session_id}/")

    assert (answer.status_code, answer.content) == (204, b"")
    assert ApiClient(token=other.access).get("/api/profile/").status_code == 401
    assert ApiClient().post("/api/token/refresh/", {"refresh": other.refresh}).status_code == 401
    assert api.get("/api/profile/").status_code == 200
    assert api.delete(f"/api/profile/sessions/{other.user.session_id}/").status_code == 404


def test_session_delete_knows_no_foreign_one(api: ApiClient) -> None:
    bert = ApiClient(make_user())
    session = Session.objects.latest("created_at")

    for path in (str(session.pk), "00000000-0000-4000-8000-000000000000", "nonsense", "1"):
        answer = api.delete(f"/api/profile/sessions/{path}/")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")

    assert bert.get("/api/profile/").status_code == 200


def test_users_shows_the_public_face_and_nothing_private(api: ApiClient, anna: User) -> None:
    api.patch("/api/profile/", {"last_name": "Wanjiku", "phone": "+254712345678", "languages": ["sw"]})

    answer = ApiClient().get(f"/api/users/{anna.pk}/")

    assert answer.status_code == 200
    assert answer.json() == {
        "id": anna.pk,
        "first_name": "Anna",
        "photo": None,
        "bio": "",
        "languages": ["sw"],
        "member_since": anna.created_at.date().isoformat(),
        "verified": [],
        "email_verified": False,
        "phone_verified": False,
        "is_host": True,
        "listings": 0,
        "rating": None,
        "review_count": 0,
        "is_superhost": False,
        "response_rate": None,
        "response_time_hours": None,
    }
    assert ApiClient().get(f"/api/users/{anna.pk}/", if_none_match=answer["ETag"]).status_code == 304


def test_users_knows_nobody_who_is_suspended_inactive_or_not_there(anna: User) -> None:
    gone = make_user(is_active=False)
    identity.suspend(actor=SYSTEM, user=anna, reason="Fraud", now=timezone.now())

    for number in (anna.pk, gone.pk, 999_999, 0, 10**30):
        assert ApiClient().get(f"/api/users/{number}/").status_code == 404
