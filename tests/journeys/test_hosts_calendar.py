"""A host's calendar through a summer: what the host sets is what guests are told, find, are quoted and can book."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from tests.api.client import ApiClient
from tests.journeys.contract import (
    body,
    book,
    check_books,
    confirmed,
    list_a_place,
    monday,
    refused,
    register,
    rows,
)

pytestmark = pytest.mark.usefixtures("db")

anyone = ApiClient()


class Place:
    """A listing, asked by everybody for the same dates at every door."""

    def __init__(self, host: ApiClient, **fields: Any) -> None:
        self.host = host
        self.listing = list_a_place(host, **fields)
        self.home = f"/api/properties/{self.listing['id']}/"

    def codes(self, first: date, nights: int, **params: Any) -> list[str]:
        """Why a stay cannot be booked; search and quote must be of the same mind."""
        dates = {
            "check_in": first.isoformat(),
            "check_out": (first + timedelta(days=nights)).isoformat(),
            **params,
        }
        answer = body(anyone.get(f"{self.home}availability/", dates))
        codes = [reason["code"] for reason in answer["why"]]
        assert answer["bookable"] == (codes == [])
        found = [row["id"] for row in rows(anyone.get("/api/properties/", dates))]
        assert (self.listing["id"] in found) == (codes == []), codes
        quote = register().post(f"{self.home}quote/", dates)
        assert quote.status_code == (200 if not codes else 409 if codes[0] == "dates_unavailable" else 422)
        if codes:
            assert quote.json()["code"] == codes[0]
        return codes

    def row(self, on: date) -> dict[str, Any]:
        """The host's row of a night."""
        span = {"from": on.isoformat(), "to": (on + timedelta(days=1)).isoformat()}
        return dict(rows(self.host.get(f"{self.home}calendar/", span))[0])

    def total(self, first: date, nights: int) -> float:
        """What a quote for one guest comes to."""
        dates = {"check_in": first.isoformat(), "check_out": (first + timedelta(days=nights)).isoformat()}
        return float(body(anyone.post(f"{self.home}quote/", dates))["total_price"])

    def set(self, first: date, last: date, **changes: Any) -> None:
        """The host sets the dates ``[first, last)``."""
        span = {"from": first.isoformat(), "to": last.isoformat()}
        body(self.host.put(f"{self.home}calendar/", {**span, **changes}))


def test_a_season_a_fair_and_a_day_off() -> None:
    place = Place(register(), min_nights=2, currency="EUR")
    start = monday(90)
    end = start + timedelta(days=28)
    day = timedelta(days=1)
    assert place.codes(start, 2) == []

    season = body(
        place.host.post(
            f"{place.home}price-rules/",
            {
                "kind": "season",
                "from": start.isoformat(),
                "to": end.isoformat(),
                "price": 180,
                "min_nights": 7,
                "closed_to_departure": True,
            },
        ),
        201,
    )
    saturdays = [start + timedelta(days=5 + 7 * week) for week in range(4)]
    for saturday in saturdays:
        place.set(saturday, saturday + day, closed_to_departure=False)
    fair = saturdays[1] + day
    place.set(fair, fair + 3 * day, price=300, min_nights=2, closed_to_departure=False)

    assert place.codes(saturdays[0], 7) == []
    assert place.codes(saturdays[0], 6) == ["min_nights", "closed_to_departure"]
    assert place.codes(saturdays[0], 10) == []  # out on the last day of the fair
    assert place.codes(fair, 2) == []
    assert place.codes(fair, 1) == ["min_nights"]
    assert place.codes(start - 2 * day, 2) == ["closed_to_departure"]
    assert place.codes(end, 2) == []
    assert (place.row(start)["price"], place.row(fair)["price"], place.row(end)["price"]) == (180, 300, 100)
    assert place.total(fair, 2) == 600
    assert place.total(saturdays[0], 7) == 7 * 180

    confirmed(register(), place.listing, check_in=fair.isoformat(), check_out=(fair + 2 * day).isoformat())
    span = {"from": (fair - day).isoformat(), "to": (fair + 3 * day).isoformat()}
    refused(place.host.put(f"{place.home}calendar/", {**span, "available": False}), 409, "dates_unavailable")
    place.set(fair + 2 * day, fair + 3 * day, available=False, note="the roof")
    assert [place.row(fair + day * n)["reason"] for n in range(-1, 4)] == [
        *(None, "booking", "booking", "host", None)
    ]
    assert place.codes(saturdays[0], 10) == ["dates_unavailable"]

    assert place.host.delete(f"{place.home}price-rules/{season['id']}/").status_code == 204
    assert place.codes(start, 2) == []
    assert place.row(start)["price"] == 100
    assert check_books()[1] == 0


def test_preparation_that_a_host_asks_for_after_the_first_bookings() -> None:
    place = Place(register())
    first, day = monday(60), timedelta(days=1)
    booking = confirmed(
        register(),
        place.listing,
        check_in=(first + 3 * day).isoformat(),
        check_out=(first + 5 * day).isoformat(),
    )
    assert (place.codes(first + day, 2), place.codes(first + 5 * day, 2)) == ([], [])

    body(place.host.patch(place.home, {"preparation_days_before": 1, "preparation_days_after": 2}))

    assert [place.codes(first + n * day, 2) for n in (-1, 0, 1, 4, 5, 6, 7)] == [
        [],
        ["preparation"],
        ["preparation"],
        ["dates_unavailable"],
        ["preparation"],
        ["preparation"],
        [],
    ]
    wish = {
        "check_in": (first + 5 * day).isoformat(),
        "check_out": (first + 7 * day).isoformat(),
    }
    refused(
        register().post("/api/bookings/", {"property_id": place.listing["id"], **wish}), 422, "preparation"
    )

    body(place.host.patch(place.home, {"preparation_days_before": 0, "preparation_days_after": 0}))

    assert book(register(), place.listing, **wish)["status"] == "pending"
    assert body(place.host.get(f"/api/bookings/{booking['id']}/"))["status"] == "confirmed"
    assert check_books()[1] == 0


def test_a_place_that_is_asked_and_one_that_is_paused() -> None:
    place = Place(register(), instant_book=False)
    first = monday(60)
    dates = {"check_in": first.isoformat(), "check_out": (first + timedelta(days=2)).isoformat()}
    ask = f"{place.home}availability/"
    assert body(anyone.get(ask, dates))["requires_request"] is True

    held = book(register(), place.listing, **dates)
    assert (held["pending_reason"], place.codes(first, 2)) == ("host", ["dates_unavailable"])
    seen = body(place.host.get(ask, dates))["why"]
    assert [(reason["reason"], reason["nights"]) for reason in seen] == [
        ("hold", [{"from": dates["check_in"], "to": dates["check_out"]}])
    ]
    body(place.host.post(f"/api/bookings/{held['id']}/decline/", {}))
    assert place.codes(first, 2) == []

    body(place.host.patch(place.home, {"availability": False}))
    assert place.codes(first, 2) == ["not_available"]
    body(place.host.patch(place.home, {"availability": True}))
    assert place.codes(first, 2) == []
