"""Price rules, fees, taxes and promotion codes over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backend.audit.models import AuditEntry
from backend.bookings import services as bookings
from backend.listings.models import Listing
from backend.rates.models import Fee, PriceRule, PromoCode, Tax
from tests.api.client import ApiClient
from tests.bookings.making import book
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

SEASON = {"kind": "season", "from": "2027-06-01", "to": "2027-09-01", "price": 140.5}
KINDS: dict[str, tuple[type[Any], dict[str, Any], dict[str, Any]]] = {
    "price-rules": (PriceRule, SEASON, {"price": 150}),
    "fees": (Fee, {"kind": "linen", "amount": 15, "per": "person"}, {"amount": 16.5}),
    "taxes": (Tax, {"name": "City tax", "percent": 7}, {"percent": 8.125}),
    "promo-codes": (PromoCode, {"code": "summer27", "percent": 15}, {"percent": 20}),
}
EVERY = pytest.mark.parametrize("kind", list(KINDS))


@pytest.fixture(autouse=True)
def _at_now():
    with time_machine.travel(NOW, tick=False):
        yield


def _path(listing: Listing, kind: str, row_id: int | None = None) -> str:
    base = f"/api/properties/{listing.pk}/{kind}/"
    return base if row_id is None else f"{base}{row_id}/"


def _codes(answer: Any) -> set[str]:
    problem = answer.json()
    return {problem["code"], *(f"{error['field']}:{error['code']}" for error in problem.get("errors", []))}


def _add(listing: Listing, kind: str, /, **values: Any) -> Any:
    return ApiClient(listing.host).post(_path(listing, kind), values)


@pytest.mark.parametrize(
    ("kind", "sent", "shown"),
    [
        (
            "price-rules",
            SEASON,
            {
                "kind": "season",
                "from": "2027-06-01",
                "to": "2027-09-01",
                "weekdays": [],
                "price": 140.5,
                "currency": "EUR",
                "percent": None,
                "min_nights": None,
                "max_nights": None,
                "closed_to_arrival": None,
                "closed_to_departure": None,
                "days_before": None,
            },
        ),
        (
            "fees",
            {"kind": "pet", "amount": 12.5, "per": "pet", "max_nights": 7},
            {
                "kind": "pet",
                "amount": 12.5,
                "currency": "EUR",
                "percent": None,
                "per": "pet",
                "max_nights": 7,
            },
        ),
        (
            "taxes",
            {"name": "VAT", "percent": 6.125, "bases": ["nights", "fees"], "exempt_from_nights": 28},
            {
                "name": "VAT",
                "percent": 6.125,
                "amount": None,
                "currency": "EUR",
                "per": "booking",
                "bases": ["nights", "fees"],
                "max_nights": None,
                "exempt_from_nights": 28,
            },
        ),
        (
            "promo-codes",
            {"code": "ten-off", "amount": 10, "valid_until": "2027-06-01T00:00:00Z", "max_uses": 5},
            {
                "code": "TEN-OFF",
                "percent": None,
                "amount": 10,
                "currency": "EUR",
                "valid_from": None,
                "valid_until": "2027-06-01T00:00:00Z",
                "min_nights": None,
                "max_uses": 5,
                "max_uses_per_guest": 1,
                "active": True,
                "uses": 0,
            },
        ),
    ],
)
def test_add_answers_with_the_row_and_the_list_and_the_row_show_it(
    kind: str, sent: dict[str, Any], shown: dict[str, Any]
) -> None:
    listing = make_listing()

    answer = _add(listing, kind, **sent)

    assert answer.status_code == 201
    added = answer.json()
    assert added == {"id": added["id"], **shown}
    client = ApiClient(listing.host)
    assert client.get(_path(listing, kind, added["id"])).json() == added
    assert client.get(_path(listing, kind)).json() == {
        "count": 1,
        "count_is_exact": True,
        "next": None,
        "previous": None,
        "results": [added],
    }
    entry = AuditEntry.objects.get(action__endswith=".add")
    assert (entry.actor_id, entry.object_id) == (listing.host_id, str(added["id"]))


@EVERY
def test_change_keeps_what_is_not_sent_and_remove_takes_the_row(kind: str) -> None:
    model, values, changes = KINDS[kind]
    listing = make_listing()
    client = ApiClient(listing.host)
    added = _add(listing, kind, **values).json()

    changed = client.patch(_path(listing, kind, added["id"]), changes)

    assert (changed.status_code, changed.json()) == (200, {**added, **changes})
    assert client.get(_path(listing, kind, added["id"])).headers["ETag"] == changed.headers["ETag"]
    removed = client.delete(_path(listing, kind, added["id"]))
    assert (removed.status_code, removed.content) == (204, b"")
    assert client.get(_path(listing, kind, added["id"])).status_code == 404
    assert client.patch(_path(listing, kind, added["id"]), changes).status_code == 404
    assert client.delete(_path(listing, kind, added["id"])).status_code == 404
    assert not model.objects.exists()
    actions = list(AuditEntry.objects.order_by("id").values_list("action", flat=True))
    assert [action.rpartition(".")[2] for action in actions] == ["add", "change", "remove"]


@EVERY
def test_rates_answer_the_host_alone(kind: str) -> None:
    model, values, changes = KINDS[kind]
    listing, hidden = make_listing(), make_listing(status="draft", published_at=None)
    added = _add(listing, kind, **values).json()
    row = _path(listing, kind, added["id"])

    def tries(client: ApiClient, of: Listing) -> list[int]:
        path = _path(of, kind)
        answers = [
            client.get(path),
            client.post(path, values),
            client.get(f"{path}{added['id']}/"),
            client.patch(f"{path}{added['id']}/", changes),
            client.delete(f"{path}{added['id']}/"),
        ]
        return [answer.status_code for answer in answers]

    assert tries(ApiClient(), listing) == [401] * 5
    for stranger in (make_user("guest"), make_user("host"), make_user("support"), make_user("admin")):
        assert tries(ApiClient(stranger), listing) == [403] * 5
    assert tries(ApiClient(make_user("host")), hidden) == [404] * 5
    own = make_listing(listing.host)
    assert ApiClient(listing.host).patch(_path(own, kind, added["id"]), changes).status_code == 404
    assert ApiClient(listing.host).get(row).json() == added
    assert model.objects.count() == 1


@EVERY
def test_rates_of_a_withdrawn_listing_are_gone(kind: str) -> None:
    _model, values, changes = KINDS[kind]
    listing = make_listing()
    client = ApiClient(listing.host)
    added = _add(listing, kind, **values).json()
    bookings.withdraw_listing(actor=listing.host, listing=listing, now=NOW)

    assert client.get(_path(listing, kind)).status_code == 404
    assert client.patch(_path(listing, kind, added["id"]), changes).status_code == 404


@EVERY
def test_rates_keep_an_unseen_change(kind: str) -> None:
    _model, values, changes = KINDS[kind]
    listing = make_listing()
    client = ApiClient(listing.host)
    path = _path(listing, kind, _add(listing, kind, **values).json()["id"])
    first = client.get(path)

    assert client.get(path, if_none_match=first.headers["ETag"]).status_code == 304
    assert client.patch(path, changes, if_match=first.headers["ETag"]).status_code == 200
    after = client.get(path)
    assert client.get(path, if_none_match=first.headers["ETag"]).status_code == 200
    assert client.patch(path, values, if_match=first.headers["ETag"]).status_code == 412
    assert client.delete(path, if_match=first.headers["ETag"]).status_code == 412
    assert client.get(path).json() == after.json()
    assert client.delete(path, if_match=after.headers["ETag"]).status_code == 204


@EVERY
def test_list_asks_the_same_number_of_queries_for_one_row_and_three(kind: str) -> None:
    rows: dict[str, list[dict[str, Any]]] = {
        "price-rules": [
            {"kind": "length_of_stay", "min_nights": nights, "percent": 5} for nights in (7, 14, 28)
        ],
        "fees": [{"kind": word, "amount": 5} for word in ("linen", "resort", "community")],
        "taxes": [{"name": word, "percent": 5} for word in ("A", "B", "C")],
        "promo-codes": [{"code": word, "percent": 5} for word in ("AA", "BB", "CC")],
    }
    listing = make_listing()
    client = ApiClient(listing.host)
    counts = []
    for values in rows[kind]:
        assert _add(listing, kind, **values).status_code == 201
        with CaptureQueriesContext(connection) as queries:
            shown = client.get(_path(listing, kind)).json()
        counts.append((len(queries), shown["count"], len(shown["results"])))

    assert [count[1:] for count in counts] == [(1, 1), (2, 2), (3, 3)]
    assert counts[0][0] == counts[2][0]


@pytest.mark.parametrize(
    ("kind", "sent", "code"),
    [
        ("price-rules", {"kind": "season", "from": "2027-06-01", "price": 1}, "to:required"),
        ("price-rules", {"kind": "season", "to": "2027-06-01", "price": 1}, "from:required"),
        ("price-rules", {**SEASON, "to": "2027-06-01"}, "to:invalid_range"),
        ("price-rules", {**SEASON, "price": None}, "price:required"),
        ("price-rules", {**SEASON, "percent": 10}, "percent:only_one"),
        ("price-rules", {**SEASON, "days_before": 3}, "days_before:not_for_kind"),
        ("price-rules", {**SEASON, "price": 0}, "price:too_small"),
        ("price-rules", {**SEASON, "price": 0.001}, "price:too_precise"),
        ("price-rules", {**SEASON, "price": 10**11}, "price:too_large"),
        ("price-rules", {**SEASON, "min_nights": 5, "max_nights": 4}, "max_nights:nights_out_of_order"),
        ("price-rules", {**SEASON, "weekdays": [8]}, "weekdays.0:too_large"),
        ("price-rules", {**SEASON, "season": 1}, "season:unknown_field"),
        ("price-rules", {"kind": "weekend"}, "price:required"),
        ("price-rules", {"kind": "weekend", "price": 5, "min_nights": 2}, "min_nights:not_for_kind"),
        ("price-rules", {"kind": "weekend", "percent": 901}, "percent:too_large"),
        ("price-rules", {"kind": "length_of_stay", "percent": 5}, "min_nights:required"),
        ("price-rules", {"kind": "length_of_stay", "min_nights": 7}, "percent:required"),
        ("price-rules", {"kind": "length_of_stay", "min_nights": 1, "percent": 5}, "min_nights:too_small"),
        ("price-rules", {"kind": "length_of_stay", "min_nights": 7, "percent": 91}, "percent:too_large"),
        ("price-rules", {"kind": "length_of_stay", "min_nights": 7, "percent": 0}, "percent:too_small"),
        (
            "price-rules",
            {"kind": "length_of_stay", "min_nights": 7, "percent": 0.0001},
            "percent:too_precise",
        ),
        ("price-rules", {"kind": "early_bird", "percent": 5}, "days_before:required"),
        ("price-rules", {"kind": "last_minute", "percent": -5, "days_before": 2}, "percent:too_small"),
        ("price-rules", {"kind": "new_listing"}, "percent:required"),
        ("price-rules", {"kind": "new_listing", "percent": 5, "price": 5}, "price:not_for_kind"),
        ("price-rules", {"kind": "holiday", "percent": 5}, "kind:unknown_value"),
        ("price-rules", {"percent": 5}, "kind:required"),
        ("fees", {"kind": "linen"}, "amount:required"),
        ("fees", {"kind": "linen", "amount": 5, "percent": 5}, "percent:only_one"),
        ("fees", {"kind": "linen", "percent": 5, "per": "night"}, "per:not_for_percent"),
        ("fees", {"kind": "linen", "percent": 101}, "percent:too_large"),
        ("fees", {"kind": "linen", "amount": 0}, "amount:too_small"),
        ("fees", {"kind": "linen", "amount": 1.005}, "amount:too_precise"),
        ("fees", {"kind": "short_stay_cleaning", "amount": 5}, "max_nights:required"),
        ("fees", {"kind": "linen", "amount": 5, "per": "week"}, "per:unknown_value"),
        ("fees", {"kind": "linen", "amount": 5, "per": None}, "per:unknown_value"),
        ("taxes", {"percent": 5}, "name:required"),
        ("taxes", {"name": " ", "percent": 5}, "name:blank"),
        ("taxes", {"name": "VAT"}, "percent:required"),
        ("taxes", {"name": "VAT", "percent": 5, "amount": 5}, "amount:only_one"),
        ("taxes", {"name": "VAT", "percent": 5, "bases": ["pool"]}, "bases.0:unknown_value"),
        ("taxes", {"name": "VAT", "percent": 5, "max_nights": 0}, "max_nights:too_small"),
        ("promo-codes", {"code": "A B", "percent": 5}, "code:invalid_code"),
        ("promo-codes", {"code": "AB"}, "percent:required"),
        ("promo-codes", {"code": "AB", "amount": 5, "currency": "USD"}, "currency:wrong_currency"),
        ("promo-codes", {"code": "AB", "percent": 5, "max_uses": 0}, "max_uses:too_small"),
        (
            "promo-codes",
            {
                "code": "AB",
                "percent": 5,
                "valid_from": "2027-06-01T00:00:00Z",
                "valid_until": "2027-06-01T00:00:00Z",
            },
            "valid_until:invalid_range",
        ),
    ],
)
def test_add_refuses_what_makes_no_sense(kind: str, sent: dict[str, Any], code: str) -> None:
    listing = make_listing()

    answer = _add(listing, kind, **sent)

    assert answer.status_code == 422
    assert code in _codes(answer)
    assert not KINDS[kind][0].objects.exists()


def test_change_refuses_a_row_that_would_make_no_sense_and_leaves_it() -> None:
    listing = make_listing()
    added = _add(listing, "price-rules", **SEASON).json()
    path = _path(listing, "price-rules", added["id"])
    client = ApiClient(listing.host)

    for changes, code in (
        ({"price": None}, "price:required"),
        ({"kind": "new_listing"}, "percent:required"),
        ({"to": "2027-05-01"}, "to:invalid_range"),
        ({"percent": 10}, "percent:only_one"),
    ):
        answer = client.patch(path, changes)
        assert (answer.status_code, code in _codes(answer)) == (422, True), changes
    assert client.get(path).json() == added
    assert client.patch(path, {"price": None, "percent": -12.5}).json() == {
        **added,
        "price": None,
        "percent": -12.5,
    }


def test_add_refuses_what_is_there_already() -> None:
    listing = make_listing()
    client = ApiClient(listing.host)
    for kind, values, again, code in (
        ("price-rules", SEASON, {**SEASON, "from": "2027-08-31", "to": "2027-09-10"}, "season_overlap"),
        ("price-rules", {"kind": "weekend", "price": 5}, {"kind": "weekend", "percent": 5}, "rule_exists"),
        (
            "price-rules",
            {"kind": "length_of_stay", "min_nights": 7, "percent": 5},
            {"kind": "length_of_stay", "min_nights": 7, "percent": 6},
            "rule_exists",
        ),
        (
            "price-rules",
            {"kind": "early_bird", "days_before": 60, "percent": 5},
            {"kind": "early_bird", "days_before": 60, "percent": 6},
            "rule_exists",
        ),
        ("fees", {"kind": "pet", "amount": 5}, {"kind": "pet", "amount": 6}, "fee_exists"),
        (
            "promo-codes",
            {"code": "Summer", "percent": 5},
            {"code": "sUMMER", "percent": 6},
            "promo_code_exists",
        ),
    ):
        assert client.post(_path(listing, kind), values).status_code == 201
        before = client.get(_path(listing, kind)).json()
        answer = client.post(_path(listing, kind), again)
        assert (answer.status_code, answer.json()["code"]) == (409, code)
        assert client.get(_path(listing, kind)).json() == before
    touching = {**SEASON, "from": "2027-09-01", "to": "2027-09-10"}
    assert client.post(_path(listing, "price-rules"), touching).status_code == 201
    other = make_listing(listing.host)
    assert client.post(_path(other, "price-rules"), SEASON).status_code == 201


def test_add_stops_at_the_most_fees() -> None:
    listing = make_listing()
    Tax.objects.bulk_create(
        Tax(listing=listing, name=f"Tax {number}", percent=1, created_at=NOW, updated_at=NOW)
        for number in range(20)
    )

    answer = _add(listing, "taxes", name="One more", percent=1)

    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_rates")
    assert Tax.objects.count() == 20


@pytest.mark.parametrize(
    ("kind", "sent", "refused"),
    [
        ("price-rules", SEASON, True),
        ("price-rules", {**SEASON, "price": None, "percent": 10}, False),
        ("fees", {"kind": "linen", "amount": 15}, True),
        ("fees", {"kind": "linen", "percent": 15}, False),
        ("taxes", {"name": "VAT", "amount": 2, "per": "night"}, True),
        ("promo-codes", {"code": "AB", "amount": 15}, True),
        ("promo-codes", {"code": "AB", "percent": 15}, False),
    ],
)
def test_currency_of_a_listing_stays_while_rates_name_amounts(
    kind: str, sent: dict[str, Any], refused: bool
) -> None:
    listing = make_listing()
    assert _add(listing, kind, **sent).status_code == 201

    answer = ApiClient(listing.host).patch(f"/api/properties/{listing.pk}/", {"currency": "USD"})

    listing.refresh_from_db()
    if refused:
        assert (answer.status_code, answer.json()["code"]) == (409, "rates_in_currency")
        assert listing.currency == "EUR"
    else:
        assert (answer.status_code, listing.currency) == (200, "USD")


def test_amounts_have_the_decimals_of_the_listings_currency() -> None:
    yen, dinar = make_listing(currency="JPY"), make_listing(currency="KWD")

    assert "amount:too_precise" in _codes(_add(yen, "fees", kind="linen", amount=1500.5))
    assert _add(yen, "fees", kind="linen", amount=1500).json()["amount"] == 1500
    assert _add(dinar, "fees", kind="linen", amount=1.125).json()["amount"] == 1.125
    assert list(Fee.objects.order_by("id").values_list("amount_minor", flat=True)) == [1500, 1125]


def test_promo_code_that_was_used_counts_and_cannot_be_removed() -> None:
    listing = make_listing()
    client = ApiClient(listing.host)
    added = _add(listing, "promo-codes", code="SUMMER", percent=10).json()
    path = _path(listing, "promo-codes", added["id"])
    booking = book(listing, promo_code="summer")

    assert client.get(path).json() == {**added, "uses": 1}
    assert client.get(_path(listing, "promo-codes")).json()["results"] == [{**added, "uses": 1}]
    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=NOW)
    assert client.get(path).json() == added
    answer = client.delete(path)
    assert (answer.status_code, answer.json()["code"]) == (409, "promo_code_used")
    assert client.patch(path, {"active": False}).json() == {**added, "active": False}
