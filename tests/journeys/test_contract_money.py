"""Money as it is promised: paying, payments, webhooks, the clock's sweeps and the books."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from tests.api.client import ApiClient
from tests.damage import plant
from tests.journeys.contract import (
    Person,
    assert_instants,
    body,
    book,
    check_books,
    confirmed,
    list_a_place,
    pay,
    refused,
    register,
    rows,
    run_due,
    stay,
)

pytestmark = pytest.mark.usefixtures("db")

anyone = ApiClient()

PAYMENT = {
    *("id", "booking_id", "reference", "provider", "kind", "amount", "currency", "status"),
    *("refunded_amount", "created_at", "completed_at"),
}


@pytest.fixture
def host() -> Person:
    return register()


@pytest.fixture
def guest() -> Person:
    return register("guest")


@pytest.fixture
def place(host: Person) -> dict[str, Any]:
    return list_a_place(host)


def seen(client: ApiClient, booking: dict[str, Any]) -> dict[str, Any]:
    """A booking as GET shows it."""
    return dict(body(client.get(f"/api/bookings/{booking['id']}/")))


def payments(client: ApiClient, **params: Any) -> list[tuple[str, str, Any, Any]]:
    """One's payments, oldest first: kind, status, amount, what was given back."""
    listed = rows(client.get("/api/payments/", params))
    return [(row["kind"], row["status"], row["amount"], row["refunded_amount"]) for row in listed][::-1]


def violated() -> list[Any]:
    """The invariants that check_books says are broken; it must say so by its exit code too."""
    found, code = check_books()
    broken = [each for each in found["checks"] if each["violations"]]
    assert code == (1 if broken else 0)
    return list(broken)


def test_succeed_answers_200_completed(guest: Person, place: dict[str, Any]) -> None:
    booking = book(guest, place)

    answer = body(pay(guest, booking))

    assert answer["status"] == "completed"
    shown = body(guest.get(f"/api/payments/{answer['payment_id']}/"))
    assert set(shown) >= PAYMENT
    assert_instants(shown)
    assert {key: shown[key] for key in PAYMENT - {"id", "reference", "created_at", "completed_at"}} == {
        "booking_id": booking["id"],
        "provider": "sandbox",
        "kind": "payment",
        "amount": 200,
        "currency": "EUR",
        "status": "completed",
        "refunded_amount": 0,
    }
    assert rows(guest.get("/api/payments/")) == [shown]
    assert shown["completed_at"]
    assert seen(guest, booking)["status"] == "confirmed"


def test_decline_is_402_and_may_be_tried_again(guest: Person, place: dict[str, Any]) -> None:
    booking = book(guest, place)

    refused(pay(guest, booking, "decline"), 402, "card_declined")

    after = seen(guest, booking)
    assert (after["status"], after["payment_status"]) == ("pending", "failed")
    assert payments(guest) == [("payment", "failed", 200, 0)]
    body(pay(guest, booking))
    assert payments(guest) == [("payment", "failed", 200, 0), ("payment", "completed", 200, 0)]
    assert payments(guest, status="failed") == [("payment", "failed", 200, 0)]


@pytest.mark.parametrize("outcome", ["pending", "timeout"])
def test_an_open_outcome_is_202_and_settles_later(guest: Person, place: dict[str, Any], outcome: str) -> None:
    booking = book(guest, place)

    answer = body(pay(guest, booking, outcome), 202)

    assert answer["status"] == "pending"
    assert answer["payment_id"]
    after = seen(guest, booking)
    assert (after["status"], after["payment_status"]) == ("pending", "pending")
    assert payments(guest) == [("payment", "pending", 200, 0)]
    refused(pay(guest, booking), 409)
    run_due(timezone.now() + timedelta(minutes=12))
    assert seen(guest, booking)["status"] == "confirmed"
    assert payments(guest) == [("payment", "completed", 200, 0)]
    refused(pay(guest, booking), 409, "already_paid")
    assert violated() == []


def test_pay_needs_no_provider_and_refuses_what_is_none(guest: Person, place: dict[str, Any]) -> None:
    booking = book(guest, place)
    path = f"/api/bookings/{booking['id']}/pay/"

    for sent in ({"provider": "nobody"}, {"provider": "sandbox", "outcome": "explode"}, {"provider": 5}):
        refused(guest.post(path, sent), 422)
    assert payments(guest) == []
    assert body(guest.post(path, {}))["status"] == "completed"


def test_refund_is_a_payment_of_its_own(host: Person, guest: Person, place: dict[str, Any]) -> None:
    booking = confirmed(guest, place)
    assert body(guest.delete(f"/api/bookings/{booking['id']}/"))["refund_amount"] == 200

    run_due(timezone.now() + timedelta(minutes=1))

    assert sorted(payments(guest)) == [("payment", "refunded", 200, 200), ("refund", "completed", 200, 0)]
    assert seen(guest, booking)["payment_status"] == "refunded"
    assert seen(guest, booking)["refund_amount"] == 200
    assert violated() == []


def test_payments_are_their_parties_own(host: Person, guest: Person, place: dict[str, Any]) -> None:
    confirmed(guest, place)
    (payment,) = rows(guest.get("/api/payments/"))
    stranger = register()

    assert rows(stranger.get("/api/payments/")) == []
    refused(stranger.get(f"/api/payments/{payment['id']}/"), 404, "not_found")
    refused(anyone.get(f"/api/payments/{payment['id']}/"), 401)
    refused(anyone.get("/api/payments/"), 401)


def test_money_without_decimals_stays_so(host: Person, guest: Person) -> None:
    place = list_a_place(host, currency="JPY", price_per_night=12_345, cleaning_fee=5)
    booking = book(guest, place)
    body(pay(guest, booking))

    for path in (f"/api/bookings/{booking['id']}/", "/api/payments/"):
        content = guest.get(path).content
        assert b"24695" in content
        assert b"24695." not in content


def test_webhooks_are_checked(guest: Person) -> None:
    for provider in ("stripe", "paypal", "mpesa", "nobody"):
        refused(anyone.post(f"/api/webhooks/{provider}/", {"id": "evt_1"}), 404)
    refused(anyone.post("/api/webhooks/sandbox/", {"id": "evt_1"}), 400)


def test_request_paid_ahead_and_let_lapse_costs_nothing(host: Person, guest: Person) -> None:
    place = list_a_place(host, instant_book=False)
    asked = book(guest, place)
    assert pay(guest, asked).status_code in (200, 202)

    run_due(timezone.now() + timedelta(hours=24, minutes=1))
    run_due(timezone.now() + timedelta(hours=24, minutes=30))

    assert seen(guest, asked)["status"] == "expired"
    assert "completed" not in [status for _, status, _, _ in payments(guest)]
    assert violated() == []


def test_run_due_prints_what_each_sweep_did_and_again_does_nothing(
    host: Person, guest: Person, place: dict[str, Any]
) -> None:
    book(guest, place)
    stayed = confirmed(guest, place, **stay(80))
    later = timezone.now() + timedelta(days=90)

    first, again = run_due(later), run_due(later)

    assert isinstance(first, dict)
    assert first != again
    assert {row["status"] for row in rows(guest.get("/api/bookings/"))} == {"expired", "completed"}
    assert seen(guest, stayed)["payment_status"] == "completed"
    assert violated() == []


def test_check_books_exits_1_when_an_invariant_is_broken(guest: Person, place: dict[str, Any]) -> None:
    confirmed(guest, place)
    assert violated() == []
    plant("UPDATE ledger_entries SET amount_minor = amount_minor + 1")

    assert violated() != []
