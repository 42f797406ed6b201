"""GraphQL: many reads in one request, each with the answer, the permission and the limits of its REST operation."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from graphql import get_introspection_query

from api.graphql.schema import READINGS, schema
from backend.core import platform
from tests.api.client import ApiClient
from tests.api.test_api_keys import made as made_key
from tests.bookings.making import confirmed
from tests.factories import make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

ROOT = Path(__file__).resolve().parents[2]
PATH = "/graphql/"
EVERYTHING = """
query ($in: Date!, $out: Date!) {
  properties(location: "Lisbon", check_in: $in, check_out: $out, guests: 2) {
    count next_cursor
    results { id title price_per_night total_price currency amenities host { first_name } photos { url } address { city } }
  }
  bookings { results { id reference status property_id total_price price_breakdown { code amount } timeline { event } } }
  hosted: bookings(as: "host") { count }
  conversations { results { id property unread_count participants { first_name role } } }
  reviews { count results { rating } }
  host_analytics { occupancy property_id earnings_by_month { month amount } before { occupancy } }
  me { username roles }
}
"""
DATES = {"in": "2027-09-06", "out": "2027-09-10"}


def ask(client: ApiClient, query: str, **variables: Any) -> Any:
    return client.post(PATH, {"query": query, "variables": variables})


def test_one_request_reads_what_a_page_shows() -> None:
    guest, listing = make_user(), make_listing()
    booking = confirmed(listing, guest)
    client = ApiClient(guest)

    answer = ask(client, EVERYTHING, **DATES)

    assert answer.status_code == 200, answer.content
    assert "errors" not in answer.json(), answer.json()["errors"]
    data = answer.json()["data"]
    searched = client.get(
        "/api/properties/",
        {"location": "Lisbon", "check_in": DATES["in"], "check_out": DATES["out"], "guests": 2},
    ).json()
    [shown], [found] = data["properties"]["results"], searched["results"]
    assert {name: shown[name] for name in ("id", "title", "price_per_night", "total_price", "amenities")} == {
        name: found[name] for name in ("id", "title", "price_per_night", "total_price", "amenities")
    }
    rest = client.get(f"/api/bookings/{booking.pk}/").json()
    [mine] = data["bookings"]["results"]
    assert (mine["reference"], mine["status"], mine["total_price"]) == (
        rest["reference"],
        "confirmed",
        rest["total_price"],
    )
    assert [line["amount"] for line in mine["price_breakdown"]] == [
        line["amount"] for line in rest["price_breakdown"]
    ]
    assert data["hosted"] == {"count": 0}
    assert data["me"]["username"] == guest.username


def test_permissions_are_those_of_rest() -> None:
    booking = confirmed(make_listing())
    stranger = ApiClient(make_user())

    foreign = ask(
        stranger, "query ($id: Long!) { booking(booking_id: $id) { id } me { username } }", id=booking.pk
    )
    nobody = ask(ApiClient(), '{ bookings { count } properties(location: "Lisbon") { count } }')

    assert foreign.status_code == 200
    assert foreign.json()["data"]["booking"] is None
    assert foreign.json()["data"]["me"]["username"] == stranger.user.username  # type: ignore[union-attr]
    [refused] = foreign.json()["errors"]
    assert (refused["path"], refused["extensions"]["code"]) == (["booking"], "not_found")
    assert [each["extensions"]["code"] for each in nobody.json()["errors"]] == ["unauthenticated"]
    assert nobody.json()["data"] == {"bookings": None, "properties": {"count": 1}}
    assert ApiClient(token="worth.nothing.atall").post(PATH, {"query": "{ me { id } }"}).status_code == 401


def test_keys_read_what_their_scopes_say() -> None:
    host = make_user("host")
    program = ApiClient(token=made_key(host, "bookings:read")["key"])

    answer = ask(program, "{ bookings { count } conversations { count } }").json()

    assert answer["data"] == {"bookings": {"count": 0}, "conversations": None}
    assert [each["extensions"]["scope"] for each in answer["errors"]] == ["messages:read"]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("{ me { ", 400, "invalid_document"),
        ("{ " + " ".join(f"a{n}: me {{ id }}" for n in range(13)) + " }", 400, "too_complex"),
        ("{ me { id } " + " " * 20_001 + "}", 400, "too_complex"),
        (
            "{ " + " ".join(f"a{n}: bookings {{ results {{ {'id ' * 90}}} }}" for n in range(12)) + " }",
            400,
            "too_complex",
        ),
        ("{ __schema { types " + "{ fields { type " * 9 + "{ name }" + "}}" * 9 + "} }", 400, "too_complex"),
        ("", 422, "invalid"),
    ],
)
def test_what_asks_for_too_much_is_refused_before_anything_is_read(
    query: str, status: int, code: str
) -> None:
    client = ApiClient(make_user())
    client.get("/api/profile/")

    with CaptureQueriesContext(connection) as asked:
        refused = client.post(PATH, {"query": query})

    assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert len(asked) <= 1


def test_unknown_fields_wrong_arguments_and_changes_are_refused() -> None:
    client = ApiClient(make_user())

    unknown = ask(client, "{ me { password } }")
    change = ask(client, "mutation { me { id } }")
    wrong = ask(client, '{ bookings(status: "eaten") { count } }').json()
    member = client.post(PATH, {"query": "{ me { id } }", "mutation": "x"})

    assert [(each.status_code, each["Content-Type"]) for each in (unknown, change)] == [
        (400, "application/problem+json")
    ] * 2
    assert [each.json()["code"] for each in (unknown, change)] == ["invalid_document"] * 2
    assert unknown.json()["errors"] == [
        {
            "message": "Cannot query field 'password' on type 'User'.",
            "locations": [{"line": 1, "column": 8}],
        }
    ]
    assert (wrong["data"], wrong["errors"][0]["extensions"]["errors"][0]["field"]) == (
        {"bookings": None},
        "status",
    )
    assert (member.status_code, member.json()["errors"][0]["code"]) == (422, "unknown_field")
    put = client.request("PUT", PATH, {})
    assert (put.status_code, put["Allow"]) == (405, "GET, HEAD, POST")


def test_one_operation_of_several_is_named() -> None:
    client = ApiClient(make_user())
    both = "query A { me { id } } query B { bookings { count } }"

    named = client.post(PATH, {"query": both, "operationName": "B"}).json()
    refused = [
        client.post(PATH, {"query": both, **more})
        for more in ({}, {"operationName": "C"}, {"operationName": ""})
    ]

    assert named == {"data": {"bookings": {"count": 0}}}
    assert [(each.status_code, each.json()["code"]) for each in refused] == [(400, "unknown_operation")] * 3


def test_problems_name_the_request_inside_an_answer_too() -> None:
    answer = ask(ApiClient(), "{ me { id } }")

    assert answer.json()["errors"][0]["extensions"]["request_id"] == answer["X-Request-ID"] != ""


def test_tools_may_ask_for_the_schema() -> None:
    answer = ask(ApiClient(), get_introspection_query())

    assert answer.status_code == 200
    assert "Booking" in {each["name"] for each in answer.json()["data"]["__schema"]["types"]}


def test_fragments_count_as_often_as_they_are_spread() -> None:
    fields = "fragment F on PageOfBooking { results { " + "id " * 200 + "} }"
    query = "{ " + " ".join(f"a{n}: bookings {{ ...F }}" for n in range(6)) + " } " + fields

    assert ask(ApiClient(make_user()), query).json()["code"] == "too_complex"


def test_a_list_asks_as_often_for_three_as_for_one() -> None:
    guest = make_user()
    client = ApiClient(guest)
    query = "{ bookings { results { id timeline { event } } } conversations { results { id last_message { body } } } }"
    confirmed(make_listing(), guest)
    ask(client, query)
    with CaptureQueriesContext(connection) as one:
        assert len(ask(client, query).json()["data"]["bookings"]["results"]) == 1
    for _ in range(2):
        confirmed(make_listing(), guest)

    with CaptureQueriesContext(connection) as three:
        assert len(ask(client, query).json()["data"]["bookings"]["results"]) == 3

    # Settings are read once a second, whoever asks then.
    own = [
        [each for each in asked.captured_queries if "setting_" not in each["sql"]] for asked in (one, three)
    ]
    assert len(own[0]) == len(own[1])


def test_pages_go_on_by_their_cursor() -> None:
    guest = make_user()
    client = ApiClient(guest)
    made = [confirmed(make_listing(), guest).pk for _ in range(3)]
    query = "query ($c: String) { bookings(page_size: 2, cursor: $c) { next_cursor results { id } } }"

    first = ask(client, query, c=None).json()["data"]["bookings"]
    second = ask(client, query, c=first["next_cursor"]).json()["data"]["bookings"]

    assert [each["id"] for each in first["results"] + second["results"]] == made[::-1]
    assert second["next_cursor"] is None


def test_a_document_is_kept_under_its_digest() -> None:
    client, query = ApiClient(make_user()), "{ me { username } }"
    persisted = {"persistedQuery": {"version": 1, "sha256Hash": hashlib.sha256(query.encode()).hexdigest()}}
    cache.clear()

    unknown = client.post(PATH, {"extensions": persisted}).json()
    assert unknown["code"] == "PERSISTED_QUERY_NOT_FOUND"
    # Apollo's clients look for this, and then send the document beside its digest.
    assert unknown["errors"] == [
        {"message": "PersistedQueryNotFound", "extensions": {"code": "PERSISTED_QUERY_NOT_FOUND"}}
    ]
    wrong = client.post(PATH, {"query": query + " ", "extensions": persisted})
    assert wrong.json()["errors"][0]["code"] == "wrong_digest"
    assert client.post(PATH, {"query": query, "extensions": persisted}).status_code == 200
    again = client.post(PATH, {"extensions": persisted})

    assert again.json()["data"]["me"]["username"] == client.user.username  # type: ignore[union-attr]


def test_each_field_counts_as_a_read() -> None:
    platform.put("limit_reads_user", 5)
    client = ApiClient(make_user())

    assert ask(client, "{ a: me { id } b: me { id } c: me { id } }").status_code == 200
    refused = ask(client, "{ a: me { id } b: me { id } c: me { id } }")

    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")


def test_pages_of_others_cannot_ask_with_cookies() -> None:
    admin = make_user("admin", is_staff=True)
    client = ApiClient()
    client.client.force_login(admin)

    answer = ask(client, "{ me { username } }").json()

    assert (answer["data"], answer["errors"][0]["extensions"]["code"]) == ({"me": None}, "unauthenticated")


def test_the_written_schema_is_ours() -> None:
    assert (ROOT / "api" / "graphql" / "schema.graphql").read_text() == schema.as_str() + "\n"
    assert set(READINGS) == {field.name for field in schema.get_type_by_name("Query").fields}  # type: ignore[union-attr]
