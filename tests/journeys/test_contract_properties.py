"""Listings, their photos, their calendars and their quotes as clients are promised them."""

from __future__ import annotations

import math
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from backend.core import platform
from backend.listings.models import Listing
from tests.api.client import ApiClient
from tests.journeys.contract import (
    FIVE,
    body,
    book,
    confirmed,
    list_a_place,
    pay,
    refused,
    register,
    rows,
    stay,
)
from tests.listings.pictures import drawn, encoded, with_gps

pytestmark = pytest.mark.usefixtures("db")

anyone = ApiClient()

PROPERTY = {
    *("id", "title", "description", "location", "price_per_night", "currency", "availability", "status"),
    *("property_type", "room_type", "max_guests", "guests_included", "extra_guest_fee", "bedrooms", "beds"),
    *("bathrooms", "amenities", "cleaning_fee", "min_nights", "max_nights", "min_nights_by_weekday"),
    *("arrival_weekdays", "departure_weekdays", "advance_notice_hours", "same_day_cutoff_hour"),
    *("booking_window_days", "preparation_days_before", "preparation_days_after"),
    *("allow_request_inside_notice", "check_in_time", "check_out_time", "instant_book"),
    *(
        "cancellation_policy",
        "house_rules",
        "timezone",
        "latitude",
        "longitude",
        "address",
        "city",
        "country",
    ),
    *("photos", "review_count", "owner", "host", "created_at", "updated_at"),
}
HOST = {
    "id",
    "first_name",
    "photo_url",
    "member_since",
    "is_superhost",
    "response_rate",
    "response_time_hours",
}
ADDRESS = {"line1", "line2", "city", "region", "postal_code", "country"}


def home(place: dict[str, Any]) -> str:
    """The path of a listing."""
    return f"/api/properties/{place['id']}/"


def quote(client: ApiClient, place: dict[str, Any], **fields: Any) -> Any:
    """The answer to a quote for two nights of one guest, unless said otherwise."""
    return client.post(f"{home(place)}quote/", {**stay(), "guests": 1, **fields})


def metres(one: dict[str, Any], other: dict[str, Any]) -> float:
    """The distance between the points of two listings."""
    north = (one["latitude"] - other["latitude"]) * 111_195
    east = (one["longitude"] - other["longitude"]) * 111_195 * math.cos(math.radians(one["latitude"]))
    return math.hypot(north, east)


def test_five_fields_make_a_listing_that_is_found_and_booked() -> None:
    host, guest = register(), register()
    host.patch("/api/profile/", {"preferences": {"currency": "KES"}})

    place = list_a_place(host)

    assert set(place) >= PROPERTY
    assert set(place["host"]) >= HOST
    assert set(place["address"]) >= ADDRESS
    assert {key: place[key] for key in FIVE} == FIVE
    assert (place["owner"], place["host"]["id"]) == (host.account["username"], host.account["id"])
    assert (place["status"], place["instant_book"], place["currency"]) == ("published", True, "KES")
    assert (place["cleaning_fee"], place["extra_guest_fee"], place["photos"]) == (0, 0, [])
    assert [row["id"] for row in rows(anyone.get("/api/properties/", {"location": "Lisbon", **stay()}))] == [
        place["id"]
    ]
    assert confirmed(guest, place)["total_price"] == 200
    assert list_a_place(register())["currency"] == platform.get("currency")


def test_approval_first_where_the_platform_demands_it() -> None:
    platform.put("listing_approval", True)

    place = list_a_place(register())

    assert place["status"] == "pending_review"
    refused(anyone.get(home(place)), 404, "not_found")


def test_each_of_the_five_fields_is_needed_and_checked() -> None:
    host = register()
    for field in FIVE:
        refused(
            host.post("/api/properties/", {key: FIVE[key] for key in FIVE if key != field}), 422, field=field
        )
    for field, value, code in (
        ("title", "x" * 101, None),
        ("title", "", None),
        ("title", None, None),
        ("price_per_night", 0, None),
        ("price_per_night", -1, None),
        ("price_per_night", 10.001, "too_precise"),
        ("price_per_night", True, None),
        ("availability", "yes please", None),
        ("currency", "XXX", None),
        ("cancellation_policy", "generous", None),
        ("room_type", "castle", None),
        ("amenities", ["helipad-of-gold"], None),
    ):
        refused(host.post("/api/properties/", {**FIVE, field: value}), 422, code, field=field)

    assert Listing.objects.count() == 0
    assert list_a_place(host, title="x" * 100)["title"] == "x" * 100


def test_currency_without_decimals() -> None:
    host = register()
    refused(
        host.post("/api/properties/", {**FIVE, "currency": "JPY", "price_per_night": 9.5}), 422, "too_precise"
    )

    place = list_a_place(host, currency="JPY", price_per_night=12000, cleaning_fee=3000)

    assert (place["price_per_night"], place["cleaning_fee"]) == (12000, 3000)
    answer = quote(anyone, place)
    assert answer.json()["total_price"] == 27000
    assert b"27000.0" not in answer.content


def test_every_field_is_taken_and_shown() -> None:
    host = register()
    given = {
        "weekend_price": 120,
        "currency": "USD",
        "room_type": "private_room",
        "max_guests": 6,
        "guests_included": 2,
        "extra_guest_fee": 15.5,
        "bedrooms": 2,
        "beds": 3,
        "bathrooms": 1.5,
        "amenities": ["wifi", "pool"],
        "cleaning_fee": 40,
        "min_nights": 2,
        "max_nights": 30,
        "min_nights_by_weekday": {"5": 3},
        "arrival_weekdays": [1, 5],
        "departure_weekdays": [1, 7],
        "advance_notice_hours": 24,
        "same_day_cutoff_hour": 14,
        "booking_window_days": 365,
        "preparation_days_before": 1,
        "preparation_days_after": 1,
        "allow_request_inside_notice": True,
        "check_in_time": "16:00",
        "check_out_time": "10:00",
        "instant_book": False,
        "house_rules": "No shoes.",
        "timezone": "Europe/Lisbon",
        "latitude": 38.7169,
        "longitude": -9.1399,
        "address": {
            "line1": "Rua Augusta 1",
            "line2": "3 E",
            "city": "Lisbon",
            "region": "Lisboa",
            "postal_code": "1100-048",
            "country": "PT",
        },
    }

    place = list_a_place(host, **given)

    shown = {key: sorted(value) if key == "amenities" else value for key, value in place.items()}
    assert {key: shown[key] for key in given} == {**given, "amenities": ["pool", "wifi"]}
    for policy in ("flexible", "moderate", "limited", "firm", "strict", "non_refundable"):
        assert body(host.patch(home(place), {"cancellation_policy": policy}))["cancellation_policy"] == policy
    for room in ("entire_place", "private_room", "shared_room"):
        assert body(host.patch(home(place), {"room_type": room}))["room_type"] == room


def test_put_leaves_what_is_not_sent_and_takes_back_what_get_shows() -> None:
    host = register()
    place = list_a_place(host, cleaning_fee=40, bedrooms=2)
    shown = body(host.get(home(place)))

    assert body(host.put(home(place), shown))["title"] == shown["title"]
    put = body(host.put(home(place), {**FIVE, "title": "Loft"}))
    assert (put["title"], put["cleaning_fee"], put["bedrooms"]) == ("Loft", 40, 2)
    for field in FIVE:
        missing = {key: FIVE[key] for key in FIVE if key != field}
        refused(host.put(home(place), missing), 422, field=field)
    for field, value in (("id", 99), ("owner", "somebody"), ("review_count", 500), ("status", "archived")):
        refused(host.patch(home(place), {field: value}), 422, "read_only", field=field)
        refused(host.put(home(place), {**FIVE, field: value}), 422, "read_only", field=field)
    assert body(host.patch(home(place), {"price_per_night": 80.5}))["price_per_night"] == 80.5
    assert body(host.patch(home(place), {}))["title"] == "Loft"


def test_others_may_not_change_a_listing() -> None:
    host, other = register(), register()
    place = list_a_place(host)
    for method, sent in (("PUT", FIVE), ("PATCH", {"title": "Mine"}), ("DELETE", None)):
        refused(other.request(method, home(place), sent), 403)
        refused(anyone.request(method, home(place), sent), 401)
        refused(other.request(method, "/api/properties/999999/", sent), 404, "not_found")
    assert body(anyone.get(home(place)))["title"] == FIVE["title"]


def test_paused_is_404_for_others_and_200_for_the_owner() -> None:
    host, guest = register(), register()
    place = list_a_place(host)

    paused = body(host.patch(home(place), {"availability": False}))

    assert (paused["availability"], paused["status"]) == (False, "paused")
    refused(anyone.get(home(place)), 404, "not_found")
    refused(guest.get(home(place)), 404, "not_found")
    assert body(host.get(home(place)))["id"] == place["id"]
    assert rows(anyone.get("/api/properties/")) == []
    refused(quote(guest, place), 422, "not_available")
    refused(quote(host, place), 422, "not_available")
    assert body(host.patch(home(place), {"availability": True}))["status"] == "published"
    assert anyone.get(home(place)).status_code == 200


def test_delete_waits_for_coming_bookings() -> None:
    host, guest = register(), register()
    place, free = list_a_place(host), list_a_place(host)
    booking = confirmed(guest, place)

    refused(host.delete(home(place)), 409, "active_bookings")
    assert anyone.get(home(place)).status_code == 200
    assert host.delete(home(free)).status_code == 204
    refused(anyone.get(home(free)), 404, "not_found")

    body(guest.delete(f"/api/bookings/{booking['id']}/"))
    assert host.delete(home(place)).status_code == 204
    assert body(guest.get(f"/api/bookings/{booking['id']}/"))["property"] == place["title"]


def test_exact_address_only_after_booking() -> None:
    host, guest = register(), register()
    where = {
        "latitude": 38.7169,
        "longitude": -9.1399,
        "address": {"line1": "Rua Augusta 1", "city": "Lisbon", "postal_code": "1100-048", "country": "PT"},
    }
    place = list_a_place(host, **where)
    public = body(anyone.get(home(place)))

    assert 50 < metres(public, where) < 1000
    assert "Rua Augusta" not in str(public)
    assert body(guest.get(home(place)))["latitude"] == public["latitude"], "always the same"
    held = book(guest, place)
    assert "Rua Augusta" not in str(body(guest.get(home(place))))
    body(pay(guest, held))
    exact = body(guest.get(home(place)))
    assert (exact["latitude"], exact["longitude"]) == (38.7169, -9.1399)
    assert exact["address"]["line1"] == "Rua Augusta 1"
    assert "Rua Augusta" not in str(body(register().get(home(place))))
    assert body(anyone.get("/api/properties/"))["results"][0]["latitude"] == public["latitude"]


def test_photos_of_five_formats_with_order_caption_and_cover() -> None:
    host = register()
    place = list_a_place(host)
    path = f"{home(place)}photos/"
    made = []
    for kind, name in (("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp"), ("AVIF", "avif"), ("HEIF", "heic")):
        file = SimpleUploadedFile(f"room.{name}", encoded(drawn((320, 200)), kind), f"image/{name}")
        made.append(body(host.upload(path, {"file": file}), 201))
    for photo in made:
        assert set(photo) >= {"id", "url", "thumbnail_url", "caption", "order", "is_cover"}

    last = f"{path}{made[-1]['id']}/"
    changed = body(host.patch(last, {"caption": "The river", "is_cover": True, "order": 0}))
    assert (changed["caption"], changed["is_cover"]) == ("The river", True)
    shown = body(anyone.get(home(place)))["photos"]
    assert [photo["is_cover"] for photo in shown].count(True) == 1
    assert len(shown) == 5
    assert host.delete(last).status_code == 204
    assert [photo["is_cover"] for photo in body(anyone.get(home(place)))["photos"]].count(True) == 1

    refused(register().patch(f"{path}{made[0]['id']}/", {"caption": "x"}), 403)
    refused(register().delete(f"{path}{made[0]['id']}/"), 403)
    foreign = list_a_place(host)
    refused(host.delete(f"{home(foreign)}photos/{made[0]['id']}/"), 404, "not_found")
    refused(host.delete(f"{home(foreign)}photos/999999/"), 404, "not_found")
    text = SimpleUploadedFile("room.jpg", b"no picture", "image/jpeg")
    refused(host.upload(path, {"file": text}), 422)
    assert len(body(anyone.get(home(place)))["photos"]) == 4


def test_photos_tell_nothing_of_where_they_were_taken() -> None:
    from django.test import Client

    host = register()
    place = list_a_place(host)
    file = SimpleUploadedFile("room.jpg", with_gps(), "image/jpeg")

    photo = body(host.upload(f"{home(place)}photos/", {"file": file}), 201)

    answer = Client().get(photo["url"].removeprefix("http://testserver"))
    assert answer.status_code == 200
    content = b"".join(answer) if answer.streaming else answer.content
    assert b"SecretCameraMaker" not in content
    assert b"Exif" not in content


def test_reference_rows() -> None:
    amenities, currencies = rows(anyone.get("/api/amenities/")), rows(anyone.get("/api/currencies/"))
    assert {"wifi", "pool"} <= {row["slug"] for row in amenities}
    assert all(row["name"] for row in amenities)
    assert all(set(row) >= {"code", "name", "minor_units"} for row in currencies)
    shipped = "AED AUD BRL CAD CHF CNY EUR GBP INR JPY KES KWD MXN NGN NZD SGD TZS UGX USD ZAR"
    by_code = {row["code"]: row for row in currencies}
    assert set(shipped.split()) <= set(by_code)
    assert (by_code["JPY"]["minor_units"], by_code["EUR"]["minor_units"], by_code["KWD"]["minor_units"]) == (
        0,
        2,
        3,
    )
    assert all(by_code[code]["rate"] > 0 for code in shipped.split())
    assert "Nairobi" in str(rows(anyone.get("/api/locations/", {"q": "nairo"})))
