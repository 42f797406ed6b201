"""Listings over HTTP: making, showing, changing and withdrawing them."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backend.core import platform
from backend.listings import geo
from backend.listings.models import Listing, ListingTransition
from tests.api.client import ApiClient
from tests.factories import make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

FIVE = {
    "title": "Flat over the river",
    "description": "Two rooms and a balcony.",
    "price_per_night": 75.5,
    "location": "Lisbon, Portugal",
    "availability": True,
}

FIELDS = [
    "id",
    "title",
    "description",
    "location",
    "price_per_night",
    "weekend_price",
    "currency",
    "availability",
    "status",
    "property_type",
    "room_type",
    "max_guests",
    "guests_included",
    "extra_guest_fee",
    "bedrooms",
    "beds",
    "bathrooms",
    "amenities",
    "cleaning_fee",
    "min_nights",
    "max_nights",
    "min_nights_by_weekday",
    "arrival_weekdays",
    "departure_weekdays",
    "advance_notice_hours",
    "same_day_cutoff_hour",
    "booking_window_days",
    "preparation_days_before",
    "preparation_days_after",
    "allow_request_inside_notice",
    "check_in_time",
    "check_out_time",
    "instant_book",
    "cancellation_policy",
    "house_rules",
    "timezone",
    "latitude",
    "longitude",
    "address",
    "city",
    "country",
    "photos",
    "rating",
    "review_count",
    "owner",
    "host",
    "created_at",
    "updated_at",
]


def created(client: ApiClient, **changes: Any) -> dict[str, Any]:
    response = client.post("/api/properties/", {**FIVE, **changes})
    assert response.status_code == 201, response.content
    answer: dict[str, Any] = response.json()
    return answer


def refused(response: Any, status: int, code: str, field: str | None = None) -> None:
    problem = response.json()
    assert (response.status_code, response["Content-Type"]) == (status, "application/problem+json"), problem
    if field is None:
        assert problem["code"] == code
    else:
        assert (field, code) in [(error["field"], error["code"]) for error in problem["errors"]]


def test_create_with_five_fields_publishes_a_bookable_listing() -> None:
    host = make_user(username="anna")

    answer = created(ApiClient(host))

    assert {name: answer[name] for name in FIVE} == FIVE
    assert set(FIELDS) <= set(answer)
    assert (answer["owner"], answer["host"]["id"]) == ("anna", host.pk)
    assert (answer["status"], answer["currency"], answer["instant_book"]) == ("published", "EUR", True)
    assert (answer["cleaning_fee"], answer["extra_guest_fee"], answer["weekend_price"]) == (0, 0, None)
    assert (answer["city"], answer["country"], answer["timezone"]) == ("Lisbon", "PT", "Europe/Lisbon")
    assert answer["address"]["region"] == "Lisbon"
    assert geo.distance_m((answer["latitude"], answer["longitude"]), (38.7251, -9.1498)) < 510
    assert answer["photos"] == []
    assert answer["rating"] is None
    steps = ListingTransition.objects.values_list("seq", "old", "new", "actor_id")
    assert list(steps) == [(1, "", "published", host.pk)]


def test_create_takes_every_field_and_shows_it_again() -> None:
    everything = {
        **FIVE,
        "currency": "KES",
        "price_per_night": 9500,
        "weekend_price": 11000.5,
        "cleaning_fee": 1500,
        "extra_guest_fee": 800,
        "property_type": "villa",
        "room_type": "private_room",
        "max_guests": 6,
        "guests_included": 4,
        "bedrooms": 3,
        "beds": 4,
        "bathrooms": 1.5,
        "amenities": ["wifi", "pool", "mosquito_net"],
        "min_nights": 2,
        "max_nights": 28,
        "min_nights_by_weekday": {"5": 3},
        "arrival_weekdays": [1, 5],
        "departure_weekdays": [7],
        "advance_notice_hours": 24,
        "same_day_cutoff_hour": 18,
        "booking_window_days": 365,
        "preparation_days_before": 1,
        "preparation_days_after": 2,
        "allow_request_inside_notice": True,
        "check_in_time": "14:00",
        "check_out_time": "10:30",
        "instant_book": False,
        "cancellation_policy": "firm",
        "house_rules": "No shoes inside.\nNo music after ten.",
        "timezone": "Africa/Nairobi",
        "latitude": -4.3167,
        "longitude": 39.5667,
        "location": "Diani Beach, Kenya",
        "address": {
            "line1": "Beach Road 4",
            "line2": "House 2",
            "city": "Diani",
            "region": "Kwale",
            "postal_code": "80401",
            "country": "KE",
        },
    }

    answer = created(ApiClient(make_user()), **everything)

    assert {name: answer[name] for name in everything} == everything
    assert (answer["city"], answer["country"], answer["is_exact"]) == ("Diani", "KE", True)


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"title": ""}, "title", "blank"),
        ({"title": "   "}, "title", "blank"),
        ({"title": "x" * 101}, "title", "too_long"),
        ({"title": 7}, "title", "invalid_text"),
        ({"title": "a\x00b"}, "title", "invalid_text"),
        ({"description": "x" * 10_001}, "description", "too_long"),
        ({"price_per_night": 0}, "price_per_night", "too_small"),
        ({"price_per_night": -1}, "price_per_night", "too_small"),
        ({"price_per_night": "75"}, "price_per_night", "invalid_number"),
        ({"price_per_night": 75.555}, "price_per_night", "too_precise"),
        ({"price_per_night": 75.5, "currency": "JPY"}, "price_per_night", "too_precise"),
        ({"cleaning_fee": 0.001}, "cleaning_fee", "too_precise"),
        ({"price_per_night": 1e12}, "price_per_night", "too_large"),
        ({"location": ""}, "location", "blank"),
        ({"availability": "yes"}, "availability", "invalid_boolean"),
        ({"currency": "XXX"}, "currency", "unknown_currency"),
        ({"amenities": ["wifi", "helipad"]}, "amenities", "unknown_amenity"),
        ({"room_type": "castle"}, "room_type", "unknown_value"),
        ({"cancellation_policy": "never"}, "cancellation_policy", "unknown_value"),
        ({"max_guests": 0}, "max_guests", "too_small"),
        ({"guests_included": 5}, "guests_included", "too_large"),
        ({"bathrooms": 1.55}, "bathrooms", "too_precise"),
        ({"min_nights": 5, "max_nights": 4}, "max_nights", "too_small"),
        ({"min_nights_by_weekday": {"8": 2}}, "min_nights_by_weekday", "invalid_weekday"),
        ({"min_nights_by_weekday": {"5": 0}}, "min_nights_by_weekday", "too_small"),
        ({"timezone": "Mars/Olympus"}, "timezone", "unknown_timezone"),
        ({"latitude": 38.7}, "longitude", "required"),
        ({"latitude": 91, "longitude": 0}, "latitude", "too_large"),
        ({"address": {"country": "Narnia"}}, "address.country", "unknown_country"),
        ({"address": {"street": "x"}}, "address.street", "unknown_field"),
        ({"check_in_time": "25:00"}, "check_in_time", "invalid_time"),
        ({"titel": "x"}, "titel", "unknown_field"),
        ({"id": 5}, "id", "unknown_field"),
        ({"bedrooms": None}, "bedrooms", "invalid_integer"),
    ],
)
def test_create_refuses_what_breaks_a_rule(change: dict[str, Any], field: str, code: str) -> None:
    response = ApiClient(make_user()).post("/api/properties/", {**FIVE, **change})

    refused(response, 422, code, field)
    assert Listing.objects.count() == 0


@pytest.mark.parametrize("missing", FIVE)
def test_create_needs_each_of_the_five_fields(missing: str) -> None:
    body = {name: value for name, value in FIVE.items() if name != missing}

    response = ApiClient(make_user()).post("/api/properties/", body)

    refused(response, 422, "required", missing)
    assert Listing.objects.count() == 0


def test_create_is_for_hosts() -> None:
    refused(ApiClient(make_user("guest")).post("/api/properties/", FIVE), 403, "not_allowed")
    refused(ApiClient().post("/api/properties/", FIVE), 401, "unauthenticated")
    assert Listing.objects.count() == 0


def test_create_uses_the_hosts_own_currency() -> None:
    host = make_user()
    host.profile.currency = "KES"
    host.profile.save()

    assert created(ApiClient(host))["currency"] == "KES"


def test_create_waits_for_approval_where_the_platform_demands_it() -> None:
    platform.put("listing_approval", True)

    answer = created(ApiClient(make_user()))

    assert (answer["status"], answer["availability"]) == ("pending_review", False)


def test_create_over_the_daily_limit_is_throttled() -> None:
    platform.put("limit_listings_host", 2)
    client = ApiClient(make_user())
    created(client)
    assert client.post("/api/properties/", {**FIVE, "title": ""}).status_code == 422
    created(client)

    response = client.post("/api/properties/", FIVE)

    refused(response, 429, "rate_limited")
    assert int(response["Retry-After"]) > 0
    assert Listing.objects.count() == 2
    created(ApiClient(make_user()))


def test_get_hides_the_exact_address_from_everyone_else() -> None:
    host = make_user()
    answer = created(
        ApiClient(host), latitude=38.7, longitude=-9.1, address={"line1": "Rua Alta 4", "postal_code": "1100"}
    )
    path = f"/api/properties/{answer['id']}/"
    assert (answer["latitude"], answer["address"]["line1"]) == (38.7, "Rua Alta 4")

    shown = [
        ApiClient().get(path).json(),
        ApiClient(make_user()).get(path).json(),
        ApiClient().get(path).json(),
    ]

    for each in shown:
        assert (each["is_exact"], each["address"]["line1"], each["address"]["postal_code"]) == (
            False,
            None,
            None,
        )
        assert 150 <= geo.distance_m((each["latitude"], each["longitude"]), (38.7, -9.1)) <= 500
        assert (each["latitude"], each["longitude"]) == (shown[0]["latitude"], shown[0]["longitude"])
    assert ApiClient(make_user("support")).get(path).json()["address"]["line1"] == "Rua Alta 4"


@pytest.mark.parametrize("status", ["draft", "pending_review", "paused", "flagged", "rejected"])
def test_get_of_an_unpublished_listing_is_for_its_host(status: str) -> None:
    listing = make_listing(status=status)
    path = f"/api/properties/{listing.pk}/"

    refused(ApiClient().get(path), 404, "not_found")
    refused(ApiClient(make_user()).get(path), 404, "not_found")
    shown = ApiClient(listing.host).get(path)
    assert (shown.status_code, shown.json()["status"], shown.json()["availability"]) == (200, status, False)


@pytest.mark.parametrize(
    "path", ["/api/properties/999999/", "/api/properties/99999999999999999999/", "/api/properties/x/"]
)
def test_get_of_nothing_is_not_found(path: str) -> None:
    refused(ApiClient().get(path), 404, "not_found")


def test_get_answers_304_to_what_the_client_has() -> None:
    listing = make_listing()
    client = ApiClient()
    tag = client.get(f"/api/properties/{listing.pk}/")["ETag"]

    assert client.get(f"/api/properties/{listing.pk}/", if_none_match=tag).status_code == 304
    listing.host.profile.is_superhost = True
    listing.host.profile.save()
    assert client.get(f"/api/properties/{listing.pk}/", if_none_match=tag).status_code == 200


def test_get_asks_the_database_little() -> None:
    listing = make_listing()
    guest, host = ApiClient(make_user()), ApiClient(listing.host)
    path = f"/api/properties/{listing.pk}/"
    ApiClient().get(path)
    host.get(path)  # the address of its calendar is made once

    counts = []
    for client in (ApiClient(), guest, host):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert client.get(path).status_code == 200
        counts.append(len(queries))

    assert counts[0] <= 3, [query["sql"] for query in queries]
    assert counts[1] <= 4
    assert counts[2] <= 5


def test_patch_changes_what_is_sent() -> None:
    client = ApiClient(make_user())
    before = created(client)

    response = client.patch(
        f"/api/properties/{before['id']}/", {"price_per_night": 80, "weekend_price": 95.25}
    )

    after = response.json()
    assert response.status_code == 200
    assert (after["price_per_night"], after["weekend_price"]) == (80, 95.25)
    same = set(before) - {"price_per_night", "weekend_price", "updated_at"}
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    assert (
        client.patch(f"/api/properties/{before['id']}/", {"weekend_price": None}).json()["weekend_price"]
        is None
    )


def test_put_takes_back_what_get_shows() -> None:
    client = ApiClient(make_user())
    path = f"/api/properties/{created(client)['id']}/"
    shown = client.get(path)

    response = client.put(path, shown.json())

    assert (response.status_code, response.json()) == (200, shown.json())
    assert response["ETag"] == shown["ETag"]
    moved = client.put(path, {**shown.json(), "location": "Nairobi, Kenya"}).json()
    assert (moved["city"], moved["country"], moved["timezone"]) == ("Nairobi", "KE", "Africa/Nairobi")
    assert moved["address"]["city"] == "Nairobi"


def test_put_needs_the_five_fields_and_leaves_the_rest() -> None:
    client = ApiClient(make_user())
    path = f"/api/properties/{created(client, max_guests=5, amenities=['wifi'])['id']}/"

    refused(client.put(path, {"title": "New"}), 422, "required", "location")
    response = client.put(path, {**FIVE, "title": "New"})

    answer = response.json()
    assert (answer["title"], answer["max_guests"], answer["amenities"]) == ("New", 5, ["wifi"])


@pytest.mark.parametrize(
    ("field", "value"),
    [("id", 1_000_000), ("owner", "somebody"), ("status", "archived"), ("rating", 5), ("review_count", 9), ("host", {"id": 1_000_000}), ("photos", [{"id": 1}]), ("created_at", "2020-01-01T00:00:00Z")],
)  # fmt: skip
def test_patch_refuses_changed_read_only_fields(field: str, value: Any) -> None:
    client = ApiClient(make_user())
    before = created(client)

    response = client.patch(f"/api/properties/{before['id']}/", {"title": "New", field: value})

    refused(response, 422, "read_only")
    refused(response, 422, "read_only", field)
    assert client.get(f"/api/properties/{before['id']}/").json() == before


def test_patch_by_others_is_refused() -> None:
    listing = make_listing()
    hidden = make_listing(status="draft")
    for client in (ApiClient(make_user()), ApiClient(make_user("moderator")), ApiClient(make_user("admin"))):
        refused(client.patch(f"/api/properties/{listing.pk}/", {"title": "Mine"}), 403, "not_allowed")
        refused(
            client.delete(f"/api/properties/{listing.pk}/")
            if client.user.has_role("host")
            else client.put(f"/api/properties/{listing.pk}/", FIVE),
            403,
            "not_allowed",
        )  # type: ignore[union-attr]
    refused(
        ApiClient(make_user()).patch(f"/api/properties/{hidden.pk}/", {"title": "Mine"}), 404, "not_found"
    )
    refused(ApiClient().patch(f"/api/properties/{listing.pk}/", {"title": "Mine"}), 401, "unauthenticated")

    assert set(Listing.objects.values_list("title", "status", "version")) == {
        ("Flat over the river", "published", 1),
        ("Flat over the river", "draft", 1),
    }


def test_patch_refuses_a_lost_update() -> None:
    client = ApiClient(make_user())
    path = f"/api/properties/{created(client)['id']}/"
    tag = client.get(path)["ETag"]
    assert client.patch(path, {"title": "First"}, if_match=tag).status_code == 200

    refused(client.patch(path, {"title": "Second"}, if_match=tag), 412, "precondition_failed")
    refused(client.delete(path, if_match=tag), 412, "precondition_failed")
    refused(client.patch(path, {"title": "Second"}, if_match='"nonsense"'), 412, "precondition_failed")

    assert client.get(path).json()["title"] == "First"
    assert client.patch(path, {"title": "Third"}, if_match="*").status_code == 200


def test_patch_of_currency_keeps_figures_and_refuses_what_is_too_fine() -> None:
    client = ApiClient(make_user())
    path = f"/api/properties/{created(client)['id']}/"

    refused(client.patch(path, {"currency": "JPY"}), 422, "too_precise", "price_per_night")
    assert client.get(path).json()["currency"] == "EUR"
    changed = client.patch(path, {"currency": "JPY", "price_per_night": 9000}).json()
    assert (changed["currency"], changed["price_per_night"]) == ("JPY", 9000)
    changed = client.patch(path, {"currency": "USD"}).json()
    assert (changed["currency"], changed["price_per_night"]) == ("USD", 9000)


def test_availability_pauses_and_publishes() -> None:
    client = ApiClient(make_user())
    path = f"/api/properties/{created(client, availability=False)['id']}/"
    seen = [client.get(path).json()["status"]]

    for availability in (False, True, True, False, False, True):
        seen.append(client.patch(path, {"availability": availability}).json()["status"])

    assert seen == ["draft", "draft", "published", "published", "paused", "paused", "published"]
    steps = ListingTransition.objects.order_by("seq").values_list("seq", "new")
    assert list(steps) == [(1, "draft"), (2, "published"), (3, "paused"), (4, "published")]


def test_availability_of_a_flagged_listing_is_the_moderators() -> None:
    listing = make_listing(status="flagged")

    response = ApiClient(listing.host).patch(
        f"/api/properties/{listing.pk}/", {"title": "New", "availability": True}
    )

    refused(response, 409, "wrong_state")
    listing.refresh_from_db()
    assert (listing.status, listing.title, listing.version) == ("flagged", "Flat over the river", 1)


def test_availability_of_a_rejected_listing_asks_the_moderators_again() -> None:
    listing = make_listing(status="rejected")

    answer = ApiClient(listing.host).patch(f"/api/properties/{listing.pk}/", {"availability": True}).json()

    assert answer["status"] == "pending_review"


def test_delete_withdraws_for_good() -> None:
    client = ApiClient(make_user())
    path = f"/api/properties/{created(client)['id']}/"

    response = client.delete(path)

    assert (response.status_code, response.content) == (204, b"")
    refused(client.get(path), 404, "not_found")
    refused(client.patch(path, {"title": "Back"}), 404, "not_found")
    refused(client.delete(path), 404, "not_found")
    assert client.get("/api/host/properties/").json()["count"] == 0
    assert Listing.objects.get().status == "archived"


def test_own_properties_lists_every_state_and_nobody_elses() -> None:
    host = make_user()
    ids = [make_listing(host, status=status).pk for status in ("draft", "published", "paused", "flagged")]
    make_listing()
    client = ApiClient(host)

    everything = client.get("/api/host/properties/").json()
    paused = client.get("/api/host/properties/", {"status": "paused"}).json()

    assert (everything["count"], everything["count_is_exact"], everything["next"]) == (4, True, None)
    assert [row["id"] for row in everything["results"]] == ids[::-1]
    assert [row["id"] for row in paused["results"]] == [ids[2]]
    refused(ApiClient().get("/api/host/properties/"), 401, "unauthenticated")
    refused(client.get("/api/host/properties/", {"status": "gone"}), 422, "unknown_value", "status")


@pytest.mark.parametrize("rows", [1, 3])
def test_own_properties_asks_as_often_for_one_as_for_three(rows: int) -> None:
    host = make_user()
    for _ in range(rows):
        make_listing(host)
    client = ApiClient(host)
    client.get("/api/host/properties/")

    with CaptureQueriesContext(connection) as queries:
        assert client.get("/api/host/properties/").json()["count"] == rows

    assert len(queries) == 5, [query["sql"] for query in queries]
