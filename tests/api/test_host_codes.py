"""Promotion codes for all of a host's listings, over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backend.rates.models import PromoCode
from tests.api.client import ApiClient
from tests.bookings.making import book
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

PATH = "/api/host/promo-codes/"


@pytest.fixture(autouse=True)
def _at_now():
    with time_machine.travel(NOW, tick=False):
        yield


def test_code_of_a_host_holds_for_all_their_listings_in_each_currency() -> None:
    host = make_user("host")
    client = ApiClient(host)
    euro, yen = make_listing(host), make_listing(host, currency="JPY", price_minor=9_000)
    foreign = make_listing()

    added = client.post(PATH, {"code": "friends", "amount": 10, "max_uses_per_guest": None})

    assert added.status_code == 201
    code = added.json()
    assert (code["code"], code["amount"], code["currency"], code["uses"]) == ("FRIENDS", 10, "EUR", 0)
    assert book(euro, promo_code="Friends").total_minor == 39_000
    assert 30_000 < book(yen, promo_code="friends").total_minor < 35_500
    quote = ApiClient().post(
        f"/api/properties/{foreign.pk}/quote/",
        {"check_in": "2027-05-03", "check_out": "2027-05-07", "promo_code": "friends"},
    )
    assert (quote.status_code, quote.json()["code"]) == (422, "invalid_promo_code")
    assert client.get(PATH).json()["results"] == [{**code, "uses": 2}]


def test_code_of_a_host_is_changed_and_removed_by_them() -> None:
    client = ApiClient(make_user("host"))
    code = client.post(PATH, {"code": "friends", "percent": 10}).json()
    path = f"{PATH}{code['id']}/"
    seen = client.get(path)

    changed = client.patch(path, {"percent": 12.5, "active": False}, if_match=seen.headers["ETag"])

    assert (changed.status_code, changed.json()) == (200, {**code, "percent": 12.5, "active": False})
    assert client.get(path, if_none_match=changed.headers["ETag"]).status_code == 304
    assert client.delete(path, if_match=seen.headers["ETag"]).status_code == 412
    assert client.patch(path, {"percent": 5}, if_match=seen.headers["ETag"]).status_code == 412
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404
    assert not PromoCode.objects.exists()


def test_codes_of_a_host_are_theirs_alone() -> None:
    host = make_user("host")
    code = ApiClient(host).post(PATH, {"code": "friends", "percent": 10}).json()
    path = f"{PATH}{code['id']}/"
    platforms = PromoCode.objects.create(code="ALL", percent=5, created_at=NOW, updated_at=NOW)

    assert ApiClient().get(PATH).status_code == 401
    guest = ApiClient(make_user("guest"))
    assert guest.get(PATH).status_code == 403
    assert guest.post(PATH, {"code": "mine", "percent": 10}).status_code == 403
    for stranger in (make_user("guest"), make_user("host"), make_user("finance")):
        client = ApiClient(stranger)
        answers = [client.get(path), client.patch(path, {"percent": 99}), client.delete(path)]
        assert [answer.status_code for answer in answers] == [404] * 3
    assert ApiClient(host).patch(f"{PATH}{platforms.pk}/", {"percent": 99}).status_code == 404
    assert ApiClient(make_user("host")).get(PATH).json()["count"] == 0
    assert ApiClient(host).get(path).json() == code
    assert PromoCode.objects.count() == 2


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        ({"code": "FRIENDS", "percent": 10}, 409, "promo_code_exists"),
        ({"code": "NEW", "amount": 10, "currency": "XTS"}, 422, "unknown_currency"),
        ({"code": "NEW", "amount": 10.5, "currency": "JPY"}, 422, "too_precise"),
        ({"code": "NEW"}, 422, "required"),
    ],
)
def test_code_of_a_host_is_refused(sent: dict[str, Any], status: int, code: str) -> None:
    client = ApiClient(make_user("host"))
    client.post(PATH, {"code": "friends", "percent": 10})

    answer = client.post(PATH, sent)

    problem = answer.json()
    assert answer.status_code == status
    assert code in {problem["code"], *(error["code"] for error in problem.get("errors", []))}
    assert PromoCode.objects.count() == 1


def test_used_code_of_a_host_can_only_be_switched_off() -> None:
    host = make_user("host")
    client = ApiClient(host)
    code = client.post(PATH, {"code": "friends", "percent": 10}).json()
    book(make_listing(host), promo_code="FRIENDS")

    answer = client.delete(f"{PATH}{code['id']}/")

    assert (answer.status_code, answer.json()["code"]) == (409, "promo_code_used")
    assert PromoCode.objects.count() == 1


def test_list_of_codes_asks_the_same_number_of_queries_for_one_and_three() -> None:
    client = ApiClient(make_user("host"))
    counts = []
    for word in ("ONE", "TWO", "THREE"):
        client.post(PATH, {"code": word, "percent": 10})
        with CaptureQueriesContext(connection) as queries:
            shown = client.get(PATH).json()
        counts.append((len(queries), shown["count"]))

    assert [count for _queries, count in counts] == [1, 2, 3]
    assert counts[0][0] == counts[2][0]
