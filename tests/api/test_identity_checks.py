"""Identity documents and what follows from them, over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from backend.accounts.models import IdentityCheck, Profile
from backend.identity import checks
from tests.api.client import ApiClient
from tests.factories import make_listing, make_user
from tests.identity.test_checks import JPEG, files, kept

pytestmark = pytest.mark.usefixtures("db", "kept")

__all__ = ["kept"]

PATH = "/api/profile/identity-checks/"


def hand_in(client: ApiClient, content: bytes = JPEG, kind: str = "passport", **form: Any) -> Any:
    return client.upload(PATH, {"picture": SimpleUploadedFile("a.jpg", content), "kind": kind, **form})


def test_hand_in_and_see_what_became_of_it(kept: Path) -> None:
    user = make_user()
    client = ApiClient(user)

    made = hand_in(client)

    check = IdentityCheck.objects.get()
    shown = made.json()
    assert made.status_code == 201
    assert {**shown, "created_at": ""} == {
        "id": check.pk,
        "kind": "passport",
        "status": "waiting",
        "reason": "",
        "created_at": "",
        "decided_at": None,
    }
    assert client.get(PATH).json()["results"] == [shown]
    checks.refuse(actor=make_user("admin"), check_id=check.pk, reason="Blurred", now=timezone.now())
    answer = client.get(f"{PATH}{check.pk}/")
    assert (answer.json()["status"], answer.json()["reason"]) == ("refused", "Blurred")
    assert client.get(f"{PATH}{check.pk}/", if_none_match=answer["ETag"]).status_code == 304


def test_a_second_one_waits_for_nothing(kept: Path) -> None:
    client = ApiClient(make_user())
    hand_in(client)

    again = hand_in(client)

    assert (again.status_code, again.json()["code"]) == (409, "identity_check_waiting")
    assert len(files(kept)) == 1


@pytest.mark.parametrize(
    ("content", "kind", "errors"),
    [
        (b"GIF89a", "passport", [("picture", "unsupported_image")]),
        (JPEG, "library_card", [("kind", "unknown_document")]),
    ],
)
def test_what_is_no_document_is_refused(
    kept: Path, content: bytes, kind: str, errors: list[tuple[str, str]]
) -> None:
    answer = hand_in(ApiClient(make_user()), content, kind)

    assert answer.status_code == 422
    assert [(error["field"], error["code"]) for error in answer.json()["errors"]] == errors
    assert (files(kept), IdentityCheck.objects.count()) == ([], 0)


def test_documents_are_ones_own_alone() -> None:
    mine = hand_in(ApiClient(make_user())).json()["id"]

    for client, status in (
        (ApiClient(), 401),
        (ApiClient(make_user()), 404),
        (ApiClient(make_user("admin")), 404),
    ):
        assert client.get(f"{PATH}{mine}/").status_code == status
    assert ApiClient(make_user()).get(PATH).json()["results"] == []
    assert hand_in(ApiClient()).status_code == 401


def test_the_picture_has_no_public_address(kept: Path) -> None:
    hand_in(ApiClient(make_user()))
    name = str(IdentityCheck.objects.get().picture)

    for path in (f"/media/{name}", f"/media/{Path(name).name}", f"/private/{name}"):
        assert ApiClient().get(path).status_code == 404


def test_the_marks_show_on_the_public_face_and_the_listing(django_assert_num_queries: Any) -> None:
    host = make_user()
    rated = [("4.50", 1), ("5.00", 3)]
    listing, _other = [make_listing(host, rating=rating, review_count=count) for rating, count in rated]
    make_listing(host, status="paused")
    EmailAddress.objects.create(user=host, email=host.email, primary=True, verified=True)
    now = timezone.now()
    Profile.objects.filter(pk=host.pk).update(
        phone="+254712345678",
        phone_verified_at=now,
        response_rate=97,
        response_time_hours=2,
        is_superhost=True,
    )
    before = ApiClient().get(f"/api/users/{host.pk}/")
    Profile.objects.filter(pk=host.pk).update(identity_verified_at=now)

    with django_assert_num_queries(2):
        answer = ApiClient().get(f"/api/users/{host.pk}/", if_none_match=before["ETag"])

    face = answer.json()
    assert before.json()["verified"] == ["email", "phone"]
    assert face["verified"] == ["email", "phone", "identity"]
    figures = ("listings", "rating", "review_count", "response_rate", "response_time_hours", "is_superhost")
    assert [face[name] for name in figures] == [2, 4.87, 4, 97, 2, True]
    assert ApiClient().get(f"/api/properties/{listing.pk}/").json()["host"]["identity_verified"] is True
    results = ApiClient().get("/api/properties/").json()["results"]
    assert [row["host"]["identity_verified"] for row in results] == [True, True]
