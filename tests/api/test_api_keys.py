"""Keys of programs: made by people, shown once, good for their scopes alone."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from api import scopes
from api.access import ACCESS, ANYONE
from api.main import api
from backend.accounts.models import ApiKey, Session, User
from backend.audit.models import AuditEntry
from backend.identity import api_keys, suspension
from backend.listings.models import Listing
from backend.notifications.models import Notification
from backend.notifications.rendering import render
from tests.api.client import ApiClient
from tests.factories import make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

PATH = "/api/host/api-keys/"


@pytest.fixture
def host() -> User:
    return make_user("host")


def made(host: User, *given: str, **body: Any) -> dict[str, Any]:
    answer = ApiClient(host).post(PATH, {"name": "Desk", "scopes": list(given), **body})
    assert answer.status_code == 201, answer.content
    key: dict[str, Any] = answer.json()
    return key


def test_a_key_from_making_to_revoking(host: User) -> None:
    client = ApiClient(host)
    key = made(host, "bookings:read", "listings:read")

    assert key["key"].startswith(key["prefix"])
    assert key["prefix"].startswith("krb_")
    assert key["scopes"] == ["listings:read", "bookings:read"]
    kept = ApiKey.objects.get()
    assert bytes(kept.digest) == hashlib.sha256(key["key"].encode()).digest()
    [listed] = client.get(PATH).json()["results"]
    assert listed == {name: value for name, value in key.items() if name != "key"}
    notice = Notification.objects.get(kind="security.api_key_made")
    assert (notice.user_id, notice.params) == (host.pk, {"name": "Desk"})

    program = ApiClient(token=key["key"])
    assert program.get("/api/host/properties/").status_code == 200
    assert client.get(PATH).json()["results"][0]["last_used_at"] is not None
    assert client.delete(f"{PATH}{key['id']}/").status_code == 204
    assert program.get("/api/host/properties/").status_code == 401
    assert client.delete(f"{PATH}{key['id']}/").status_code == 404
    ended = Notification.objects.get(kind="security.api_key_revoked")
    assert (ended.user_id, ended.params, ended.data) == (host.pk, {"name": "Desk"}, {"api_key_id": key["id"]})
    assert render(ended, "en")[1] == (
        "Programs that have the key “Desk” can no longer act for you. If that was not you, change your password."
    )
    entries = AuditEntry.objects.filter(action__startswith="api_key").order_by("id")
    assert list(entries.values_list("action", flat=True)) == [
        "api_key.made",
        "api_key.revoked",
    ]


def test_a_key_is_good_for_its_scopes_alone(host: User) -> None:
    listing = make_listing(host=host)
    reader = ApiClient(token=made(host, "listings:read")["key"])
    writer = ApiClient(token=made(host, "listings:write")["key"])
    path = f"/api/properties/{listing.pk}/"

    assert reader.get(path).status_code == 200
    refused = reader.patch(path, {"title": "Elsewhere"})
    assert (refused.status_code, refused.json()["code"], refused.json()["scope"]) == (
        403,
        "scope_missing",
        "listings:write",
    )
    assert reader.get("/api/bookings/").json()["code"] == "scope_missing"
    assert Listing.objects.get().title == listing.title
    assert writer.patch(path, {"title": "Elsewhere"}).status_code == 200
    assert Listing.objects.get().title == "Elsewhere"


def test_keys_never_change_accounts_money_or_keys(host: User) -> None:
    program = ApiClient(token=made(host, *api_keys.SCOPES)["key"])

    asked = [
        program.post(PATH, {"name": "More", "scopes": ["listings:read"]}),
        program.get(PATH),
        program.get("/api/profile/"),
        program.delete("/api/profile/", {"password": "x"}),
        program.post("/api/password/change/", {"current_password": "x", "new_password": "battery-staple-7"}),
        program.get("/api/profile/sessions/"),
        program.post("/api/realtime/ticket/"),
        program.post("/api/payout-accounts/", {"provider": "sandbox", "currency": "EUR"}),
        program.post("/api/bookings/1/refund/", {"amount": 1}),
    ]

    assert {(answer.status_code, answer.json()["code"]) for answer in asked[:-1]} == {(403, "scope_missing")}
    assert asked[-1].status_code in (403, 404)
    assert (ApiKey.objects.count(), User.objects.filter(is_active=True).count()) == (1, 1)
    assert program.get("/api/payouts/").status_code == 200


def test_every_operation_is_open_to_anyone_or_has_its_scope_or_is_closed_to_keys() -> None:
    needed: dict[str, str | None] = {}
    for bound in api._get_bound_routers():
        for view in bound.path_operations.values():
            for operation in view.operations:
                for method in operation.methods:
                    name = (
                        f"{operation.view_func.__module__.rpartition('.')[2]}_{operation.view_func.__name__}"
                    )
                    needed[name] = scopes.needed(operation.view_func, method)

    assert set(needed.values()) - {None, ""} == set(api_keys.SCOPES)
    assert {name for name, scope in needed.items() if scope == ""} <= {
        name for name, access in ACCESS.items() if ANYONE in access.may
    }
    private = ("accounts_", "mfa_", "privacy_", "social_", "api_keys_", "realtime_", "verification_")
    assert [name for name, scope in needed.items() if name.startswith(private) and scope] == []
    assert [name for name, scope in needed.items() if scope and "refund" in name and "write" in scope] == []


@pytest.mark.parametrize("what", ["suspended", "run out", "altered", "unknown"])
def test_a_key_that_is_worth_nothing_is_refused(host: User, what: str) -> None:
    key = made(host, "listings:read")["key"]
    if what == "suspended":
        suspension.suspend(actor=make_user("admin"), user=host, reason="tried", now=timezone.now())
    elif what == "run out":
        ApiKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    elif what == "altered":
        key = key[:-1] + ("A" if key[-1] != "A" else "B")
    else:
        key = api_keys.PREFIX + "x" * 43

    refused = ApiClient(token=key).get("/api/host/properties/")

    assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
    assert ApiKey.objects.get().last_used_at is None


def test_making_one_needs_a_host_a_recent_sign_in_and_known_scopes(host: User) -> None:
    body = {"name": "Desk", "scopes": ["listings:read"]}
    assert ApiClient(make_user("guest")).post(PATH, body).status_code == 403
    client = ApiClient(host)
    unknown = client.post(PATH, {**body, "scopes": ["everything"]})
    past = client.post(PATH, {**body, "expires_at": "2020-01-01T00:00:00Z"})
    assert (unknown.status_code, past.json()["errors"][0]["code"]) == (422, "in_the_past")
    Session.objects.filter(user=host).update(created_at=timezone.now() - timedelta(minutes=11))
    assert client.post(PATH, body).json()["code"] == "step_up_required"
    assert not ApiKey.objects.exists()


def test_a_key_is_looked_up_in_one_query(host: User) -> None:
    program = ApiClient(token=made(host, "webhooks:read")["key"])
    program.get("/api/host/webhooks/")

    with CaptureQueriesContext(connection) as asked:
        assert program.get("/api/host/webhooks/").status_code == 200

    assert len([each for each in asked.captured_queries if "api_keys" in each["sql"]]) == 1
