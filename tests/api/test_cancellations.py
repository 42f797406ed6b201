from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backend.bookings import policy_versions
from backend.bookings import services as bookings
from backend.bookings.models import Booking
from backend.core import platform
from backend.core.stay import Stay
from tests.api.client import ApiClient
from tests.bookings.making import STAY, book, confirmed
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

DATES = {"check_in": "2027-05-03", "check_out": "2027-05-07"}


@pytest.fixture(autouse=True)
def _now():
    with time_machine.travel(NOW, tick=False):
        yield


def _untils(body):
    return [(tier["until"], tier["refund_amount"]) for tier in body["timeline"]]


def test_list_policies_shows_what_is_in_force():
    answer = ApiClient().get("/api/cancellation-policies/")

    body = answer.json()
    assert (answer.status_code, body["count"], body["next"]) == (200, 7, None)
    assert [row["code"] for row in body["results"]] == list(policy_versions.CODES)
    moderate = body["results"][1]
    assert moderate == {
        "code": "moderate",
        "version": 1,
        "min_nights": 1,
        "sentence": "Everything is given back until 5 days before check-in."
        " After that the host keeps the first night and 50 % of those after."
        " During the stay: the nights stayed, and of the others the first night and 50 % of those after."
        " Within 24 hours of the confirmation everything is given back, if it is made at least 7 days before check-in.",
        "tiers": [{"days_before": 5, "keep": None}],
        "late": {"nights": 1, "percent": 50},
        "stay": {"nights": 1, "percent": 50},
        "grace": {"hours": 24, "days_before": 7},
    }
    assert [row["min_nights"] for row in body["results"]] == [1, 1, 1, 1, 1, 1, 28]
    again = ApiClient().get("/api/cancellation-policies/", if_none_match=answer["ETag"])
    assert again.status_code == 304


def test_list_policies_describes_each_in_its_own_words():
    rows = ApiClient().get("/api/cancellation-policies/").json()["results"]
    sentences = {row["code"]: row["sentence"] for row in rows}

    assert sentences["non_refundable"].startswith("The host keeps all nights. Within 24 hours")
    assert sentences["strict"].startswith(
        "Until 7 days before check-in the host keeps 50 % of the nights. After that the host keeps all nights."
    )
    assert sentences["flexible"].startswith(
        "Everything is given back until 1 day before check-in. After that"
    )
    assert sentences["long_stay"] == (
        "Everything is given back until 30 days before check-in. After that the host keeps the first 30 nights."
        " During the stay: the nights stayed, and of the others the first 30 nights."
    )


def test_at_property_says_what_dates_would_mean():
    listing = make_listing(cancellation_policy="firm", cleaning_fee_minor=2_550)

    answer = ApiClient().get(f"/api/properties/{listing.pk}/cancellation/", {**DATES, "guests": 2})

    body = answer.json()
    assert answer.status_code == 200
    assert (body["policy"], body["timezone"], body["currency"]) == ("firm", "Europe/Lisbon", "EUR")
    assert (body["refund_amount"], body["host_keeps"]) == (425.5, 0)
    assert _untils(body) == [
        ("2027-04-03T14:00:00Z", 425.5),
        ("2027-04-26T14:00:00Z", 225.5),
        ("2027-05-03T13:59:59Z", 25.5),
        (None, 0),
    ]
    assert body["penalty"] is None


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"check_in": "2027-05-07", "check_out": "2027-05-03"}, 422, "invalid_dates"),
        ({**DATES, "guests": 9}, 422, "too_many_guests"),
        ({"check_in": "2027-05-03"}, 422, None),
        ({**DATES, "pets": -1}, 422, None),
    ],
)
def test_at_property_refuses_what_a_quote_refuses(query, status, code):
    answer = ApiClient().get(f"/api/properties/{make_listing().pk}/cancellation/", query)

    assert answer.status_code == status
    assert code is None or answer.json()["code"] == code


def test_at_property_hides_what_is_not_published():
    hidden = make_listing(status="draft", published_at=None)

    assert ApiClient().get(f"/api/properties/{hidden.pk}/cancellation/", DATES).status_code == 404
    assert ApiClient(make_user()).get(f"/api/properties/{hidden.pk}/cancellation/", DATES).status_code == 404


def test_of_booking_is_for_its_parties():
    booking = confirmed(make_listing(price_minor=30_000))
    path = f"/api/bookings/{booking.pk}/cancellation/"

    assert ApiClient().get(path).status_code == 401
    assert ApiClient(make_user()).get(path).status_code == 404
    guest, host = ApiClient(booking.guest).get(path).json(), ApiClient(booking.host).get(path).json()
    staff = ApiClient(make_user("support")).get(path).json()

    assert (guest["refund_amount"], guest["penalty"], len(guest["timeline"])) == (1200, None, 5)
    assert (host["refund_amount"], host["host_keeps"]) == (1200, 0)
    assert host["penalty"] == {"amount": 120, "percent": 10, "currency": "EUR"}
    assert _untils(host) == _untils(staff) == [(None, 1200)]
    assert staff["penalty"] is None


def test_of_booking_costs_the_host_nothing_before_it_is_confirmed():
    booking = book(make_listing(instant_book=False))

    body = ApiClient(booking.host).get(f"/api/bookings/{booking.pk}/cancellation/").json()

    assert (body["refund_amount"], body["penalty"]) == (0, None)


def test_of_booking_follows_the_clock_and_cancel_does_what_it_said():
    booking = confirmed(make_listing(cancellation_policy="strict", cleaning_fee_minor=3_000))
    guest, path = ApiClient(booking.guest), f"/api/bookings/{booking.pk}"
    in_grace = guest.get(f"{path}/cancellation/").json()

    with time_machine.travel(NOW + timedelta(days=1, seconds=1), tick=False):
        guest = ApiClient(booking.guest)
        after = guest.get(f"{path}/cancellation/").json()
        canceled = guest.delete(f"{path}/").json()

    assert (in_grace["refund_amount"], in_grace["host_keeps"]) == (430, 0)
    assert _untils(in_grace)[0] == ("2027-03-02T09:00:00Z", 430)
    assert (after["refund_amount"], after["host_keeps"]) == (230, 200)
    assert canceled["refund_amount"] == 230
    told = canceled["cancellation"]
    assert (told["refund_amount"], told["host_keeps"], told["taxes_kept"]) == (230, 200, 0)
    assert told["timeline"] == [
        {
            "until": None,
            "refund_amount": 230,
            "host_keeps": 200,
            "taxes_kept": 0,
            "sentence": "The booking is canceled: €230.00 back.",
        }
    ]
    assert Booking.objects.get(pk=booking.pk).host_keeps_minor == 20_000


def test_of_booking_says_the_same_while_a_hold_waits():
    booking = book(make_listing())
    guest, path = ApiClient(booking.guest), f"/api/bookings/{booking.pk}/"
    first = guest.get(path)

    with time_machine.travel(NOW + timedelta(minutes=3), tick=False):
        again = guest.get(path, if_none_match=first["ETag"])

    assert again.status_code == 304


def test_of_booking_splits_what_was_paid_without_a_rest():
    platform.put("service_fee_model", "split")
    booking = confirmed(make_listing(cancellation_policy="moderate", price_minor=3_333))
    path = f"/api/bookings/{booking.pk}/cancellation/"

    for before in (
        timedelta(days=60),
        timedelta(days=5),
        timedelta(days=4),
        timedelta(0),
        -timedelta(days=2),
    ):
        with time_machine.travel(booking.check_in_at - before, tick=False):
            body = ApiClient(booking.guest).get(path).json()
        parts = body["refund_amount"] + body["host_keeps"] + body["taxes_kept"]
        assert round(parts, 2) == booking.total_minor / 100
        assert body["timeline"][0]["refund_amount"] == body["refund_amount"]


def test_sentences_are_in_the_language_of_the_request():
    listing = make_listing(timezone="America/New_York")
    path = f"/api/properties/{listing.pk}/cancellation/"

    english = ApiClient().get(path, DATES).json()["timeline"][0]["sentence"]
    french = ApiClient().get(path, DATES, accept_language="fr").json()["timeline"][0]

    assert english == "Until 2 May 2027, 15:00 (New York time): €400.00 back; after that €300.00."
    assert "2 mai 2027, 15:00" in french["sentence"]
    assert "400,00" in french["sentence"]


def test_long_stays_follow_their_own_policy():
    listing = make_listing(cancellation_policy="non_refundable", max_nights=365)
    query = {"check_in": "2027-05-03", "check_out": "2027-06-02"}

    body = ApiClient().get(f"/api/properties/{listing.pk}/cancellation/", query).json()

    assert (body["policy"], body["refund_amount"]) == ("long_stay", 3000)
    assert _untils(body) == [("2027-04-03T14:00:00Z", 3000), (None, 0)]


def test_list_of_bookings_reads_no_more_for_more_rows():
    guest, listing = make_user(), make_listing(cancellation_policy="strict")
    client, counts = ApiClient(guest), []
    for number in range(3):
        later = timedelta(days=7 * number)
        booking = confirmed(listing, guest, stay=Stay(STAY.check_in + later, STAY.check_out + later))
        bookings.cancel(actor=guest, booking_id=booking.pk, now=NOW)
        client.get("/api/bookings/")
        with CaptureQueriesContext(connection) as queries:
            assert client.get("/api/bookings/").json()["count"] == number + 1
        counts.append(len(queries))

    assert counts[0] == counts[2]
