"""Wishlists, reports and saved searches as they are promised, all of it through the API and the clock's sweeps."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from tests.api.client import ApiClient
from tests.journeys.contract import (
    Person,
    assert_instants,
    body,
    list_a_place,
    path_of,
    refused,
    register,
    rows,
    run_due,
)

pytestmark = pytest.mark.usefixtures("db")

anyone = ApiClient()


@pytest.fixture
def host() -> Person:
    return register()


@pytest.fixture
def guest() -> Person:
    return register("guest")


@pytest.fixture
def place(host: Person) -> dict[str, Any]:
    return list_a_place(host)


def test_a_wishlist_has_its_fields_and_its_places(guest: Person, place: dict[str, Any]) -> None:
    made = body(guest.post("/api/wishlists", {"name": "Sea"}), 201)
    assert {"id", "name", "properties"} <= set(made)
    assert (made["properties"], made.get("share_url")) == ([], None)
    path = f"/api/wishlists/{made['id']}"

    added = guest.post(f"{path}/properties/", {"property_id": place["id"]})
    again = guest.post(f"{path}/properties", {"property_id": place["id"]})
    assert (added.status_code, again.status_code) == (201, 200)
    (listed,) = rows(guest.get("/api/wishlists/"))
    assert [(each["id"], each["title"]) for each in listed["properties"]] == [(place["id"], place["title"])]
    assert_instants(listed)
    assert guest.delete(f"{path}/properties/{place['id']}").status_code == 204
    assert body(guest.get(f"{path}/"))["properties"] == []
    assert guest.delete(f"{path}/").status_code == 204
    refused(guest.get(f"{path}/"), 404, "not_found")


def test_a_wishlist_is_its_owners_unless_they_share_it(
    guest: Person, host: Person, place: dict[str, Any]
) -> None:
    path = f"/api/wishlists/{body(guest.post('/api/wishlists/', {'name': 'Sea'}), 201)['id']}/"
    guest.post(f"{path}properties/", {"property_id": place["id"]})

    refused(anyone.get(path), 401)
    for attempt in (
        host.get(path),
        host.patch(path, {"name": "Mine"}),
        host.post(f"{path}properties/", {"property_id": place["id"]}),
        host.post(f"{path}share/"),
        host.delete(path),
    ):
        refused(attempt, 404, "not_found")
    link = path_of(body(guest.post(f"{path}share/"))["share_url"])
    assert [each["title"] for each in body(anyone.get(link))["properties"]] == [place["title"]]
    assert guest.delete(f"{path}share/").status_code == 204
    refused(anyone.get(link), 404, "not_found")
    assert rows(host.get("/api/wishlists/")) == []


@pytest.mark.parametrize("what", ["properties", "users"])
def test_a_report_is_answered_with_id_and_status(what: str, guest: Person, place: dict[str, Any]) -> None:
    path = f"/api/{what}/{place['id'] if what == 'properties' else place['host']['id']}/report/"

    made = body(guest.post(path, {"reason": "safety", "details": "No smoke alarm."}), 201)

    assert {"id", "status"} <= set(made)
    refused(guest.post(path, {"reason": "other", "details": "Again."}), 409, "already_reported")
    refused(register().post(path, {"reason": "boring", "details": "."}), 422, field="reason")
    refused(register().post(path, {"reason": "other", "details": ".", "to": "all"}), 422, field="to")
    refused(anyone.post(path, {"reason": "other", "details": "."}), 401)
    refused(guest.post(path.replace(path.split("/")[3], "987654"), {"reason": "other", "details": "."}), 404)
    assert [row["id"] for row in rows(guest.get("/api/reports/"))] == [made["id"]]


def test_ones_own_place_is_not_reported(host: Person, place: dict[str, Any]) -> None:
    for path in (f"/api/properties/{place['id']}/report/", f"/api/users/{host.account['id']}/report/"):
        refused(host.post(path, {"reason": "other", "details": "."}), 403, "not_allowed")


def test_a_saved_search_tells_of_what_is_published_whatever_the_clock(guest: Person, host: Person) -> None:
    asked = {"name": "Lisbon", "query": {"location": "Lisbon", "guests": 1}}
    kept = body(guest.post("/api/saved-searches/", asked), 201)
    told = []

    for days in (30, 60):
        list_a_place(host)
        run_due(timezone.now() + timedelta(days=days))
        notices = rows(guest.get("/api/notifications/"))
        told.append([row["data"]["saved_search_id"] for row in notices if row["kind"] == "search.matched"])

    assert told == [[kept["id"]], [kept["id"]] * 2]
