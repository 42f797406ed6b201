"""Answers that are kept for everybody: never outdated, nobody's in particular, bounded, and no need."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.core.cache import cache
from django.db import connection, transaction
from django.http import HttpResponse
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from api import page_store, search
from backend.accounts.models import Profile, User
from backend.analytics import visits
from backend.core import page_bytes, platform, table_versions
from backend.core.limits import valkey
from backend.core.models import ExchangeRate
from backend.core.valkey import breaker
from backend.identity import api_keys
from backend.listings import page_version
from backend.listings.models import Amenity, Listing, ListingText, Location, LocationName, Photo
from tests.api.client import ApiClient
from tests.conftest import Server
from tests.factories import make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

AMENITIES, CURRENCIES, LOCATIONS = "/api/amenities/", "/api/currencies/", "/api/locations/"


@pytest.fixture(autouse=True)
def mended(db: None) -> Iterator[None]:
    """Valkey is there, and somebody has changed something some time."""
    breaker.mend()
    page_bytes.move_mark()
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


def kept() -> list[bytes]:
    """Everything in the store."""
    client = valkey()
    return [client.get(name) for name in sorted(client.keys("karibu:page:*"))]  # type: ignore[misc]


def plant() -> None:
    """Put other bytes into the store, with all that is said of those that lie there."""
    client = valkey()
    for name in client.keys("karibu:page:*"):
        key, mark, version, _tag, _body = client.get(name).split(b"\n", 4)
        client.set(name, b"\n".join((key, mark, version, b'"planted"', b"planted")), keepttl=True)


def get_twice(
    path: str, params: dict[str, str], **headers: str
) -> tuple[HttpResponse, HttpResponse, list[str]]:
    """The answer as it is made, the one after it, and what the database was asked for the second."""
    first = ApiClient().get(path, params, **headers)
    with CaptureQueriesContext(connection) as asked:
        second = ApiClient().get(path, params, **headers)
    return first, second, [each["sql"] for each in asked.captured_queries]


EACHS_OWN = {"X-Request-ID", "RateLimit"}


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page stays fresh for longer than any test runs."""
    monkeypatch.setattr(page_store, "FRESH_FOR_S", 3600.0)


def listing_and_stay() -> tuple[Listing, dict[str, str]]:
    """A published listing, and two nights that can be booked there."""
    day = timezone.now().date() + timedelta(days=40)
    stay = {"check_in": day.isoformat(), "check_out": (day + timedelta(days=2)).isoformat()}
    return make_listing(), stay


@pytest.mark.parametrize(
    ("path", "params"),
    [
        (AMENITIES, {}),
        (CURRENCIES, {}),
        (LOCATIONS, {"q": "lisb"}),
        ("/api/properties/", {}),
        ("/api/properties/", {"check_in": "2027-03-01", "check_out": "2027-03-04", "page_size": "1"}),
        ("/api/properties/{}/", {}),
        ("/api/properties/{}/", {"language": "fr"}),
        ("/api/properties/{}/calendar/", {"from": "2027-03-01", "to": "2027-03-04"}),
    ],
)
@pytest.mark.usefixtures("fresh")
def test_fresh_page_is_the_answer_that_was_made_and_costs_no_statement(
    path: str, params: dict[str, str]
) -> None:
    path = path.format(make_listing().pk)
    make_listing()

    first, second, asked = get_twice(path, params)

    assert (first.status_code, second.status_code, second.content) == (200, 200, first.content)
    assert asked == []
    assert {name: value for name, value in second.items() if name not in EACHS_OWN} == {
        name: value for name, value in first.items() if name not in EACHS_OWN
    }
    spared = ApiClient().get(path, params, if_none_match=first["ETag"])
    assert (spared.status_code, spared.content, spared["ETag"]) == (304, b"", first["ETag"])
    assert len(kept()) == 1


@pytest.mark.parametrize(
    ("path", "params"),
    [(AMENITIES, {}), (CURRENCIES, {}), (LOCATIONS, {"q": "lisb"}), ("/api/properties/{}/", {})],
)
def test_page_that_is_not_fresh_is_given_for_the_statement_that_proves_it(
    path: str, params: dict[str, str]
) -> None:
    first, second, asked = get_twice(path.format(make_listing().pk), params)

    assert (second.content, second["ETag"]) == (first.content, first["ETag"])
    assert ["xmin" in sql or "table_versions" in sql for sql in asked] == [True]


@pytest.mark.parametrize("path", ["/api/properties/", "/api/properties/{}/calendar/"])
@pytest.mark.usefixtures("fresh")
def test_page_that_cannot_be_proved_is_made_anew_once_it_is_not_fresh(path: str) -> None:
    path = path.format(make_listing().pk)
    ApiClient().get(path)
    plant()
    assert ApiClient().get(path).content == b"planted"
    client = valkey()
    (name,) = client.keys("karibu:page:*")
    kept_for = client.pttl(name)

    # As if the time had gone by for which it is fresh: Valkey drops it, and tells no page's age that it does not keep.
    client.pexpire(name, 1)
    while client.exists(name):
        pass

    assert 3_500_000 < kept_for <= 3_600_000
    assert b"planted" not in ApiClient().get(path).content


def test_age_of_a_page_counts_from_when_it_was_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_store, "FRESH_FOR_S", 40.0)
    ApiClient().get(AMENITIES)
    client = valkey()
    (name,) = client.keys("karibu:page:*")

    for age_s, statements in ((30, 0), (50, 1)):
        client.pexpire(name, (page_store.PROVED_FOR_S - age_s) * 1000)
        with CaptureQueriesContext(connection) as asked:
            assert ApiClient().get(AMENITIES).status_code == 200
        assert len(asked) == statements


@pytest.mark.parametrize("write", ["orm", "statement", "photo", "text", "host", "profile"])
def test_whatever_changes_the_page_of_a_listing_shows_next_whoever_wrote_it(write: str) -> None:
    listing = make_listing()
    path = f"/api/properties/{listing.pk}/"
    first, second, _asked = get_twice(path, {}, accept_language="fr")
    assert second.content == first.content

    if write == "orm":
        Listing.objects.filter(pk=listing.pk).update(price_minor=12_300)
    elif write == "statement":
        with connection.cursor() as cursor:
            cursor.execute("UPDATE properties SET price_minor = 12300 WHERE id = %s", [listing.pk])
    elif write == "photo":
        Photo.objects.create(
            listing=listing, file="listings/a.jpg", width=9, height=9, position=1, created_at=timezone.now()
        )
    elif write == "text":
        now = timezone.now()
        ListingText.objects.create(
            listing=listing, language="fr", title="Chez nous", created_at=now, updated_at=now
        )
    elif write == "host":
        User.objects.filter(pk=listing.host_id).update(first_name="Renamed")
    else:
        Profile.objects.filter(user_id=listing.host_id).update(is_superhost=True)

    third = ApiClient().get(path, accept_language="fr")
    assert third.status_code == 200
    assert (third.content == first.content, third["ETag"] == first["ETag"]) == (False, False)


def test_two_changes_in_one_transaction_are_two_versions() -> None:
    listing = make_listing()
    seen = []
    with transaction.atomic():
        for price in (11_100, 12_200, 11_100):
            Listing.objects.filter(pk=listing.pk).update(price_minor=price)
            seen.append(page_version.of(listing.pk))

    assert len({*seen, page_version.of(listing.pk)}) == 3
    Listing.objects.filter(pk=listing.pk).update(status="paused")
    assert page_version.of(listing.pk) is None


@pytest.mark.usefixtures("fresh")
def test_request_that_changes_something_leaves_no_page_fresh() -> None:
    listing, stay = listing_and_stay()
    place, dated = f"/api/properties/{listing.pk}/", {**stay, "page_size": "1"}
    host, guest, anybody = ApiClient(listing.host), ApiClient(make_user()), ApiClient()

    def seen() -> tuple[Any, ...]:
        page, found = anybody.get(place), anybody.get("/api/properties/", dated).json()["results"]
        nights = anybody.get(f"{place}calendar/", {"from": stay["check_in"], "to": stay["check_out"]})
        return (
            page.json().get("price_per_night", page.status_code),
            [row["total_price"] for row in found],
            [row["available"] for row in nights.json().get("results", [])],
        )

    assert seen() == seen() == (100, [200], [True, True])
    assert host.patch(place, {"price_per_night": 120}).status_code == 200
    assert seen() == seen() == (120, [240], [True, True])
    booked = guest.post("/api/bookings/", {"property_id": listing.pk, **stay})
    assert booked.status_code == 201
    assert seen() == seen() == (120, [], [False, False])
    assert guest.delete(f"/api/bookings/{booked.json()['id']}/").status_code in (200, 204)
    assert seen() == seen() == (120, [240], [True, True])
    assert host.patch(place, {"availability": False}).status_code == 200
    assert seen() == seen() == (404, [], [])


@pytest.mark.usefixtures("fresh")
def test_page_that_was_begun_before_a_change_is_not_given_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    listing, _stay = listing_and_stay()
    host, made = ApiClient(listing.host), search.find

    def slowly(query: Any, now: Any) -> Any:
        found = made(query, now)
        if monkeypatch_once:
            monkeypatch_once.pop()
            assert host.patch(f"/api/properties/{listing.pk}/", {"availability": False}).status_code == 200
        return found

    monkeypatch_once = [True]
    monkeypatch.setattr(search, "find", slowly)

    assert len(ApiClient().get("/api/properties/").json()["results"]) in (0, 1)
    assert ApiClient().get("/api/properties/").json()["results"] == []


@pytest.mark.parametrize(
    ("method", "path", "moves"),
    [
        ("POST", "/api/auth/login/", True),
        ("PATCH", "/api/properties/1/", True),
        ("POST", "/admin/login/", True),
        ("GET", "/api/properties/", False),
        ("HEAD", "/api/properties/", False),
        ("OPTIONS", "/api/properties/", False),
        ("POST", "/graphql/", False),
    ],
)
def test_mark_moves_with_every_request_that_may_change_something(method: str, path: str, moves: bool) -> None:
    before = valkey().get(page_bytes.MARK)

    ApiClient().request(method, path, {} if method in ("POST", "PATCH") else None)

    assert (valkey().get(page_bytes.MARK) != before) is moves


@pytest.mark.usefixtures("fresh")
def test_look_at_a_kept_page_counts_as_one() -> None:
    listing = make_listing()
    visits.notebook.forget()
    for agent in ("Firefox", "Chromium", "Chromium", "Googlebot/2.1"):
        assert ApiClient().get(f"/api/properties/{listing.pk}/", user_agent=agent).status_code == 200

    assert [row[2:] for row in visits.notebook.waiting([listing.pk])] == [(2, 0)]


@pytest.mark.usefixtures("fresh")
def test_one_too_many_is_refused_before_the_store_is_shown() -> None:
    ApiClient().get(AMENITIES)
    platform.put("limit_reads_address", 2)
    platform.forget()
    answers = [ApiClient().get(AMENITIES) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 429, 429]
    assert (answers[1].json()["code"], answers[1]["Content-Language"]) == ("rate_limited", "en")
    assert [answer["RateLimit"].partition("r=")[2][0] for answer in answers] == ["0", "0", "0"]


@pytest.mark.parametrize("query", ["q=a&q=b", "nothing=1", "q=%00", "page=2"])
@pytest.mark.usefixtures("fresh")
def test_what_is_refused_is_refused_again_and_not_kept(query: str) -> None:
    path = f"{LOCATIONS}?{query}"

    assert [ApiClient().get(path).status_code for _ in range(2)] == [422, 422]
    assert kept() == []


@pytest.mark.usefixtures("fresh")
def test_what_is_not_there_is_not_kept() -> None:
    listing = make_listing(status="draft")

    assert [ApiClient().get(f"/api/properties/{listing.pk}/").status_code for _ in range(2)] == [404, 404]
    assert kept() == []


@pytest.mark.usefixtures("fresh")
def test_hosts_and_schemes_are_kept_apart_and_foreign_hosts_refused() -> None:
    make_listing()
    make_listing()
    params = {"page_size": "1"}
    links = [
        ApiClient().get("/api/properties/", params, host=host).json()["next"]
        for host in ("127.0.0.1", "localhost", "127.0.0.1")
    ]

    assert [link.split("/api/")[0] for link in links] == [
        "http://127.0.0.1",
        "http://localhost",
        "http://127.0.0.1",
    ]
    assert ApiClient().get("/api/properties/", params, host="evil.example").status_code == 400


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
        monkeypatch.setattr(table_versions, "of", read)
        by_statement("Pool")
        assert pool() == "Pool"
    finally:
        by_orm("Pool")


def test_languages_are_kept_apart() -> None:
    names = [pool(accept_language=language) for language in ("en", "fr", "es", "en", "fr", "es")]

    assert names == ["Pool", "Piscine", "Piscina"] * 2
    assert len(kept()) == 3


@pytest.mark.usefixtures("fresh")
def test_somebodys_answers_are_neither_kept_nor_taken_from_the_store() -> None:
    token = ApiClient(make_user()).token
    key = api_keys.PREFIX + "x" * 43
    personal = (
        {"authorization": f"Bearer {token}"},
        {"cookie": "sessionid=x"},
        {"cookie": "django_language=fr"},
    )
    for headers in personal:
        assert ApiClient().get(AMENITIES, **headers).status_code == 200
        assert kept() == []
    assert ApiClient().get(AMENITIES, authorization=f"Bearer {key}").status_code == 401
    assert kept() == []

    ApiClient().get(AMENITIES)
    plant()
    for headers in personal:
        assert b"planted" not in ApiClient().get(AMENITIES, **headers).content
    assert ApiClient().get(AMENITIES, authorization=f"Bearer {key}").status_code == 401
    # What a front end keeps in a cookie says nothing to us.
    assert ApiClient().get(AMENITIES, cookie="theme=dark").content == b"planted"


@pytest.mark.usefixtures("fresh")
def test_only_bytes_and_their_tag_are_kept_and_headers_are_each_callers_own() -> None:
    first = ApiClient().get(AMENITIES, x_request_id="the-first", origin="https://a.example")
    second = ApiClient().get(AMENITIES, x_request_id="the-second")

    (raw,) = kept()
    assert raw.split(b"\n", 4)[3:] == [first["ETag"].encode(), first.content]
    assert (first["X-Request-ID"], second["X-Request-ID"]) == ("the-first", "the-second")
    left = [int(each["RateLimit"].partition("r=")[2].partition(";")[0]) for each in (first, second)]
    assert left[0] - left[1] == 1
    for answer in (first, second):
        # Limits and ids are in the headers, so that no proxy may keep the answer for others.
        assert answer["Cache-Control"] == "private, no-cache"
        assert answer["Vary"] == "Authorization, Accept-Language"


@pytest.mark.usefixtures("fresh")
def test_what_lies_in_a_slot_is_given_to_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_bytes, "SLOTS", 1)
    first = ApiClient().get(AMENITIES)
    plant()
    other = ApiClient().get(CURRENCIES)

    assert other.json()["results"][0].keys() >= {"code", "rate"}
    assert len(kept()) == 1
    assert ApiClient().get(AMENITIES).content == first.content
    for rubbish in (b"", b"planted", b"\n\n\n\nplanted"):
        valkey().set("karibu:page:0", rubbish)
        assert ApiClient().get(AMENITIES).content == first.content


def test_without_valkey_answers_are_made_anew() -> None:
    first = ApiClient().get(AMENITIES)
    breaker.broke(ConnectionError())

    with CaptureQueriesContext(connection) as asked:
        second = ApiClient().get(AMENITIES)

    assert second.content == first.content
    assert not any("table_versions" in each["sql"] for each in asked.captured_queries)


@pytest.mark.usefixtures("fresh")
def test_store_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_bytes, "SLOTS", 3)
    for number in range(20):
        ApiClient().get(LOCATIONS, {"q": f"a{number}"})
    assert len(kept()) == 3

    cache.clear()
    page_bytes.move_mark()
    monkeypatch.setattr(page_bytes, "MOST_BYTES", 1_000)
    answers = [ApiClient().get(AMENITIES).content for _ in range(2)]
    assert answers[0] == answers[1]
    assert kept() == []
    assert ApiClient().get(LOCATIONS, {"q": "a" * 99}).status_code == 200
    assert len(kept()) == 1


def test_without_a_mark_nothing_is_kept_and_the_next_page_is() -> None:
    valkey().delete(page_bytes.MARK)
    ApiClient().get(AMENITIES)
    assert (kept(), valkey().get(page_bytes.MARK) is not None) == ([], True)

    ApiClient().get(AMENITIES)
    assert len(kept()) == 1


def test_what_one_process_changes_the_other_answers_next(server: Server) -> None:
    """Two real processes: this one, and a web server whose pages are fresh for as long as they are in production."""
    listing, stay = listing_and_stay()
    place = f"/api/properties/{listing.pk}/"
    with httpx.Client(base_url=server.url) as other:

        def look() -> tuple[Any, ...]:
            page, found = other.get(place), other.get("/api/properties/", params=stay).json()["results"]
            nights = other.get(
                f"{place}calendar/", params={"from": stay["check_in"], "to": stay["check_out"]}
            )
            return (
                page.json().get("price_per_night", page.status_code),
                [row["total_price"] for row in found],
                [row["available"] for row in nights.json().get("results", [])],
            )

        def seen() -> tuple[Any, ...]:
            first = look()
            # At once, and then from what was kept of it.
            assert [look() for _ in range(3)] == [first] * 3
            return first

        assert seen() == (100, [200], [True, True])
        host, guest = ApiClient(listing.host), ApiClient(make_user())
        assert host.patch(place, {"price_per_night": 120}).status_code == 200
        assert seen() == (120, [240], [True, True])
        assert guest.post("/api/bookings/", {"property_id": listing.pk, **stay}).status_code == 201
        assert seen() == (120, [], [False, False])
        assert host.patch(place, {"availability": False}).status_code == 200
        assert seen() == (404, [], [])
        assert host.patch(place, {"availability": True}).status_code == 200
        assert seen() == (120, [], [False, False])

        # What no request changes shows as soon as the page is no longer fresh.
        with connection.cursor() as cursor:
            cursor.execute("UPDATE properties SET price_minor = 15000 WHERE id = %s", [listing.pk])
        deadline = time.monotonic() + 60
        while (price := look()[0]) != 150 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert price == 150
