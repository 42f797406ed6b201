"""From a question to a changed stay, over real HTTP with a worker: who is told, what is charged, what comes back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from backend.jobs.books import check_books
from tests.conftest import Server
from tests.journeys.test_guest_books_host_is_told import START, Person, mails_to, wait_for

pytestmark = pytest.mark.usefixtures("db")

PAY = {"provider": "sandbox", "outcome": "succeed"}


def _day(index: int) -> str:
    return (START + timedelta(days=index)).isoformat()


def _kinds(person: Person) -> list[str]:
    notices = person.call("GET", "/api/notifications/", 200)["results"]
    return [notice["kind"] for notice in reversed(notices)]


def _free(person: Person, listing_id: int, index: int) -> bool:
    path = f"/api/properties/{listing_id}/calendar/"
    rows = person.call("GET", path, 200, **{"from": _day(index), "to": _day(index + 1)})["results"]
    return bool(rows[0]["available"])


def test_a_question_becomes_an_offer_a_stay_and_a_changed_stay(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = start_server(worker=True)
    host, guest, rival = (Person(server, role) for role in ("host", "guest", "guest"))
    listing_id = host.list_a_place()
    dates = {"check_in": _day(0), "check_out": _day(4)}

    asked = guest.call(
        "POST",
        "/api/inquiries/",
        201,
        {"property_id": listing_id, **dates, "guests": 1, "message": "May we bring a piano?"},
    )
    host.call("POST", f"/api/inquiries/{asked['id']}/special-offer/", 200, {"total_price": 360})
    assert _free(guest, listing_id, 0)
    booking = guest.call(
        "POST", "/api/bookings/", 201, {"property_id": listing_id, **dates, "inquiry_id": asked["id"]}
    )
    path = f"/api/bookings/{booking['id']}/"
    guest.call("POST", f"{path}pay/", 200, PAY)
    assert guest.call("GET", path, 200)["total_price"] == 360

    # Two nights more, at today's price: they count when they are paid.
    longer = guest.call("PATCH", path, 200, {"check_out": _day(6)})
    assert (longer["nights"], longer["alteration"]["amount_due"]) == (4, 200)
    assert _free(guest, listing_id, 5)
    guest.call("POST", f"{path}pay/", 200, PAY)
    assert guest.call("GET", path, 200)["nights"] == 6
    assert not _free(guest, listing_id, 5)

    # One night less: the worker gives it back, and somebody else can have it.
    shorter = guest.call("PATCH", path, 200, {"check_out": _day(5)})
    assert (shorter["nights"], shorter["alteration"]["refund_amount"]) == (5, 100)

    def refunds() -> list[dict[str, Any]]:
        mine = guest.call("GET", "/api/payments/", 200)["results"]
        return [row for row in mine if row["kind"] == "refund" and row["status"] == "completed"]

    assert [row["amount"] for row in wait_for(refunds)] == [100]
    rival.book_and_pay(listing_id, START + timedelta(days=5), nights=1)
    taken = guest.call("PATCH", path, 409, {"check_out": _day(6)})
    assert taken["code"] == "dates_unavailable"

    shown = host.call("GET", path, 200)
    assert (shown["total_price"], shown["check_out"]) == (460, _day(5))
    assert sum(line["amount"] for line in shown["price_breakdown"]) == 460
    assert _kinds(host)[:4] == ["inquiry.received", "booking.confirmed", "booking.changed", "booking.changed"]
    assert [kind for kind in _kinds(guest) if kind.startswith(("inquiry", "booking"))] == [
        "inquiry.offered",
        "booking.confirmed",
        "booking.changed",
        "booking.changed",
    ]
    changed = wait_for(
        lambda: [mail for mail in mails_to(host, tmp_path / "mail") if mail["Subject"].startswith("Changed:")]
    )
    assert changed
    assert [finding.check.name for finding in check_books() if finding.count] == []
