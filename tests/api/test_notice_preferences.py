"""Choosing which notices come by which channel, over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backend.accounts.models import Profile, User
from backend.notifications import services as notifications
from backend.notifications.kinds import KINDS
from backend.notifications.models import Delivery, Notification
from tests.api.client import ApiClient
from tests.factories import NOW, make_user

pytestmark = pytest.mark.usefixtures("db")

PATH = "/api/notifications/preferences/"


def chosen(user: User) -> dict[str, Any]:
    return Profile.objects.get(pk=user.pk).notification_preferences


def test_every_kind_is_shown_with_its_channels() -> None:
    shown = ApiClient(make_user()).get(PATH).json()

    assert list(shown) == list(KINDS)
    assert shown["booking.requested"] == {
        **{"email": True, "sms": False, "in_app": True},
        **{"mandatory": False, "category": "bookings"},
    }
    assert shown["booking.confirmed"] == {
        **{"email": True, "sms": True, "in_app": True},
        **{"mandatory": True, "category": "bookings"},
    }


@pytest.mark.parametrize("verb", ["put", "patch"])
def test_a_choice_changes_what_is_sent_and_nothing_else(verb: str) -> None:
    user = make_user()
    client = ApiClient(user)
    before = client.get(PATH).json()

    answer = getattr(client, verb)(PATH, {"message.received": {"email": False, "sms": True}})

    assert answer.status_code == 200, answer.content
    changed = {**before["message.received"], "email": False, "sms": True}
    assert answer.json() == {**before, "message.received": changed}
    assert client.get(PATH).json() == answer.json()
    assert answer["ETag"] == client.get(PATH)["ETag"]
    assert chosen(user) == {"message.received": {"email": False, "sms": True}}
    shown = client.get("/api/profile/").json()["preferences"]["notifications"]
    assert shown == {"message.received": {"email": False, "sms": True}}


def test_put_takes_back_what_get_has_shown() -> None:
    client = ApiClient(make_user())
    before = client.get(PATH).json()

    answer = client.put(PATH, before)

    assert (answer.status_code, answer.json()) == (200, before)


@pytest.mark.parametrize(
    ("body", "fields", "code"),
    [
        ({"booking.loved": {"email": False}}, [("booking.loved", "unknown_notice")], "unknown_notice"),
        (
            {"message.received": {"email": None}},
            [("message.received.email", "unknown_notice")],
            "unknown_notice",
        ),
        (
            {"message.received": {"mandatory": True}},
            [("message.received.mandatory", "read_only")],
            "unknown_notice",
        ),
        (
            {
                "message.received": {"email": False},
                "security.new_device": {"email": False, "sms": False},
                "booking.canceled": {"in_app": False},
            },
            [
                ("security.new_device.email", "mandatory_notice"),
                ("booking.canceled.in_app", "mandatory_notice"),
            ],
            "mandatory_notice",
        ),
    ],
)
def test_what_cannot_be_chosen_is_refused_and_nothing_changes(
    body: Any, fields: list[tuple[str, str]], code: str
) -> None:
    user = make_user()

    answer = ApiClient(user).put(PATH, body)

    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert [(each["field"], each["code"]) for each in answer.json()["errors"]] == fields
    assert chosen(user) == {}


@pytest.mark.parametrize(
    "body",
    [
        {"message.received": {"pigeon": True}},
        {"message.received": {"email": "no"}},
        {"message.received": 1},
        [],
    ],
)
def test_what_is_no_choice_is_422(body: Any) -> None:
    user = make_user()

    assert ApiClient(user).patch(PATH, body).status_code == 422
    assert chosen(user) == {}


def test_a_mandatory_notice_may_be_had_without_sms() -> None:
    user = make_user()

    answer = ApiClient(user).patch(PATH, {"security.new_device": {"sms": False}})

    assert answer.status_code == 200
    assert answer.json()["security.new_device"]["sms"] is False


def test_the_profile_does_not_switch_mandatory_notices_off_either() -> None:
    user = make_user()
    body = {"preferences": {"notifications": {"booking.confirmed": {"email": False}}}}

    answer = ApiClient(user).patch("/api/profile/", body)

    assert answer.status_code == 422
    assert [(each["field"], each["code"]) for each in answer.json()["errors"]] == [
        ("preferences.notifications.booking.confirmed.email", "mandatory_notice")
    ]
    assert chosen(user) == {}


def test_a_lost_update_is_refused_and_an_unchanged_answer_is_304() -> None:
    user = make_user()
    client = ApiClient(user)
    tag = client.get(PATH)["ETag"]
    assert client.get(PATH, if_none_match=tag).status_code == 304
    client.patch(PATH, {"message.received": {"email": False}})

    answer = client.put(PATH, {"message.received": {"email": True}}, if_match=tag)

    assert answer.status_code == 412
    assert chosen(user) == {"message.received": {"email": False}}


def test_nobody_has_preferences() -> None:
    assert ApiClient().get(PATH).status_code == 401


def test_preferences_cost_one_query_beside_the_session() -> None:
    client = ApiClient(make_user())
    client.get(PATH)

    with CaptureQueriesContext(connection) as asked:
        client.get(PATH)

    assert len(asked) == 2


def test_what_is_not_wanted_in_the_app_is_not_listed_but_mailed() -> None:
    user = make_user()
    client = ApiClient(user)
    client.put(PATH, {"booking.requested": {"in_app": False}})
    hidden = notifications.notify(user=user, kind="booking.requested", object_key="booking:1", now=NOW)
    shown = notifications.notify(user=user, kind="booking.expired", object_key="booking:1", now=NOW)

    assert hidden is not None
    assert shown is not None
    listed = client.get("/api/notifications/").json()
    assert (listed["count"], [each["id"] for each in listed["results"]]) == (1, [shown.pk])
    assert client.post(f"/api/notifications/{hidden.pk}/read/").status_code == 404
    assert Delivery.objects.filter(notification=hidden).count() == 1
    assert Notification.objects.get(pk=hidden.pk).read_at is None


def test_the_list_filters_by_kind() -> None:
    user = make_user()
    client = ApiClient(user)
    notifications.notify(user=user, kind="booking.requested", object_key="booking:1", now=NOW)
    wanted = notifications.notify(user=user, kind="booking.expired", object_key="booking:1", now=NOW)

    assert wanted is not None
    answer = client.get("/api/notifications/", {"kind": "booking.expired"})
    assert [each["id"] for each in answer.json()["results"]] == [wanted.pk]
    refused = client.get("/api/notifications/", {"kind": "booking.loved"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "kind")
