"""Wishlists over the wire."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backend.listings import photos
from backend.listings import services as listings
from backend.wishlists.models import Wishlist, WishlistPlace
from tests.api.client import ApiClient
from tests.factories import NOW, make_listing, make_user
from tests.listings.pictures import drawn, encoded

pytestmark = pytest.mark.usefixtures("db")

PATH = "/api/wishlists/"


def _made(client: ApiClient, name: str = "Sea") -> int:
    made = client.post(PATH, {"name": name})
    assert made.status_code == 201, made.content
    return int(made.json()["id"])


def test_wishlist_from_making_to_deleting() -> None:
    guest, listing = ApiClient(make_user()), make_listing()
    file = SimpleUploadedFile("a.jpg", encoded(drawn((64, 48))))
    photos.add(actor=listing.host, listing=listing, file=file, now=NOW)

    made = guest.post(PATH, {"name": "  Summer by the sea "})
    assert made.status_code == 201
    wishlist = made.json()
    path = f"{PATH}{wishlist['id']}/"
    assert made["Location"].endswith(path)
    assert (wishlist["name"], wishlist["properties"], wishlist["share_url"]) == (
        "Summer by the sea",
        [],
        None,
    )

    added = guest.post(f"{path}properties/", {"property_id": listing.pk})
    again = guest.post(f"{path}properties/", {"property_id": listing.pk})
    assert (added.status_code, again.status_code) == (201, 200)
    assert added.json() == again.json() == guest.get(path).json()
    (place,) = added.json()["properties"]
    assert place["photo_url"].startswith("http://")
    assert place == {
        "id": listing.pk,
        "title": "Flat over the river",
        "city": "Lisbon",
        "country": "PT",
        "available": True,
        "property_type": "apartment",
        "room_type": "entire_place",
        "max_guests": 4,
        "bedrooms": 1,
        "price_per_night": 100,
        "currency": "EUR",
        "rating": None,
        "review_count": 0,
        "photo_url": place["photo_url"],
        "added_at": place["added_at"],
    }
    assert guest.get(PATH).json()["results"] == [added.json()]

    assert guest.patch(path, {"name": "Winter"}).json()["name"] == "Winter"
    assert guest.patch(path, {}).json()["name"] == "Winter"
    assert guest.delete(f"{path}properties/{listing.pk}/").status_code == 204
    assert guest.delete(f"{path}properties/{listing.pk}/").status_code == 404
    assert guest.get(path).json()["properties"] == []
    assert guest.delete(path).status_code == 204
    assert guest.get(path).status_code == 404
    assert not Wishlist.objects.exists()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"name": ""}, "blank"),
        ({"name": " "}, "blank"),
        ({"name": "x" * 81}, "too_long"),
        ({"name": "a\x00b"}, "invalid_text"),
        ({"name": 5}, "invalid_text"),
        ({"name": "Sea", "colour": "blue"}, "unknown_field"),
    ],
)
def test_create_refuses(body: dict[str, object], code: str) -> None:
    refused = ApiClient(make_user()).post(PATH, body)

    assert (refused.status_code, [each["code"] for each in refused.json()["errors"]]) == (422, [code])
    assert not Wishlist.objects.exists()


def test_hostile_names_come_back_as_they_were_sent() -> None:
    guest, name = ApiClient(make_user()), "<script>alert(1)</script> '; DROP TABLE wishlists; -- ‮ 🏖"

    made = guest.post(PATH, {"name": name})

    assert (made.status_code, made.json()["name"]) == (201, name)
    assert made["Content-Type"] == "application/json; charset=utf-8"


def test_paused_places_are_shown_as_unavailable_to_the_owner_and_not_to_visitors() -> None:
    guest, kept, paused = ApiClient(make_user()), make_listing(title="Kept"), make_listing(title="Paused")
    path = f"{PATH}{_made(guest)}/"
    for listing in (kept, paused):
        guest.post(f"{path}properties/", {"property_id": listing.pk})
    link = guest.post(f"{path}share/").json()["share_url"]
    listings.pause(actor=paused.host, listing=paused, now=NOW)

    mine = guest.get(path).json()
    visited = ApiClient().get(link[link.index("/api/") :]).json()

    assert [(each["title"], each["available"]) for each in mine["properties"]] == [
        ("Paused", False),
        ("Kept", True),
    ]
    unavailable = mine["properties"][0]
    assert {name for name, value in unavailable.items() if value is not None} == {
        *("id", "title", "city", "country", "available", "added_at")
    }
    assert (mine["property_count"], visited["property_count"]) == (2, 1)
    assert [each["title"] for each in visited["properties"]] == ["Kept"]


def test_a_link_opens_the_list_to_anybody_until_it_is_revoked() -> None:
    owner = make_user(first_name="Ada", last_name="Lovelace")
    guest, listing = ApiClient(owner), make_listing()
    path = f"{PATH}{_made(guest, 'Sea')}/"
    guest.post(f"{path}properties/", {"property_id": listing.pk})

    shared = guest.post(f"{path}share/")
    link = shared.json()["share_url"]
    local = link[link.index("/api/") :]
    assert guest.post(f"{path}share/").json()["share_url"] == link
    assert guest.get(path).json()["share_url"] == link
    seen = ApiClient().get(local)
    assert seen.status_code == 200
    assert ApiClient(make_user()).get(local).json() == seen.json()
    assert (seen["X-Robots-Tag"], seen["Referrer-Policy"]) == ("noindex, nofollow", "no-referrer")
    document = seen.json()
    assert (document["name"], document["owner"]) == ("Sea", {"first_name": "Ada"})
    assert sorted(document) == ["name", "owner", "properties", "property_count"]
    assert "added_at" not in document["properties"][0]
    for private in (owner.username, owner.email, "Lovelace"):
        assert private not in seen.content.decode()
    assert ApiClient().get(local, if_none_match=seen["ETag"]).status_code == 304

    assert guest.delete(f"{path}share/").status_code == 204
    gone, never = ApiClient().get(local), ApiClient().get(f"/api/shared-wishlists/{'x' * 43}/")
    assert (gone.status_code, gone.json()["code"]) == (404, "not_found")
    assert gone.json() | {"request_id": ""} == never.json() | {"request_id": ""}
    assert guest.get(path).json()["share_url"] is None
    assert guest.delete(f"{path}share/").status_code == 204


def test_a_lost_update_is_refused() -> None:
    guest = ApiClient(make_user())
    path = f"{PATH}{_made(guest)}/"
    seen = guest.get(path)["ETag"]
    guest.post(f"{path}properties/", {"property_id": make_listing().pk})

    renamed = guest.patch(path, {"name": "Hills"}, if_match=seen)
    deleted = guest.delete(path, if_match=seen)

    assert (renamed.status_code, deleted.status_code) == (412, 412)
    assert guest.get(path).json()["name"] == "Sea"
    assert guest.get(path, if_none_match=guest.get(path)["ETag"]).status_code == 304
    assert guest.patch(path, {"name": "Hills"}, if_match=guest.get(path)["ETag"]).status_code == 200


def test_lists_of_lists_show_the_newest_places_of_each() -> None:
    guest = ApiClient(make_user())
    pk = _made(guest)
    WishlistPlace.objects.bulk_create(
        WishlistPlace(wishlist_id=pk, listing=make_listing(title=f"Place {number}"), created_at=NOW)
        for number in range(22)
    )

    (listed,) = guest.get(PATH).json()["results"]

    assert (listed["property_count"], len(listed["properties"])) == (22, 20)
    assert listed["properties"][0]["title"] == "Place 21"
    assert len(guest.get(f"{PATH}{pk}/").json()["properties"]) == 22


@pytest.mark.parametrize("count", [1, 3])
def test_wishlists_are_read_in_a_fixed_number_of_queries(count: int) -> None:
    guest = ApiClient(make_user())
    ids = [_made(guest, f"List {number}") for number in range(count)]
    for pk in ids:
        for _ in range(count):
            guest.post(f"{PATH}{pk}/properties/", {"property_id": make_listing().pk})
    link = guest.post(f"{PATH}{ids[0]}/share/").json()["share_url"]
    paths = [PATH, f"{PATH}{ids[0]}/", link[link.index("/api/") :]]
    spent = []

    for path in paths:
        with CaptureQueriesContext(connection) as queries:
            assert guest.get(path).status_code == 200
        spent.append(len(queries))

    assert spent == [4, 3, 3]
