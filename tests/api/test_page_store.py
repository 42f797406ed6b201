"""Answers that are kept for everybody: never outdated, nobody's in particular, bounded, and no need."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.core.cache import cache
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from api import page_store
from backend.core import table_versions
from backend.core.models import ExchangeRate
from backend.core.valkey import breaker
from backend.identity import api_keys
from backend.listings.models import Amenity, Location, LocationName
from tests.api.client import ApiClient
from tests.conftest import Server
from tests.factories import make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

AMENITIES, CURRENCIES, LOCATIONS = "/api/amenities/", "/api/currencies/", "/api/locations/"


@pytest.fixture(autouse=True)
def mended() -> Iterator[None]:
    breaker.mend()
    yield
    breaker.mend()


@contextmanager
def renamed(name: str, write: Callable[[str], Any]) -> Iterator[None]:
    """The pool goes by another name meanwhile: the table outlives the test."""
    before = Amenity.objects.get(slug="pool").name
    write(name)
    try:
        yield
    finally:
        Amenity.objects.filter(slug="pool").update(name=before)


def by_statement(name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE amenities SET name = %s WHERE slug = 'pool'", [name])


def by_orm(name: str) -> None:
    Amenity.objects.filter(slug="pool").update(name=name)


def pool(**headers: str) -> str:
    """What the pool is called by the API."""
    found = ApiClient().get(AMENITIES, **headers).json()["results"]
    return str(next(row["name"] for row in found if row["slug"] == "pool"))


def kept() -> list[Any]:
    """Everything in the store."""
    client = cache._cache.get_client()
    return [client.get(name) for name in client.keys("*:page:*")]


@pytest.mark.parametrize(("path", "params"), [(AMENITIES, {}), (CURRENCIES, {}), (LOCATIONS, {"q": "lisb"})])
def test_second_answer_is_the_first_one_for_one_statement(path: str, params: dict[str, str]) -> None:
    first = ApiClient().get(path, params)

    with CaptureQueriesContext(connection) as asked:
        second = ApiClient().get(path, params)

    assert (second.content, second["ETag"]) == (first.content, first["ETag"])
    assert ["table_versions" in each["sql"] for each in asked.captured_queries] == [True]
    assert len(kept()) == 1


@pytest.mark.parametrize("write", [by_orm, by_statement])
def test_change_shows_in_the_next_answer_whoever_made_it(write: Callable[[str], None]) -> None:
    tag = ApiClient().get(AMENITIES)["ETag"]
    assert pool() == "Pool"

    with renamed("Basin", write):
        assert pool() == "Basin"
        assert ApiClient().get(AMENITIES, if_none_match=tag).status_code == 200

    assert pool() == "Pool"
    assert ApiClient().get(AMENITIES, if_none_match=tag).status_code == 304


def test_query_cache_tells_what_was_before_where_the_store_does_not() -> None:
    assert [row.name for row in Amenity.objects.all() if row.slug == "pool"] == ["Pool"]

    with renamed("Basin", by_statement):
        assert [row.name for row in Amenity.objects.all() if row.slug == "pool"] == ["Pool"]
        assert pool() == "Basin"


def test_rows_that_are_copied_in_show_in_the_next_answer() -> None:
    assert len(ApiClient().get(LOCATIONS, {"q": "zzyzx"}).json()["results"]) == 0

    try:
        with connection.cursor() as cursor, transaction.atomic():
            place = Location.objects.order_by("pk")[0]
            with cursor.copy("COPY location_names (location_id, search_name, is_own) FROM STDIN") as copy:
                copy.write_row((place.pk, "zzyzx", False))
        found = ApiClient().get(LOCATIONS, {"q": "zzyzx"}).json()["results"]
    finally:
        LocationName.objects.filter(search_name="zzyzx").delete()

    assert [row["id"] for row in found] == [place.pk]
    assert ApiClient().get(LOCATIONS, {"q": "zzyzx"}).json()["results"] == []


def test_rate_shows_in_the_next_answer() -> None:
    def rate() -> float:
        found = ApiClient().get(CURRENCIES).json()["results"]
        return float(next(row["rate"] for row in found if row["code"] == "KES"))

    before = rate()

    ExchangeRate.objects.filter(currency_id="KES").update(per_euro=150)

    assert (before == 150, rate()) == (False, 150)


def test_what_is_not_committed_is_neither_shown_nor_kept() -> None:
    written, looked_at = threading.Event(), threading.Event()

    def write() -> None:
        try:
            with transaction.atomic():
                by_statement("Basin")
                written.set()
                assert looked_at.wait(20)
        finally:
            written.set()
            connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    assert written.wait(20)
    meanwhile = [pool(), pool()]
    looked_at.set()
    writer.join()
    try:
        assert (meanwhile, pool()) == (["Pool", "Pool"], "Basin")
    finally:
        by_orm("Pool")


def test_change_while_an_answer_is_made_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its version was read before: what is kept under it is never given for the version after."""
    read = table_versions.of

    def slowly(*tables: str) -> str:
        version = read(*tables)
        by_statement("Basin")
        return version

    monkeypatch.setattr(table_versions, "of", slowly)
    try:
        assert pool() == "Basin"
        monkeypatch.undo()
        by_statement("Pool")
        assert pool() == "Pool"
    finally:
        by_orm("Pool")


def test_languages_are_kept_apart() -> None:
    names = [pool(accept_language=language) for language in ("en", "fr", "es", "en", "fr", "es")]

    assert names == ["Pool", "Piscine", "Piscina"] * 2
    assert len(kept()) == 3


def test_somebodys_answers_are_neither_kept_nor_taken_from_the_store() -> None:
    token = ApiClient(make_user()).token
    assert token is not None
    key = api_keys.PREFIX + "x" * 43
    for headers in (
        {"authorization": f"Bearer {token}"},
        {"cookie": "sessionid=planted"},
        {"cookie": "theme=dark"},
    ):
        assert ApiClient().get(AMENITIES, **headers).status_code == 200
        assert kept() == []
    assert ApiClient().get(AMENITIES, authorization=f"Bearer {key}").status_code == 401
    assert kept() == []

    ApiClient().get(AMENITIES)
    assert len(kept()) == 1
    cache.set_many({name: (b"planted", '"planted"', b"planted") for name in names()})
    for headers in ({"authorization": f"Bearer {token}"}, {"cookie": "sessionid=planted"}):
        assert b"planted" not in ApiClient().get(AMENITIES, **headers).content
    assert ApiClient().get(AMENITIES, authorization=f"Bearer {key}").status_code == 401


def names() -> list[str]:
    return [name.decode().rpartition(":1:")[2] for name in cache._cache.get_client().keys("*:page:*")]


def test_only_bytes_and_their_tag_are_kept_and_headers_are_each_callers_own() -> None:
    first = ApiClient().get(AMENITIES, x_request_id="the-first", origin="https://a.example")
    second = ApiClient().get(AMENITIES, x_request_id="the-second")

    (name,) = names()
    _proof, *rest = cache.get(name)
    assert rest == [first["ETag"], first.content]
    assert (first["X-Request-ID"], second["X-Request-ID"]) == ("the-first", "the-second")
    left = [int(each["RateLimit"].partition("r=")[2].partition(";")[0]) for each in (first, second)]
    assert left[0] - left[1] == 1
    assert second["Content-Language"] == "en"
    for answer in (first, second):
        # Limits and ids are in the headers, so that no proxy may keep the answer for others.
        assert answer["Cache-Control"] == "private, no-cache"
        assert answer["Vary"] == "Authorization, Accept-Language"


def test_what_was_planted_under_a_slot_is_not_believed() -> None:
    first = ApiClient().get(AMENITIES)
    cache.set_many({name: (b"planted", '"planted"', b"planted") for name in names()})

    assert ApiClient().get(AMENITIES).content == first.content


def test_without_valkey_answers_are_made_anew() -> None:
    first = ApiClient().get(AMENITIES)
    breaker.broke(ConnectionError())

    with CaptureQueriesContext(connection) as asked:
        second = ApiClient().get(AMENITIES)

    assert second.content == first.content
    assert not any("table_versions" in each["sql"] for each in asked.captured_queries)


def test_store_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_store, "SLOTS", 3)
    for number in range(20):
        ApiClient().get(LOCATIONS, {"q": f"a{number}"})
    assert len(kept()) == 3

    cache.clear()
    monkeypatch.setattr(page_store, "MOST_BYTES", 1_000)
    answers = [ApiClient().get(AMENITIES).content for _ in range(2)]
    assert answers[0] == answers[1]
    assert kept() == []


def test_what_one_process_changes_the_other_answers_next(server: Server) -> None:
    listing = make_listing()
    day = timezone.now().date() + timedelta(days=40)
    stay = {"check_in": day.isoformat(), "check_out": (day + timedelta(days=2)).isoformat()}
    place = f"/api/properties/{listing.pk}/"
    with httpx.Client(base_url=server.url) as other:

        def seen() -> tuple[Any, ...]:
            page, found = other.get(place), other.get("/api/properties/", params=stay).json()["results"]
            nights = other.get(
                f"{place}calendar/", params={"from": stay["check_in"], "to": stay["check_out"]}
            )
            pools = [row["name"] for row in other.get(AMENITIES).json()["results"] if row["slug"] == "pool"]
            return (
                page.json().get("price_per_night", page.status_code),
                [row["total_price"] for row in found],
                [row["available"] for row in nights.json().get("results", [])],
                *pools,
            )

        assert seen() == (100, [200], [True, True], "Pool")
        host = ApiClient(listing.host)
        assert host.patch(place, {"price_per_night": 120}).status_code == 200
        assert seen() == (120, [240], [True, True], "Pool")
        closed = {"from": stay["check_in"], "to": stay["check_out"], "available": False}
        assert host.put(f"{place}calendar/", closed).status_code == 200
        assert seen() == (120, [], [False, False], "Pool")
        with renamed("Basin", by_statement):
            assert seen() == (120, [], [False, False], "Basin")
        assert host.patch(place, {"availability": False}).status_code == 200
        assert seen() == (404, [], [], "Pool")
