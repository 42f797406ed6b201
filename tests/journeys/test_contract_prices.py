"""What hosts ask for beside the night, and quotes with it, as clients are promised them."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from backend.bookings.models import Booking
from backend.rates.models import Fee, PriceRule, PromoCode, Tax
from tests.api.client import ApiClient
from tests.journeys.contract import (
    Person,
    assert_instants,
    body,
    book,
    confirmed,
    list_a_place,
    monday,
    refused,
    register,
    rows,
    sign_in_again,
    stay,
)

pytestmark = pytest.mark.usefixtures("db")

RULE = {"id", "kind", "from", "to", "weekdays", "price", "percent", "min_nights", "days_before"}
FEE = {"id", "kind", "amount", "percent", "per", "max_nights"}
TAX = {"id", "name", "percent", "amount", "per", "bases", "max_nights", "exempt_from_nights"}

KINDS: list[tuple[str, set[str], list[dict[str, Any]]]] = [
    (
        "price-rules",
        RULE,
        [
            {"kind": "season", "from": "2027-06-01", "to": "2027-07-01", "price": 150.5, "min_nights": 2},
            {"kind": "season", "from": "2027-08-01", "to": "2027-09-01", "percent": 20, "weekdays": [5, 6]},
            {"kind": "weekend", "weekdays": [5, 6], "price": 130},
            {"kind": "length_of_stay", "min_nights": 7, "percent": 10},
            {"kind": "length_of_stay", "min_nights": 28, "percent": 30},
            {"kind": "early_bird", "days_before": 90, "percent": 5},
            {"kind": "last_minute", "days_before": 3, "percent": 12.5},
            {"kind": "new_listing", "percent": 20},
        ],
    ),
    (
        "fees",
        FEE,
        [
            {"kind": "cleaning", "amount": 40, "per": "booking"},
            {"kind": "short_stay_cleaning", "amount": 20, "per": "booking", "max_nights": 2},
            {"kind": "pet", "amount": 5, "per": "pet"},
            {"kind": "resort", "percent": 2.5, "per": "booking"},
            {"kind": "linen", "amount": 3, "per": "person"},
            {"kind": "community", "amount": 1.25, "per": "night"},
            {"kind": "management", "percent": 1, "per": "booking"},
        ],
    ),
    (
        "taxes",
        TAX,
        [
            {"name": "VAT", "percent": 6, "bases": ["nights", "cleaning", "fees"]},
            {
                "name": "City tax",
                "amount": 2,
                "per": "guest_night",
                "max_nights": 7,
                "exempt_from_nights": 28,
            },
            {"name": "Stamp", "amount": 1, "per": "booking"},
            {"name": "Guest", "amount": 1, "per": "guest"},
            {"name": "Night", "amount": 1, "per": "night"},
        ],
    ),
]
TABLES: dict[str, Any] = {"price-rules": PriceRule, "fees": Fee, "taxes": Tax, "promo-codes": PromoCode}
EACH_KIND = pytest.mark.parametrize(("name", "fields", "sent"), KINDS, ids=[kind[0] for kind in KINDS])

HOSTILE: list[Any] = [
    *(None, True, [], {}, "", "x", "NaN", "a\x00b", "9999-12-31", "0001-01-01", 10**30, -(10**30), 2**31),
    *(0, -1, 1.005, 1e300, [None], [0, 8], ["nights", "x"], "x" * 5000, "\ud800"),
]


def home(place: dict[str, Any]) -> str:
    return f"/api/properties/{place['id']}/"


def quote(client: ApiClient, place: dict[str, Any], **fields: Any) -> Any:
    return client.post(f"{home(place)}quote/", {**stay(), **fields})


def add(host: ApiClient, place: dict[str, Any], name: str, /, **fields: Any) -> dict[str, Any]:
    return dict(body(host.post(f"{home(place)}{name}/", fields), 201))


def weekdays(nights: int, ahead: int = 60) -> dict[str, str]:
    """A stay from a Monday on."""
    first: date = monday(ahead)
    return {"check_in": first.isoformat(), "check_out": (first + timedelta(days=nights)).isoformat()}


@EACH_KIND
def test_rates_are_made_read_changed_and_removed_by_their_names(
    name: str, fields: set[str], sent: list[dict[str, Any]]
) -> None:
    host = register()
    place = list_a_place(host)
    path = f"{home(place)}{name}/"

    made = [body(host.post(path, each), 201) for each in sent]

    for each, row in zip(sent, made, strict=True):
        assert set(row) >= fields
        assert {key: row[key] for key in each} == each
        answer = host.get(f"{path}{row['id']}/")
        assert body(answer) == row
        assert host.get(f"{path}{row['id']}/", if_none_match=answer["ETag"]).status_code == 304
        assert body(host.get(f"{path}{row['id']}")) == row
    listed = host.get(path)
    assert sorted(rows(listed), key=lambda row: row["id"]) == made
    assert (body(listed)["count"], body(listed)["count_is_exact"], body(listed)["next"]) == (
        len(made),
        True,
        None,
    )
    first = made[0]
    one = f"{path}{first['id']}/"
    tag = host.get(one)["ETag"]
    # What GET shows may come back unchanged.
    shown = {key: value for key, value in first.items() if key in fields and key != "id"}
    assert body(host.patch(one, shown)) == first
    change = (
        {"percent": 3} if first["percent"] is not None else {"price" if "price" in first else "amount": 3}
    )
    assert next(iter(change.items())) in body(host.patch(one, change, if_match=tag)).items()
    refused(host.patch(one, change, if_match=tag), 412)
    refused(host.delete(one, if_match=tag), 412)
    assert host.delete(one).status_code == 204
    refused(host.get(one), 404, "not_found")
    refused(host.delete(one), 404, "not_found")
    assert TABLES[name].objects.count() == len(made) - 1


@EACH_KIND
def test_rates_are_the_hosts_alone(name: str, fields: set[str], sent: list[dict[str, Any]]) -> None:
    host, stranger, other, nobody = register(), register("guest"), register("host"), ApiClient()
    place, elsewhere = list_a_place(host), list_a_place(other)
    path = f"{home(place)}{name}/"
    row = body(host.post(path, sent[0]), 201)
    one = f"{path}{row['id']}/"
    asked = [("get", path, None), ("post", path, sent[0])]
    asked += [("get", one, None), ("patch", one, {"percent": 5}), ("delete", one, None)]

    for method, url, sent_body in asked:
        refused(nobody.request(method.upper(), url, sent_body), 401)
        refused(stranger.request(method.upper(), url, sent_body), 403)
        refused(other.request(method.upper(), url, sent_body), 403)
        gone = url.replace(f"/{place['id']}/", "/999999/")
        refused(host.request(method.upper(), gone, sent_body), 404, "not_found")
    # Another listing's row is not found below one's own.
    foreign = f"{home(elsewhere)}{name}/{row['id']}/"
    for method, sent_body in (("get", None), ("patch", {"percent": 5}), ("delete", None)):
        refused(other.request(method.upper(), foreign, sent_body), 404, "not_found")
    refused(host.get(path, {"no_such": 1}), 422)
    refused(host.get(one, {"no_such": 1}), 422)
    refused(host.post(path, {**sent[0], "no_such": 1}), 422, field="no_such")
    refused(host.patch(one, {"no_such": 1}), 422, field="no_such")
    refused(host.put(one, sent[0]), 405)
    assert rows(host.get(path)) == [row]


@EACH_KIND
def test_rates_take_no_nonsense(name: str, fields: set[str], sent: list[dict[str, Any]]) -> None:
    host = register()
    place = list_a_place(host)
    path = f"{home(place)}{name}/"
    row = body(host.post(path, sent[0]), 201)
    every = sorted(fields - {"id"})

    for field in every:
        for value in HOSTILE:
            for answer in (
                host.post(path, {**sent[1], field: value}),
                host.patch(f"{path}{row['id']}/", {field: value}),
            ):
                assert answer.status_code < 500, (field, value, answer.content)
                if answer.status_code not in (200, 201):
                    refused(answer, answer.status_code)
    for raw in (b'{"percent": NaN}', b'{"amount": 1e999}', b'{"price": -Infinity}', b"[]", b"null"):
        assert host.post(path, raw).status_code in (400, 422)
    assert quote(host, place).status_code < 500


def test_every_rate_is_a_line_of_the_quote_and_they_sum_to_it() -> None:
    host, guest = register(), register()
    place = list_a_place(
        host, currency="EUR", max_guests=4, guests_included=2, extra_guest_fee=10, price_per_night=99.99
    )
    dates = weekdays(9)
    season = {"kind": "season", "from": dates["check_in"], "to": dates["check_out"], "percent": 10}
    for name, each in [
        ("price-rules", season),
        ("price-rules", {"kind": "length_of_stay", "min_nights": 7, "percent": 10}),
        ("fees", {"kind": "cleaning", "amount": 33.33}),
        ("fees", {"kind": "pet", "amount": 5, "per": "pet"}),
        ("fees", {"kind": "resort", "percent": 2.5}),
        ("taxes", {"name": "VAT", "percent": 6, "bases": ["nights", "cleaning", "fees"]}),
        ("taxes", {"name": "City", "amount": 2, "per": "guest_night", "max_nights": 7}),
    ]:
        add(host, place, name, **each)

    shown = body(quote(guest, place, **dates, guests=3, pets=2))

    lines = shown["lines"]
    for line in lines:
        assert set(line) >= {"code", "description", "quantity", "unit_amount", "amount", "rule"}
        assert set(line["rule"]) >= {"id", "kind", "inputs"}
        assert line["description"]
    cents = [round(line["amount"] * 100) for line in lines]
    assert sum(cents) == round(shown["total_price"] * 100)
    parts = ("nights_total", "discounts_total", "fees_total", "taxes_total", "service_fee")
    assert sum(round(shown[part] * 100) for part in parts) == sum(cents)
    # 9 nights at 109.99; extra guest 90; 10 % off the nights without the extra guest.
    by_code: dict[str, int] = {}
    for line, amount in zip(lines, cents, strict=True):
        by_code[line["code"]] = by_code.get(line["code"], 0) + amount
    assert by_code["night"] == 9 * 10_999
    assert by_code["extra_guest"] == 9_000
    assert by_code["discount"] == -9_899
    assert by_code["cleaning"] == 3_333
    # 2 pets 10.00; 2.5 % of 890.92 is 22.27.
    assert by_code["fee"] == 1_000 + 2_227
    # 6 % of (890.92 + 33.33 + 32.27 + 90.00) is 62.79; 3 guests, 7 nights, 2.00 each.
    assert by_code["tax"] == 6_279 + 4_200
    assert set(by_code) <= {"night", "extra_guest", "discount", "cleaning", "fee", "tax", "service_fee"}
    assert shown.get("host_payout") is None
    assert_instants(shown)
    booked = book(guest, place, **dates, guests=3, pets=2, quote_token=shown["quote_token"])
    assert (booked["total_price"], booked["price_breakdown"]) == (shown["total_price"], lines)
    assert book(register(), place, **weekdays(9, 80), guests=3)["total_price"] > 0


@pytest.mark.parametrize("currency", ["JPY", "KWD", "KES", "UGX"])
def test_other_currencies_show_lines_that_sum(currency: str) -> None:
    host, guest = register(), register()
    place = list_a_place(host, currency="EUR", price_per_night=33.33)
    add(host, place, "price-rules", kind="length_of_stay", min_nights=3, percent=7.5)
    add(host, place, "taxes", name="VAT", percent=6.125)

    answer = quote(guest, place, **weekdays(3), currency=currency)

    shown = body(answer)
    assert shown["currency"] == currency
    assert shown["exchange_rate"] > 0
    places = {"JPY": 0, "KWD": 3, "KES": 2, "UGX": 0}[currency]
    total = round(shown["total_price"] * 10**places)
    assert sum(round(line["amount"] * 10**places) for line in shown["lines"]) == total
    if not places:
        assert all(isinstance(line["amount"], int) for line in shown["lines"])
        assert isinstance(shown["total_price"], int)
    timeline = shown["cancellation"]["timeline"]
    assert timeline[-1]["until"] is None
    for tier in timeline:
        assert round((tier["refund_amount"] + tier["host_keeps"] + tier["taxes_kept"]) * 10**places) == total


def test_one_discount_by_priority_and_non_refundable_is_its_own_line() -> None:
    host, guest = register(), register()
    place = list_a_place(host, cancellation_policy="non_refundable")
    add(host, place, "price-rules", kind="early_bird", days_before=10, percent=5)

    def discounts(nights: int, **fields: Any) -> list[int]:
        shown = body(quote(guest, place, **weekdays(nights), **fields))
        assert shown["cancellation"]["policy"] == ("long_stay" if nights >= 28 else "non_refundable")
        return [line["amount"] for line in shown["lines"] if line["code"] == "discount"]

    early = discounts(2)
    assert len(early) == 2
    assert sorted(early)[0] in (-19, -20)
    add(host, place, "price-rules", kind="length_of_stay", min_nights=7, percent=20)
    assert -140 in discounts(7)
    assert len(discounts(7)) == 2
    add(host, place, "price-rules", kind="new_listing", percent=30)
    assert -210 in discounts(7)
    add(host, place, "promo-codes", code="Hello", percent=1)
    assert -7 in discounts(7, promo_code="hELLO")
    refused(quote(guest, place, promo_code="NOPE"), 422)
    refused(guest.post("/api/bookings/", {"property_id": place["id"], **stay(), "promo_code": "NOPE"}), 422)
    assert Booking.objects.count() == 0
    assert book(guest, place, **weekdays(7), promo_code="HELLO")["total_price"] == 693 - round(693 * 0.1, 2)


def test_a_token_keeps_its_price_whatever_the_host_does_meanwhile() -> None:
    host, guest = register(), register()
    place = list_a_place(host, currency="EUR")
    code = add(host, place, "promo-codes", code="ONCE", percent=10, max_uses=1)
    linen = add(host, place, "fees", kind="linen", amount=7)
    offer = body(quote(guest, place, promo_code="ONCE"))
    plain = body(quote(guest, place, **stay(70)))
    assert offer["total_price"] == 187

    body(host.patch(f"{home(place)}fees/{linen['id']}/", {"amount": 70}))
    add(host, place, "taxes", name="VAT", percent=20)
    body(host.patch(f"{home(place)}promo-codes/{code['id']}/", {"active": False}))
    dates = {"from": offer["check_in"], "to": offer["check_out"]}
    body(host.put(f"{home(place)}calendar/", {**dates, "price": 500}))
    body(host.patch(home(place), {"price_per_night": 400, "cancellation_policy": "strict"}))

    changed = refused(
        guest.post("/api/bookings/", {"property_id": place["id"], **stay(70), "expected_total_price": 207}),
        409,
        "price_changed",
    )
    assert changed["quote"]["total_price"] == 400 * 2 * 1.2 + 70
    wrong = {"property_id": place["id"], **stay(), "quote_token": offer["quote_token"]}
    refused(guest.post("/api/bookings/", {**wrong, "guests": 2}), 422)
    refused(guest.post("/api/bookings/", {**wrong, "promo_code": "OTHER"}), 422)
    other = list_a_place(host)
    refused(guest.post("/api/bookings/", {**wrong, "property_id": other["id"]}), 422)
    assert Booking.objects.count() == 0
    booked = book(guest, place, quote_token=offer["quote_token"])
    assert booked["total_price"] == 187
    assert booked["cancellation"]["policy"] == "flexible"
    with time_machine.travel(timezone.now() + timedelta(minutes=15, seconds=5)):
        sign_in_again(guest)
        late = {"property_id": place["id"], **stay(70), "quote_token": plain["quote_token"]}
        refused(guest.post("/api/bookings/", late), 409, "quote_expired")


def test_split_of_the_service_fee_and_the_payout_are_told_to_the_right_side() -> None:
    host, guest = register(), register()
    place = list_a_place(host, currency="EUR")

    shown, own = body(quote(guest, place)), body(quote(host, place))

    assert shown.get("host_payout") is None
    assert own["host_payout"] == 169
    assert shown["service_fee"] == 0
    booking = confirmed(guest, place)
    assert body(host.get(f"/api/bookings/{booking['id']}/"))["host_payout"] == 169
    assert body(guest.get(f"/api/bookings/{booking['id']}/")).get("host_payout") is None


def test_a_quote_takes_no_nonsense() -> None:
    guest: Person = register()
    place = list_a_place(register())
    for field in ("check_in", "check_out", "guests", "currency", "promo_code", "pets"):
        for value in HOSTILE:
            answer = quote(guest, place, **{field: value})
            assert answer.status_code in (200, 409, 422), (field, value, answer.content)
            if answer.status_code != 200:
                refused(answer, answer.status_code)
    far = {"check_in": "9999-12-30", "check_out": "9999-12-31"}
    refused(quote(guest, place, **far), 422)
    refused(quote(guest, place, no_such=1), 422, field="no_such")


@pytest.mark.parametrize(("currency", "fine", "too_fine"), [("JPY", 1500, 1500.5), ("KWD", 15.125, 15.1255)])
def test_amounts_of_a_listing_have_the_places_of_its_currency(
    currency: str, fine: float, too_fine: float
) -> None:
    host, guest = register(), register()
    price = 10_001 if currency == "JPY" else 33.335
    place = list_a_place(host, currency=currency, price_per_night=price, cancellation_policy="moderate")
    for name, each, field in [
        ("price-rules", {"kind": "weekend", "weekdays": [6]}, "price"),
        ("fees", {"kind": "linen"}, "amount"),
        ("taxes", {"name": "Stamp", "per": "booking"}, "amount"),
        ("promo-codes", {"code": "LESS"}, "amount"),
    ]:
        refused(host.post(f"{home(place)}{name}/", {**each, field: too_fine}), 422, "too_precise", field)
        assert TABLES[name].objects.count() == 0
        assert add(host, place, name, **each, **{field: fine})[field] == fine
    add(host, place, "taxes", name="VAT", percent=6.125)
    places = 0 if currency == "JPY" else 3

    shown = body(quote(guest, place, **weekdays(7), promo_code="less"))
    booking = confirmed(guest, place, **weekdays(7), quote_token=shown["quote_token"])

    def minor(value: float) -> int:
        assert round(value * 10**places) == pytest.approx(value * 10**places)
        return round(value * 10**places)

    total = minor(shown["total_price"])
    assert sum(minor(line["amount"]) for line in shown["lines"]) == total == minor(booking["total_price"])
    for tier in booking["cancellation"]["timeline"]:
        parts = ("refund_amount", "host_keeps", "taxes_kept")
        assert sum(minor(tier[part]) for part in parts) == total
