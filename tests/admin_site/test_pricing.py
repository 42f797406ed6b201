"""Pricing a stay in the back office: the lines with their rules, and every reason why it cannot be booked."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.html import strip_tags

from backend.availability.models import CalendarDay
from backend.bookings.models import Booking
from backend.listings.models import Listing
from backend.rates.models import Fee, PriceRule, PromoCode, Tax
from tests.admin_site.test_actions import url
from tests.admin_site.world import signed_in, staff
from tests.bookings.making import confirmed
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

STAMPS: dict[str, Any] = {"created_at": NOW, "updated_at": NOW}
ASKED_AT = "2027-03-01T09:00"


def asked(**changes: Any) -> dict[str, Any]:
    """Four nights from Monday 3 May 2027 for two, asked on 1 March."""
    return {
        "check_in": "2027-05-03",
        "check_out": "2027-05-07",
        "guests": 2,
        "pets": 0,
        "asked_at": ASKED_AT,
        **changes,
    }


def explained(listing: Listing, role: str = "support", **changes: Any) -> dict[str, Any]:
    answer = signed_in(staff(role)).get(url(listing, "price_a_stay"), asked(**changes))
    assert answer.status_code == 200
    found: dict[str, Any] = answer.context["explained"]
    return found


def texts(rows: list[list[Any]]) -> list[list[str]]:
    """The cells as text, links and labels without their markup."""
    return [[strip_tags(str(cell)).strip() for cell in row] for row in rows]


def test_price_of_a_plain_stay_is_nights_times_price() -> None:
    found = explained(make_listing())

    assert texts(found["lines"]) == [
        [
            *("nights", "the listing's price", "03 May 2027 → 07 May 2027 (4 nights)"),
            *("4 × EUR 100.00", "EUR 400.00"),
        ],
        ["Guest pays", "", "", "", "EUR 400.00"],
    ]
    assert texts(found["host_lines"])[-1] == ["Host is paid", "", "", "", "EUR 338.00"]
    assert (found["why"], found["requires_request"]) == ([], False)
    assert found["policy"] == "flexible v1"


def test_price_names_the_rule_of_every_line() -> None:
    listing = make_listing(cleaning_fee_minor=3000, guests_included=1, extra_guest_fee_minor=1000)
    season = PriceRule.objects.create(
        listing=listing,
        kind="season",
        starts_on=date(2027, 5, 1),
        ends_on=date(2027, 6, 1),
        percent=20,
        **STAMPS,
    )
    code = PromoCode.objects.create(listing=listing, code="SPRING", percent=10, **STAMPS)
    fee = Fee.objects.create(listing=listing, kind="pet", amount_minor=1500, per="pet", **STAMPS)
    tax = Tax.objects.create(listing=listing, name="City tax", amount_minor=200, per="guest_night", **STAMPS)

    found = explained(listing, pets=1, promo_code="spring")

    rows = texts(found["lines"])
    assert [(row[0], row[1], row[4]) for row in rows] == [
        ("nights", "season", "EUR 480.00"),
        ("extra guests", "extra guests", "EUR 40.00"),
        ("discount", "promotion code", "EUR −48.00"),
        ("cleaning", "cleaning", "EUR 30.00"),
        ("fee", "pets", "EUR 15.00"),
        ("tax", "City tax", "EUR 16.00"),
        ("Guest pays", "", "EUR 533.00"),
    ]
    assert rows[2][2] == "10 % of EUR 480.00 · SPRING"
    assert rows[5][2] == "per guest and night"
    links = "".join(str(row[1]) for row in found["lines"])
    for row in (season, code, fee, tax):
        assert f"/{row._meta.model_name}/{row.pk}/change/" in links


def test_price_of_what_cannot_be_booked_says_every_reason() -> None:
    listing = make_listing(min_nights=5, max_guests=1, advance_notice_hours=8760, booking_window_days=30)
    CalendarDay.objects.create(listing=listing, date=date(2027, 5, 3), closed_to_arrival=True)

    found = explained(listing)

    codes = {row[0] for row in texts(found["why"])}
    assert {"min_nights", "too_many_guests", "closed_to_arrival", "advance_notice", "booking_window"} <= codes
    assert texts(found["lines"])[-1][-1] == "EUR 400.00"


def test_price_says_what_took_the_nights_and_names_other_dates() -> None:
    listing = make_listing()
    confirmed(listing, make_user())

    found = explained(listing)

    assert texts(found["why"]) == [
        [
            *("dates_unavailable", "Some of these nights are no longer free."),
            *("03 May 2027 → 07 May 2027 (4 nights)", "booking"),
        ]
    ]
    assert found["nearest"][0] == "07 May 2027 → 11 May 2027 (4 nights)"
    assert Booking.objects.count() == 1


def test_price_of_a_request_says_so() -> None:
    assert explained(make_listing(instant_book=False))["requires_request"] is True


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"check_out": "2027-05-03"}, "Check-out must come after check-in"),
        ({"check_out": "2029-05-03"}, "Check-out must come after check-in"),
        ({"check_in": "9999-12-31"}, "less than or equal to 2099"),
        ({"guests": "0"}, "greater than or equal to 1"),
        ({"promo_code": "NOTHING"}, "This promotion code does not exist."),
    ],
)
def test_price_says_what_it_cannot_read(changes: dict[str, str], said: str) -> None:
    answer = signed_in(staff("support")).get(url(make_listing(), "price_a_stay"), asked(**changes))

    assert said in answer.content.decode()
    assert answer.context["explained"] is None


def test_price_is_for_those_who_see_listings() -> None:
    listing = make_listing()

    assert signed_in(staff("finance")).get(url(listing, "price_a_stay"), asked()).status_code == 403
    for role in ("support", "moderator", "admin"):
        assert signed_in(staff(role)).get(url(listing, "price_a_stay")).status_code == 200
    gone = Listing(pk=10**9)
    assert signed_in(staff("admin")).get(url(gone, "price_a_stay")).status_code == 404


def test_price_costs_the_same_for_many_rules() -> None:
    listing = make_listing()
    client = signed_in(staff("support"))
    first, second = CaptureQueriesContext(connection), CaptureQueriesContext(connection)
    client.get(url(listing, "price_a_stay"), asked())
    with first:
        client.get(url(listing, "price_a_stay"), asked())
    for nights in (7, 14, 28):
        PriceRule.objects.create(
            listing=listing, kind="length_of_stay", min_nights=nights, percent=10, **STAMPS
        )
        Tax.objects.create(listing=listing, name=f"Tax {nights}", percent=5, **STAMPS)
    with second:
        client.get(url(listing, "price_a_stay"), asked())

    assert len(first) == len(second)
