"""Texts in other languages over HTTP, and what readers of each language are shown."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backend.listings import cohosts
from backend.listings.models import Listing, ListingText
from tests.api.client import ApiClient
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")

FRENCH = {"title": "Appartement", "description": "Deux pièces.", "house_rules": "Pas de fête."}


def url(listing: Listing, language: str = "") -> str:
    return f"/api/properties/{listing.pk}/texts/" + (f"{language}/" if language else "")


def words(answer: Any) -> tuple[str, str, str]:
    """What a property says, and in which language."""
    return answer["language"], answer["text_language"], answer["title"]


def test_put_get_list_and_delete() -> None:
    listing = make_listing()
    api = ApiClient(listing.host)

    put = api.put(url(listing, "fr"), FRENCH)

    assert (put.status_code, put.json()) == (
        200,
        {"language": "fr", **FRENCH, **{name: put.json()[name] for name in ("created_at", "updated_at")}},
    )
    got = api.get(url(listing, "fr"))
    assert (got.status_code, got.json(), got["ETag"]) == (200, put.json(), put["ETag"])
    assert api.get(url(listing, "fr"), if_none_match=got["ETag"]).status_code == 304
    assert api.get(url(listing)).json() == {
        "count": 1,
        "count_is_exact": True,
        "next": None,
        "previous": None,
        "results": [put.json()],
    }
    assert api.delete(url(listing, "fr")).status_code == 204
    assert [api.get(url(listing, language)).status_code for language in ("fr", "en", "xx")] == [404] * 3


def test_put_needs_a_title_and_leaves_what_is_not_sent() -> None:
    listing = make_listing()
    api = ApiClient(listing.host)
    api.put(url(listing, "fr"), FRENCH)

    refused = api.put(url(listing, "fr"), {"description": "Trois pièces."})
    changed = api.put(url(listing, "fr"), {"title": "Studio"})

    assert [(each["field"], each["code"]) for each in refused.json()["errors"]] == [("title", "required")]
    assert (changed.json()["title"], changed.json()["description"]) == ("Studio", "Deux pièces.")


@pytest.mark.parametrize(
    ("language", "body", "status", "code"),
    [
        ("de", FRENCH, 422, "unknown_language"),
        ("fr", {**FRENCH, "titel": "x"}, 422, "unknown_field"),
        ("fr", {**FRENCH, "title": "x" * 101}, 422, "too_long"),
        ("en", FRENCH, 409, "source_language"),
    ],
)
def test_put_refuses(language: str, body: dict[str, str], status: int, code: str) -> None:
    listing = make_listing()

    answer = ApiClient(listing.host).put(url(listing, language), body)

    problem = answer.json()
    assert (
        answer.status_code,
        [each["code"] for each in problem["errors"]] if status == 422 else problem["code"],
    ) == (
        status,
        [code] if status == 422 else code,
    )
    assert not ListingText.objects.exists()


def test_a_lost_update_is_refused() -> None:
    listing = make_listing()
    api = ApiClient(listing.host)
    seen = api.put(url(listing, "fr"), FRENCH)["ETag"]
    api.put(url(listing, "fr"), {"title": "Studio"}, if_match=seen)

    late = [
        api.put(url(listing, "fr"), {"title": "Palais"}, if_match=seen),
        api.delete(url(listing, "fr"), if_match=seen),
    ]

    assert [answer.status_code for answer in late] == [412, 412]
    assert api.get(url(listing, "fr")).json()["title"] == "Studio"


def test_only_whoever_keeps_the_listing_knows_of_its_texts() -> None:
    listing = make_listing()
    ApiClient(listing.host).put(url(listing, "fr"), FRENCH)
    keeper, other_keeper = make_user(), make_user()
    for user, grant in ((keeper, cohosts.CALENDAR), (other_keeper, cohosts.MESSAGES)):
        cohosts.add(actor=listing.host, listing=listing, user_id=user.pk, grants=[grant], now=NOW)

    assert ApiClient(keeper).put(url(listing, "es"), {"title": "Piso"}).status_code == 200
    for stranger in (make_user(), other_keeper, make_user("support")):
        api = ApiClient(stranger)
        answers = [
            api.get(url(listing)),
            api.get(url(listing, "fr")),
            api.put(url(listing, "fr"), {"title": "Ruine"}),
            api.delete(url(listing, "fr")),
        ]
        assert [answer.status_code for answer in answers] == [404] * 4
    assert [row.title for row in listing.texts.order_by("language")] == ["Piso", "Appartement"]


def test_a_listing_speaks_its_readers_language() -> None:
    listing = make_listing(language="es", title="Piso")
    own = ApiClient(listing.host)
    own.put(url(listing, "fr"), FRENCH)
    path, anyone, reader = f"/api/properties/{listing.pk}/", ApiClient(), make_user()
    reader.profile.language = "fr"
    reader.profile.save()

    assert words(anyone.get(path, accept_language="fr-CA, en;q=0.5").json()) == ("es", "fr", "Appartement")
    assert words(ApiClient(reader).get(path).json()) == ("es", "fr", "Appartement")
    assert words(ApiClient(reader).get(path, accept_language="ar").json()) == ("es", "es", "Piso")
    assert words(anyone.get(path).json()) == ("es", "es", "Piso")
    assert words(own.get(path, accept_language="fr").json()) == ("es", "es", "Piso")
    assert words(own.get(path, {"language": "fr"}).json()) == ("es", "fr", "Appartement")
    assert words(anyone.get(path, {"language": "fr"}, accept_language="ar").json()) == (
        "es",
        "fr",
        "Appartement",
    )
    assert anyone.get(path, {"language": "de"}).status_code == 422


def test_each_language_has_an_etag_of_its_own() -> None:
    listing = make_listing()
    own = ApiClient(listing.host)
    own.put(url(listing, "fr"), FRENCH)
    path, anyone = f"/api/properties/{listing.pk}/", ApiClient()

    for address in (path, "/api/properties/"):
        french, english = (anyone.get(address, accept_language=each) for each in ("fr", "en"))
        assert french["ETag"] != english["ETag"]
        assert "Accept-Language" in french["Vary"]
        assert anyone.get(address, accept_language="fr", if_none_match=french["ETag"]).status_code == 304
        assert anyone.get(address, accept_language="en", if_none_match=french["ETag"]).status_code == 200

    seen = anyone.get(path, accept_language="fr")["ETag"]
    own.put(url(listing, "fr"), {"title": "Studio"})
    assert anyone.get(path, accept_language="fr", if_none_match=seen).status_code == 200


def test_search_shows_and_finds_the_readers_language() -> None:
    listing, plain = make_listing(), make_listing(title="House")
    ApiClient(listing.host).put(url(listing, "fr"), FRENCH)
    api = ApiClient()

    def shown(language: str, **params: Any) -> list[tuple[str, str, str]]:
        results = api.get("/api/properties/", params, accept_language=language).json()["results"]
        return sorted(words(result) for result in results)

    assert shown("fr") == [("en", "en", "House"), ("en", "fr", "Appartement")]
    assert shown("en") == [("en", "en", "Flat over the river"), ("en", "en", "House")]
    assert shown("en", q="appartement") == [("en", "en", "Flat over the river")]
    assert plain.texts.count() == 0


def test_put_of_a_property_changes_its_own_words_and_refuses_a_translation_sent_back() -> None:
    listing = make_listing()
    api = ApiClient(listing.host)
    api.put(url(listing, "fr"), FRENCH)
    path = f"/api/properties/{listing.pk}/"

    as_french = api.put(path, api.get(path, {"language": "fr"}).json())
    kept = api.put(path, {**api.get(path).json(), "title": "Flat"}, accept_language="fr")

    assert [(each["field"], each["code"]) for each in as_french.json()["errors"]] == [
        ("text_language", "read_only")
    ]
    assert (kept.status_code, *words(kept.json())) == (200, "en", "en", "Flat")
    assert api.get(url(listing, "fr")).json()["title"] == "Appartement"


def test_the_language_of_a_listing_is_its_hosts_to_say() -> None:
    listing = make_listing()
    api = ApiClient(listing.host)
    path = f"/api/properties/{listing.pk}/"

    assert words(api.patch(path, {"language": "sw"}).json()) == ("sw", "sw", "Flat over the river")
    api.put(url(listing, "fr"), FRENCH)
    refused = api.patch(path, {"language": "de"})
    taken = api.patch(path, {"language": "fr"})

    assert [(each["field"], each["code"]) for each in refused.json()["errors"]] == [
        ("language", "unknown_language")
    ]
    assert (taken.status_code, taken.json()["code"]) == (409, "text_exists")
    listing.refresh_from_db()
    assert listing.language == "sw"


@pytest.mark.parametrize("path", ["/api/properties/", "texts"])
def test_lists_ask_the_database_as_often_for_three_as_for_one(path: str) -> None:
    counts = []
    host = make_user()
    listing = make_listing(host)
    api = ApiClient(host)
    address = url(listing) if path == "texts" else path
    for languages in (["fr"], ["es", "sw"]):
        for language in languages:
            api.put(url(listing, language), FRENCH)
            if path != "texts":
                api.put(url(make_listing(host), language), FRENCH)
        api.get(address, accept_language="fr")
        with CaptureQueriesContext(connection) as queries:
            assert api.get(address, accept_language="fr").status_code == 200
        counts.append(len(queries))

    assert counts[0] == counts[1]


def test_wishlists_name_places_in_their_readers_language() -> None:
    listing, guest = make_listing(), make_user()
    make_listing(title="House")
    ApiClient(listing.host).put(url(listing, "fr"), FRENCH)
    api = ApiClient(guest)
    made = api.post("/api/wishlists/", {"name": "Summer"}).json()
    path = f"/api/wishlists/{made['id']}/"
    api.post(f"{path}properties/", {"property_id": listing.pk})
    token = api.post(f"{path}share/").json()["share_url"].rstrip("/").rsplit("/", 1)[-1]

    def titles(address: str, language: str) -> list[str]:
        answer = api.get(address, accept_language=language).json()
        return [each["title"] for each in answer["properties"]]

    assert (titles(path, "fr"), titles(path, "es")) == (["Appartement"], ["Flat over the river"])
    assert titles(f"/api/shared-wishlists/{token}/", "fr") == ["Appartement"]
