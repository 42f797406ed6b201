"""Calendars and quotes as clients are promised them, and the rules that a stay can break."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from tests.api.client import ApiClient
from tests.journeys.contract import (
    FIVE,
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

pytestmark = pytest.mark.usefixtures("db")

anyone = ApiClient()

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


def test_quote_in_another_currency_and_bad_quotes() -> None:
    host, guest = register(), register()
    place = list_a_place(host, currency="EUR")

    shown = body(quote(guest, place, currency="JPY"))

    assert shown["currency"] == "JPY"
    assert shown["exchange_rate"]
    assert isinstance(shown["total_price"], int)
    assert shown["total_price"] == sum(line["amount"] for line in shown["lines"])
    assert body(quote(guest, place)).get("exchange_rate") is None
    for bad in ({"currency": "XXX"}, {"guests": 0}, {"check_out": "x"}, {"check_in": None}):
        refused(quote(guest, place, **bad), 422)
    refused(anyone.post("/api/properties/999999/quote/", {**stay(), "guests": 1}), 404, "not_found")
    booked = book(guest, place, quote_token=shown["quote_token"])
    assert (booked["total_price"], booked["currency"]) == (200, "EUR")
    refused(quote(guest, place), 409, "dates_unavailable")
