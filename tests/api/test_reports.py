"""Reports over the wire."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backend.core import platform
from backend.messaging import services as messaging
from backend.moderation import services as moderation
from backend.moderation.models import Report
from tests.api.client import ApiClient
from tests.factories import NOW, make_listing, make_user
from tests.reviews.making import published

pytestmark = pytest.mark.usefixtures("db")

SAID = {"reason": "inaccurate", "details": "The pool is the neighbour's."}


def test_report_of_a_property_from_making_to_hearing_of_the_decision() -> None:
    guest, listing = ApiClient(make_user()), make_listing()
    path = f"/api/properties/{listing.pk}/report/"

    made = guest.post(path, SAID)
    assert made.status_code == 201, made.content
    report = made.json()
    assert report == {
        "id": report["id"],
        "status": "open",
        "reason": "inaccurate",
        "details": "The pool is the neighbour's.",
        "subject": {"kind": "property", "id": listing.pk},
        "created_at": report["created_at"],
        "decided_at": None,
    }
    again = guest.post(path, {"reason": "fraud"})
    assert (again.status_code, again.json()["code"]) == (409, "already_reported")
    assert guest.get("/api/reports/").json()["results"] == [report]
    assert ApiClient(listing.host).get("/api/reports/").json()["results"] == []
    assert ApiClient(listing.host).get("/api/notifications/").json()["results"] == []

    moderation.uphold(
        actor=make_user("moderator"), report_id=report["id"], reason="Seen", step="hide", now=timezone.now()
    )

    (shown,) = guest.get("/api/reports/").json()["results"]
    assert (shown["status"], shown["decided_at"] is None) == ("upheld", False)
    assert "Seen" not in guest.get("/api/reports/").content.decode()
    (notice,) = guest.get("/api/notifications/").json()["results"]
    assert (notice["kind"], notice["data"]) == ("report.decided", {"report_id": report["id"]})
    assert f"report {report['id']} is decided" in notice["body"]


def test_reports_of_people_messages_and_reviews() -> None:
    guest, listing = make_user(), make_listing()
    conversation, _new = messaging.open_conversation(guest=guest, listing_id=listing.pk, now=NOW)
    message, _sent = messaging.send(sender=guest, conversation_id=conversation.pk, body="Send cash", now=NOW)
    written = published(listing, 1)
    host, writer = ApiClient(listing.host), ApiClient(guest)

    made = {
        path: host.post(f"/api/{path}/report/", {"reason": "inappropriate"})
        for path in (f"users/{guest.pk}", f"messages/{message.pk}", f"reviews/{written.pk}")
    }

    assert {path: answer.status_code for path, answer in made.items()} == dict.fromkeys(made, 201)
    assert [answer.json()["subject"]["kind"] for answer in made.values()] == ["user", "message", "review"]
    assert writer.post(f"/api/users/{guest.pk}/report/", SAID).status_code == 403
    assert writer.post(f"/api/messages/{message.pk}/report/", SAID).status_code == 403
    stranger = ApiClient(make_user()).post(f"/api/messages/{message.pk}/report/", SAID)
    missing = ApiClient(make_user()).post("/api/messages/987654/report/", SAID)
    assert (stranger.status_code, missing.status_code) == (404, 404)
    assert stranger.json() | {"request_id": ""} == missing.json() | {"request_id": ""}
    assert Report.objects.count() == 3


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "reason"),
        ({"reason": "boring"}, "reason"),
        ({"reason": None}, "reason"),
        ({"reason": "fraud", "details": "x" * 2001}, "details"),
        ({"reason": "fraud", "details": "a\x00b"}, "details"),
        ({"reason": "fraud", "details": 5}, "details"),
        ({"reason": "fraud", "reporter": 1}, "reporter"),
    ],
)
def test_report_refuses(body: dict[str, object], field: str) -> None:
    refused = ApiClient(make_user()).post(f"/api/properties/{make_listing().pk}/report/", body)

    assert (refused.status_code, [each["field"] for each in refused.json()["errors"]]) == (422, [field])
    assert not Report.objects.exists()


def test_too_many_reports_a_day_are_refused() -> None:
    platform.put("limit_reports_user", 1)
    guest = ApiClient(make_user())
    assert guest.post(f"/api/properties/{make_listing().pk}/report/", SAID).status_code == 201

    refused = guest.post(f"/api/properties/{make_listing().pk}/report/", SAID)

    assert (refused.status_code, int(refused["Retry-After"]) > 3600) == (429, True)
    assert Report.objects.count() == 1


@pytest.mark.parametrize("count", [1, 3])
def test_reports_are_listed_in_a_fixed_number_of_queries(count: int) -> None:
    guest = ApiClient(make_user())
    for number in range(count):
        listing = make_listing(title=f"Place {number}")
        assert guest.post(f"/api/properties/{listing.pk}/report/", SAID).status_code == 201

    with CaptureQueriesContext(connection) as queries:
        assert len(guest.get("/api/reports/").json()["results"]) == count

    assert len(queries) == 3, [query["sql"] for query in queries]
