"""One's own notices over HTTP."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backend.accounts.models import User
from backend.notifications import services as notifications
from backend.notifications.models import Notification
from tests.api.client import ApiClient
from tests.factories import NOW, make_user

pytestmark = pytest.mark.usefixtures("db")

PATH = "/api/notifications/"


def tell(user: User, number: int = 1) -> Notification:
    row = notifications.notify(
        user=user,
        kind="booking.confirmed",
        object_key=f"booking:{number}",
        now=NOW + timedelta(minutes=number),
        params={
            **{"reference": "KB7Q2M", "listing": "Flat over the river", "guest": "Ana", "host": "Bo"},
            **{
                "check_in": "2027-05-03",
                "check_out": "2027-05-05",
                "guests": 2,
                "total": 20_050,
                "currency": "EUR",
            },
        },
        data={"booking_id": number, "property_id": 2},
        url=f"/bookings/{number}",
    )
    assert row is not None
    return row


def listed(client: ApiClient, **params: Any) -> list[int]:
    answer = client.get(PATH, params or None)
    assert answer.status_code == 200, answer.content
    return [each["id"] for each in answer.json()["results"]]


def test_list_shows_ones_own_newest_first_in_the_envelope() -> None:
    user = make_user()
    first, second = tell(user), tell(user, 2)
    tell(make_user())

    answer = ApiClient(user).get(PATH)

    body = answer.json()
    assert {key: body[key] for key in ("count", "count_is_exact", "next", "previous")} == {
        "count": 2,
        "count_is_exact": True,
        "next": None,
        "previous": None,
    }
    assert [each["id"] for each in body["results"]] == [second.pk, first.pk]
    assert body["results"][1] == {
        "id": first.pk,
        "kind": "booking.confirmed",
        "title": "Confirmed: Flat over the river, May 3, 2027 to May 5, 2027",
        "body": "The booking KB7Q2M of Ana at Flat over the river is confirmed. Guests: 2, total €200.50.",
        "data": {"booking_id": 1, "property_id": 2},
        "url": "/bookings/1",
        "read_at": None,
        "created_at": "2027-03-01T09:01:00Z",
    }


def test_list_speaks_the_language_of_the_request() -> None:
    user = make_user()
    tell(user)

    body = ApiClient(user).get(PATH, accept_language="fr").json()["results"][0]

    assert "3 mai 2027" in body["title"]
    assert "200,50\xa0€" in body["body"]


def test_list_filters_by_unread() -> None:
    user = make_user()
    read, unread = tell(user), tell(user, 2)
    notifications.mark_read(user=user, notification_id=read.pk, now=NOW)
    client = ApiClient(user)

    assert listed(client, unread="true") == [unread.pk]
    assert listed(client, unread="false") == [read.pk]
    assert client.get(PATH, {"unread": "perhaps"}).status_code == 422


def test_list_takes_the_same_queries_for_one_row_and_for_three() -> None:
    user = make_user()
    client = ApiClient(user)
    tell(user)
    with CaptureQueriesContext(
        connection,
    ) as one:
        assert len(listed(client)) == 1
    tell(user, 2)
    tell(user, 3)

    with CaptureQueriesContext(connection) as three:
        assert len(listed(client)) == 3

    assert len(one) == len(three) == 3


def test_list_without_a_token_is_401() -> None:
    assert ApiClient().get(PATH).status_code == 401


def test_read_marks_one_notice() -> None:
    user = make_user()
    row, other = tell(user), tell(user, 2)
    client = ApiClient(user)

    answer = client.post(f"{PATH}{row.pk}/read/")

    assert (answer.status_code, answer.content) == (204, b"")
    row.refresh_from_db()
    other.refresh_from_db()
    assert row.read_at is not None
    assert other.read_at is None
    assert client.post(f"{PATH}{row.pk}/read/").status_code == 204


@pytest.mark.parametrize("missing", ["999999", "0", "9223372036854775808"])
def test_read_of_a_missing_notice_is_404(missing: str) -> None:
    answer = ApiClient(make_user()).post(f"{PATH}{missing}/read/")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_read_of_a_foreign_notice_is_404_and_leaves_it_unread() -> None:
    row = tell(make_user())

    answer = ApiClient(make_user()).post(f"{PATH}{row.pk}/read/")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    row.refresh_from_db()
    assert row.read_at is None


def test_read_all_marks_ones_own_only() -> None:
    user, other = make_user(), make_user()
    tell(user)
    tell(user, 2)
    foreign = tell(other)

    assert ApiClient(user).post(f"{PATH}read-all/").status_code == 204

    assert [row.pk for row in Notification.objects.filter(read_at=None)] == [foreign.pk]
