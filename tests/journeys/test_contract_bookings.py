"""Bookings as guests and hosts are promised them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from backend.bookings.models import Booking
from tests.api.client import ApiClient
from tests.journeys.contract import (
    Person,
    assert_instants,
    body,
    book,
    confirmed,
    list_a_place,
    pay,
    refused,
    register,
    rows,
    run_due,
    sign_in_again,
    stay,
    today,
)

pytestmark = pytest.mark.usefixtures("db")

anyone = ApiClient()

BOOKING = {
    *("id", "reference", "property", "property_id", "guest", "host", "check_in", "check_out", "nights"),
    *("guests", "status", "total_price", "currency", "price_breakdown", "payment_status", "conversation_id"),
    *("timeline", "created_at", "expires_at", "pending_reason"),
}


def path(booking: dict[str, Any], action: str = "") -> str:
    """The path of a booking or of something done to it."""
    return f"/api/bookings/{booking['id']}/{action}"


def seen(client: ApiClient, booking: dict[str, Any]) -> dict[str, Any]:
    """A booking as GET shows it."""
    return dict(body(client.get(path(booking))))


def instant(text: str) -> datetime:
    """An instant of the wire."""
    return datetime.fromisoformat(text)


@pytest.fixture
def host() -> Person:
    return register()


@pytest.fixture
def guest() -> Person:
    return register("guest")


@pytest.fixture
def place(host: Person) -> dict[str, Any]:
    return list_a_place(host)


def test_a_booking_is_held_for_payment(host: Person, guest: Person, place: dict[str, Any]) -> None:
    before = timezone.now()

    made = book(guest, place, guests=1, message="We arrive late.")

    assert set(made) >= BOOKING
    assert_instants(made)
    assert (made["property"], made["property_id"]) == (place["title"], place["id"])
    assert {key: made[key] for key in stay()} == stay()
    assert (made["nights"], made["guests"], made["total_price"], made["currency"]) == (2, 1, 200, "EUR")
    assert (made["status"], made["pending_reason"], made["payment_status"]) == (
        "pending",
        "payment",
        "unpaid",
    )
    assert set(made["guest"]) >= {"id", "first_name"}
    assert (made["guest"]["id"], made["host"]["id"]) == (guest.account["id"], host.account["id"])
    assert sum(line["amount"] for line in made["price_breakdown"]) == 200
    for line in made["price_breakdown"]:
        assert set(line) >= {"code", "description", "quantity", "unit_amount", "amount", "rule"}
    held_for = instant(made["expires_at"]) - before
    assert timedelta(minutes=14, seconds=55) < held_for < timedelta(minutes=15, seconds=10)
    for entry in made["timeline"]:
        assert set(entry) >= {"at", "event", "by", "text"}
    assert seen(guest, made) == seen(host, made) | {
        key: value for key, value in seen(guest, made).items() if key == "host_payout"
    }


def test_guests_may_be_left_out(guest: Person, place: dict[str, Any]) -> None:
    assert book(guest, place)["guests"] == 1


@pytest.mark.parametrize(
    "change",
    [
        {"check_out": "2001-01-01"},
        {"check_in": "2001-01-01"},
        {"check_in": "next week"},
        {"check_in": None},
        {"check_in": "9999-12-30", "check_out": "9999-12-31"},
        {"check_out": (today() + timedelta(days=60 + 366)).isoformat()},
        {"guests": 0},
        {"guests": "two"},
        {"guests": 10**30},
        {"guests": 99},
        {"property_id": "x"},
        {"message": "\x00"},
    ],
)
def test_bad_bookings_are_422(guest: Person, place: dict[str, Any], change: dict[str, Any]) -> None:
    refused(guest.post("/api/bookings/", {"property_id": place["id"], **stay(), **change}), 422)

    same_day = {"property_id": place["id"], "check_in": stay()["check_in"], "check_out": stay()["check_in"]}
    refused(guest.post("/api/bookings/", same_day), 422)
    assert Booking.objects.count() == 0


def test_who_may_not_book(host: Person, guest: Person, place: dict[str, Any]) -> None:
    wish = {"property_id": place["id"], **stay()}
    refused(anyone.post("/api/bookings/", wish), 401)
    refused(host.post("/api/bookings/", wish), 403)
    refused(guest.post("/api/bookings/", {**wish, "property_id": 999_999}), 404, "not_found")
    assert Booking.objects.count() == 0

    book(guest, place)
    overlap = stay(61, 3)
    refused(guest.post("/api/bookings/", {**wish, **overlap}), 409)
    refused(register().post("/api/bookings/", {**wish, **overlap}), 409, "dates_unavailable")
    assert Booking.objects.count() == 1


def test_a_paused_listing_cannot_be_booked(host: Person, guest: Person, place: dict[str, Any]) -> None:
    host.patch(f"/api/properties/{place['id']}/", {"availability": False})

    answer = guest.post("/api/bookings/", {"property_id": place["id"], **stay()})

    refused(answer, 422, "not_available")
    assert Booking.objects.count() == 0


def test_unpaid_holds_are_five_a_user(host: Person, guest: Person, place: dict[str, Any]) -> None:
    holds = [book(guest, place, **stay(20 + 3 * number)) for number in range(5)]

    answer = guest.post("/api/bookings/", {"property_id": place["id"], **stay(90)})

    refused(answer, 429)
    assert answer["Retry-After"]
    assert Booking.objects.count() == 5
    body(pay(guest, holds[0]))
    assert book(guest, place, **stay(90))["status"] == "pending"


def test_a_quote_token_keeps_its_price_for_fifteen_minutes(
    host: Person, guest: Person, place: dict[str, Any]
) -> None:
    def ask(**dates: str) -> dict[str, Any]:
        wish = {**stay(), "guests": 1, **dates}
        return dict(body(guest.post(f"/api/properties/{place['id']}/quote/", wish)))

    quote, late = ask(), ask(**stay(70))
    span = instant(quote["expires_at"]) - timezone.now()
    assert timedelta(minutes=14, seconds=50) < span <= timedelta(minutes=15, seconds=1)
    body(host.patch(f"/api/properties/{place['id']}/", {"price_per_night": 150}))
    token = quote["quote_token"]

    other = {"property_id": place["id"], **stay(90), "quote_token": token}
    refused(guest.post("/api/bookings/", other), 422)
    flipped = token[:-1] + ("A" if token[-1] != "A" else "B")
    for bad in (flipped, "x", "", token + "x"):
        refused(guest.post("/api/bookings/", {"property_id": place["id"], **stay(), "quote_token": bad}), 422)
    assert Booking.objects.count() == 0
    honoured = book(guest, place, quote_token=token)
    assert honoured["total_price"] == 200
    assert honoured["price_breakdown"] == quote["lines"]

    with time_machine.travel(timezone.now() + timedelta(minutes=15, seconds=5)):
        sign_in_again(guest)
        expired = {"property_id": place["id"], **stay(70), "quote_token": late["quote_token"]}
        refused(guest.post("/api/bookings/", expired), 409, "quote_expired")
    assert Booking.objects.count() == 1


def test_another_price_than_expected_is_a_conflict_with_the_new_quote(
    host: Person, guest: Person, place: dict[str, Any]
) -> None:
    wish = {"property_id": place["id"], **stay()}
    body(host.patch(f"/api/properties/{place['id']}/", {"price_per_night": 150}))

    problem = refused(
        guest.post("/api/bookings/", {**wish, "expected_total_price": 200}), 409, "price_changed"
    )

    quote = problem["quote"]
    assert (quote["total_price"], Booking.objects.count()) == (300, 0)
    assert book(guest, place, quote_token=quote["quote_token"])["total_price"] == 300
    assert book(guest, place, **stay(70), expected_total_price=300)["total_price"] == 300


def test_lists_for_guest_and_host(host: Person, guest: Person, place: dict[str, Any]) -> None:
    second = list_a_place(host)
    held = book(guest, place)
    paid = confirmed(guest, second, **stay(80))

    def ids(client: ApiClient, **params: Any) -> set[int]:
        return {row["id"] for row in rows(client.get("/api/bookings/", params))}

    both = {held["id"], paid["id"]}
    assert (ids(guest), ids(host), ids(register())) == (both, set(), set())
    assert ids(host, **{"as": "host"}) == both
    assert ids(guest, status="confirmed") == {paid["id"]}
    assert ids(guest, property_id=place["id"]) == {held["id"]}
    cut = (today() + timedelta(days=75)).isoformat()
    assert ids(guest, **{"from": cut}) == {paid["id"]}
    assert ids(guest, to=cut) == {held["id"]}
    assert set(rows(guest.get("/api/bookings/"))[0]) >= BOOKING
    refused(anyone.get("/api/bookings/"), 401)
    refused(guest.get("/api/bookings/", {"status": "cancelled"}), 422, field="status")
    refused(guest.get("/api/bookings/", {"as": "admin"}), 422, field="as")


def test_foreign_bookings_do_not_exist(guest: Person, place: dict[str, Any]) -> None:
    booking, stranger = book(guest, place), register()
    for method, action in (
        ("GET", ""),
        ("DELETE", ""),
        ("GET", "cancellation/"),
        ("POST", "accept/"),
        ("POST", "decline/"),
        ("POST", "pay/"),
    ):
        sent = {"provider": "sandbox", "outcome": "succeed"} if action == "pay/" else None
        refused(stranger.request(method, path(booking, action), sent), 404, "not_found")
        refused(stranger.request(method, f"/api/bookings/999999/{action}", sent), 404, "not_found")
        refused(anyone.request(method, path(booking, action), sent), 401)
    assert seen(guest, booking)["status"] == "pending"


def test_paying_confirms(host: Person, guest: Person, place: dict[str, Any]) -> None:
    booking = confirmed(guest, place)

    assert (booking["status"], booking["payment_status"]) == ("confirmed", "completed")
    assert booking.get("pending_reason") is None
    assert booking.get("expires_at") is None
    refused(pay(guest, booking), 409, "already_paid")
    refused(pay(host, booking), 403)


def test_cancel_gives_what_its_preview_said(host: Person, guest: Person, place: dict[str, Any]) -> None:
    booking = confirmed(guest, place)
    preview = body(guest.get(path(booking, "cancellation/")))
    fields = {"policy", "timezone", "refund_amount", "host_keeps", "currency", "timeline"}
    assert set(preview) >= fields
    assert set(booking["cancellation"]) >= fields
    assert preview["refund_amount"] + preview["host_keeps"] == booking["total_price"]
    assert preview["timeline"][-1]["until"] is None
    assert seen(guest, booking)["status"] == "confirmed", "looking cancels nothing"

    canceled = body(guest.delete(path(booking), {"reason": "Ill"}))

    assert (canceled["status"], canceled["canceled_by"]) == ("canceled", "guest")
    assert canceled["refund_amount"] == preview["refund_amount"] == 200
    refused(guest.delete(path(booking)), 409, "wrong_state")
    refused(host.delete(path(booking)), 409, "wrong_state")
    refused(pay(guest, booking), 409)
    assert book(register(), place)["status"] == "pending", "the nights are free again"


def test_cancel_by_the_host_and_of_an_unpaid_hold(host: Person, guest: Person, place: dict[str, Any]) -> None:
    booking, hold = confirmed(guest, place), book(guest, place, **stay(80))

    by_host = body(host.delete(path(booking)))
    unpaid = body(guest.delete(path(hold)))

    assert (by_host["status"], by_host["canceled_by"], by_host["refund_amount"]) == ("canceled", "host", 200)
    assert (unpaid["status"], unpaid["refund_amount"]) == ("canceled", 0)


def test_request_accepted_without_payment_waits_a_day_for_it(host: Person, guest: Person) -> None:
    place = list_a_place(host, instant_book=False)
    asked = book(guest, place)
    assert (asked["status"], asked["pending_reason"]) == ("pending", "host")
    wait = instant(asked["expires_at"]) - timezone.now()
    assert timedelta(hours=23, minutes=59) < wait <= timedelta(hours=24, seconds=1)
    refused(guest.post(path(asked, "accept/")), 403)
    refused(guest.post(path(asked, "decline/")), 403)

    accepted = body(host.post(path(asked, "accept/")))

    assert (accepted["status"], accepted["pending_reason"]) == ("pending", "payment")
    wait = instant(accepted["expires_at"]) - timezone.now()
    assert timedelta(hours=23, minutes=59) < wait <= timedelta(hours=24, seconds=1)
    body(pay(guest, asked))
    assert seen(guest, asked)["status"] == "confirmed"
    refused(host.post(path(asked, "accept/")), 409, "wrong_state")
    refused(host.post(path(asked, "decline/")), 409, "wrong_state")


def test_request_paid_ahead_is_authorized_and_captured_on_acceptance(host: Person, guest: Person) -> None:
    place = list_a_place(host, instant_book=False)
    asked = book(guest, place)

    answer = pay(guest, asked)

    assert answer.status_code in (200, 202), answer.content
    waiting = seen(guest, asked)
    assert (waiting["status"], waiting["pending_reason"]) == ("pending", "host")
    assert body(host.post(path(asked, "accept/")))["status"] == "confirmed"
    assert seen(guest, asked)["payment_status"] == "completed"


def test_request_declined_gives_everything_free(host: Person, guest: Person) -> None:
    place = list_a_place(host, instant_book=False)
    asked = book(guest, place)
    assert pay(guest, asked).status_code in (200, 202)

    declined = body(host.post(path(asked, "decline/"), {"reason": "Repairs"}))

    assert declined["status"] == "declined"
    refused(host.post(path(asked, "accept/")), 409, "wrong_state")
    refused(guest.delete(path(asked)), 409, "wrong_state")
    assert book(register(), place)["status"] == "pending"
    canceled = book(guest, place, **stay(80))
    body(guest.delete(path(canceled)))
    refused(host.post(path(canceled, "accept/")), 409, "wrong_state")


def test_request_close_to_check_in_never_waits_past_it(host: Person, guest: Person) -> None:
    place = list_a_place(host, instant_book=False, timezone="Pacific/Kiritimati", advance_notice_hours=0)
    soon = (datetime.now(UTC) + timedelta(hours=14)).date() + timedelta(days=1)
    dates = {"check_in": soon.isoformat(), "check_out": (soon + timedelta(days=1)).isoformat()}
    asked = book(guest, place, **dates)
    check_in = datetime(soon.year, soon.month, soon.day, 15, tzinfo=UTC) - timedelta(hours=14)

    assert instant(asked["expires_at"]) <= max(check_in, timezone.now() + timedelta(hours=24))
    assert instant(asked["expires_at"]) <= check_in
    accepted = body(host.post(path(asked, "accept/")))
    assert instant(accepted["expires_at"]) <= check_in


def test_time_expires_holds_and_completes_stays(host: Person, guest: Person, place: dict[str, Any]) -> None:
    hold, stayed = book(guest, place), confirmed(guest, place, **stay(80))
    check_out = datetime.fromisoformat(stayed["check_out"]).replace(hour=12, tzinfo=UTC)

    run_due(timezone.now() + timedelta(minutes=14))
    assert seen(guest, hold)["status"] == "pending"
    run_due(timezone.now() + timedelta(minutes=16))
    assert seen(guest, hold)["status"] == "expired"
    assert seen(guest, stayed)["status"] == "confirmed"
    refused(pay(guest, hold), 409)
    refused(guest.delete(path(hold)), 409, "wrong_state")

    run_due(check_out + timedelta(days=1))
    assert seen(guest, stayed)["status"] == "completed"
    refused(guest.delete(path(stayed)), 409, "wrong_state")
    assert re.search("complete", str(seen(guest, stayed)["timeline"]))


def test_an_expired_hold_gives_way_before_any_sweep(guest: Person, place: dict[str, Any]) -> None:
    book(guest, place)

    with time_machine.travel(timezone.now() + timedelta(minutes=15, seconds=5)):
        assert book(register(), place)["status"] == "pending"
