"""Search over HTTP."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from api.search import SearchResult
from backend.availability import services as availability
from backend.availability.models import CalendarDay, Reason
from backend.core import fx, platform
from backend.core.stay import Stay
from backend.listings import amenities
from backend.listings.models import Listing, Photo
from backend.rates.models import Fee, PriceRule, Tax
from tests.api.client import ApiClient
from tests.factories import make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

PATH = "/api/properties/"


def get(**params: Any) -> dict[str, Any]:
    response = ApiClient().get(PATH, params)
    assert response.status_code == 200, response.content
    answer: dict[str, Any] = response.json()
    return answer


def refused(**params: Any) -> list[tuple[str, str]]:
    response = ApiClient().get(PATH, params)
    assert response.status_code == 422, response.content
    assert response["Content-Type"] == "application/problem+json"
    return [(error["field"], error["code"]) for error in response.json()["errors"]]


def soon(nights: int = 3) -> Stay:
    check_in = timezone.now().date() + timedelta(days=30)
    return Stay(check_in, check_in + timedelta(days=nights))


def dates(stay: Stay) -> dict[str, str]:
    return {"check_in": stay.check_in.isoformat(), "check_out": stay.check_out.isoformat()}


def test_search_shows_what_the_listing_itself_shows_to_anyone() -> None:
    listing = make_listing(
        amenities_mask=amenities.mask(["wifi", "pool"]),
        line1="Rua 1",
        postal_code="1100",
        review_count=2,
        rating="4.50",
    )
    Photo.objects.create(
        listing=listing,
        file="listings/a.jpg",
        width=10,
        height=10,
        position=0,
        is_cover=True,
        created_at=timezone.now(),
    )

    answer = get()

    shown = ApiClient().get(f"{PATH}{listing.pk}/").json()
    assert answer == {"count": 1, "count_is_exact": True, "next": None, "previous": None, "results": [shown]}
    assert shown["address"]["line1"] is None
    assert (
        SearchResult.model_validate(answer["results"][0]).model_dump(mode="json", exclude_unset=True).keys()
        == shown.keys()
    )


def test_search_shows_the_exact_address_to_nobody() -> None:
    host = make_user()
    listing = make_listing(host, line1="Rua 1")

    result = ApiClient(host).get(PATH).json()["results"][0]

    assert (result["latitude"], result["address"]["line1"]) == (listing.public_latitude, None)


def test_search_with_dates_shows_what_the_stay_costs_and_hides_what_is_taken() -> None:
    stay = soon()
    free = make_listing(
        price_minor=10_000,
        cleaning_fee_minor=2_500,
        extra_guest_fee_minor=1_000,
        guests_included=1,
        weekend_price_minor=None,
    )
    taken = make_listing()
    CalendarDay.objects.create(listing=free, date=stay.check_in, price_minor=20_000)
    with transaction.atomic():
        availability.claim(listing=taken, stay=stay, reason=Reason.BOOKING, now=timezone.now())

    alone, couple = get(**dates(stay)), get(**dates(stay), guests=2)

    assert [(row["id"], row["total_price"]) for row in alone["results"]] == [(free.pk, 425)]
    assert [(row["id"], row["total_price"]) for row in couple["results"]] == [(free.pk, 455)]
    quote = ApiClient().post(f"{PATH}{free.pk}/quote/", {**dates(stay), "guests": 2})
    assert quote.json()["total_price"] == 455
    assert "total_price" not in get()["results"][0]


def test_search_shows_prices_in_the_currency_that_is_asked_for() -> None:
    make_listing(currency="JPY", price_minor=16_000, weekend_price_minor=None, cleaning_fee_minor=1_600)
    stay = soon(2)

    own = get(**dates(stay))["results"][0]
    asked = get(**dates(stay), currency="EUR")["results"][0]

    assert (own["price_per_night"], own["currency"], own["total_price"]) == (16_000, "JPY", 33_600)
    assert asked["currency"] == "EUR"
    assert asked["total_price"] == pytest.approx(2.1 * asked["price_per_night"], abs=0.02)
    assert asked["price_per_night"] == pytest.approx(10 * asked["cleaning_fee"], abs=0.06)
    assert round(asked["price_per_night"], 2) == asked["price_per_night"] != 16_000
    assert asked["weekend_price"] is None
    price = asked["price_per_night"]
    assert get(currency="EUR", price_min=price, price_max=price)["count"] == 1
    assert get(currency="EUR", price_min=price + 0.01)["count"] == 0
    assert refused(currency="XXX") == [("currency", "unknown_currency")]
    assert refused(currency="EUR", price_min="1.001") == [("price_min", "too_precise")]


def test_search_around_a_point_says_how_far() -> None:
    listing = make_listing(public_latitude=38.7181, public_longitude=-9.1412)
    make_listing(public_latitude=41.15, public_longitude=-8.61)

    answer = get(lat=38.7, lng=-9.1412, radius_km=5, ordering="distance")

    assert [(row["id"], row["distance_km"]) for row in answer["results"]] == [(listing.pk, 2.013)]
    assert "distance_km" not in get()["results"][0]


@pytest.mark.parametrize(
    ("params", "field", "code"),
    [
        ({"colour": "red"}, "colour", "unknown_parameter"),
        ({"flexible_days": "3"}, "flexible_days", "dates_required"),
        ({"flexible_days": "8", "check_in": "2027-01-01"}, "flexible_days", "too_large"),
        ({"flexible_days": "-1"}, "flexible_days", "too_small"),
        ({"ordering": "cheapest"}, "ordering", "unknown_value"),
        ({"ordering": "distance"}, "ordering", "point_required"),
        ({"amenities": "wifi,moat"}, "amenities", "unknown_amenity"),
        ({"room_type": "castle"}, "room_type", "unknown_value"),
        ({"cancellation_policy": "never"}, "cancellation_policy", "unknown_value"),
        ({"page": "0"}, "page", "too_small"),
        ({"page": "1000001"}, "page", "too_large"),
        ({"page_size": "0"}, "page_size", "too_small"),
        ({"page_size": "abc"}, "page_size", "invalid_integer"),
        ({"lat": "38.7"}, "lng", "required"),
        ({"radius_km": "5"}, "radius_km", "point_required"),
        ({"lat": "91", "lng": "0"}, "lat", "too_large"),
        ({"lat": "nan", "lng": "0"}, "lat", "invalid_number"),
        ({"bbox": "1,2,3"}, "bbox", "invalid_bbox"),
        ({"bbox": "1,2,3,nan"}, "bbox", "invalid_bbox"),
        ({"bbox": "0,10,1,9"}, "bbox", "invalid_bbox"),
        ({"guests": "0"}, "guests", "too_small"),
        ({"rating_min": "6"}, "rating_min", "too_large"),
        ({"price_min": "-1"}, "price_min", "too_small"),
        ({"price_min": "NaN"}, "price_min", "invalid_number"),
        ({"instant_book": "perhaps"}, "instant_book", "invalid_boolean"),
        ({"check_in": "2020-01-01"}, "check_out", "required"),
        ({"check_out": "2027-01-01"}, "check_in", "required"),
        ({"check_in": "2020-01-01", "check_out": "2020-01-03"}, "check_in", "check_in_past"),
        ({"check_in": "2027-13-01", "check_out": "2027-01-03"}, "check_in", "invalid_date"),
        ({"q": "a\x00b"}, "q", "invalid_text"),
        ({"cursor": "abc"}, "cursor", "invalid_cursor"),
    ],
)
def test_search_refuses_what_it_does_not_understand(params: dict[str, str], field: str, code: str) -> None:
    make_listing()

    assert refused(**params) == [(field, code)]


def test_search_with_flexible_days_names_the_nearest_stay_that_can_be_booked() -> None:
    stay = soon(2)
    taken, open_listing = make_listing(price_minor=5_000), make_listing(price_minor=5_000)
    later = Stay(stay.check_in + timedelta(days=2), stay.check_out + timedelta(days=2))
    earlier = stay.check_in - timedelta(days=2)
    with transaction.atomic():
        availability.claim(
            listing=taken, stay=Stay(earlier, later.check_in), reason=Reason.BOOKING, now=timezone.now()
        )
    CalendarDay.objects.create(listing=taken, date=later.check_in, price_minor=9_000)

    plain = get(**dates(stay))
    flexible = get(**dates(stay), flexible_days=2)
    narrow = get(**dates(stay), flexible_days=1)

    found = {row["id"]: (row["available_stay"], row["total_price"]) for row in flexible["results"]}
    assert [row["id"] for row in plain["results"]] == [open_listing.pk]
    assert "available_stay" not in plain["results"][0]
    assert [row["id"] for row in narrow["results"]] == [open_listing.pk]
    assert found == {
        open_listing.pk: (dates(stay), found[open_listing.pk][1]),
        taken.pk: (dates(later), found[taken.pk][1]),
    }
    quote = ApiClient().post(f"{PATH}{taken.pk}/quote/", dates(later))
    assert (quote.status_code, quote.json()["total_price"]) == (200, found[taken.pk][1])


def test_search_prices_a_stay_as_its_quote_does() -> None:
    """With a season, a weekend rule, a discount, fees and taxes; and as many queries as without."""
    now, stay = timezone.now(), soon(8)
    listing = make_listing(price_minor=10_000, guests_included=1, extra_guest_fee_minor=500)
    made = {"listing": listing, "created_at": now, "updated_at": now}
    PriceRule.objects.create(
        kind="season",
        starts_on=stay.check_in,
        ends_on=stay.check_in + timedelta(days=3),
        price_minor=20_000,
        **made,
    )
    PriceRule.objects.create(kind="weekend", percent=10, **made)
    PriceRule.objects.create(kind="length_of_stay", min_nights=7, percent=15, **made)
    Fee.objects.create(kind="linen", amount_minor=1_000, per="person", **made)
    Tax.objects.create(name="City tax", amount_minor=200, per="guest_night", **made)

    shown = get(**dates(stay), guests=2)["results"]

    quote = ApiClient().post(f"{PATH}{listing.pk}/quote/", {**dates(stay), "guests": 2})
    assert quote.status_code == 200, quote.content
    assert {line["code"] for line in quote.json()["lines"]} >= {
        "night",
        "extra_guest",
        "discount",
        "fee",
        "tax",
    }
    assert [row["total_price"] for row in shown] == [quote.json()["total_price"]]


def test_search_pages_by_number_and_by_link() -> None:
    for _ in range(25):
        make_listing()

    first = get(ordering="price", page_size=100)
    links = [first]
    while links[-1]["next"]:
        links.append(ApiClient().get(links[-1]["next"].removeprefix("http://testserver")).json())
    second, third = get(ordering="price", page=2), get(ordering="price", page=3)

    assert [len(page["results"]) for page in links] == [20, 5]
    assert links[1]["results"] == second["results"]
    assert (third["results"], third["count"], third["next"]) == ([], 25, None)
    back = ApiClient().get(links[1]["previous"].removeprefix("http://testserver")).json()
    assert (back["results"], back["previous"]) == (first["results"], None)


def test_search_answers_304_until_something_changes() -> None:
    listing = make_listing()
    tag = ApiClient().get(PATH)["ETag"]

    same = ApiClient().get(PATH, None, if_none_match=tag)
    Listing.objects.filter(pk=listing.pk).update(price_minor=1)
    changed = ApiClient().get(PATH, None, if_none_match=tag)

    assert (same.status_code, same.content) == (304, b"")
    assert (changed.status_code, changed.json()["results"][0]["price_per_night"]) == (200, 0.01)


def test_search_asks_the_database_as_often_for_three_as_for_one() -> None:
    counts = []
    params = {**dates(soon()), "lat": 38.7, "lng": -9.1, "location": "Lisbon", "currency": "USD"}
    for number in (1, 2):
        for _ in range(number):
            make_listing()
        ApiClient().get(PATH, params)
        platform.get("currency"), fx.rates()
        with CaptureQueriesContext(
            connection,
        ) as queries:
            answer = ApiClient().get(PATH, params)
        counts.append((len(answer.json()["results"]), len(queries)))

    assert [rows for rows, _queries in counts] == [1, 3]
    assert counts[0][1] == counts[1][1]


def test_a_new_listing_of_five_fields_is_found_with_its_dates() -> None:
    host = make_user()
    body = {
        "title": "Room with a view",
        "description": "High up.",
        "price_per_night": 75.5,
        "location": "Nairobi, Kenya",
        "availability": True,
    }
    made = ApiClient(host).post(PATH, body)
    assert made.status_code == 201, made.content

    answer = get(location="nairobi", **dates(soon(2)))

    assert [(row["id"], row["total_price"]) for row in answer["results"]] == [(made.json()["id"], 151)]
