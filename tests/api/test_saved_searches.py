"""Saved searches over the wire."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backend.search import saved
from backend.search.models import SavedSearch
from tests.api.client import ApiClient
from tests.factories import make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

PATH = "/api/saved-searches/"


def _in(days: int) -> str:
    return (timezone.now().date() + timedelta(days=days)).isoformat()


def test_saved_search_from_saving_to_forgetting() -> None:
    guest, listing = ApiClient(make_user()), make_listing()
    asked = {
        "location": "Lisbon",
        "price_max": 120.5,
        "amenities": "",
        "check_in": _in(20),
        "check_out": _in(23),
        "instant_book": True,
        "bbox": "-9.3,38.6,-9,38.8",
        "ordering": "price",
    }

    made = guest.post(PATH, {"name": "Lisbon in spring", "query": asked})
    assert made.status_code == 201, made.content
    search = made.json()
    path = f"{PATH}{search['id']}/"
    assert made["Location"].endswith(path)
    assert search["query"] == {name: value for name, value in asked.items() if value != ""}
    assert (search["notify"], search["status"]) == (True, "active")
    found = ApiClient().get(search["search_url"][search["search_url"].index("/api/") :])
    assert [each["id"] for each in found.json()["results"]] == [listing.pk]

    assert guest.get(path).json() == search
    assert guest.get(PATH).json()["results"] == [search]
    changed = guest.patch(path, {"name": "Porto", "query": {"location": "Porto"}, "notify": False}).json()
    assert (changed["name"], changed["query"], changed["notify"]) == ("Porto", {"location": "Porto"}, False)
    assert guest.patch(path, {}).json()["query"] == {"location": "Porto"}
    assert guest.delete(path).status_code == 204
    assert guest.get(path).status_code == 404
    assert not SavedSearch.objects.exists()


def test_what_is_new_arrives_as_a_notice_in_the_readers_language() -> None:
    guest = ApiClient(make_user())
    assert guest.post(PATH, {"name": "Am Fluss <b>", "query": {"q": "river"}}).status_code == 201
    make_listing(title="Boat", description="On the river.", published_at=timezone.now())

    saved.sweep(now=timezone.now())

    (notice,) = guest.get("/api/notifications/").json()["results"]
    assert (notice["kind"], notice["title"]) == ("search.matched", "New for Am Fluss <b>: 1")
    assert notice["body"] == "Published since you last looked: Boat"


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"query": {}}, ["name"]),
        ({"name": "", "query": {}}, ["name"]),
        ({"name": "All"}, ["query"]),
        ({"name": "All", "query": "location=Lisbon"}, ["query"]),
        ({"name": "All", "query": {"colour": "blue"}}, ["query.colour"]),
        ({"name": "All", "query": {"page": 2}}, ["query.page"]),
        ({"name": "All", "query": {"guests": "2"}}, ["query.guests"]),
        ({"name": "All", "query": {"guests": 0}}, ["query.guests"]),
        ({"name": "All", "query": {"amenities": "moat"}}, ["query.amenities"]),
        ({"name": "All", "query": {"lat": 5.0}}, ["query.lng"]),
        ({"name": "All", "query": {"currency": "XXX", "price_max": 5}}, ["query.currency"]),
        ({"name": "All", "query": {"check_in": "2020-01-01", "check_out": "2020-01-03"}}, None),
        ({"name": "All", "query": {"q": "a\x00b"}}, ["query.q"]),
        ({"name": "All", "query": {"check_in": "2027-05-03"}}, ["query.check_out"]),
        ({"name": "All", "query": {"ordering": "distance"}}, ["query.ordering"]),
    ],
)
def test_save_refuses(body: dict[str, Any], fields: list[str] | None) -> None:
    refused = ApiClient(make_user()).post(PATH, body)

    assert refused.status_code == 422, refused.content
    if fields is not None:
        assert [each["field"] for each in refused.json()["errors"]] == fields
    assert not SavedSearch.objects.exists()


def test_a_lost_update_is_refused() -> None:
    guest = ApiClient(make_user())
    made = guest.post(PATH, {"name": "Lisbon", "query": {"location": "Lisbon"}})
    path, seen = f"{PATH}{made.json()['id']}/", made["ETag"]
    assert guest.patch(path, {"name": "Porto"}, if_match=seen).status_code == 200

    assert guest.patch(path, {"name": "Faro"}, if_match=seen).status_code == 412
    assert guest.delete(path, if_match=seen).status_code == 412
    assert guest.get(path).json()["name"] == "Porto"
    assert guest.get(path, if_none_match=guest.get(path)["ETag"]).status_code == 304


def test_the_fifty_first_is_one_too_many() -> None:
    user = make_user()
    guest = ApiClient(user)
    now = timezone.now()
    SavedSearch.objects.bulk_create(
        SavedSearch(user=user, name="Lisbon", query={}, seen_at=now, created_at=now, updated_at=now)
        for _ in range(50)
    )

    refused = guest.post(PATH, {"name": "Lisbon", "query": {}})

    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_saved_searches")
    assert SavedSearch.objects.count() == 50


@pytest.mark.parametrize("count", [1, 3])
def test_saved_searches_are_listed_in_a_fixed_number_of_queries(count: int) -> None:
    guest = ApiClient(make_user())
    for number in range(count):
        made = guest.post(PATH, {"name": f"Search {number}", "query": {"amenities": "wifi"}})
        assert made.status_code == 201

    with CaptureQueriesContext(connection) as queries:
        assert len(guest.get(PATH).json()["results"]) == count

    assert len(queries) == 3, [query["sql"] for query in queries]
