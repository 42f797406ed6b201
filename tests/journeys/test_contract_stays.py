"""Canceling, changing and asking for stays as clients are promised it, with the clock moved on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from backend.bookings.models import Alteration, Booking
from tests.api.client import ApiClient
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
    sign_in_again,
    stay,
)

pytestmark = pytest.mark.usefixtures("db")

CANCELLATION = {"policy", "timezone", "refund_amount", "host_keeps", "currency", "timeline"}
ALTERATION = {"id", "status", "check_in", "check_out", "guests", "price_difference", "expires_at"}
POLICIES = ["flexible", "moderate", "limited", "firm", "strict", "non_refundable"]

HOSTILE: list[Any] = [
    *(True, [], {}, "x", "NaN", "a\x00b", "9999-12-31", "0001-01-01", 10**30, -(10**30), 2**31, 0, -1, 1.5),
    *(1e300, [None], "x" * 5000, "\ud800"),
]


def path(booking: dict[str, Any], action: str = "") -> str:
    return f"/api/bookings/{booking['id']}/{action}"


def cents(value: float) -> int:
    return round(value * 100)


def taxed(host: ApiClient, **fields: Any) -> dict[str, Any]:
    place = list_a_place(host, currency="EUR", price_per_night=99.99, cleaning_fee=30, **fields)
    for tax in ({"name": "VAT", "percent": 6.5}, {"name": "City", "amount": 1.37, "per": "guest_night"}):
        body(host.post(f"/api/properties/{place['id']}/taxes/", tax), 201)
    return place


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("nights", [3, 28])
def test_refund_keeps_and_taxes_are_what_was_paid_on_both_sides_of_every_instant(
    policy: str, nights: int
) -> None:
    host = register()
    place = taxed(host, cancellation_policy=policy)
    guest = register()
    sample = body(guest.get(f"/api/properties/{place['id']}/cancellation/", stay(90, nights)))
    assert set(sample) >= CANCELLATION
    instants = [instant(tier["until"]) for tier in sample["timeline"][:-1]]
    assert sample["timeline"][-1]["until"] is None
    assert instants == sorted(instants)
    booking = confirmed(guest, place, **stay(90, nights))
    paid = cents(booking["total_price"])
    shown = body(guest.get(path(booking, "cancellation/")))
    edges = [(instant(tier["until"]), index) for index, tier in enumerate(shown["timeline"][:-1])]
    for tier in shown["timeline"]:
        assert cents(tier["refund_amount"]) + cents(tier["host_keeps"]) + cents(tier["taxes_kept"]) == paid
        assert tier["sentence"]
    refunds = [cents(tier["refund_amount"]) for tier in shown["timeline"]]
    assert refunds == sorted(refunds, reverse=True)
    for edge, index in edges:
        for at, tier in (
            (edge, shown["timeline"][index]),
            (edge + timedelta(seconds=1), shown["timeline"][index + 1]),
        ):
            with time_machine.travel(at, tick=False):
                sign_in_again(guest)
                then = body(guest.get(path(booking, "cancellation/")))
                names = ("refund_amount", "host_keeps", "taxes_kept")
                assert [then[name] for name in names] == [tier[name] for name in names], (at, tier)
                assert body(guest.get(path(booking)))["cancellation"] == then
    last = instant(shown["timeline"][-2]["until"]) if edges else timezone.now()
    with time_machine.travel(max(last, timezone.now()) + timedelta(seconds=1), tick=False):
        sign_in_again(guest)
        expected = body(guest.get(path(booking, "cancellation/")))
        canceled = body(guest.delete(path(booking), {"reason": "Ill"}))
        run_due(timezone.now() + timedelta(minutes=1))
        assert (canceled["status"], canceled["canceled_by"]) == ("canceled", "guest")
        assert canceled["refund_amount"] == expected["refund_amount"]
        assert body(guest.get(path(booking, "cancellation/")))["refund_amount"] == expected["refund_amount"]
        refused(guest.delete(path(booking)), 409, "wrong_state")
        made = sum(
            cents(row["amount"]) for row in rows(guest.get("/api/payments/")) if row["kind"] == "refund"
        )
        assert made == cents(expected["refund_amount"])
        assert check_books()[1] == 0, check_books()


def test_cancellation_is_its_parties_and_conditional() -> None:
    host, guest = register(), register()
    booking = confirmed(guest, taxed(host))
    url = path(booking, "cancellation/")
    refused(ApiClient().get(url), 401)
    refused(register().get(url), 404, "not_found")
    refused(guest.get(url, {"no_such": 1}), 422)
    assert_instants(body(guest.get(url)))
    assert body(guest.get(url[:-1])) == body(guest.get(url))
    answer = guest.get(url)
    assert guest.get(url, if_none_match=answer["ETag"]).status_code == 304
    tag = guest.get(path(booking))["ETag"]
    body(guest.patch(path(booking), {"guests": 2}))
    refused(guest.delete(path(booking), if_match=tag), 412)
    assert body(guest.get(path(booking)))["status"] == "confirmed"


def test_a_change_that_costs_more_is_due_and_counts_when_paid() -> None:
    host, guest = register(), register()
    place = list_a_place(host, currency="EUR", max_guests=4)
    booking = confirmed(guest, place)
    longer = stay(60, 3)
    refused(ApiClient().patch(path(booking), longer), 401)
    refused(register().patch(path(booking), longer), 404)
    refused(host.patch(path(booking), longer), 403)
    refused(guest.patch(path(booking), {"no_such": 1}), 422, field="no_such")

    asked = body(guest.patch(path(booking), {"check_out": longer["check_out"]}))

    change = asked["alteration"]
    assert set(change) >= ALTERATION
    assert (change["status"], change["price_difference"], change["amount_due"]) == ("accepted", 100, 100)
    assert (asked["total_price"], asked["nights"], asked["status"]) == (200, 2, "confirmed")
    assert_instants(asked)
    refused(guest.patch(path(booking), {"guests": 3}), 409)
    answer = pay(guest, booking, idempotency_key="change-1")
    assert body(answer)["status"] == "completed"
    assert pay(guest, booking, idempotency_key="change-1")["Idempotent-Replayed"] == "true"
    refused(pay(guest, booking), 409, "already_paid")
    now = body(guest.get(path(booking)))
    assert (now["total_price"], now["nights"], now["check_out"]) == (300, 3, longer["check_out"])
    assert sum(line["amount"] for line in now["price_breakdown"]) == 300
    assert now["alteration"]["status"] == "accepted"
    assert [row["amount"] for row in rows(guest.get("/api/payments/"))] in ([100, 200], [200, 100])
    canceled = body(guest.delete(path(booking)))
    assert canceled["refund_amount"] == 300
    run_due(timezone.now() + timedelta(minutes=1))
    refunded = sum(row["amount"] for row in rows(guest.get("/api/payments/")) if row["kind"] == "refund")
    assert refunded == 300
    assert check_books()[1] == 0, check_books()


def test_a_cheaper_change_gives_back_under_the_policy_and_the_equation_holds() -> None:
    host, guest = register(), register()
    place = taxed(host, cancellation_policy="strict")
    booking = confirmed(guest, place, **stay(5, 4))
    before = booking["total_price"]

    shorter = body(guest.patch(path(booking), {"check_out": stay(5, 3)["check_out"]}))

    change = shorter["alteration"]
    assert (change["status"], shorter["nights"]) == ("accepted", 3)
    assert change["price_difference"] < 0
    assert change["refund_amount"] == 0
    assert cents(shorter["total_price"]) == cents(before)
    assert cents(sum(line["amount"] for line in shorter["price_breakdown"])) == cents(before)
    preview = body(guest.get(path(booking, "cancellation/")))
    kept = cents(preview["refund_amount"]) + cents(preview["host_keeps"]) + cents(preview["taxes_kept"])
    assert kept == cents(before)
    freed = {
        "property_id": place["id"],
        "check_in": stay(5, 3)["check_out"],
        "check_out": stay(5, 4)["check_out"],
    }
    body(register().post("/api/bookings/", freed), 201)
    # Only the cleaning comes back, and its tax is none: the same as without the change.
    assert body(guest.delete(path(booking)))["refund_amount"] == preview["refund_amount"] == 30
    run_due(timezone.now() + timedelta(minutes=1))
    assert check_books()[1] == 0, check_books()


def test_a_change_at_a_place_on_request_needs_the_hosts_yes() -> None:
    host, guest, stranger = register(), register(), register()
    place = list_a_place(host, currency="EUR", instant_book=False, max_guests=4)
    booking = book(guest, place)
    body(pay(guest, booking))
    body(host.post(path(booking, "accept/")))
    assert body(guest.get(path(booking)))["status"] == "confirmed"
    refused(host.post(path(booking, "alteration/accept/")), 409, "wrong_state")

    def ask(ahead: int = 60, nights: int = 3, **fields: Any) -> dict[str, Any]:
        found = dict(body(guest.patch(path(booking), {**stay(ahead, nights), **fields}))["alteration"])
        assert found["status"] == "proposed"
        return found

    first = ask()
    assert timedelta(hours=71) < instant(first["expires_at"]) - timezone.now() <= timedelta(hours=72)
    for action in ("accept", "decline", "withdraw"):
        refused(ApiClient().post(path(booking, f"alteration/{action}/")), 401)
        refused(stranger.post(path(booking, f"alteration/{action}/")), 404, "not_found")
    refused(guest.post(path(booking, "alteration/accept/")), 403)
    refused(guest.post(path(booking, "alteration/decline/")), 403)
    refused(host.post(path(booking, "alteration/withdraw/")), 403)
    refused(host.post(path(booking, "alteration/decline/"), {"no_such": 1}), 422)
    declined = body(host.post(path(booking, "alteration/decline/"), {"reason": "No"}))
    assert (declined["alteration"]["status"], declined["nights"], declined["total_price"]) == (
        "declined",
        2,
        200,
    )
    refused(host.post(path(booking, "alteration/decline/")), 409, "wrong_state")

    ask()
    withdrawn = body(guest.post(path(booking, "alteration/withdraw/")))
    assert withdrawn["alteration"]["status"] == "withdrawn"
    refused(guest.post(path(booking, "alteration/withdraw/")), 409, "wrong_state")
    refused(host.post(path(booking, "alteration/accept/")), 409, "wrong_state")

    ask()
    accepted = body(host.post(path(booking, "alteration/accept/"), idempotency_key="yes"))
    again = host.post(path(booking, "alteration/accept/"), idempotency_key="yes")
    assert again["Idempotent-Replayed"] == "true"
    assert (accepted["alteration"]["status"], accepted["nights"]) == ("accepted", 2)
    refused(pay(guest, booking, "decline"), 402, "card_declined")
    assert body(guest.get(path(booking)))["nights"] == 2
    body(pay(guest, booking))
    assert body(guest.get(path(booking)))["nights"] == 3

    cheaper = ask(60, 2)
    assert cheaper["price_difference"] == -100
    done = body(host.post(path(booking, "alteration/accept/")))
    assert (done["nights"], done["total_price"]) == (2, 200)

    ask(60, 4)
    with time_machine.travel(timezone.now() + timedelta(hours=73), tick=False):
        run_due(timezone.now())
        sign_in_again(guest)
        expired = body(guest.get(path(booking)))
        assert (expired["alteration"]["status"], expired["nights"]) == ("expired", 2)
        run_due(timezone.now() + timedelta(minutes=1))
        assert check_books()[1] == 0, check_books()


def test_a_change_takes_no_nonsense() -> None:
    host, guest = register(), register()
    booking = confirmed(guest, list_a_place(host))
    for method, url in (
        ("PATCH", path(booking)),
        ("POST", path(booking, "alteration/preview/")),
    ):
        for field in ("check_in", "check_out", "guests", "pets", "reason"):
            for value in [None, *HOSTILE]:
                answer = guest.request(method, url, {field: value})
                if answer.status_code != 200:
                    assert answer.status_code in (409, 422), (field, value, answer.content)
                    refused(answer, answer.status_code)
    for value in HOSTILE:
        answer = host.post(path(booking, "alteration/"), {"total_price": value})
        assert answer.status_code in (201, 409, 422), (value, answer.content)
    refused(guest.patch(path(booking), b"[]"), 422)
    assert Booking.objects.get().check_in.isoformat() == booking["check_in"]
    assert Alteration.objects.filter(status="accepted").count() == 0


def test_rules_and_taken_nights_refuse_a_change_by_their_codes() -> None:
    host, guest = register(), register()
    place = list_a_place(host, max_guests=2, max_nights=5, min_nights=2, booking_window_days=100)
    booking = confirmed(guest, place)
    book(register(), place, **stay(63, 2))
    for change, status, code in [
        ({"guests": 3}, 422, "too_many_guests"),
        (stay(60, 1), 422, "min_nights"),
        (stay(70, 6), 422, "max_nights"),
        (stay(120, 2), 422, "booking_window"),
        (stay(60, 4), 409, "dates_unavailable"),
        ({"check_out": booking["check_in"]}, 422, "invalid_dates"),
    ]:
        refused(guest.patch(path(booking), change), status, code)
    assert body(guest.get(path(booking)))["alteration"] is None


def test_inquiries_are_their_parties_and_never_hold_nights() -> None:
    host, guest, stranger, nobody = register(), register(), register(), ApiClient()
    place = list_a_place(host, currency="EUR", instant_book=False)
    wish = {"property_id": place["id"], **stay(), "message": "A piano?"}
    refused(nobody.post("/api/inquiries/", wish), 401)
    refused(host.post("/api/inquiries/", wish), 403)
    refused(guest.post("/api/inquiries/", {**wish, "no_such": 1}), 422, field="no_such")
    refused(guest.post("/api/inquiries/", {**wish, "property_id": 99999}), 404)
    asked = body(guest.post("/api/inquiries/", wish, idempotency_key="q1"), 201)
    assert guest.post("/api/inquiries/", wish, idempotency_key="q1")["Idempotent-Replayed"] == "true"
    refused(guest.post("/api/inquiries/", wish), 409)
    assert_instants(asked)
    one = f"/api/inquiries/{asked['id']}/"
    refused(stranger.get(one), 404)
    refused(nobody.get(one), 401)
    tag = guest.get(one)["ETag"]
    assert guest.get(one, if_none_match=tag).status_code == 304
    assert len(rows(host.get("/api/inquiries/", {"as": "host"}))) == 1
    assert rows(host.get("/api/inquiries/")) == []
    refused(guest.get("/api/inquiries/", {"status": "x"}), 422)
    refused(guest.get("/api/inquiries/", {"no_such": 1}), 422)
    assert body(stranger.post(f"/api/properties/{place['id']}/quote/", stay()))["total_price"] == 200
    for action, said in (("pre-approve", None), ("special-offer", {"total_price": 150}), ("decline", None)):
        refused(stranger.post(f"{one}{action}/", said), 404)
        refused(guest.post(f"{one}{action}/", said), 403)
        refused(nobody.post(f"{one}{action}/", said), 401)
    for value in HOSTILE:
        if value not in (1.5, 2**31):
            refused(host.post(f"{one}special-offer/", {"total_price": value}), 422)
    offered = body(host.post(f"{one}special-offer/", {"total_price": 150.5}))
    assert (offered["status"], offered["total_price"]) == ("offered", 150.5)
    booking = book(guest, place, inquiry_id=asked["id"])
    assert (booking["total_price"], booking["pending_reason"]) == (150.5, "payment")
    assert sum(cents(line["amount"]) for line in booking["price_breakdown"]) == 15050
    body(pay(guest, booking))
    refused(
        guest.post("/api/bookings/", {"property_id": place["id"], **stay(), "inquiry_id": asked["id"]}), 409
    )
    assert check_books()[1] == 0


def test_today_tells_who_comes_and_what_waits() -> None:
    host, guest = register(), register()
    place = list_a_place(host, instant_book=False, timezone="UTC")
    waiting = book(guest, place)
    refused(ApiClient().get("/api/host/today/"), 401)
    refused(host.get("/api/host/today/", {"no_such": 1}), 422)
    answer = host.get("/api/host/today/")
    day = body(answer)
    assert set(day) >= {"arrivals", "departures", "waiting_requests"}
    assert [row["id"] for row in day["waiting_requests"]] == [waiting["id"]]
    assert host.get("/api/host/today/", if_none_match=answer["ETag"]).status_code == 304
    assert body(guest.get("/api/host/today/"))["waiting_requests"] == []
    body(pay(guest, waiting))
    body(host.post(path(waiting, "accept/")))
    noon = datetime.fromisoformat(waiting["check_in"] + "T12:00:00").replace(tzinfo=UTC)
    for at, kind in ((noon, "arrivals"), (noon + timedelta(days=2), "departures")):
        with time_machine.travel(at, tick=False):
            sign_in_again(host)
            found = body(host.get("/api/host/today/"))
            assert [row["id"] for row in found[kind]] == [waiting["id"]]


def test_host_cancels_and_everything_comes_back() -> None:
    host, guest = register(), register()
    place = taxed(host, cancellation_policy="non_refundable")
    booking = confirmed(guest, place, **stay(3, 2))
    preview = body(host.get(path(booking, "cancellation/")))
    assert preview["refund_amount"] == booking["total_price"]
    assert preview["host_keeps"] == 0
    canceled = body(host.delete(path(booking), {"reason": "Fire"}))
    assert (canceled["canceled_by"], canceled["refund_amount"]) == ("host", booking["total_price"])
    run_due(timezone.now() + timedelta(minutes=1))
    assert check_books()[1] == 0


def test_stay_cut_short_frees_the_rest() -> None:
    host = register()
    guest: Person = register()
    place = taxed(host, cancellation_policy="flexible", timezone="UTC")
    booking = confirmed(guest, place, **stay(10, 5))
    with time_machine.travel(
        datetime.fromisoformat(booking["check_in"] + "T20:00:00").replace(tzinfo=UTC) + timedelta(days=1),
        tick=False,
    ):
        for person in (guest, host):
            sign_in_again(person)
        before = body(guest.get(path(booking, "cancellation/")))
        total = sum(cents(before[name]) for name in ("refund_amount", "host_keeps", "taxes_kept"))
        assert total == cents(booking["total_price"])
        done = body(guest.delete(path(booking)))
        assert done["refund_amount"] == before["refund_amount"] > 0
        span = {"from": booking["check_in"], "to": booking["check_out"]}
        free = [row["available"] for row in rows(host.get(f"/api/properties/{place['id']}/calendar/", span))]
        assert free[2:] == [True] * 3
        run_due(timezone.now() + timedelta(minutes=1))
        assert check_books()[1] == 0, check_books()
