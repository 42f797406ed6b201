"""Bookings over HTTP."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backend.availability.models import Block
from backend.bookings import services as bookings
from backend.bookings.models import Booking
from backend.payments.models import MoneyOp, SandboxRecord
from tests.api.client import ApiClient
from tests.bookings.making import book, confirmed, state
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

DATES = {"check_in": "2027-05-03", "check_out": "2027-05-07"}
PAY = {"provider": "sandbox", "outcome": "succeed"}


@pytest.fixture(autouse=True)
def _at_now():
    with time_machine.travel(NOW, tick=False):
        yield


def _made(client: ApiClient, listing, **body):
    answer = client.post("/api/bookings/", {"property_id": listing.pk, **DATES, **body})
    assert answer.status_code == 201, answer.content
    return answer.json()


def _tier(until, refund, sentence):
    return {
        "until": until,
        "refund_amount": refund,
        "host_keeps": 400 - refund,
        "taxes_kept": 0,
        "sentence": sentence,
    }


def test_create_answers_with_the_held_booking():
    listing, guest = make_listing(), make_user()

    body = _made(ApiClient(guest), listing, guests=2, message="We arrive around eight.")

    booking = Booking.objects.get()
    assert body == {
        "id": booking.pk,
        "reference": booking.reference,
        "property": "Flat over the river",
        "property_id": listing.pk,
        "guest": {"id": guest.pk, "first_name": guest.first_name},
        "host": {"id": listing.host_id, "first_name": listing.host.first_name},
        **DATES,
        "nights": 4,
        "guests": 2,
        "pets": 0,
        "status": "pending",
        "pending_reason": "payment",
        "canceled_by": None,
        "total_price": 400,
        "currency": "EUR",
        "charged": None,
        "price_breakdown": [
            {
                "code": "night",
                "description": "4 nights",
                "quantity": 4,
                "unit_amount": 100,
                "amount": 400,
                "rule": {
                    "id": "night.base",
                    "kind": "base",
                    "inputs": {"dates": [{"from": "2027-05-03", "to": "2027-05-07"}]},
                },
            }
        ],
        "refund_amount": None,
        "host_payout": None,
        "expires_at": "2027-03-01T09:15:00Z",
        "payment_status": "unpaid",
        "cancellation": {
            "policy": "flexible",
            "policy_version": 1,
            "timezone": "Europe/Lisbon",
            "refund_amount": 0,
            "host_keeps": 0,
            "taxes_kept": 0,
            "currency": "EUR",
            "timeline": [
                _tier(
                    "2027-05-02T14:00:00Z",
                    400,
                    "Until 2 May 2027, 15:00 (Lisbon time): €400.00 back; after that €300.00.",
                ),
                _tier(
                    "2027-05-03T22:59:59Z",
                    300,
                    "Until 3 May 2027, 23:59 (Lisbon time): €300.00 back; after that €200.00.",
                ),
                _tier(
                    "2027-05-04T22:59:59Z",
                    200,
                    "Until 4 May 2027, 23:59 (Lisbon time): €200.00 back; after that €100.00.",
                ),
                _tier(
                    "2027-05-05T22:59:59Z",
                    100,
                    "Until 5 May 2027, 23:59 (Lisbon time): €100.00 back; after that €0.00.",
                ),
                _tier(None, 0, "After 5 May 2027, 23:59 (Lisbon time): €0.00 back."),
            ],
            "penalty": None,
        },
        "conversation_id": booking.conversation_id,
        "message": "We arrive around eight.",
        "guest_list": [],
        "arrival_time": None,
        "arrival_note": "",
        "alteration": None,
        "timeline": [
            {
                "at": "2027-03-01T09:00:00Z",
                "event": "held",
                "by": "guest",
                "text": "The nights are held until the payment.",
            }
        ],
        "created_at": "2027-03-01T09:00:00Z",
        "updated_at": "2027-03-01T09:00:00Z",
    }


def test_create_needs_a_user():
    answer = ApiClient().post("/api/bookings/", {"property_id": make_listing().pk, **DATES})

    assert answer.status_code == 401
    assert not Booking.objects.exists()


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"check_out": "2027-05-03"}, 422, "invalid_dates"),
        ({"check_in": "2027-02-01"}, 422, "check_in_past"),
        ({"check_in": "tomorrow"}, 422, "invalid_date"),
        ({"check_in": None}, 422, "invalid_date"),
        ({"guests": 5}, 422, "too_many_guests"),
        ({"guests": "2"}, 422, "invalid_integer"),
        ({"guests": -1}, 422, "too_small"),
        ({"property_id": 10**9}, 404, "not_found"),
        ({"property_id": 2**70}, 422, "too_large"),
        ({"quote_token": "nonsense"}, 422, "invalid_quote"),
        ({"promo_code": "SUMMER"}, 422, "invalid_promo_code"),
        ({"message": "a\u0000b"}, 422, "invalid_text"),
        ({"message": "x" * 2001}, 422, "too_long"),
        ({"price": 1}, 422, "unknown_field"),
    ],
)
def test_create_refuses_bad_input_and_makes_nothing(body, status, code):
    listing = make_listing()

    answer = ApiClient(make_user()).post("/api/bookings/", {"property_id": listing.pk, **DATES, **body})

    problem = answer.json()
    assert answer.status_code == status
    assert code in {problem["code"], *(error["code"] for error in problem.get("errors", []))}
    assert not Booking.objects.exists()
    assert not Block.objects.exists()


def test_create_refuses_ones_own_property_and_taken_nights():
    listing, guest = make_listing(), ApiClient(make_user())
    own = ApiClient(listing.host).post("/api/bookings/", {"property_id": listing.pk, **DATES})
    assert (own.status_code, own.json()["code"]) == (403, "own_property")
    _made(guest, listing)

    for client in (guest, ApiClient(make_user())):
        taken = client.post("/api/bookings/", {"property_id": listing.pk, **DATES})
        assert (taken.status_code, taken.json()["code"]) == (409, "dates_unavailable")

    assert Booking.objects.count() == 1


def test_create_with_another_expected_price_answers_with_the_new_quote():
    listing, guest = make_listing(), ApiClient(make_user())

    answer = guest.post("/api/bookings/", {"property_id": listing.pk, **DATES, "expected_total_price": 380.5})

    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["quote"]["total_price"]) == (
        409,
        "price_changed",
        400,
    )
    assert not Booking.objects.exists()
    booked = _made(guest, listing, quote_token=problem["quote"]["quote_token"])
    assert booked["total_price"] == 400


def test_create_with_a_quote_token_is_honoured_for_fifteen_minutes():
    listing, guest = make_listing(), ApiClient(make_user())
    token = guest.post(f"/api/properties/{listing.pk}/quote/", {**DATES, "guests": 2}).json()["quote_token"]
    listing.price_minor = 20_000
    listing.save()

    with time_machine.travel(NOW + timedelta(minutes=15), tick=False):
        expired = ApiClient(guest.user).post(
            "/api/bookings/", {"property_id": listing.pk, **DATES, "quote_token": token}
        )
    body = _made(guest, listing, quote_token=token)

    assert (expired.status_code, expired.json()["code"]) == (409, "quote_expired")
    assert (body["total_price"], body["guests"]) == (400, 2)


def test_create_twice_with_one_key_makes_one_booking():
    listing, guest = make_listing(), ApiClient(make_user())
    body = {"property_id": listing.pk, **DATES}

    first = guest.post("/api/bookings/", body, idempotency_key="k-1")
    again = guest.post("/api/bookings/", body, idempotency_key="k-1")
    other = guest.post("/api/bookings/", {**body, "guests": 2}, idempotency_key="k-1")

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again["Idempotent-Replayed"] == "true"
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert Booking.objects.count() == 1


def test_create_holds_are_limited_per_user():
    guest = ApiClient(make_user())
    for _ in range(5):
        _made(guest, make_listing())

    answer = guest.post("/api/bookings/", {"property_id": make_listing().pk, **DATES})

    assert (answer.status_code, answer.json()["code"], answer["Retry-After"]) == (429, "too_many_holds", "60")
    assert Booking.objects.count() == 5


def test_pay_succeeds_and_confirms():
    guest = ApiClient(make_user())
    booking = _made(guest, make_listing())

    answer = guest.post(f"/api/bookings/{booking['id']}/pay/", PAY)

    assert answer.status_code == 200
    body = answer.json()
    assert body["status"] == "completed"
    shown = guest.get(f"/api/bookings/{booking['id']}/").json()
    assert (shown["status"], shown["payment_status"], shown["expires_at"]) == ("confirmed", "completed", None)
    assert shown["cancellation"]["refund_amount"] == 400
    again = guest.post(f"/api/bookings/{booking['id']}/pay/", PAY)
    assert (again.status_code, again.json()["code"]) == (409, "already_paid")


@pytest.mark.parametrize(
    ("outcome", "status", "state_after"),
    [("pending", 202, "pending"), ("timeout", 202, "pending"), ("decline", 402, "pending")],
)
def test_pay_with_other_outcomes_leaves_the_booking_pending(outcome, status, state_after):
    guest = ApiClient(make_user())
    booking = _made(guest, make_listing())

    answer = guest.post(f"/api/bookings/{booking['id']}/pay/", {**PAY, "outcome": outcome})

    assert answer.status_code == status
    body = answer.json()
    if status == 402:
        assert body["code"] == "card_declined"
    else:
        assert body["status"] == "pending"
    assert guest.get(f"/api/bookings/{booking['id']}/").json()["status"] == state_after


def test_pay_twice_with_one_key_charges_once():
    guest = ApiClient(make_user())
    booking = _made(guest, make_listing())

    first = guest.post(f"/api/bookings/{booking['id']}/pay/", PAY, idempotency_key="pay-1")
    again = guest.post(f"/api/bookings/{booking['id']}/pay/", PAY, idempotency_key="pay-1")

    assert (first.status_code, again.status_code, again.json()) == (200, 200, first.json())
    assert SandboxRecord.objects.get().calls == 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"provider": "bitcoin"}, "provider_unknown"),
        ({"provider": "sandbox", "outcome": "explode"}, "invalid_outcome"),
        ({"amount": 1}, "unknown_field"),
    ],
)
def test_pay_refuses_bad_input(body, code):
    guest = ApiClient(make_user())
    booking = _made(guest, make_listing())

    answer = guest.post(f"/api/bookings/{booking['id']}/pay/", body)

    problem = answer.json()
    assert answer.status_code == 422
    assert code in {problem["code"], *(error["code"] for error in problem["errors"])}
    assert not MoneyOp.objects.exists()


def test_pay_without_a_body_takes_the_preferred_provider():
    guest = ApiClient(make_user())
    booking = _made(guest, make_listing())

    assert guest.post(f"/api/bookings/{booking['id']}/pay/").status_code == 200
    assert guest.get(f"/api/bookings/{booking['id']}/").json()["status"] == "confirmed"


def test_request_is_paid_ahead_accepted_and_confirmed():
    listing, guest = make_listing(instant_book=False), ApiClient(make_user())
    host = ApiClient(listing.host)
    booking = _made(guest, listing)
    assert (booking["pending_reason"], booking["expires_at"]) == ("host", "2027-03-02T09:00:00Z")

    paid = guest.post(f"/api/bookings/{booking['id']}/pay/", PAY)
    refused = guest.post(f"/api/bookings/{booking['id']}/accept/")
    accepted = host.post(f"/api/bookings/{booking['id']}/accept/")
    again = host.post(f"/api/bookings/{booking['id']}/accept/")

    assert (paid.status_code, paid.json()["status"]) == (200, "pending")
    assert refused.status_code == 403
    assert (accepted.status_code, accepted.json()["status"]) == (200, "confirmed")
    assert (again.status_code, again.json()["code"]) == (409, "wrong_state")
    events = [step["event"] for step in accepted.json()["timeline"]]
    assert events == ["requested", "authorized", "accepted", "confirmed"]
    assert accepted.json()["host_payout"] == 338


def test_request_accepted_without_payment_waits_for_it():
    listing, guest = make_listing(instant_book=False), ApiClient(make_user())
    booking = _made(guest, listing)

    accepted = ApiClient(listing.host).post(f"/api/bookings/{booking['id']}/accept/").json()

    assert (accepted["status"], accepted["pending_reason"]) == ("pending", "payment")
    assert accepted["expires_at"] == "2027-03-02T09:00:00Z"
    assert guest.post(f"/api/bookings/{booking['id']}/pay/", PAY).json()["status"] == "completed"
    assert guest.get(f"/api/bookings/{booking['id']}/").json()["status"] == "confirmed"


def test_request_declined_tells_the_reason():
    listing, guest = make_listing(instant_book=False), ApiClient(make_user())
    booking = _made(guest, listing)

    answer = ApiClient(listing.host).post(
        f"/api/bookings/{booking['id']}/decline/", {"reason": "Painters are in."}
    )

    assert (answer.status_code, answer.json()["status"]) == (200, "declined")
    assert answer.json()["timeline"][-1]["text"] == "The host declined. Painters are in."
    again = _made(ApiClient(make_user()), listing)
    assert again["status"] == "pending"


def test_cancel_answers_with_the_refund():
    booking = confirmed(make_listing())
    guest = ApiClient(booking.guest)
    before = guest.get(f"/api/bookings/{booking.pk}/cancellation/").json()

    answer = guest.delete(f"/api/bookings/{booking.pk}/", {"reason": "Ill"})
    again = guest.delete(f"/api/bookings/{booking.pk}/")

    assert before["refund_amount"] == 400
    assert answer.status_code == 200
    body = answer.json()
    assert (body["status"], body["canceled_by"], body["refund_amount"]) == ("canceled", "guest", 400)
    assert body["timeline"][-1]["text"] == "The booking was canceled. Ill"
    assert (again.status_code, again.json()["code"]) == (409, "wrong_state")


def test_cancel_by_the_host_without_a_body():
    booking = confirmed(make_listing())

    answer = ApiClient(booking.host).delete(f"/api/bookings/{booking.pk}/")

    assert (answer.status_code, answer.json()["canceled_by"]) == (200, "host")


def test_cancel_of_what_one_has_not_seen_is_refused():
    booking = book(make_listing())
    guest = ApiClient(booking.guest)
    tag = guest.get(f"/api/bookings/{booking.pk}/")["ETag"]
    bookings.pay(actor=booking.guest, booking_id=booking.pk, now=NOW)

    stale = guest.delete(f"/api/bookings/{booking.pk}/", if_match=tag)
    assert stale.status_code == 412
    assert state(booking)[0] == "confirmed"
    fresh = guest.get(f"/api/bookings/{booking.pk}/")["ETag"]
    assert guest.delete(f"/api/bookings/{booking.pk}/", if_match=fresh).status_code == 200


def test_read_is_for_its_parties_and_spares_what_is_known():
    booking = confirmed(make_listing())
    path = f"/api/bookings/{booking.pk}/"

    answers = {
        "guest": ApiClient(booking.guest).get(path).status_code,
        "host": ApiClient(booking.host).get(path).status_code,
        "support": ApiClient(make_user("support")).get(path).status_code,
        "other": ApiClient(make_user()).get(path).status_code,
        "nobody": ApiClient().get(path).status_code,
    }
    guest = ApiClient(booking.guest)
    tag = guest.get(path)["ETag"]

    assert answers == {"guest": 200, "host": 200, "support": 200, "other": 404, "nobody": 401}
    assert guest.get(path, if_none_match=tag).status_code == 304


@pytest.mark.parametrize("action", ["accept/", "decline/", "pay/", "cancellation/", ""])
def test_foreign_bookings_do_not_exist(action):
    booking = book(make_listing(instant_book=False))
    stranger = ApiClient(make_user())
    path = f"/api/bookings/{booking.pk}/{action}"
    before = state(booking)

    if action == "":
        answers = [stranger.get(path), stranger.delete(path)]
    elif action == "cancellation/":
        answers = [stranger.get(path)]
    else:
        answers = [stranger.post(path)]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(404, "not_found")] * len(
        answers
    )
    assert state(booking) == before


def test_list_shows_ones_own_as_guest_or_host():
    listing, guest = make_listing(), make_user()
    mine, other = book(listing, guest), book(make_listing())
    hosted = book(make_listing(guest))

    def ids(user, **params):
        return [row["id"] for row in ApiClient(user).get("/api/bookings/", params).json()["results"]]

    assert ids(guest) == [mine.pk]
    assert ids(guest, **{"as": "guest"}) == [mine.pk]
    assert ids(guest, **{"as": "host"}) == [hosted.pk]
    assert ids(listing.host, **{"as": "host"}) == [mine.pk]
    assert ids(other.guest) == [other.pk]


def test_list_filters():
    guest = make_user()
    first = confirmed(make_listing(), guest)
    second = book(make_listing(), guest)

    def ids(**params):
        return [row["id"] for row in ApiClient(guest).get("/api/bookings/", params).json()["results"]]

    assert ids() == [second.pk, first.pk]
    assert ids(status="confirmed") == [first.pk]
    assert ids(property_id=second.listing_id) == [second.pk]
    assert ids(**{"from": "2027-05-06"}) == [second.pk, first.pk]
    assert ids(**{"from": "2027-05-07"}) == []
    assert ids(to="2027-05-03") == []
    assert ids(to="2027-05-04") == [second.pk, first.pk]


@pytest.mark.parametrize(
    "query",
    [
        "status=late",
        "as=owner",
        "from=soon",
        "from=2027-05-07&to=2027-05-07",
        "property_id=x",
        "property_id=0",
        "colour=red",
        "page_size=0",
    ],
)
def test_list_refuses_nonsense(query):
    assert ApiClient(make_user()).get(f"/api/bookings/?{query}").status_code == 422


def test_list_asks_the_same_number_of_queries_for_one_and_for_three():
    guest = make_user()
    counts = []
    for _ in range(3):
        confirmed(make_listing(), guest)
        client = ApiClient(guest)
        with CaptureQueriesContext(connection) as queries:
            answer = client.get("/api/bookings/")
        counts.append((answer.json()["count"], len(queries)))

    assert counts == [(1, counts[0][1]), (2, counts[0][1]), (3, counts[0][1])]
