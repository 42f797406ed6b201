"""Quotes over HTTP."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backend.availability.models import Block, CalendarDay
from backend.bookings import policy_versions
from backend.core import platform
from backend.core.models import ExchangeRate
from tests.api.client import ApiClient
from tests.bookings.making import STAY, book
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

DATES = {"check_in": "2027-05-06", "check_out": "2027-05-10"}
"""Thursday to Monday: two weekend evenings."""


@pytest.fixture(autouse=True)
def _at_now():
    with time_machine.travel(NOW, tick=False):
        yield


def _quote(listing, client=None, **body):
    return (client or ApiClient()).post(f"/api/properties/{listing.pk}/quote/", {**DATES, **body})


def test_quote_explains_its_total_line_by_line():
    listing = make_listing(
        price_minor=10_000,
        weekend_price_minor=12_550,
        cleaning_fee_minor=3_000,
        extra_guest_fee_minor=1_000,
        guests_included=2,
    )
    CalendarDay.objects.create(listing=listing, date="2027-05-09", price_minor=20_000)

    answer = _quote(listing, guests=3)

    assert answer.status_code == 200
    body = answer.json()
    assert [
        (line["code"], line["description"], line["quantity"], line["unit_amount"], line["amount"])
        for line in body["lines"]
    ] == [
        ("night", "1 night", 1, 100, 100),
        ("night", "2 weekend nights", 2, 125.5, 251),
        ("night", "1 night at the price of its date", 1, 200, 200),
        ("extra_guest", "Extra guests: 1, nights: 4", 4, 10, 40),
        ("cleaning", "Cleaning", 1, 30, 30),
    ]
    assert body["lines"][1]["rule"] == {
        "id": "night.weekend",
        "kind": "weekend",
        "inputs": {"dates": [{"from": "2027-05-07", "to": "2027-05-09"}]},
    }
    sums = {name: body[name] for name in ("nights_total", "discounts_total", "fees_total", "taxes_total")}
    assert sums == {"nights_total": 551, "discounts_total": 0, "fees_total": 70, "taxes_total": 0}
    assert (body["service_fee"], body["total_price"], body["currency"]) == (0, 621, "EUR")
    assert (body["nights"], body["guests"], body["host_payout"], body["exchange_rate"]) == (4, 3, None, None)
    assert body["expires_at"] == "2027-03-01T09:15:00Z"
    cancellation = body["cancellation"]
    assert (cancellation["policy"], cancellation["timezone"], cancellation["currency"]) == (
        "flexible",
        "Europe/Lisbon",
        "EUR",
    )
    assert (cancellation["refund_amount"], cancellation["host_keeps"]) == (621, 0)
    assert [tier["until"] for tier in cancellation["timeline"]][-1] is None
    assert not Block.objects.exists()


def test_quote_shows_the_payout_to_the_host_alone():
    listing = make_listing()

    assert _quote(listing, ApiClient(listing.host)).json()["host_payout"] == 338
    assert _quote(listing, ApiClient(make_user())).json()["host_payout"] is None


def test_quote_splits_the_service_fee_when_the_platform_says_so():
    platform.put("service_fee_model", "split")
    listing = make_listing()

    body = _quote(listing, ApiClient(listing.host)).json()

    assert (body["service_fee"], body["total_price"], body["host_payout"]) == (56.4, 456.4, 388)
    assert body["lines"][-1]["rule"] == {
        "id": "service_fee.split",
        "kind": "split",
        "inputs": {"percent": 14.1, "base": 400},
    }


def test_quote_shows_another_currency_at_a_rate_that_anyone_can_repeat():
    listing = make_listing(cleaning_fee_minor=1_999)

    body = _quote(listing, currency="JPY").json()

    newest = ExchangeRate.objects.filter(currency_id="JPY").order_by("-rate_on").first()
    assert newest is not None
    assert (body["currency"], body["exchange_rate"]) == ("JPY", float(newest.per_euro))
    assert [line["amount"] for line in body["lines"]] == [
        round(400 * newest.per_euro),
        round(newest.per_euro * 1999 / 100),
    ]
    assert body["total_price"] == sum(line["amount"] for line in body["lines"])
    assert all(isinstance(line["amount"], int) for line in body["lines"])
    assert body["charged"] == {"total_price": 419.99, "currency": "EUR"}


def test_quote_speaks_the_readers_language_as_far_as_it_is_translated():
    answer = ApiClient().post(
        f"/api/properties/{make_listing().pk}/quote/", DATES, accept_language="de, en;q=0.5"
    )

    assert answer.json()["lines"][0]["description"] == "4 nights"


@pytest.mark.parametrize(
    ("listing", "body", "code"),
    [
        ({}, {"check_out": "2027-05-06"}, "invalid_dates"),
        ({}, {"check_in": "2027-02-28"}, "check_in_past"),
        ({}, {"check_in": "2027-05-06", "check_out": "2028-05-07"}, "max_nights"),
        ({}, {"check_in": "2029-05-06", "check_out": "2029-05-10"}, "booking_window"),
        ({}, {"guests": 5}, "too_many_guests"),
        ({}, {"guests": 0}, "too_small"),
        ({"min_nights": 5}, {}, "min_nights"),
        ({"max_nights": 3}, {}, "max_nights"),
        ({"arrival_weekdays": [1]}, {}, "closed_to_arrival"),
        ({"departure_weekdays": [2]}, {}, "closed_to_departure"),
        ({"advance_notice_hours": 2000}, {}, "advance_notice"),
        ({"booking_window_days": 30}, {}, "booking_window"),
        ({}, {"promo_code": "SUMMER"}, "invalid_promo_code"),
        ({}, {"currency": "XTS"}, "unknown_currency"),
        ({}, {"pets": 21}, "too_large"),
        ({}, {"pets": -1}, "too_small"),
        ({}, {"cats": 1}, "unknown_field"),
    ],
)
def test_quote_refuses_what_cannot_be_booked(listing, body, code):
    answer = _quote(make_listing(**listing), **body)

    problem = answer.json()
    assert answer.status_code == 422
    assert code in {problem["code"], *(error["code"] for error in problem["errors"])}


def test_quote_of_taken_nights_is_a_conflict_until_the_hold_runs_out():
    listing = make_listing()
    book(listing)

    taken = ApiClient().post(
        f"/api/properties/{listing.pk}/quote/", {"check_in": "2027-05-06", "check_out": "2027-05-08"}
    )
    after = ApiClient().post(
        f"/api/properties/{listing.pk}/quote/", {"check_in": str(STAY.check_out), "check_out": "2027-05-08"}
    )

    assert (taken.status_code, taken.json()["code"]) == (409, "dates_unavailable")
    assert after.status_code == 200
    with time_machine.travel(NOW + timedelta(minutes=15), tick=False):
        assert _quote(listing).status_code == 200


def test_quote_of_nights_that_preparation_needs_is_refused():
    listing = make_listing(preparation_days_after=1)
    book(listing)

    answer = ApiClient().post(
        f"/api/properties/{listing.pk}/quote/", {"check_in": "2027-05-07", "check_out": "2027-05-08"}
    )

    assert (answer.status_code, answer.json()["code"]) == (422, "preparation")


def test_quote_of_a_paused_listing_is_refused_and_of_one_never_published_not_found():
    paused, draft = make_listing(status="paused"), make_listing(status="draft", published_at=None)

    answers = [_quote(paused), _quote(paused, ApiClient(paused.host)), _quote(draft, ApiClient(draft.host))]
    assert [(each.status_code, each.json()["code"]) for each in answers] == [(422, "not_available")] * 3
    assert _quote(draft).status_code == 404


def test_quote_asks_the_same_number_of_queries_for_a_night_and_a_year():
    listing = make_listing()
    platform.get("quote_minutes")  # read once in a while, not per request
    policy_versions.in_force(NOW)
    counts = []
    for check_out in ("2027-05-07", "2028-05-05"):
        with CaptureQueriesContext(connection) as queries:
            assert _quote(listing, check_out=check_out).status_code == 200
        counts.append(len(queries))

    assert counts[0] == counts[1]
