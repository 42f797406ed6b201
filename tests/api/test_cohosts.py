"""Co-hosts over the wire."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backend.listings.models import CoHost
from tests.api.client import ApiClient
from tests.bookings.making import confirmed
from tests.factories import make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")


def test_cohosts_from_naming_to_leaving() -> None:
    listing, ana = make_listing(), make_user(first_name="Ana")
    host, keeper, path = ApiClient(listing.host), ApiClient(ana), f"/api/properties/{listing.pk}/cohosts/"

    made = host.post(path, {"email": ana.email, "grants": ["bookings", "calendar"]})
    assert made.status_code == 201
    row = made.json()
    assert {name: row[name] for name in ("user_id", "first_name", "username", "grants")} == {
        "user_id": ana.pk,
        "first_name": "Ana",
        "username": ana.username,
        "grants": ["calendar", "bookings"],
    }
    again = host.post(path, {"user_id": ana.pk, "grants": ["calendar"]})
    assert (again.status_code, again.json()["code"]) == (409, "cohost_exists")
    unknown = host.post(path, {"user_id": ana.pk, "grants": ["keys"]})
    assert (unknown.status_code, unknown.json()["errors"][0]["code"]) == (422, "unknown_grant")
    listed = keeper.get(path).json()
    assert (listed["count"], listed["next"], listed["results"]) == (1, None, [row])

    booking = confirmed(listing)
    seen = keeper.get("/api/bookings/", {"as": "host"}).json()["results"]
    assert [each["id"] for each in seen] == [booking.pk]
    assert keeper.get(f"/api/bookings/{booking.pk}/").status_code == 200
    assert [each["id"] for each in keeper.get("/api/host/properties/").json()["results"]] == [listing.pk]
    assert keeper.patch(f"/api/properties/{listing.pk}/", {"min_nights": 2}).status_code == 200
    assert keeper.delete(f"/api/properties/{listing.pk}/").status_code == 403

    changed = host.patch(f"{path}{row['id']}/", {"grants": ["messages"]})
    assert changed.json()["grants"] == ["messages"]
    assert keeper.get(f"/api/bookings/{booking.pk}/").status_code == 404
    assert keeper.patch(f"/api/properties/{listing.pk}/", {"min_nights": 3}).status_code == 403
    assert keeper.patch(f"{path}{row['id']}/", {"grants": ["bookings"]}).status_code == 403
    assert keeper.delete(f"{path}{row['id']}/").status_code == 204
    assert host.get(path).json()["results"] == []
    assert keeper.get(path).status_code == 403


def test_cohosts_are_for_the_host_and_themselves() -> None:
    listing = make_listing()
    path = f"/api/properties/{listing.pk}/cohosts/"
    stranger = ApiClient(make_user("host"))

    assert ApiClient().get(path).status_code == 401
    assert stranger.get(path).status_code == 403
    assert stranger.post(path, {"user_id": make_user().pk, "grants": ["calendar"]}).status_code == 403
    assert ApiClient(listing.host).get("/api/properties/987654/cohosts/").status_code == 404
    assert ApiClient(listing.host).delete(f"{path}987654/").status_code == 404
    assert not CoHost.objects.exists()


@pytest.mark.parametrize("count", [1, 3])
def test_cohosts_are_listed_in_a_fixed_number_of_queries(count: int) -> None:
    listing = make_listing()
    host, path = ApiClient(listing.host), f"/api/properties/{listing.pk}/cohosts/"
    for _ in range(count):
        assert host.post(path, {"user_id": make_user().pk, "grants": ["calendar"]}).status_code == 201

    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert len(host.get(path).json()["results"]) == count

    assert len(queries) == 4, [query["sql"] for query in queries]
