"""Inquiries over HTTP."""

from __future__ import annotations

from datetime import date

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backend.availability.models import Block
from backend.bookings.models import Booking, Inquiry
from backend.core.stay import Stay
from tests.api.client import ApiClient
from tests.bookings.making import confirmed
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

DATES = {"check_in": "2027-05-03", "check_out": "2027-05-07"}
QUESTION = {**DATES, "guests": 2, "message": "Is there room for a piano?"}


@pytest.fixture(autouse=True)
def _at_now():
    with time_machine.travel(NOW, tick=False):
        yield


def _asked(listing, guest=None):
    client = ApiClient(guest or make_user())
    answer = client.post("/api/inquiries/", {"property_id": listing.pk, **QUESTION})
    assert answer.status_code == 201, answer.content
    return client, answer.json()


def test_ask_answers_with_the_open_inquiry():
    listing, user = make_listing(), make_user()

    guest, body = _asked(listing, user)

    assert body == {
        "id": Inquiry.objects.get().pk,
        "property": "Flat over the river",
        "property_id": listing.pk,
        "guest": {"id": user.pk, "first_name": user.first_name},
        "host": {"id": listing.host_id, "first_name": listing.host.first_name},
        **QUESTION,
        "nights": 4,
        "pets": 0,
        "status": "open",
        "answer": "",
        "total_price": None,
        "currency": "EUR",
        "price_breakdown": [],
        "booking_id": None,
        "expires_at": "2027-05-03T14:00:00Z",
        "answered_at": None,
        "created_at": "2027-03-01T09:00:00Z",
        "updated_at": "2027-03-01T09:00:00Z",
    }
    path = f"/api/inquiries/{body['id']}/"
    tag = guest.get(path)["ETag"]
    assert guest.get(path).json() == body
    assert guest.get(path, if_none_match=tag).status_code == 304


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"message": ""}, 422, "blank"),
        ({"message": None}, 422, "invalid_text"),
        ({"check_out": "2027-05-03"}, 422, "invalid_dates"),
        ({"check_in": "2027-02-01", "check_out": "2027-02-02"}, 422, "check_in_past"),
        ({"guests": 5}, 422, "too_many_guests"),
        ({"property_id": 10**9}, 404, "not_found"),
        ({"total_price": 5}, 422, "unknown_field"),
        ({"check_in": "2027-06-01", "check_out": "2027-06-03"}, 409, "dates_unavailable"),
    ],
)
def test_ask_refuses_bad_input_and_writes_nothing(body, status, code):
    listing = make_listing()
    confirmed(listing, stay=Stay(date(2027, 6, 2), date(2027, 6, 3)))

    answer = ApiClient(make_user()).post("/api/inquiries/", {"property_id": listing.pk, **QUESTION, **body})

    problem = answer.json()
    assert answer.status_code == status
    assert code in {problem["code"], *(error["code"] for error in problem.get("errors") or [])}
    assert not Inquiry.objects.exists()


def test_ask_about_ones_own_place_or_twice_is_refused():
    listing = make_listing()
    own = ApiClient(listing.host).post("/api/inquiries/", {"property_id": listing.pk, **QUESTION})
    guest, _body = _asked(listing)

    twice = guest.post("/api/inquiries/", {"property_id": listing.pk, **QUESTION})
    nobody = ApiClient().post("/api/inquiries/", {"property_id": listing.pk, **QUESTION})

    assert (own.status_code, own.json()["code"]) == (403, "own_property")
    assert (twice.status_code, twice.json()["code"]) == (409, "inquiry_open")
    assert nobody.status_code == 401
    assert Inquiry.objects.count() == 1


def test_pre_approved_inquiry_is_booked_without_asking_again():
    listing = make_listing(instant_book=False)
    guest, inquiry = _asked(listing)

    answer = ApiClient(listing.host).post(
        f"/api/inquiries/{inquiry['id']}/pre-approve/", {"answer": "Gladly."}
    )
    assert (answer.status_code, answer.json()["status"], answer.json()["answer"]) == (
        200,
        "pre_approved",
        "Gladly.",
    )
    assert answer.json()["expires_at"] == "2027-03-02T09:00:00Z"
    assert not Block.objects.exists()
    booked = guest.post("/api/bookings/", {"property_id": listing.pk, **DATES, "inquiry_id": inquiry["id"]})

    assert booked.status_code == 201, booked.content
    assert (booked.json()["pending_reason"], booked.json()["guests"]) == ("payment", 2)
    shown = guest.get(f"/api/inquiries/{inquiry['id']}/").json()
    assert (shown["status"], shown["booking_id"]) == ("booked", booked.json()["id"])


def test_special_offer_is_booked_at_its_total():
    listing = make_listing(instant_book=False)
    guest, inquiry = _asked(listing)
    path = f"/api/inquiries/{inquiry['id']}/special-offer/"

    offered = ApiClient(listing.host).post(path, {"total_price": 333.33, "answer": "For the piano."}).json()

    assert (offered["status"], offered["total_price"]) == ("offered", 333.33)
    assert [(line["code"], line["amount"]) for line in offered["price_breakdown"]] == [
        ("night", 400),
        ("discount", -66.67),
    ]
    body = {"property_id": listing.pk, **DATES, "inquiry_id": inquiry["id"]}
    wrong = guest.post("/api/bookings/", {**body, "check_out": "2027-05-08"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_inquiry")
    stranger = ApiClient(make_user()).post("/api/bookings/", body)
    assert (stranger.status_code, stranger.json()["code"]) == (422, "invalid_inquiry")
    other = guest.post("/api/bookings/", {**body, "expected_total_price": 300})
    assert (other.status_code, other.json()["code"]) == (409, "price_changed")
    assert not Booking.objects.exists()
    booked = guest.post("/api/bookings/", body)
    assert (booked.status_code, booked.json()["total_price"]) == (201, 333.33)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "required"),
        ({"total_price": 0}, "not_positive"),
        ({"total_price": 300.001}, "too_precise"),
        ({"total_price": 300, "guests": 9}, "too_many_guests"),
        ({"total_price": 300, "check_out": "2027-05-01"}, "invalid_dates"),
    ],
)
def test_special_offer_refuses_and_changes_nothing(body, code):
    listing = make_listing()
    _guest, inquiry = _asked(listing)
    host = ApiClient(listing.host)
    path = f"/api/inquiries/{inquiry['id']}/"

    answer = host.post(f"{path}special-offer/", body)

    assert answer.status_code == 422
    assert [error["code"] for error in answer.json()["errors"]] == [code]
    assert host.get(path).json() == inquiry


@pytest.mark.parametrize("action", ["pre-approve", "special-offer", "decline", "withdraw"])
def test_actions_are_for_the_right_side(action):
    listing = make_listing()
    guest, inquiry = _asked(listing)
    host = ApiClient(listing.host)
    path = f"/api/inquiries/{inquiry['id']}/{action}/"
    body = {"total_price": 300} if action == "special-offer" else None
    wrong, right = (host, guest) if action == "withdraw" else (guest, host)

    answers = [client.post(path, body).status_code for client in (wrong, ApiClient(make_user()), ApiClient())]
    other_host = ApiClient(make_listing().host).post(path, body).status_code

    assert (answers, other_host) == ([403, 404, 401], 404)
    assert guest.get(f"/api/inquiries/{inquiry['id']}/").json() == inquiry
    assert right.post(path, body).status_code == 200
    if action in ("decline", "withdraw"):
        again = right.post(path, body)
        assert (again.status_code, again.json()["code"]) == (409, "wrong_state")


def test_actions_on_what_one_has_not_seen_are_refused():
    listing = make_listing()
    guest, inquiry = _asked(listing)
    host, path = ApiClient(listing.host), f"/api/inquiries/{inquiry['id']}/"
    tag = guest.get(path)["ETag"]
    with time_machine.travel("2027-03-01T09:00:01Z", tick=False):
        host.post(f"{path}special-offer/", {"total_price": 300})

    stale = guest.post(f"{path}withdraw/", if_match=tag)

    assert (stale.status_code, Inquiry.objects.get().status) == (412, "offered")


def test_read_is_for_its_parties():
    listing = make_listing()
    guest, inquiry = _asked(listing)
    path = f"/api/inquiries/{inquiry['id']}/"

    answers = {
        "guest": guest.get(path).status_code,
        "host": ApiClient(listing.host).get(path).status_code,
        "support": ApiClient(make_user("support")).get(path).status_code,
        "other": ApiClient(make_user()).get(path).status_code,
        "nobody": ApiClient().get(path).status_code,
    }

    assert answers == {"guest": 200, "host": 200, "support": 200, "other": 404, "nobody": 401}


def test_list_filters_and_asks_the_same_number_of_queries_for_one_and_for_three():
    host, user, counts = make_user(), make_user(), []
    listings = [make_listing(host) for _ in range(3)]
    for listing in listings:
        guest, _body = _asked(listing, user)
        with CaptureQueriesContext(connection) as queries:
            answer = guest.get("/api/inquiries/")
        counts.append((answer.json()["count"], len(queries)))
    hosting = ApiClient(host)
    first = Inquiry.objects.order_by("id")[0]
    hosting.post(f"/api/inquiries/{first.pk}/special-offer/", {"total_price": 300})

    def ids(client, **params):
        return [row["property_id"] for row in client.get("/api/inquiries/", params).json()["results"]]

    assert [count for count, _queries in counts] == [1, 2, 3]
    assert len({queries for _count, queries in counts}) == 1
    assert ids(guest) == [listing.pk for listing in reversed(listings)]
    assert ids(guest, **{"as": "host"}) == []
    assert ids(hosting, **{"as": "host"}, status="offered") == [listings[0].pk]
    assert ids(hosting, **{"as": "host"}, property_id=listings[1].pk) == [listings[1].pk]
    assert hosting.get("/api/inquiries/?status=late").status_code == 422
    assert ApiClient().get("/api/inquiries/").status_code == 401
