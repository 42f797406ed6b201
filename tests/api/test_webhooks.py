"""Webhooks that go out, over the wire."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from standardwebhooks import Webhook

from backend.accounts.models import User
from backend.webhooks import delivering
from backend.webhooks.events import TYPES
from backend.webhooks.models import WebhookEndpoint
from tests.api.client import ApiClient
from tests.factories import make_user
from tests.far_end import FarEnd, far_end

pytestmark = pytest.mark.usefixtures("db")

PATH = "/api/host/webhooks/"


@pytest.fixture
def receiver(settings: Any) -> Iterator[FarEnd]:
    settings.ALLOW_LOOPBACK_FETCH = True
    with far_end() as end:
        yield end


@pytest.fixture
def host() -> User:
    return make_user("host")


def test_a_webhook_from_adding_to_removing(host: User, receiver: FarEnd) -> None:
    client = ApiClient(host)

    made = client.post(PATH, {"url": receiver.url, "events": ["payout.sent"], "description": "Desk"})
    assert made.status_code == 201, made.content
    secret, endpoint = made.json()["secret"], {k: v for k, v in made.json().items() if k != "secret"}
    assert (endpoint["url"], endpoint["events"], endpoint["active"]) == (receiver.url, ["payout.sent"], True)
    path = f"{PATH}{endpoint['id']}/"
    assert client.get(PATH).json()["results"] == [endpoint]
    read = client.get(path)
    assert read.json() == endpoint
    assert client.get(path, if_none_match=read["ETag"]).status_code == 304

    tried = client.post(f"{path}test/")
    assert (tried.status_code, tried.json()["type"], tried.json()["state"]) == (
        202,
        "webhook.test",
        "waiting",
    )
    assert delivering.deliver(endpoint["id"], now=timezone.now()) == (1, 0)
    assert Webhook(secret).verify(receiver.bodies[0], receiver.requests[0])["data"] == {
        "webhook_id": endpoint["id"]
    }
    [listed] = client.get(f"{path}deliveries/", {"state": "delivered"}).json()["results"]
    detail = client.get(f"{path}deliveries/{listed['id']}/").json()
    assert (listed["attempts"], listed["next_at"]) == (1, None)
    assert {name: detail[name] for name in listed} == listed
    assert [(each["number"], each["status"], each["error"]) for each in detail["tries"]] == [(1, 200, None)]
    assert client.get(f"{path}deliveries/", {"state": "failed"}).json()["results"] == []

    again = client.post(f"{path}deliveries/{listed['id']}/retry/")
    assert (again.status_code, again.json()) == (202, {"queued": 1})
    assert client.post(f"{path}deliveries/{listed['id']}/retry/").json() == {"queued": 0}
    assert delivering.deliver(endpoint["id"], now=timezone.now()) == (1, 0)
    since = (timezone.now() - timedelta(minutes=1)).isoformat()
    assert client.post(f"{path}replay/", {"since": since}).json() == {"queued": 1}

    rotated = client.post(f"{path}rotate-secret/").json()["secret"]
    assert rotated != secret
    off = client.patch(path, {"active": False}).json()
    assert (off["active"], off["disabled_reason"]) == (False, "by_user")
    refused = client.post(f"{path}test/")
    assert (refused.status_code, refused.json()["code"]) == (409, "webhook_disabled")
    assert client.delete(path).status_code == 204
    assert (client.get(path).status_code, WebhookEndpoint.objects.exists()) == (404, False)


def test_a_lost_update_is_refused(host: User, receiver: FarEnd) -> None:
    client = ApiClient(host)
    made = client.post(PATH, {"url": receiver.url, "description": "Desk"}).json()
    path = f"{PATH}{made['id']}/"
    seen = client.get(path)["ETag"]

    changed = client.patch(path, {"description": "Channel manager"}, if_match=seen)
    lost = [
        client.patch(path, {"description": "Other", "active": False}, if_match=seen),
        client.delete(path, if_match=seen),
    ]

    assert (changed.status_code, changed["ETag"]) == (200, client.get(path)["ETag"])
    assert [(each.status_code, each.json()["code"]) for each in lost] == [(412, "precondition_failed")] * 2
    kept = WebhookEndpoint.objects.get()
    assert (kept.description, kept.disabled_at) == ("Channel manager", None)
    assert client.delete(path, if_match=changed["ETag"]).status_code == 204


def test_a_delivery_has_its_etag_and_no_next_try_while_nothing_is_sent(host: User, receiver: FarEnd) -> None:
    client = ApiClient(host)
    made = client.post(PATH, {"url": receiver.url}).json()
    path = f"{PATH}{made['id']}/"
    waiting = client.post(f"{path}test/").json()
    one = f"{path}deliveries/{waiting['id']}/"
    read = client.get(one)

    assert (read.json()["next_at"], client.get(one, if_none_match=read["ETag"]).status_code) == (
        waiting["next_at"],
        304,
    )
    client.patch(path, {"active": False})

    assert client.get(one).json()["next_at"] is None
    assert [each["next_at"] for each in client.get(f"{path}deliveries/").json()["results"]] == [None]


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"url": "https://10.1.2.3/"}, "url", "address_not_public"),
        ({"url": "http://example.com/"}, "url", "not_https"),
        ({"url": "gopher://example.com/"}, "url", "invalid_url"),
        ({"url": "https://example.com/", "events": ["security.mfa_enabled"]}, "events", "unknown_event"),
        ({"url": "https://example.com/", "secret": "x"}, "secret", "unknown_field"),
        ({}, "url", "required"),
    ],
)
def test_what_cannot_be_told_is_refused(host: User, body: dict[str, Any], field: str, code: str) -> None:
    if "events" in body:
        body = {**body, "url": "https://93.184.216.34/"}

    refused = ApiClient(host).post(PATH, body)

    assert (
        refused.status_code,
        refused.json()["errors"][0]["field"],
        refused.json()["errors"][0]["code"],
    ) == (
        422,
        field,
        code,
    )
    assert not WebhookEndpoint.objects.exists()


def test_hosts_have_ten_and_only_their_own(host: User, receiver: FarEnd) -> None:
    client = ApiClient(host)
    made = [client.post(PATH, {"url": receiver.url}).json() for _ in range(10)]

    full = client.post(PATH, {"url": receiver.url})

    assert (full.status_code, full.json()["code"]) == (409, "too_many_webhooks")
    assert WebhookEndpoint.objects.count() == 10
    other = ApiClient(make_user("host"))
    path = f"{PATH}{made[0]['id']}/"
    asked = [
        other.get(path),
        other.patch(path, {"active": False}),
        other.delete(path),
        other.post(f"{path}test/"),
    ]
    assert {answer.status_code for answer in asked} == {404}
    assert ApiClient(make_user("guest")).get(PATH).status_code == 403
    assert WebhookEndpoint.objects.filter(disabled_at=None).count() == 10


def test_lists_ask_as_often_for_three_as_for_one(host: User, receiver: FarEnd) -> None:
    client = ApiClient(host)
    made = client.post(PATH, {"url": receiver.url}).json()
    deliveries = f"{PATH}{made['id']}/deliveries/"
    client.post(f"{PATH}{made['id']}/test/")
    for path in (PATH, deliveries):
        client.get(path)
    with CaptureQueriesContext(
        connection,
    ) as one:
        assert [len(client.get(path).json()["results"]) for path in (PATH, deliveries)] == [1, 1]
    for _ in range(2):
        client.post(PATH, {"url": receiver.url})
        client.post(f"{PATH}{made['id']}/test/")

    with CaptureQueriesContext(connection) as three:
        assert [len(client.get(path).json()["results"]) for path in (PATH, deliveries)] == [3, 3]

    assert len(three) == len(one)


def test_the_types_are_words_that_stay() -> None:
    assert {
        "booking.updated",
        "booking.confirmed",
        "message.created",
        "payout.sent",
        "review.published",
    } < set(TYPES)
    assert [each for each in TYPES if each.startswith(("security.", "account.", "identity."))] == []
