"""Quotes over HTTP."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backend.availability.models import Block, CalendarDay
from backend.bookings import policy_versions
from backend.core import platform
from backend.core.models import ExchangeRate
from backend.rates import services as rates
from backend.rates.models import Fee, PriceRule, Tax
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
    assert body["total_price"] == round(newest.per_euro * 41999 / 100)
    assert (body["rate_date"], body["rate_source"]) == (newest.rate_on.isoformat(), newest.source)
    assert body["charged"] == {"total_price": body["total_price"], "currency": "JPY"}


def test_quote_that_is_only_shown_in_another_currency_says_what_is_charged():
    platform.put("charge_in_guest_currency", False)

    body = _quote(make_listing(cleaning_fee_minor=1_999), currency="JPY").json()

    assert body["charged"] == {"total_price": 419.99, "currency": "EUR"}
    assert (body["currency"], body["total_price"]) == ("JPY", sum(line["amount"] for line in body["lines"]))


@pytest.mark.parametrize("currency", ["KES", "HUF", "KWD", "USD"])
def test_quote_shows_lines_that_sum_to_what_is_charged(currency):
    listing = make_listing(
        price_minor=3_333, cleaning_fee_minor=1_999, guests_included=1, extra_guest_fee_minor=777
    )

    quoted = _quote(listing, currency=currency, guests=2).json()
    booked = ApiClient(make_user()).post(
        "/api/bookings/",
        {"property_id": listing.pk, **DATES, "guests": 2, "quote_token": quoted["quote_token"]},
    )

    places = {"KES": 2, "HUF": 2, "KWD": 3, "USD": 2}[currency]
    minors = [round(line["amount"] * 10**places) for line in quoted["lines"]]
    assert sum(minors) == round(quoted["total_price"] * 10**places)
    assert sum(minors) % {"KES": 100, "HUF": 100, "KWD": 10, "USD": 1}[currency] == 0
    assert booked.status_code == 201
    assert (booked.json()["total_price"], booked.json()["currency"]) == (184.39, "EUR")
    assert booked.json()["charged"] == {
        "amount": quoted["charged"]["total_price"],
        "currency": currency,
        "exchange_rate": quoted["exchange_rate"],
        "rate_date": quoted["rate_date"],
        "source": quoted["rate_source"],
    }
    assert quoted["charged"]["total_price"] == quoted["total_price"]


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


def _set(listing, kind, /, **values):
    return rates.add(kind, actor=listing.host, listing=listing, values=values, now=NOW)


def test_quote_says_a_sentence_for_every_line():
    listing = make_listing(
        guests_included=2, extra_guest_fee_minor=1_000, cancellation_policy="non_refundable"
    )
    season = _set(
        listing,
        PriceRule,
        **{"kind": "season", "from": date(2027, 5, 8), "to": date(2027, 5, 9), "price": 150},
    )
    _set(listing, PriceRule, kind="weekend", percent=Decimal("12.5"))
    early = _set(listing, PriceRule, kind="early_bird", days_before=30, percent=Decimal("7.5"))
    for kind, values in (
        ("short_stay_cleaning", {"amount": 20, "max_nights": 4}),
        ("pet", {"amount": 5, "per": "pet"}),
        ("resort", {"amount": 3, "per": "night"}),
        ("linen", {"amount": 8, "per": "person"}),
        ("community", {"amount": 9}),
        ("management", {"percent": Decimal(2)}),
    ):
        _set(listing, Fee, kind=kind, **values)
    vat = _set(listing, Tax, name="VAT", percent=Decimal("6.5"), max_nights=3)
    for per in ("booking", "night", "guest", "guest_night"):
        _set(listing, Tax, name=f"Tax {per}", amount=1, per=per)

    body = _quote(listing, guests=3, pets=1).json()

    assert [(line["code"], line["description"]) for line in body["lines"]] == [
        ("night", "2 nights"),
        ("night", "1 weekend night"),
        ("night", "1 night at the price of the season"),
        ("extra_guest", "Extra guests: 1, nights: 4"),
        ("discount", "Booked 30 days or more before check-in: 7.5% off the nights"),
        ("discount", "Non-refundable rate: 10% off the nights"),
        ("cleaning", "Cleaning after a short stay"),
        ("fee", "Pet fee, 1 pet"),
        ("fee", "Resort fee, 4 nights"),
        ("fee", "Linen, 3 guests"),
        ("fee", "Community fee"),
        ("fee", "Management fee: 2% of the nights"),
        ("tax", "VAT: 6.5% (only the first 3 nights)"),
        ("tax", "Tax booking"),
        ("tax", "Tax night, 4 nights"),
        ("tax", "Tax guest, 3 guests"),
        ("tax", "Tax guest_night, 12 guest-nights"),
    ]
    assert body["total_price"] == pytest.approx(sum(line["amount"] for line in body["lines"]), abs=1e-9)
    assert (body["pets"], body["discounts_total"]) == (1, -77.47)
    assert body["lines"][2]["rule"] == {
        "id": f"season.{season.pk}",
        "kind": "season",
        "inputs": {"dates": [{"from": "2027-05-08", "to": "2027-05-09"}]},
    }
    assert body["lines"][4]["rule"] == {
        "id": f"discount.early_bird.{early.pk}",
        "kind": "early_bird",
        "inputs": {"base": 462.5, "percent": 7.5, "days_before": 30},
    }
    assert body["lines"][12]["rule"]["id"] == f"tax.{vat.pk}"
    assert set(body["lines"][12]["rule"]["inputs"]) == {"name", "percent", "base", "bases", "nights"}


@pytest.mark.parametrize(
    ("rule", "nights", "sentence"),
    [
        (
            {"kind": "length_of_stay", "min_nights": 7, "percent": 10},
            7,
            "Stay of 7 nights or more: 10% off the nights",
        ),
        (
            {"kind": "last_minute", "days_before": 100, "percent": 10},
            2,
            "Booked at most 100 days before check-in: 10% off the nights",
        ),
        ({"kind": "new_listing", "percent": 20}, 2, "New listing: 20% off the nights"),
    ],
)
def test_quote_says_why_it_is_cheaper(rule, nights, sentence):
    listing = make_listing()
    assert ApiClient(listing.host).post(f"/api/properties/{listing.pk}/price-rules/", rule).status_code == 201

    body = _quote(listing, check_out=str(date(2027, 5, 6) + timedelta(days=nights))).json()

    assert [line["description"] for line in body["lines"] if line["code"] == "discount"] == [sentence]


def test_quote_with_a_code_and_the_booking_with_its_token_agree():
    listing = make_listing()
    codes = ApiClient(listing.host)
    codes.post(f"/api/properties/{listing.pk}/promo-codes/", {"code": "ten", "amount": 10.5})
    guest = ApiClient(make_user())

    assert _quote(listing, promo_code="ten").json()["total_price"] == 389.5
    quote = _quote(listing, guest, promo_code="TEN", pets=2, guests=2).json()
    booked = guest.post(
        "/api/bookings/",
        {"property_id": listing.pk, **DATES, "quote_token": quote["quote_token"], "promo_code": "ten"},
    )

    assert quote["total_price"] == 389.5
    assert quote["lines"][-1]["description"] == "Promotion code TEN"
    assert booked.status_code == 201
    assert (booked.json()["total_price"], booked.json()["pets"]) == (389.5, 2)
    assert booked.json()["price_breakdown"] == quote["lines"]
    again = _quote(listing, guest, promo_code="TEN", check_in="2027-06-01", check_out="2027-06-03")
    assert (again.status_code, again.json()["code"]) == (422, "promo_code_used_up")
    assert again.json()["errors"][0]["field"] == "promo_code"


def test_quote_of_a_promotion_is_refused_by_its_own_code():
    listing = make_listing()
    codes = ApiClient(listing.host)
    path = f"/api/properties/{listing.pk}/promo-codes/"
    codes.post(path, {"code": "LONG", "percent": 5, "min_nights": 7})
    codes.post(path, {"code": "OVER", "percent": 5, "valid_until": "2027-03-01T09:00:00Z"})
    codes.post(path, {"code": "OFF", "percent": 5, "active": False})

    answers = {word: _quote(listing, promo_code=word).json() for word in ("LONG", "OVER", "OFF", "NONE")}

    assert {word: answer["code"] for word, answer in answers.items()} == {
        "LONG": "promo_code_min_nights",
        "OVER": "promo_code_expired",
        "OFF": "invalid_promo_code",
        "NONE": "invalid_promo_code",
    }
    assert answers["LONG"]["detail"] == "This promotion code is for stays of at least 7 nights."


def test_price_changed_brings_a_quote_whose_token_books():
    listing = make_listing()
    guest = ApiClient(make_user())
    ApiClient(listing.host).post(
        f"/api/properties/{listing.pk}/fees/", {"kind": "linen", "amount": 15, "per": "person"}
    )
    wish = {"property_id": listing.pk, **DATES, "guests": 2}

    changed = guest.post("/api/bookings/", {**wish, "expected_total_price": 400})

    assert (changed.status_code, changed.json()["code"]) == (409, "price_changed")
    quote = changed.json()["quote"]
    assert (quote["total_price"], quote["fees_total"]) == (430, 30)
    booked = guest.post("/api/bookings/", {**wish, "quote_token": quote["quote_token"]})
    assert (booked.status_code, booked.json()["total_price"]) == (201, 430)


def test_wrong_codes_are_limited_for_each_who_tries_them():
    platform.put("limit_promo_codes", 3)
    listing = make_listing()
    ApiClient(listing.host).post(
        f"/api/properties/{listing.pk}/promo-codes/", {"code": "RIGHT", "percent": 5}
    )
    guesser, other = ApiClient(make_user()), ApiClient(make_user())
    wish = {"property_id": listing.pk, **DATES}

    assert [_quote(listing, guesser, promo_code="RIGHT").status_code for _ in range(5)] == [200] * 5
    assert [_quote(listing, guesser, promo_code=f"W{n}").status_code for n in range(2)] == [422] * 2
    assert guesser.post("/api/bookings/", {**wish, "promo_code": "W3"}).status_code == 422
    stopped = _quote(listing, guesser, promo_code="RIGHT")

    assert (stopped.status_code, stopped.json()["code"]) == (429, "rate_limited")
    assert 0 < int(stopped.headers["Retry-After"]) <= 3600
    assert guesser.post("/api/bookings/", {**wish, "promo_code": "RIGHT"}).status_code == 429
    assert _quote(listing, guesser).status_code == 200
    assert _quote(listing, other, promo_code="RIGHT").status_code == 200
    assert _quote(listing, promo_code="RIGHT").status_code == 200


def test_quotes_of_nobody_count_as_reads():
    platform.put("limit_reads_address", 2)
    listing = make_listing()

    assert [_quote(listing).status_code for _ in range(3)] == [200, 200, 429]
    assert _quote(listing, ApiClient(make_user())).status_code == 200
