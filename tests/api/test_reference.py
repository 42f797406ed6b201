"""Reference lists over HTTP."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backend.core import rate_book
from backend.core.rate_files import Said
from tests.api.client import ApiClient

pytestmark = pytest.mark.usefixtures("db")

WHOLE = {"count_is_exact": True, "next": None, "previous": None}


def rows(path: str, params: dict[str, Any] | None = None, **headers: str) -> list[dict[str, Any]]:
    response = ApiClient().get(path, params, **headers)
    assert response.status_code == 200, response.content
    answer = response.json()
    results: list[dict[str, Any]] = answer.pop("results")
    assert answer == {**WHOLE, "count": len(results)}
    return results


@pytest.mark.parametrize(
    ("language", "name"),
    [("en", "Pool"), ("fr", "Piscine"), ("es", "Piscina"), ("sw", "Bwawa la kuogelea"), ("ar", "مسبح"), ("de", "Pool"), ("fr-CA", "Piscine")],
)  # fmt: skip
def test_amenities_are_named_in_the_language_of_the_request(language: str, name: str) -> None:
    found = rows("/api/amenities/", accept_language=language)

    assert len(found) == 56
    assert [row for row in found if row["slug"] == "pool"] == [
        {"slug": "pool", "name": name, "category": "outdoors"}
    ]


def test_currencies_come_with_decimals_and_rate() -> None:
    found = {row["code"]: row for row in rows("/api/currencies/")}

    needed = "AED AUD BRL CAD CHF CNY EUR GBP INR JPY KES KWD MXN NGN NZD SGD TZS UGX USD ZAR"
    assert set(needed.split()) <= set(found)
    assert {code: found[code]["minor_units"] for code in ("EUR", "JPY", "KWD")} == {
        "EUR": 2,
        "JPY": 0,
        "KWD": 3,
    }
    assert found["EUR"]["rate"] == 1
    assert found["KES"] == {
        "code": "KES",
        "name": "Kenyan Shilling",
        "minor_units": 2,
        "rate": 138.546563,
        "rate_date": "2024-06-18",
        "source": "currencyapi.com",
    }


def test_currency_that_was_just_told_is_offered_with_its_day_and_source() -> None:
    before = {row["code"] for row in rows("/api/currencies/")}
    said = Said("LYD", Decimal("5.4321"), date(2026, 11, 2), "somebody")

    rate_book.take([said], now=datetime(2026, 11, 2, 20, 0, tzinfo=UTC))

    after = {row["code"]: row for row in rows("/api/currencies/")}
    assert set(after) - before == {"LYD"}
    assert after["LYD"] == {
        "code": "LYD",
        "name": "Libyan Dinar",
        "minor_units": 3,
        "rate": 5.4321,
        "rate_date": "2026-11-02",
        "source": "somebody",
    }


def test_locations_begin_with_what_was_typed() -> None:
    (first, *others) = rows("/api/locations/", {"q": "alban"})

    assert (first["name"], first["label"], first["country"]) == (
        "Albany",
        "Albany, New York, United States",
        "US",
    )
    assert first["timezone"] == "America/New_York"
    assert all(row["name"].lower().startswith("alban") for row in others[:2])
    assert [row["name"] for row in rows("/api/locations/", {"q": "alb, ny"})] == ["Albany"]


@pytest.mark.parametrize(
    ("typed", "city"),
    [("SAO PAU", "São Paulo"), ("são pau", "São Paulo"), ("lisboa", "Lisbon"), ("firenz", "Florence"), ("نيروبي", None), ("القاهرة", "Cairo")],
)  # fmt: skip
def test_locations_are_found_without_accents_and_by_other_names(typed: str, city: str | None) -> None:
    found = [row["name"] for row in rows("/api/locations/", {"q": typed})]

    if city is None:
        assert found == [] or "Nairobi" in found
    else:
        assert found[0] == city


@pytest.mark.parametrize(
    ("typed", "city"), [("lisbn", "Lisbon"), ("Nairboi", "Nairobi"), ("nairboi, kenya", "Nairobi")]
)
def test_locations_are_found_in_spite_of_a_slip(typed: str, city: str) -> None:
    assert rows("/api/locations/", {"q": typed})[0]["name"] == city


def test_locations_far_from_any_name_are_none() -> None:
    assert rows("/api/locations/", {"q": "qxqxqx"}) == []
    assert rows("/api/locations/", {"q": "lisbn, kenya"}) == []


def test_locations_are_at_most_twenty_by_population() -> None:
    found = rows("/api/locations/", {"q": "s"})

    assert len(found) == 20
    assert [row["population"] for row in found] == sorted((row["population"] for row in found), reverse=True)
    assert rows("/api/locations/") == []
    assert rows("/api/locations/", {"q": "%"}) == []


@pytest.mark.parametrize("typed", ["alban", "s"])
def test_locations_ask_the_database_once_and_for_their_version(typed: str) -> None:
    ApiClient().get("/api/locations/", {"q": "x"})

    with CaptureQueriesContext(connection) as queries:
        ApiClient().get("/api/locations/", {"q": typed})

    assert ["table_versions" in query["sql"] for query in queries] == [True, False]


@pytest.mark.parametrize("path", ["/api/amenities/", "/api/currencies/", "/api/locations/"])
def test_reference_lists_refuse_unknown_parameters(path: str) -> None:
    response = ApiClient().get(path, {"colour": "red"})

    assert (response.status_code, response.json()["errors"][0]["code"]) == (422, "unknown_parameter")


def test_reference_lists_answer_304() -> None:
    tag = ApiClient().get("/api/amenities/")["ETag"]

    assert ApiClient().get("/api/amenities/", if_none_match=tag).status_code == 304
    assert ApiClient().get("/api/amenities/", if_none_match=tag, accept_language="fr").status_code == 200
