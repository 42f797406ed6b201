"""The conventions of the API, sentence by sentence, on the product's own endpoints."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from backend.bookings.models import Booking
from backend.core import platform
from backend.listings.models import Listing
from tests.api.client import ApiClient
from tests.factories import make_listing, make_user
from tests.journeys.contract import (
    FIVE,
    PASSWORD,
    assert_instants,
    body,
    book,
    confirmed,
    exact,
    list_a_place,
    path_of,
    pay,
    refused,
    register,
    rows,
    sign_in_again,
    stay,
)

pytestmark = pytest.mark.usefixtures("db")

anyone = ApiClient()


def test_the_path_without_its_slash_answers_the_same() -> None:
    account = {"username": "john_doe", "email": "john@example.com", "password": PASSWORD}
    john = ApiClient(token=body(anyone.post("/api/register", account), 201)["token"])
    place = body(john.post("/api/properties", FIVE), 201)

    for path in ("/api/properties/", f"/api/properties/{place['id']}/", "/api/amenities/"):
        assert body(anyone.get(path.rstrip("/"))) == body(anyone.get(path))
    assert body(john.patch(f"/api/properties/{place['id']}", {"title": "Loft"}))["title"] == "Loft"
    assert john.delete(f"/api/properties/{place['id']}").status_code == 204


def test_unknown_fields_of_a_body_are_refused() -> None:
    host, guest = register(), register()
    place = list_a_place(host)
    booking = book(guest, place)
    account = {"username": "ann", "email": "ann@example.com", "password": PASSWORD}
    asked: list[tuple[ApiClient, str, str, dict[str, Any]]] = [
        (anyone, "POST", "/api/register/", account),
        (anyone, "POST", "/api/login/", {"username": "ann", "password": PASSWORD}),
        (anyone, "POST", "/api/token/refresh/", {"refresh": host.account["refresh"]}),
        (host, "PATCH", "/api/profile/", {}),
        (host, "POST", "/api/properties/", FIVE),
        (host, "PATCH", f"/api/properties/{place['id']}/", {}),
        (host, "PUT", f"/api/properties/{place['id']}/", FIVE),
        (anyone, "POST", f"/api/properties/{place['id']}/quote/", {**stay(90), "guests": 1}),
        (guest, "POST", "/api/bookings/", {"property_id": place["id"], **stay(90)}),
        (guest, "POST", f"/api/bookings/{booking['id']}/pay/", {"provider": "sandbox"}),
        (guest, "DELETE", f"/api/bookings/{booking['id']}/", {"reason": "ill"}),
    ]

    for client, method, path, sent in asked:
        refused(client.request(method, path, {**sent, "typo": 1}), 422, field="typo")
    calendar = {"from": stay(5)["check_in"], "to": stay(5)["check_out"], "available": False, "typo": 1}
    refused(host.put(f"/api/properties/{place['id']}/calendar/", calendar), 422, field="typo")

    assert Listing.objects.count() == Booking.objects.count() == 1
    assert body(guest.get(f"/api/bookings/{booking['id']}/"))["status"] == "pending"


def test_every_error_is_a_problem() -> None:
    guest, other = register("guest"), register()
    booking = book(guest, list_a_place(other))

    refused(anyone.get("/api/nothing/"), 404, "not_found")
    refused(anyone.get("/api/properties/999999/"), 404, "not_found")
    refused(anyone.request("PATCH", "/api/login/", {}), 405)
    refused(anyone.post("/api/login/", "a=b", content_type="application/x-www-form-urlencoded"), 415)
    refused(anyone.post("/api/login/", b'{"username": "' + b"x" * 2**20 + b'"}'), 413)
    for token in ("", "x", "x.y.z", booking["reference"]):
        refused(ApiClient(token=token).get("/api/profile/"), 401)
    refused(anyone.get("/api/profile/", authorization="Basic eDp5"), 401)
    refused(guest.post("/api/properties/", FIVE), 403)
    refused(register().get(f"/api/bookings/{booking['id']}/"), 404, "not_found")
    problem = refused(anyone.post("/api/register/", {}), 422)
    assert {"username", "email", "password"} <= {each["field"] for each in problem["errors"]}


@pytest.mark.parametrize(
    "sent",
    [
        b"{",
        b'{"username": "ann", "username": "bob", "password": "x"}',
        b'{"username": "ann", "password": "\xff\xfe"}',
        b'{"username": {"a": 1, "a": 2}, "password": "x"}',
    ],
)
def test_malformed_bodies_are_400(sent: bytes) -> None:
    refused(anyone.post("/api/login/", sent, content_type="application/json"), 400, "malformed_body")


@pytest.mark.parametrize(
    "text", ["NaN", "Infinity", "-Infinity", "1e999", "-5", "0", "9" * 40, '"\\u0000"', "[]"]
)
def test_hostile_numbers_are_refused(text: str) -> None:
    host = register()
    sent = json.dumps(FIVE).replace('"price_per_night": 100', f'"price_per_night": {text}')

    answer = host.post("/api/properties/", sent.encode())

    assert answer.status_code in (400, 422), answer.content
    refused(answer, answer.status_code)
    assert Listing.objects.count() == 0


def test_request_id_is_the_clients_where_it_is_sane() -> None:
    host = register()
    place = list_a_place(host)
    for path, status in (("/api/properties/", 200), ("/api/nothing/", 404), ("/health/live", 200)):
        answer = anyone.get(path, x_request_id="client-4f2.A_9")
        assert (answer.status_code, answer["X-Request-ID"]) == (status, "client-4f2.A_9")
    for bad in ("x" * 2000, "a b<script>", "é"):
        made = anyone.get("/api/properties/", x_request_id=bad)["X-Request-ID"]
        assert made
        assert made != bad
    assert host.delete(f"/api/properties/{place['id']}/")["X-Request-ID"]


def test_money_is_written_with_no_more_places_than_its_currency_has() -> None:
    host = register()
    written = {}
    for currency, price in (("EUR", 75), ("EUR", 75.5), ("EUR", 75.25), ("JPY", 12000), ("KWD", 10.125)):
        answer = host.post("/api/properties/", {**FIVE, "currency": currency, "price_per_night": price})
        shown = exact(answer)
        assert shown["currency"] == currency
        assert not isinstance(shown["price_per_night"], str)
        written[(currency, price)] = str(shown["price_per_night"])
    assert list(written.values()) == ["75", "75.5", "75.25", "12000", "10.125"]

    for currency, price in (("EUR", 75.125), ("JPY", 120.5), ("KWD", 1.0001)):
        answer = host.post("/api/properties/", {**FIVE, "currency": currency, "price_per_night": price})
        refused(answer, 422, "too_precise", field="price_per_night")
    assert Listing.objects.count() == 5


def test_money_never_passes_through_a_float() -> None:
    host, guest = register(), register()
    place = list_a_place(host, price_per_night=0.1, cleaning_fee=0.07)

    quote = exact(guest.post(f"/api/properties/{place['id']}/quote/", {**stay(nights=3), "guests": 1}))

    assert (quote["nights_total"], quote["total_price"]) == (Decimal("0.3"), Decimal("0.37"))
    assert sum(line["amount"] for line in quote["lines"]) == Decimal("0.37")


def test_instants_are_utc_with_z() -> None:
    host, guest = register(), register()
    place = list_a_place(host)
    booking = confirmed(guest, place)

    shown = [
        place,
        booking,
        *(body(guest.get(path)) for path in ("/api/profile/", "/api/profile/sessions/", "/api/payments/")),
        body(host.get("/api/notifications/")),
        body(guest.post(f"/api/properties/{place['id']}/quote/", {**stay(90), "guests": 1})),
        body(guest.get(f"/api/bookings/{booking['id']}/cancellation/")),
    ]

    for each in shown:
        assert_instants(each)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", booking["check_in"])


def test_lists_come_in_pages_of_twenty_at_most() -> None:
    host = make_user()
    for _ in range(45):
        make_listing(host)

    first = body(anyone.get("/api/properties/"))
    assert (first["count"], first["count_is_exact"], first["previous"]) == (45, True, None)
    assert len(first["results"]) == 20
    assert len(rows(anyone.get("/api/properties/", {"page_size": 5000}))) == 20
    assert len(rows(anyone.get("/api/properties/", {"page_size": 7}))) == 7
    by_number = [row["id"] for n in (1, 2, 3) for row in rows(anyone.get("/api/properties/", {"page": n}))]
    by_link, url = [row["id"] for row in first["results"]], first["next"]
    while url:
        assert re.match(r"https?://", url)
        page = body(anyone.get(path_of(url)))
        assert page["previous"]
        by_link += [row["id"] for row in page["results"]]
        last, url = page, page["next"]
    back = body(anyone.get(path_of(last["previous"])))
    assert [row["id"] for row in back["results"]] == by_link[20:40]
    assert by_link == by_number
    assert len(set(by_link)) == 45
    for page_number in (4, 1_000_000):
        assert rows(anyone.get("/api/properties/", {"page": page_number})) == []


def test_lists_refuse_what_they_do_not_understand() -> None:
    user = register()
    place = list_a_place(user)
    private = ["/api/bookings/", "/api/payments/", "/api/notifications/", "/api/profile/sessions/"]
    paged = ["/api/properties/", *private]
    for path in [*paged, "/api/amenities/", "/api/currencies/", "/api/locations/"]:
        refused(user.get(path, {"colour": "red"}), 422, field="colour")
    refused(user.get(f"/api/properties/{place['id']}/", {"colour": "red"}), 422, field="colour")
    refused(user.get(f"/api/properties/{place['id']}/calendar/", {"colour": "red"}), 422, field="colour")
    for path in paged:
        for name, value in (("page_size", "0"), ("page_size", "abc"), ("page", "1000001")):
            refused(user.get(path, {name: value}), 422, field=name)
        assert body(user.get(path, {"page": 999, "page_size": 3}))["results"] == []


def test_reference_lists_come_whole() -> None:
    for path in ("/api/amenities/", "/api/currencies/", "/api/locations/"):
        params = {"q": "lis"} if "locations" in path else None
        envelope = body(anyone.get(path, params))
        assert (envelope["next"], envelope["previous"]) == (None, None)
        assert envelope["count"] == len(envelope["results"]) > 0
    assert body(anyone.get("/api/currencies/"))["count"] > 20, "whole, not a page of twenty"


def test_etag_on_every_object_and_on_search() -> None:
    host, guest = register(), register()
    place = list_a_place(host)
    booking = confirmed(guest, place)
    payment = rows(guest.get("/api/payments/"))[0]
    for client, path in (
        (anyone, f"/api/properties/{place['id']}/"),
        (anyone, f"/api/users/{host.account['id']}/"),
        (anyone, "/api/properties/"),
        (guest, "/api/profile/"),
        (guest, f"/api/bookings/{booking['id']}/"),
        (guest, f"/api/payments/{payment['id']}/"),
    ):
        first = client.get(path)
        assert re.fullmatch(r'(W/)?"[^"]+"', first["ETag"]), path

        again = client.get(path, if_none_match=first["ETag"])
        assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"]), path
        assert client.get(path, if_none_match=f'"x", {first["ETag"]}').status_code == 304
        assert client.get(path, if_none_match='"other"').status_code == 200


def test_if_match_refuses_a_lost_update() -> None:
    host, guest = register(), register()
    place = list_a_place(host)
    booking = book(guest, place)
    home, mine = f"/api/properties/{place['id']}/", f"/api/bookings/{booking['id']}/"
    stale = host.get(home)["ETag"]
    assert host.patch(home, {"title": "Loft"}, if_match=stale).status_code == 200
    profile = host.get("/api/profile/")["ETag"]
    assert host.patch("/api/profile/", {"bio": "Hello"}, if_match=profile).status_code == 200

    for client, method, path, sent, tag in (
        (host, "PATCH", home, {"title": "Lost"}, stale),
        (host, "PUT", home, {**FIVE, "title": "Lost"}, stale),
        (host, "DELETE", home, None, stale),
        (host, "PATCH", "/api/profile/", {"bio": "Lost"}, profile),
        (guest, "DELETE", mine, None, '"another"'),
    ):
        refused(client.request(method, path, sent, if_match=tag), 412)

    assert body(host.get(home))["title"] == "Loft"
    assert body(host.get("/api/profile/"))["bio"] == "Hello"
    assert body(guest.get(mine))["status"] == "pending"
    assert guest.delete(mine, if_match=guest.get(mine)["ETag"]).status_code == 200


def test_idempotency_key_makes_one_booking_and_one_payment() -> None:
    host, guest = register(), register()
    place = list_a_place(host)
    wish = {"property_id": place["id"], **stay()}

    first = guest.post("/api/bookings/", wish, idempotency_key="k")
    again = guest.post("/api/bookings/", wish, idempotency_key="k")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert "Idempotent-Replayed" not in first
    assert again["Idempotent-Replayed"] == "true"
    changed = guest.post("/api/bookings/", {**wish, "guests": 2}, idempotency_key="k")
    refused(changed, 422, "idempotency_key_reused")
    assert Booking.objects.count() == 1

    paid = pay(guest, body(first, 201), idempotency_key="pay-1")
    repeated = pay(guest, body(first, 201), idempotency_key="pay-1")
    assert (body(repeated), repeated["Idempotent-Replayed"]) == (body(paid), "true")
    assert len(rows(guest.get("/api/payments/"))) == 1

    other = register()
    mine = other.post("/api/bookings/", {**wish, **stay(90)}, idempotency_key="k")
    assert mine.status_code == 201, "keys are each user's own"
    for key in ("x" * 256, "a\tb", "schlüssel"):
        refused(other.post("/api/bookings/", {**wish, **stay(95)}, idempotency_key=key), 422)
    longest = other.post("/api/bookings/", {**wish, **stay(99)}, idempotency_key="~" + " !" * 127)
    assert longest.status_code == 201


def test_idempotency_key_is_kept_seven_days() -> None:
    host, guest = register(), register()
    place = list_a_place(host)
    wish = {"property_id": place["id"], **stay()}
    first = guest.post("/api/bookings/", wish, idempotency_key="k")

    with time_machine.travel(timezone.now() + timedelta(days=7, minutes=-1)):
        sign_in_again(guest)
        assert guest.post("/api/bookings/", wish, idempotency_key="k").content == first.content
    with time_machine.travel(timezone.now() + timedelta(days=7, minutes=1)):
        sign_in_again(guest)
        fresh = guest.post("/api/bookings/", wish, idempotency_key="k")

    assert "Idempotent-Replayed" not in fresh
    assert (fresh.status_code, Booking.objects.count()) == (201, 2)


def test_limited_endpoints_say_how_much_is_left() -> None:
    register()
    for answer in (
        anyone.get("/api/properties/"),
        anyone.get("/api/amenities/"),
        anyone.post("/api/login/", {"username": "nobody", "password": "wrong-horse-9"}),
        anyone.post("/api/register/", {"username": "ann", "email": "ann@example.com", "password": PASSWORD}),
    ):
        assert answer["RateLimit"]
        assert answer["RateLimit-Policy"]


def test_default_limits_are_those_agreed() -> None:
    agreed = {
        "limit_sign_in_account": 10,
        "limit_sign_in_address": 100,
        "limit_register_address": 100,
        "limit_holds_user": 5,
        "limit_listings_host": 200,
        "limit_reads_address": 600,
        "limit_tickets_user": 60,
        "limit_sockets_user": 5,
    }

    assert {key: platform.get(key) for key in agreed} == agreed


def register_from(address: str) -> Any:
    name = f"u{address.replace('.', '_')}"
    account = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
    return anyone.post("/api/register/", account, forwarded=f"for={address}", x_real_ip=address)


def test_over_a_limit_is_429_whatever_forwarding_headers_say() -> None:
    host, place = register(), list_a_place(register())
    listings = Listing.objects.count()
    for key in ("limit_reads_address", "limit_register_address", "limit_listings_host"):
        platform.put(key, 3)
    reads, accounts = iter(range(10)), iter(range(10))
    asked: list[Callable[[], Any]] = [
        lambda: anyone.get(f"/api/properties/{place['id']}/", x_forwarded_for=f"198.51.100.{next(reads)}"),
        lambda: register_from(f"198.51.100.{next(accounts)}"),
        lambda: host.post("/api/properties/", FIVE),
    ]

    for ask in asked:
        answers = [ask() for _ in range(5)]
        assert 429 not in [answer.status_code for answer in answers[:1]]
        refused(answers[4], 429)
        assert int(answers[4]["Retry-After"]) >= 1
    assert Listing.objects.count() == listings + 3
