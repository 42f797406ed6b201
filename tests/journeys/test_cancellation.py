"""From the quote to the books: what a policy says beforehand is what happens, and everybody's share is booked."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from backend.payments import ledger
from tests.journeys.contract import (
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

NIGHTS = 4


def _place(host: Any, policy: str, **fields: Any) -> dict[str, Any]:
    place = list_a_place(host, cancellation_policy=policy, price_per_night=100, cleaning_fee=30, **fields)
    tax = {"name": "City tax", "percent": 10}
    body(host.post(f"/api/properties/{place['id']}/taxes/", tax), 201)
    return place


def _path(booking: dict[str, Any], action: str = "") -> str:
    return f"/api/bookings/{booking['id']}/{action}"


@pytest.mark.parametrize(
    ("policy", "total", "refund", "host_keeps", "taxes_kept"),
    [
        ("flexible", 470, 470, 0, 0),
        # The first night and half of the other three.
        ("moderate", 470, 195, 250, 25),
        ("limited", 470, 30, 400, 40),
        ("firm", 470, 30, 400, 40),
        ("strict", 470, 30, 400, 40),
        ("non_refundable", 426, 30, 360, 36),
    ],
)
def test_three_days_before_each_policy_gives_what_it_says(
    policy: str, total: float, refund: float, host_keeps: float, taxes_kept: float
) -> None:
    host, guest = register(), register("guest")
    place, dates = _place(host, policy), stay(3, NIGHTS)
    quote = body(guest.post(f"/api/properties/{place['id']}/quote/", dates))
    before = body(guest.get(f"/api/properties/{place['id']}/cancellation/", dates))
    booking = confirmed(guest, place, **dates, quote_token=quote["quote_token"])
    preview = body(guest.get(_path(booking, "cancellation/")))

    canceled = body(guest.delete(_path(booking)))
    run_due(timezone.now() + timedelta(minutes=1))

    expected = {"refund_amount": refund, "host_keeps": host_keeps, "taxes_kept": taxes_kept}
    assert (quote["total_price"], quote["cancellation"]["policy"]) == (total, policy)
    for said in (quote["cancellation"], before, preview, canceled["cancellation"]):
        assert {name: said[name] for name in expected} == expected
    assert canceled["refund_amount"] == refund
    assert refund + host_keeps + taxes_kept == total
    made = [row["amount"] for row in rows(guest.get("/api/payments/")) if row["kind"] == "refund"]
    assert made == [refund]
    balances = {account: amount for (account, _currency), amount in ledger.trial_balance().items() if amount}
    fee = round(host_keeps * 15.5)
    parts = {
        "clearing:sandbox": round((total - refund) * 100),
        "host_payable": fee - round(host_keeps * 100),
        "revenue": -fee,
        "tax": -round(taxes_kept * 100),
    }
    assert balances == {account: amount for account, amount in parts.items() if amount}
    assert check_books()[1] == 0


def test_a_host_who_cancels_sees_the_cost_pays_it_and_cannot_sell_the_nights_again() -> None:
    host, guest = register(), register("guest")
    place = _place(host, "flexible")
    booking = confirmed(guest, place, **stay(20, NIGHTS))
    preview = body(host.get(_path(booking, "cancellation/")))
    assert preview["penalty"] == {"amount": 100, "percent": 25, "currency": place["currency"]}

    canceled = body(host.delete(_path(booking), {"reason": "Repairs"}))
    run_due(timezone.now() + timedelta(minutes=1))

    assert (canceled["canceled_by"], canceled["refund_amount"]) == ("host", 470)
    nights = {"from": booking["check_in"], "to": booking["check_out"]}
    calendar = f"/api/properties/{place['id']}/calendar/"
    host.put(calendar, {**nights, "available": True})
    closed = rows(host.get(calendar, nights))
    assert [(row["available"], row["reason"]) for row in closed] == [(False, "host")] * NIGHTS
    again = {"property_id": place["id"], **stay(20, NIGHTS)}
    refused(register().post("/api/bookings/", again), 409, "dates_unavailable")
    told = [row["kind"] for row in rows(host.get("/api/notifications/"))]
    assert told.count("host.penalty") == 1
    assert ledger.trial_balance()["host_payable", place["currency"]] == 10_000
    assert check_books()[1] == 0


def test_a_request_that_is_set_aside_costs_nothing_to_cancel() -> None:
    host, guest = register(), register("guest")
    place = _place(host, "non_refundable", instant_book=False)
    asked = book(guest, place, **stay(3, NIGHTS))
    body(pay(guest, asked))

    canceled = body(guest.delete(_path(asked)))
    run_due(timezone.now() + timedelta(minutes=1))

    assert (canceled["status"], canceled["refund_amount"]) == ("canceled", 0)
    assert {account: amount for account, amount in ledger.trial_balance().items() if amount} == {}
    assert check_books()[1] == 0
