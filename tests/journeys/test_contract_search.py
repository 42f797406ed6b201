"""Search as clients are promised it: every parameter, what is shown can be booked, what cannot is not shown."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from backend.listings.models import Listing
from tests.api.client import ApiClient
from tests.journeys.contract import (
    FIVE,
    Person,
    body,
    book,
    confirmed,
    list_a_place,
    monday,
    refused,
    register,
    rows,
    stay,
    today,
)
from tests.journeys.test_contract_properties import PROPERTY

pytestmark = pytest.mark.usefixtures("db")

anyone = ApiClient()


def found(**params: Any) -> list[str]:
    """The titles that a search shows, in its order."""
    return [row["title"] for row in rows(anyone.get("/api/properties/", params))]


@pytest.fixture
def host() -> Person:
    return register()


@pytest.fixture
def three(host: Person) -> dict[str, dict[str, Any]]:
    """Three listings that differ in everything one can ask for."""
    return {
        "Loft": list_a_place(
            host,
            title="Loft",
            description="A quiet studio by the river.",
            location="Lisbon, Portugal",
            price_per_night=50,
            currency="EUR",
            max_guests=2,
            bedrooms=1,
            beds=1,
            bathrooms=1,
            amenities=["wifi"],
            room_type="private_room",
            instant_book=False,
            cancellation_policy="strict",
            latitude=38.7169,
            longitude=-9.1399,
        ),
        "Villa": list_a_place(
            host,
            title="Villa",
            description="A large garden with a fountain.",
            location="Lisbon, Portugal",
            price_per_night=200,
            currency="EUR",
            max_guests=8,
            bedrooms=4,
            beds=6,
            bathrooms=2.5,
            amenities=["wifi", "pool"],
            room_type="entire_place",
            cancellation_policy="flexible",
            latitude=38.7969,
            longitude=-9.1399,
        ),
        "Banda": list_a_place(
            host,
            title="Banda",
            description="Under palm trees.",
            location="Nairobi, Kenya",
            price_per_night=9000,
            currency="KES",
            max_guests=4,
            bedrooms=2,
            beds=2,
            bathrooms=1,
            amenities=["pool"],
            room_type="entire_place",
            cancellation_policy="moderate",
        ),
    }


def test_results_are_properties_in_the_envelope(three: dict[str, dict[str, Any]]) -> None:
    answer = anyone.get("/api/properties/", {"location": "Nairobi"})

    (row,) = rows(answer)
    assert set(row) >= PROPERTY
    own = body(anyone.get(f"/api/properties/{row['id']}/"))
    assert {key: row[key] for key in PROPERTY} == {key: own[key] for key in PROPERTY}
    assert body(answer)["count"] == 1


NARROWING: list[tuple[dict[str, Any], list[str]]] = [
    ({"q": "fountain"}, ["Villa"]),
    ({"location": "lisbon"}, ["Loft", "Villa"]),
    ({"location": "Kenya"}, ["Banda"]),
    ({"location": "Atlantis"}, []),
    ({"lat": 38.7169, "lng": -9.1399, "radius_km": 3}, ["Loft"]),
    ({"lat": 38.7169, "lng": -9.1399, "radius_km": 30}, ["Loft", "Villa"]),
    ({"bbox": "-9.5,38.75,-9.0,39"}, ["Villa"]),
    ({"price_min": 100, "currency": "EUR"}, ["Villa"]),
    ({"price_max": 50, "currency": "EUR", "location": "Lisbon"}, ["Loft"]),
    ({"price_min": 8999, "price_max": 9001, "currency": "KES"}, ["Banda"]),
    ({"guests": 5}, ["Villa"]),
    ({"bedrooms": 2}, ["Banda", "Villa"]),
    ({"beds": 3}, ["Villa"]),
    ({"bathrooms": 2}, ["Villa"]),
    ({"amenities": "wifi,pool"}, ["Villa"]),
    ({"amenities": "pool"}, ["Banda", "Villa"]),
    ({"room_type": "private_room"}, ["Loft"]),
    ({"instant_book": "true"}, ["Banda", "Villa"]),
    ({"cancellation_policy": "strict"}, ["Loft"]),
    ({"rating_min": 4}, []),
    ({"superhost": "true"}, []),
]


def test_each_parameter_narrows(three: dict[str, dict[str, Any]]) -> None:
    for params, titles in NARROWING:
        assert sorted(found(**params)) == titles, params


def test_property_type_narrows(host: Person, three: dict[str, dict[str, Any]]) -> None:
    default = three["Loft"]["property_type"]
    other = next(each for each in ("house", "apartment", "villa") if each != default)
    body(host.patch(f"/api/properties/{three['Villa']['id']}/", {"property_type": other}))

    assert found(property_type=other) == ["Villa"]
    assert sorted(found(property_type=default)) == ["Banda", "Loft"]


def test_ordering(three: dict[str, dict[str, Any]]) -> None:
    assert found(ordering="price", location="Lisbon") == ["Loft", "Villa"]
    assert found(ordering="-price", location="Lisbon") == ["Villa", "Loft"]
    assert found(ordering="newest") == ["Banda", "Villa", "Loft"]
    near = {"lat": 38.80, "lng": -9.14, "radius_km": 50}
    assert found(ordering="distance", **near) == ["Villa", "Loft"]
    for ordering in ("recommended", "rating"):
        assert sorted(found(ordering=ordering)) == ["Banda", "Loft", "Villa"]
    distances = [
        row["distance_km"] for row in rows(anyone.get("/api/properties/", {"ordering": "distance", **near}))
    ]
    assert distances == sorted(distances)
    assert 0 <= distances[0] < 2
    assert 8 < distances[1] < 10


NONSENSE: list[tuple[dict[str, Any], str]] = [
    ({"ordering": "cheapest"}, "ordering"),
    ({"amenities": "wifi,helipad-of-gold"}, "amenities"),
    ({"page": 1_000_001}, "page"),
    ({"page_size": 0}, "page_size"),
    ({"page_size": "abc"}, "page_size"),
    ({"colour": "red"}, "colour"),
    ({"guests": -1}, "guests"),
    ({"guests": "many"}, "guests"),
    ({"price_min": "NaN"}, "price_min"),
    ({"currency": "XXX"}, "currency"),
    ({"room_type": "castle"}, "room_type"),
    ({"cancellation_policy": "generous"}, "cancellation_policy"),
    ({"bbox": "1,2,3"}, "bbox"),
    ({"lat": 91, "lng": 0, "radius_km": 1}, "lat"),
    ({"check_in": "tomorrow", "check_out": "2030-01-01"}, "check_in"),
    ({"check_in": "2026-02-30", "check_out": "2030-01-01"}, "check_in"),
    ({"q": "\x00"}, "q"),
]


def test_nonsense_is_422_with_the_parameter() -> None:
    for params, field in NONSENSE:
        problem = refused(anyone.get("/api/properties/", params), 422)
        assert field in [error["field"] for error in problem["errors"]], params


def test_half_of_a_pair_or_dates_in_the_wrong_order_are_422() -> None:
    dates = stay()
    for params in (
        {"check_in": dates["check_in"]},
        {"check_out": dates["check_out"]},
        {"check_in": dates["check_out"], "check_out": dates["check_in"]},
        {"check_in": dates["check_in"], "check_out": dates["check_in"]},
        {"lat": 38.7},
        {"ordering": "distance"},
    ):
        refused(anyone.get("/api/properties/", params), 422)


def test_a_dated_search_shows_what_can_really_be_booked_and_its_total(host: Person) -> None:
    first = monday()
    dates = {"check_in": first.isoformat(), "check_out": (first + timedelta(days=2)).isoformat()}
    guest = register()
    for title, rules in (
        ("free", {"cleaning_fee": 30}),
        ("short", {"min_nights": 3}),
        ("long", {"max_nights": 1}),
        ("tuesdays", {"arrival_weekdays": [2]}),
        ("no wednesday", {"departure_weekdays": [1]}),
        ("notice", {"advance_notice_hours": 24 * 120}),
        ("window", {"booking_window_days": 10}),
        ("paused", {"availability": False}),
    ):
        list_a_place(host, title=title, **rules)
    taken, held, closed = (list_a_place(host, title=title) for title in ("taken", "held", "closed"))
    confirmed(guest, taken, **dates)
    book(guest, held, **dates)
    span = {"from": dates["check_in"], "to": dates["check_out"]}
    body(host.put(f"/api/properties/{closed['id']}/calendar/", {**span, "available": False}))
    arrival = list_a_place(host, title="no arrival")
    body(host.put(f"/api/properties/{arrival['id']}/calendar/", {**span, "closed_to_arrival": True}))

    (row,) = rows(anyone.get("/api/properties/", dates))

    assert (row["title"], row["total_price"]) == ("free", 230)
    assert book(register(), row, **dates)["total_price"] == 230
    assert found(**dates) == []
    undated = rows(anyone.get("/api/properties/"))
    assert len(undated) == 11
    assert not any(row.get("total_price") for row in undated)


def test_a_dated_search_follows_holds_and_cancellations_at_once(host: Person) -> None:
    guest, place, dates = register(), list_a_place(host), stay()
    assert found(**dates) == [place["title"]]

    booking = confirmed(guest, place)
    assert found(**dates) == []
    assert found(**stay(62)) == [place["title"]]

    body(guest.delete(f"/api/bookings/{booking['id']}/"))
    assert found(**dates) == [place["title"]]
    body(host.patch(f"/api/properties/{place['id']}/", {"availability": False}))
    assert found(**dates) == []


def test_prices_are_shown_in_the_currency_that_is_asked_for(three: dict[str, dict[str, Any]]) -> None:
    (row,) = rows(anyone.get("/api/properties/", {"location": "Nairobi", "currency": "JPY"}))

    assert row["currency"] == "JPY"
    assert isinstance(row["price_per_night"], int)
    assert 5_000 < row["price_per_night"] < 20_000


def test_dates_out_of_the_window_are_422() -> None:
    past = {"check_in": (today() - timedelta(days=5)).isoformat(), "check_out": today().isoformat()}
    far = {"check_in": "9999-12-30", "check_out": "9999-12-31"}
    for dates in (past, far):
        answer = anyone.get("/api/properties/", dates)
        assert answer.status_code in (200, 422)
        assert answer.status_code == 422 or rows(answer) == []


def test_etag_of_a_search_follows_what_it_shows(host: Person) -> None:
    place = list_a_place(host)
    tag = anyone.get("/api/properties/", stay())["ETag"]
    assert anyone.get("/api/properties/", stay(), if_none_match=tag).status_code == 304

    book(register(), place)

    assert anyone.get("/api/properties/", stay(), if_none_match=tag).status_code == 200


def test_drafts_are_not_found(host: Person) -> None:
    answer = host.post("/api/properties/", {**FIVE, "availability": False})

    assert answer.status_code == 201
    assert found() == []
    assert Listing.objects.count() == 1
