"""The API's ground: pages by number and by cursor."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backend.core.models import PlatformSetting
from tests.api.client import ApiClient
from tests.api.test_ground_input import fields, refused

pytestmark = [pytest.mark.usefixtures("db"), pytest.mark.urls("tests.api.ground_world")]

anyone = ApiClient()


def make(count: int) -> list[str]:
    keys = [f"k{number:04}" for number in range(count)]
    PlatformSetting.objects.bulk_create(PlatformSetting(key=key, number=1) for key in keys)
    return keys


def walk(url: str, direction: str) -> list[list[str]]:
    """The results of every page that ``direction`` leads to, from ``url`` on."""
    pages = []
    while url:
        document = anyone.get(url).json()
        pages.append(document["results"])
        url = document[direction]
        assert len(pages) < 100
    return pages


def test_list_is_walked_forth_and_back_by_cursor() -> None:
    keys = make(45)

    forth = walk("/api/things/", "next")
    last = anyone.get("/api/things/?page=3").json()
    back = walk(last["previous"], "previous")

    assert forth == [keys[:20], keys[20:40], keys[40:]]
    assert back == [keys[20:40], keys[:20]]
    assert last["count"] == 45
    assert last["count_is_exact"] is True


def test_list_stays_whole_while_rows_come_and_go() -> None:
    keys = make(45)
    first = anyone.get("/api/things/").json()

    PlatformSetting.objects.filter(key__in=keys[:5]).delete()
    PlatformSetting.objects.create(key="a-new-first", number=1)

    assert anyone.get(first["next"]).json()["results"] == keys[20:40]


def test_list_of_equal_instants_is_ordered_by_the_last_key() -> None:
    keys = make(25)
    PlatformSetting.objects.update(changed_at="2027-01-01T00:00:00.123456Z")

    assert walk("/api/versions/", "next") == [keys[:20], keys[20:]]


def test_page_is_found_by_number_and_goes_on_by_cursor() -> None:
    keys = make(45)

    page = anyone.get("/api/things/?page=2&page_size=10").json()

    assert page["results"] == keys[10:20]
    assert "cursor=" in page["next"]
    assert "page_size=10" in page["next"]
    assert "page=2" not in page["next"]
    assert page["next"].startswith("http://testserver/api/things/?")
    assert anyone.get(page["next"]).json()["results"] == keys[20:30]
    assert anyone.get(page["previous"]).json()["results"] == keys[:10]
    assert anyone.get(page["previous"]).json()["previous"] is None


def test_page_after_the_last_is_empty() -> None:
    keys = make(3)

    for page in (2, 1_000_000):
        document = anyone.get(f"/api/things/?page={page}").json()
        assert (document["count"], document["results"], document["next"]) == (3, [], None)
        assert anyone.get(document["previous"]).json()["results"] == keys
    empty = anyone.get("/api/things/?page=1").json()
    assert empty["previous"] is None


def test_list_without_rows_is_empty() -> None:
    assert anyone.get("/api/things/").json() == {
        "count": 0,
        "count_is_exact": True,
        "next": None,
        "previous": None,
        "results": [],
    }


def test_page_size_is_cut() -> None:
    keys = make(25)

    assert anyone.get("/api/things/?page_size=1000").json()["results"] == keys[:20]
    assert anyone.get("/api/things/?page_size=99999999999999999999999").json()["results"] == keys[:20]
    assert anyone.get("/api/things/?page_size=1").json()["results"] == keys[:1]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("page_size=0", "page_size"),
        ("page_size=-1", "page_size"),
        ("page_size=abc", "page_size"),
        ("page_size=", "page_size"),
        ("page=0", "page"),
        ("page=1000001", "page"),
        ("page=abc", "page"),
        ("page=1.5", "page"),
        ("page=" + "9" * 400, "page"),
        ("cursor=nonsense", "cursor"),
        ("cursor=" + "x" * 2000, "cursor"),
        ("ordering=name", "ordering"),
    ],
)
def test_page_that_makes_no_sense_is_refused(query: str, field: str) -> None:
    document = refused(anyone.get(f"/api/things/?{query}"), 422, "invalid")

    assert list(fields(document)) == [field]


def test_cursor_of_another_list_is_refused() -> None:
    make(25)
    cursor = anyone.get("/api/things/").json()["next"].partition("cursor=")[2]

    document = refused(anyone.get(f"/api/versions/?cursor={cursor}"), 422, "invalid")

    assert fields(document) == {"cursor": "invalid_cursor"}


def test_list_takes_two_queries_whatever_its_length() -> None:
    counts = []
    for rows in (1, 3):
        PlatformSetting.objects.all().delete()
        make(rows)
        anyone.get("/api/things/")
        with CaptureQueriesContext(
            connection,
        ) as queries:
            anyone.get("/api/things/")
        counts.append(len([each for each in queries if "platform_settings" in each["sql"]]))

    assert counts[0] == counts[1]


def test_count_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    make(30)
    monkeypatch.setattr("api.pagination.COUNT_UP_TO", 25)

    document: dict[str, Any] = anyone.get("/api/things/").json()

    assert (document["count"], document["count_is_exact"]) == (25, False)
    assert len(anyone.get("/api/things/?page=2").json()["results"]) == 10


def test_whole_list_has_no_other_pages() -> None:
    assert anyone.get("/api/whole/").json() == {
        "count": 2,
        "count_is_exact": True,
        "next": None,
        "previous": None,
        "results": ["a", "b"],
    }
