"""Listings, their photos, their calendars and their quotes as clients are promised them."""

from __future__ import annotations

import math
from datetime import date, timedelta
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
    monday,
    pay,
    refused,
    register,
    rows,
    stay,
    today,
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
NIGHT = {
    *("date", "available", "price", "currency", "min_nights", "max_nights"),
    *("closed_to_arrival", "closed_to_departure"),
}
QUOTE = {
    *("check_in", "check_out", "nights", "guests", "currency", "lines", "nights_total", "discounts_total"),
    *("fees_total", "taxes_total", "service_fee", "total_price", "cancellation", "quote_token", "expires_at"),
}


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
    refused(quote(guest, place), 404, "not_found")
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
    content = b"".join(answer) if answer.streaming else answer.content  # type: ignore[arg-type, attr-defined]
    assert b"SecretCameraMaker" not in content
    assert b"Exif" not in content


def test_calendar_shows_a_row_a_night() -> None:
    host, guest = register(), register()
    place = list_a_place(host, currency="USD")
    first = today() + timedelta(days=60)
    span = {"from": first.isoformat(), "to": (first + timedelta(days=5)).isoformat()}
    path = f"{home(place)}calendar/"
    confirmed(guest, place, **stay(60, 2))

    public, own = rows(anyone.get(path, span)), rows(host.get(path, span))

    assert [row["date"] for row in public] == [(first + timedelta(days=n)).isoformat() for n in range(5)]
    assert [row["available"] for row in public] == [False, False, True, True, True]
    assert {(row["price"], row["currency"]) for row in public} == {(100, "USD")}
    assert all(set(row) >= NIGHT for row in public + own)
    assert not any(row.get("reason") or row.get("note") for row in public)
    assert [row["reason"] for row in own] == ["booking", "booking", None, None, None]
    envelope = body(anyone.get(path, span))
    assert (envelope["count"], envelope["next"]) == (5, None)


def test_calendar_takes_ranges_and_gives_back_with_null() -> None:
    host = register()
    place = list_a_place(host)
    path = f"{home(place)}calendar/"
    first = today() + timedelta(days=60)
    span = {"from": first.isoformat(), "to": (first + timedelta(days=2)).isoformat()}
    wide = {"from": span["from"], "to": (first + timedelta(days=3)).isoformat()}
    given = {
        "price": 150.5,
        "min_nights": 3,
        "max_nights": 9,
        "closed_to_arrival": True,
        "closed_to_departure": True,
        "note": "Festival",
    }

    assert host.put(path, {**span, **given}).status_code == 200
    seen = rows(host.get(path, wide))
    assert [{key: row[key] for key in given} for row in seen[:2]] == [given, given]
    assert (seen[2]["price"], seen[2]["closed_to_arrival"]) == (100, False)
    assert rows(anyone.get(path, wide))[0].get("note") is None

    host.put(path, {**span, "available": False})
    assert [row["available"] for row in rows(anyone.get(path, wide))] == [False, False, True]
    assert [row["reason"] for row in rows(host.get(path, wide))] == ["host", "host", None]
    host.put(path, {**span, **dict.fromkeys(given), "available": True})
    again = rows(host.get(path, wide))
    assert [row["available"] for row in again] == [True, True, True]
    assert [(row["price"], row["note"], row["closed_to_arrival"]) for row in again] == [
        (100, None, False)
    ] * 3


def test_calendar_refuses() -> None:
    host, guest = register(), register()
    place = list_a_place(host)
    path = f"{home(place)}calendar/"
    dates = stay(60, 3)
    span = {"from": dates["check_in"], "to": dates["check_out"]}
    booking = confirmed(guest, place, **stay(61, 1))

    refused(host.put(path, {**span, "available": False}), 409)
    refused(host.put(path, {**span, "price": 1.001}), 422, "too_precise")
    refused(host.put(path, {"from": span["to"], "to": span["from"], "available": False}), 422)
    refused(host.put(path, {"from": span["from"], "to": span["from"], "available": False}), 422)
    refused(register().put(path, {**span, "available": False}), 403)
    refused(anyone.put(path, {**span, "available": False}), 401)
    far = {"from": today().isoformat(), "to": (today() + timedelta(days=731)).isoformat()}
    refused(anyone.get(path, far), 422)
    refused(anyone.get("/api/properties/999999/calendar/", span), 404, "not_found")

    assert [row["available"] for row in rows(anyone.get(path, span))] == [True, False, True]
    assert body(guest.get(f"/api/bookings/{booking['id']}/"))["status"] == "confirmed"
    longest = {"from": far["from"], "to": (today() + timedelta(days=730)).isoformat()}
    assert len(rows(anyone.get(path, longest))) == 730


def test_quote_shows_lines_that_sum_to_the_total() -> None:
    host, guest = register(), register()
    place = list_a_place(
        *(host,),
        weekend_price=130,
        cleaning_fee=40,
        max_guests=4,
        guests_included=2,
        extra_guest_fee=10,
        currency="EUR",
    )
    friday = monday() + timedelta(days=4)
    dates = {
        "check_in": (friday - timedelta(days=1)).isoformat(),
        "check_out": (friday + timedelta(days=3)).isoformat(),
    }

    shown = body(quote(guest, place, **dates, guests=3))

    assert set(shown) >= QUOTE
    assert (shown["nights"], shown["guests"], shown["currency"]) == (4, 3, "EUR")
    assert {line["code"] for line in shown["lines"]} == {"night", "extra_guest", "cleaning"}
    for line in shown["lines"]:
        assert set(line) >= {"code", "description", "quantity", "unit_amount", "amount", "rule"}
        assert set(line["rule"]) >= {"id", "kind", "inputs"}
        assert line["amount"] == line["quantity"] * line["unit_amount"]
    assert shown["total_price"] == sum(line["amount"] for line in shown["lines"]) == 540
    assert sum(line["amount"] for line in shown["lines"] if line["code"] == "night") == 460
    assert (shown["nights_total"], shown["discounts_total"], shown["taxes_total"]) == (460, 0, 0)
    parts = ("nights_total", "discounts_total", "fees_total", "taxes_total", "service_fee")
    assert sum(shown[part] for part in parts) == 540
    assert shown.get("host_payout") is None
    assert body(quote(host, place, **dates, guests=3))["host_payout"] is not None
    assert set(shown["cancellation"]) >= {"policy", "timeline"}
    assert shown["cancellation"]["timeline"][-1]["until"] is None
    for entry in shown["cancellation"]["timeline"]:
        assert set(entry) >= {"until", "refund_amount", "host_keeps", "sentence"}


@pytest.mark.parametrize(
    ("rules", "wish", "code"),
    [
        ({"min_nights": 3}, {}, "min_nights"),
        ({"max_nights": 1}, {}, "max_nights"),
        ({"max_guests": 2}, {"guests": 3}, "too_many_guests"),
        ({"arrival_weekdays": [2]}, {}, "closed_to_arrival"),
        ({"departure_weekdays": [5]}, {}, "closed_to_departure"),
        ({"advance_notice_hours": 24 * 100}, {}, "advance_notice"),
        ({"booking_window_days": 30}, {}, "booking_window"),
        ({"min_nights_by_weekday": {"1": 4}}, {}, "min_nights"),
    ],
)
def test_a_stay_that_breaks_a_rule_names_it(rules: dict[str, Any], wish: dict[str, Any], code: str) -> None:
    host, guest = register(), register()
    place = body(host.post("/api/properties/", {**FIVE, **rules}), 201)
    first: date = monday()
    dates = {"check_in": first.isoformat(), "check_out": (first + timedelta(days=2)).isoformat()}

    refused(quote(guest, place, **dates, **wish), 422, code)
    refused(guest.post("/api/bookings/", {"property_id": place["id"], **dates, **wish}), 422, code)
    assert rows(guest.get("/api/bookings/")) == []
    if not wish:
        assert rows(anyone.get("/api/properties/", dates)) == []


def test_nights_of_preparation_and_taken_nights() -> None:
    host, guest = register(), register()
    place = list_a_place(host, preparation_days_after=1, preparation_days_before=1)
    book(register(), place, **stay(60, 2))

    refused(quote(guest, place, **stay(62, 2)), 422, "preparation")
    refused(quote(guest, place, **stay(61, 2)), 409, "dates_unavailable")
    assert body(quote(guest, place, **stay(63, 2)))["total_price"] == 200
    for ahead, status in ((62, 422), (61, 409), (58, 422)):
        wish = {"property_id": place["id"], **stay(ahead, 2)}
        refused(guest.post("/api/bookings/", wish), status)
    assert rows(guest.get("/api/bookings/")) == []


def test_same_day_turnover() -> None:
    place = list_a_place(register())
    book(register(), place, **stay(60, 2))

    assert book(register(), place, **stay(62, 2))["status"] == "pending"
    assert book(register(), place, **stay(58, 2))["status"] == "pending"


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
