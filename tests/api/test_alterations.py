"""Changes of bookings and guest lists over HTTP."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backend.bookings import quotes
from backend.bookings.models import Alteration, Booking
from backend.core.stay import Stay
from tests.api.client import ApiClient
from tests.bookings.making import STAY, book, confirmed, journal
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

PAY = {"provider": "sandbox", "outcome": "succeed"}
LONGER = {"check_out": "2027-05-09"}


@pytest.fixture(autouse=True)
def _at_now():
    with time_machine.travel(NOW, tick=False):
        yield


def _path(booking, action=""):
    return f"/api/bookings/{booking.pk}/{action}"


def test_ask_answers_with_the_change_and_pay_puts_it_in_force():
    booking = confirmed(make_listing())
    guest = ApiClient(booking.guest)

    answer = guest.patch(_path(booking), {**LONGER, "guests": 2, "reason": "Two more days, please."})

    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert body["alteration"] == {
        "id": Alteration.objects.get().pk,
        "status": "accepted",
        "proposed_by": "guest",
        "check_in": "2027-05-03",
        "check_out": "2027-05-09",
        "guests": 2,
        "pets": 0,
        "price_difference": 200,
        "refund_amount": 0,
        "total_price": 600,
        "amount_due": 200,
        "currency": "EUR",
        "charged_due": None,
        "reason": "Two more days, please.",
        "expires_at": "2027-03-02T09:00:00Z",
        "created_at": "2027-03-01T09:00:00Z",
        "in_force_at": None,
    }
    assert (body["check_out"], body["guests"], body["total_price"]) == ("2027-05-07", 1, 400)
    assert [step["text"] for step in body["timeline"]][-2:] == [
        "A change was asked for. Two more days, please.",
        "The change was accepted; it counts when the difference is paid.",
    ]

    paid = guest.post(_path(booking, "pay/"), PAY)
    assert (paid.status_code, paid.json()["status"]) == (200, "completed")
    after = guest.get(_path(booking)).json()
    assert (after["check_out"], after["nights"], after["guests"], after["total_price"]) == (
        "2027-05-09",
        6,
        2,
        600,
    )
    assert [(line["code"], line["quantity"], line["amount"]) for line in after["price_breakdown"]] == [
        ("night", 6, 600)
    ]
    assert (after["payment_status"], after["alteration"]["amount_due"]) == ("completed", 0)
    assert after["alteration"]["in_force_at"] == "2027-03-01T09:00:00Z"
    again = guest.post(_path(booking, "pay/"), PAY)
    assert (again.status_code, again.json()["code"]) == (409, "already_paid")


def test_ask_says_what_is_due_in_the_currency_that_the_guest_pays_in():
    listing, guest = make_listing(), make_user()
    token = quotes.make(listing=listing, stay=STAY, guests=1, now=NOW, currency="JPY").token
    booking = confirmed(listing, guest, quote_token=token)
    client = ApiClient(guest)

    due = client.patch(_path(booking), LONGER).json()
    client.post(_path(booking, "pay/"), PAY)
    paid = client.get(_path(booking)).json()

    # 600.00 EUR are 105,408 JPY, of which 70,272 are paid.
    assert due["charged"]["amount"] == 70_272
    assert (due["alteration"]["amount_due"], due["alteration"]["currency"]) == (200, "EUR")
    assert due["alteration"]["charged_due"] == {"amount": 35_136, "currency": "JPY"}
    assert (paid["charged"]["amount"], paid["alteration"]["charged_due"]) == (105_408, None)
    assert journal("charge") == [(70_272, "succeeded"), (35_136, "succeeded")]


def test_ask_with_a_bad_card_leaves_it_unpaid():
    booking = confirmed(make_listing())
    guest = ApiClient(booking.guest)
    guest.patch(_path(booking), LONGER)

    answer = guest.post(_path(booking, "pay/"), {**PAY, "outcome": "decline"})

    assert (answer.status_code, answer.json()["code"]) == (402, "card_declined")
    shown = guest.get(_path(booking)).json()
    assert (shown["total_price"], shown["alteration"]["amount_due"]) == (400, 200)
    assert (shown["status"], shown["payment_status"]) == ("confirmed", "completed")


def test_ask_for_less_says_what_comes_back():
    booking = confirmed(make_listing())
    guest = ApiClient(booking.guest)

    body = guest.patch(_path(booking), {"check_out": "2027-05-05"}).json()

    alteration = body["alteration"]
    assert (alteration["price_difference"], alteration["refund_amount"]) == (-200, 200)
    assert (alteration["status"], body["total_price"], body["nights"]) == ("accepted", 200, 2)
    free = ApiClient(make_user()).post(
        "/api/bookings/",
        {"property_id": booking.listing_id, "check_in": "2027-05-05", "check_out": "2027-05-07"},
    )
    assert free.status_code == 201


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "nothing_changes"),
        ({"check_in": "2027-05-03", "guests": 1}, 422, "nothing_changes"),
        ({"check_out": "2027-05-03"}, 422, "invalid_dates"),
        ({"check_in": "2027-02-01"}, 422, "check_in_past"),
        ({"guests": 5}, 422, "too_many_guests"),
        ({"guests": 0}, 422, "too_small"),
        ({"guests": "2"}, 422, "invalid_integer"),
        ({"pets": 21}, 422, "too_large"),
        ({"total_price": 1}, 422, "unknown_field"),
        ({"check_out": "soon"}, 422, "invalid_date"),
        ({"check_out": "2027-05-12"}, 409, "dates_unavailable"),
    ],
)
def test_ask_refuses_and_changes_nothing(body, status, code):
    listing = make_listing()
    booking = confirmed(listing)
    confirmed(listing, stay=Stay(date(2027, 5, 10), date(2027, 5, 12)))
    guest = ApiClient(booking.guest)
    before = guest.get(_path(booking)).json()

    answer = guest.patch(_path(booking), body)

    problem = answer.json()
    assert answer.status_code == status
    assert code in {problem["code"], *(error["code"] for error in problem.get("errors") or [])}
    assert guest.get(_path(booking)).json() == before
    assert not Alteration.objects.exists()


def test_ask_while_one_is_open_is_refused():
    booking = confirmed(make_listing())
    guest = ApiClient(booking.guest)
    guest.patch(_path(booking), LONGER)

    answer = guest.patch(_path(booking), {"guests": 2})

    assert (answer.status_code, answer.json()["code"]) == (409, "alteration_open")
    assert Alteration.objects.count() == 1


def test_ask_of_a_pending_or_canceled_booking_is_refused():
    pending = book(make_listing())
    canceled = confirmed(make_listing())
    ApiClient(canceled.guest).delete(_path(canceled))

    for booking in (pending, canceled):
        answer = ApiClient(booking.guest).patch(_path(booking), {"guests": 2})
        assert (answer.status_code, answer.json()["code"]) == (409, "wrong_state")


def test_ask_of_what_one_has_not_seen_is_refused():
    booking = confirmed(make_listing())
    guest = ApiClient(booking.guest)
    tag = guest.get(_path(booking))["ETag"]
    guest.put(_path(booking, "guest-list/"), {"guests": [{"name": "Ana"}]})

    stale = guest.patch(_path(booking), {"guests": 2}, if_match=tag)

    assert (stale.status_code, Booking.objects.get().guests) == (412, 1)
    fresh = guest.get(_path(booking))["ETag"]
    assert guest.patch(_path(booking), {"guests": 2}, if_match=fresh).status_code == 200


@pytest.mark.parametrize("action", ["accept", "decline"])
def test_answers_come_from_the_other_side(action):
    booking = _confirmed_request()
    guest, host = ApiClient(booking.guest), ApiClient(booking.host)
    asked = guest.patch(_path(booking), {"guests": 2}).json()
    assert asked["alteration"]["status"] == "proposed"
    path = _path(booking, f"alteration/{action}/")

    refused = {
        "guest": guest.post(path).status_code,
        "stranger": ApiClient(make_user()).post(path).status_code,
        "nobody": ApiClient().post(path).status_code,
    }
    assert refused == {"guest": 403, "stranger": 404, "nobody": 401}
    assert Alteration.objects.get().status == "proposed"

    answer = host.post(path)
    assert answer.status_code == 200
    assert answer.json()["alteration"]["status"] == {"accept": "accepted", "decline": "declined"}[action]
    assert answer.json()["guests"] == {"accept": 2, "decline": 1}[action]
    again = host.post(path)
    assert (again.status_code, again.json()["code"]) == (409, "wrong_state")


def _confirmed_request():
    booking = book(make_listing(instant_book=False))
    guest = ApiClient(booking.guest)
    guest.post(_path(booking, "pay/"), PAY)
    assert ApiClient(booking.host).post(_path(booking, "accept/")).json()["status"] == "confirmed"
    return booking


def test_withdraw_is_the_proposers():
    booking = _confirmed_request()
    guest, host = ApiClient(booking.guest), ApiClient(booking.host)
    guest.patch(_path(booking), LONGER)
    path = _path(booking, "alteration/withdraw/")

    assert [client.post(path).status_code for client in (host, ApiClient(make_user()), ApiClient())] == [
        403,
        404,
        401,
    ]
    answer = guest.post(path)

    assert (answer.status_code, answer.json()["alteration"]["status"]) == (200, "withdrawn")
    assert guest.post(path).status_code == 409


def test_change_is_for_the_guest_and_proposing_for_the_host():
    booking = confirmed(make_listing())
    guest, host = ApiClient(booking.guest), ApiClient(booking.host)
    proposal = _path(booking, "alteration/")

    answers = {
        "host asks": host.patch(_path(booking), LONGER),
        "stranger asks": ApiClient(make_user()).patch(_path(booking), LONGER),
        "nobody asks": ApiClient().patch(_path(booking), LONGER),
        "guest proposes": guest.post(proposal, {"total_price": 1}),
        "stranger proposes": ApiClient(make_user()).post(proposal, {"total_price": 1}),
        "nobody proposes": ApiClient().post(proposal, {"total_price": 1}),
    }

    assert {who: answer.status_code for who, answer in answers.items()} == {
        "host asks": 403,
        "stranger asks": 404,
        "nobody asks": 401,
        "guest proposes": 403,
        "stranger proposes": 404,
        "nobody proposes": 401,
    }
    assert not Alteration.objects.exists()


def test_propose_and_accept():
    booking = confirmed(make_listing())
    guest, host = ApiClient(booking.guest), ApiClient(booking.host)

    made = host.post(_path(booking, "alteration/"), {"total_price": 350.5, "reason": "For the noise."})
    assert made.status_code == 201, made.content
    assert made.json()["alteration"]["price_difference"] == -49.5
    accepted = guest.post(_path(booking, "alteration/accept/"))

    assert (accepted.status_code, accepted.json()["total_price"]) == (200, 350.5)
    assert sum(line["amount"] for line in accepted.json()["price_breakdown"]) == 350.5
    description = accepted.json()["price_breakdown"][1]["description"]
    assert description not in ("", "Discount")


@pytest.mark.parametrize(
    ("total", "code"), [(0, "not_positive"), (300.001, "too_precise"), (400, "nothing_changes")]
)
def test_propose_refuses_bad_totals(total, code):
    booking = confirmed(make_listing())

    answer = ApiClient(booking.host).post(_path(booking, "alteration/"), {"total_price": total})

    problem = answer.json()
    assert answer.status_code == 422
    assert code in {problem["code"], *(error["code"] for error in problem.get("errors") or [])}
    assert not Alteration.objects.exists()


def test_guest_list_is_told_by_the_guest_and_seen_by_both():
    booking = confirmed(make_listing(), guests=2)
    guest, host = ApiClient(booking.guest), ApiClient(booking.host)
    path = _path(booking, "guest-list/")
    told = {
        "guests": [{"name": "Ana Silva"}, {"name": "Rui", "is_child": True, "age": 7}],
        "arrival_time": "16:30",
        "arrival_note": "By train.",
    }

    answer = guest.put(path, told)

    assert answer.status_code == 200, answer.content
    for body in (answer.json(), host.get(_path(booking)).json()):
        assert body["guest_list"] == [
            {"name": "Ana Silva", "is_child": False, "age": None},
            {"name": "Rui", "is_child": True, "age": 7},
        ]
        assert (body["arrival_time"], body["arrival_note"]) == ("16:30", "By train.")
        assert body["timeline"][-1]["event"] == "guests_listed"
    fewer = guest.put(path, {"guests": [{"name": "Ana Silva"}], "arrival_note": None}).json()
    assert (len(fewer["guest_list"]), fewer["arrival_time"], fewer["arrival_note"]) == (1, "16:30", "")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "required"),
        ({"guests": [{"name": "A"}, {"name": "B"}]}, "too_many_guests"),
        ({"guests": [{"name": ""}]}, "blank"),
        ({"guests": [{"name": "A", "age": 121}]}, "too_large"),
        ({"guests": [{"name": "A", "passport": "1"}]}, "unknown_field"),
        ({"guests": [], "arrival_time": "late"}, "invalid_time"),
        ({"guests": [], "arrival_note": "x" * 1001}, "too_long"),
    ],
)
def test_guest_list_refuses_and_changes_nothing(body, code):
    booking = confirmed(make_listing())

    answer = ApiClient(booking.guest).put(_path(booking, "guest-list/"), body)

    assert answer.status_code == 422
    assert [error["code"] for error in answer.json()["errors"]] == [code]
    fresh = Booking.objects.get()
    assert (fresh.guest_list, fresh.arrival_time, fresh.arrival_note, fresh.version) == ([], None, "", 2)


def test_guest_list_is_the_guests_until_check_out():
    booking = confirmed(make_listing())
    path, body = _path(booking, "guest-list/"), {"guests": [{"name": "Ana"}]}

    answers = [
        client.put(path, body).status_code
        for client in (ApiClient(booking.host), ApiClient(make_user()), ApiClient())
    ]
    assert answers == [403, 404, 401]
    with time_machine.travel(booking.check_out_at - timedelta(seconds=1), tick=False):
        assert ApiClient(booking.guest).put(path, body).status_code == 200
    with time_machine.travel(booking.check_out_at, tick=False):
        late = ApiClient(booking.guest).put(path, {"guests": []})

    assert (late.status_code, late.json()["code"]) == (409, "wrong_state")
    assert Booking.objects.get().guest_list != []


def test_guest_list_of_a_held_booking_keeps_the_hold():
    booking = book(make_listing())

    answer = ApiClient(booking.guest).put(_path(booking, "guest-list/"), {"guests": [{"name": "Ana"}]})

    body = answer.json()
    assert (answer.status_code, body["status"], body["pending_reason"]) == (200, "pending", "payment")
    assert body["expires_at"] == "2027-03-01T09:15:00Z"


def test_list_with_changes_asks_the_same_number_of_queries():
    guest, counts = make_user(), []
    for number in range(3):
        booking = confirmed(make_listing(), guest)
        client = ApiClient(guest)
        for _ in range(number):
            client.patch(_path(booking), {"guests": 2})
            client.patch(_path(booking), {"guests": 1})
        with CaptureQueriesContext(connection) as queries:
            answer = client.get("/api/bookings/")
        counts.append((answer.json()["count"], len(queries)))

    assert [count for count, _queries in counts] == [1, 2, 3]
    assert len({queries for _count, queries in counts}) == 1


def test_preview_tells_what_it_would_come_to_and_writes_nothing():
    booking = confirmed(make_listing(cancellation_policy="firm"))
    guest, host = ApiClient(booking.guest), ApiClient(booking.host)
    path = _path(booking, "alteration/preview/")
    before = guest.get(_path(booking)).json()

    longer = guest.post(path, LONGER).json()
    with time_machine.travel("2027-04-20T09:00:00Z", tick=False):
        shorter = ApiClient(booking.guest).post(path, {"check_out": "2027-05-05"}).json()
        later = ApiClient(booking.guest).post(path, {"check_in": "2027-05-04"}).json()
    cheaper = host.post(path, {"total_price": 350}).json()

    assert (longer["price_difference"], longer["total_price"], longer["asks_host"]) == (200, 600, False)
    assert [(line["code"], line["amount"]) for line in longer["lines"]] == [("night", 600)]
    assert (shorter["price_difference"], shorter["refund_amount"], shorter["host_keeps"]) == (-200, 100, 100)
    assert (shorter["total_price"], shorter["asks_host"]) == (300, False)
    # A later check-in would win back what a cancellation forfeits now.
    assert later["asks_host"] is True
    assert (cheaper["price_difference"], cheaper["refund_amount"], cheaper["host_keeps"]) == (-50, 50, 0)
    assert guest.get(_path(booking)).json() == before
    assert not Alteration.objects.exists()


def test_preview_is_for_its_parties_and_a_total_for_the_host():
    booking = confirmed(make_listing())
    path = _path(booking, "alteration/preview/")
    guest = ApiClient(booking.guest)

    answers = {
        "guest": guest.post(path, LONGER).status_code,
        "guest names a total": guest.post(path, {"total_price": 1}).status_code,
        "support": ApiClient(make_user("support")).post(path, LONGER).status_code,
        "stranger": ApiClient(make_user()).post(path, {"total_price": 1}).status_code,
        "nobody": ApiClient().post(path, LONGER).status_code,
    }

    assert answers == {
        "guest": 200,
        "guest names a total": 403,
        "support": 403,
        "stranger": 404,
        "nobody": 401,
    }
