"""What a listing says in other languages: writing it, reading it, finding it, losing it."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from backend.audit.models import AuditEntry
from backend.core.errors import Invalid, NotAllowed, NotFound, Stale
from backend.listings import cohosts, reading, texts
from backend.listings import services as listings
from backend.listings.models import Listing, ListingText
from backend.notifications.models import Notification
from backend.search import maintenance
from backend.search.find import find
from backend.search.query import SearchQuery
from tests.factories import NOW, make_listing, make_user
from tests.racing import race

pytestmark = pytest.mark.usefixtures("db")

FRENCH = {"title": "Appartement sur le fleuve", "description": "Deux pièces.", "house_rules": "Pas de fête."}


def said(listing: Listing, language: str) -> tuple[str, str, str, str]:
    shown: Any = reading.by_ids([listing.pk], language)[listing.pk]
    return shown.text_language, shown.title, shown.description, shown.house_rules


def put(listing: Listing, language: str = "fr", **changes: Any) -> ListingText:
    return texts.put(
        actor=listing.host, listing=listing, language=language, changes=changes or FRENCH, now=NOW
    )


def test_put_is_read_by_those_who_read_the_language_and_by_nobody_else() -> None:
    listing = make_listing(house_rules="No parties.")
    own = ("en", "Flat over the river", "Two rooms and a balcony.", "No parties.")

    put(listing)

    assert said(listing, "fr") == ("fr", *FRENCH.values())
    assert [said(listing, language) for language in ("", "en", "es")] == [own] * 3


def test_what_a_text_leaves_empty_is_said_in_the_listings_own_language() -> None:
    listing = make_listing(house_rules="No parties.")

    put(listing, title="Appartement")

    assert said(listing, "fr") == ("fr", "Appartement", "Two rooms and a balcony.", "No parties.")


def test_whoever_keeps_the_listing_reads_what_they_wrote() -> None:
    listing, cohost = make_listing(), make_user()
    cohosts.add(actor=listing.host, listing=listing, user_id=cohost.pk, grants=[cohosts.CALENDAR], now=NOW)
    put(listing)

    def title(reader: Any) -> str:
        shown: Any = reading.by_ids([listing.pk], "fr", sources_for=reader)[listing.pk]
        return f"{shown.text_language}: {shown.title}"

    assert [title(listing.host), title(cohost)] == ["en: Flat over the river"] * 2
    assert title(make_user()) == "fr: Appartement sur le fleuve"


def test_put_again_keeps_what_is_not_named_and_counts_versions() -> None:
    listing = make_listing()
    assert put(listing).version == 1

    changed = put(listing, title="Studio sur le fleuve")
    same = put(listing, title="Studio sur le fleuve")

    assert (changed.version, same.version, changed.description) == (2, 2, "Deux pièces.")
    entries = AuditEntry.objects.filter(action="listing.text").order_by("pk")
    assert [entry.after for entry in entries] == [
        {"language": "fr", "version": 1, "changed": ["title", "description", "house_rules"]},
        {"language": "fr", "version": 2, "changed": ["title"]},
    ]


@pytest.mark.parametrize(
    ("language", "changes", "refused"),
    [
        ("de", {"title": "Wohnung"}, [("language", "unknown_language")]),
        ("fr", {"title": " ", "house_rules": "x" * 5001}, [("title", "blank"), ("house_rules", "too_long")]),
        ("fr", {"description": "Deux pièces."}, [("title", "required")]),
        ("fr", {"title": "a\x00b"}, [("title", "invalid_text")]),
    ],
)
def test_put_refuses_what_cannot_be_said(
    language: str, changes: dict[str, str], refused: list[tuple[str, str]]
) -> None:
    listing = make_listing()

    with pytest.raises(Invalid) as error:
        put(listing, language, **changes)

    assert [(each.field, each.code) for each in error.value.errors] == refused
    assert not ListingText.objects.exists()


def test_a_language_is_either_the_listings_own_or_a_translation() -> None:
    listing = make_listing()
    put(listing)

    with pytest.raises(texts.SourceLanguage):
        put(listing, "en", title="Flat")
    with pytest.raises(texts.TextExists):
        listings.update(actor=listing.host, listing=listing, changes={"language": "fr"}, now=NOW)

    listing.refresh_from_db()
    assert (listing.language, ListingText.objects.count()) == ("en", 1)
    texts.remove(actor=listing.host, listing=listing, language="fr", now=NOW)
    assert (
        listings.update(actor=listing.host, listing=listing, changes={"language": "fr"}, now=NOW).language
        == "fr"
    )


def test_what_was_not_seen_is_not_overwritten() -> None:
    listing = make_listing()
    host = listing.host
    put(listing)

    for versions in ({2}, set[int]()):
        with pytest.raises(Stale):
            texts.put(
                actor=host,
                listing=listing,
                language="fr",
                changes={"title": "Studio"},
                now=NOW,
                versions=versions,
            )
        with pytest.raises(Stale):
            texts.remove(actor=host, listing=listing, language="fr", now=NOW, versions=versions)

    assert said(listing, "fr")[1] == "Appartement sur le fleuve"


def test_others_may_not_and_staff_say_why() -> None:
    listing, admin = make_listing(), make_user("admin")
    cohost = make_user()
    cohosts.add(actor=listing.host, listing=listing, user_id=cohost.pk, grants=[cohosts.BOOKINGS], now=NOW)

    for actor, reason in (
        (make_user(), "because"),
        (cohost, ""),
        (make_user("support"), "because"),
        (admin, ""),
    ):
        with pytest.raises(NotAllowed):
            texts.put(actor=actor, listing=listing, language="fr", changes=FRENCH, now=NOW, reason=reason)
    assert not ListingText.objects.exists()

    texts.put(actor=admin, listing=listing, language="fr", changes=FRENCH, now=NOW, reason="Asked by phone.")

    assert Notification.objects.filter(kind="listing.corrected", user=listing.host).count() == 1


def test_remove_goes_back_to_the_listings_own_words() -> None:
    listing = make_listing()
    put(listing)

    texts.remove(actor=listing.host, listing=listing, language="fr", now=NOW)

    assert said(listing, "fr")[:2] == ("en", "Flat over the river")
    with pytest.raises(NotFound):
        texts.remove(actor=listing.host, listing=listing, language="fr", now=NOW)


def test_a_withdrawn_listing_takes_no_texts() -> None:
    listing = make_listing()
    listings.archive(actor=listing.host, listing=listing, now=NOW)

    with pytest.raises(NotFound):
        put(listing)

    assert not ListingText.objects.exists()


def found(words: str) -> list[int]:
    return [hit.listing_id for hit in find(SearchQuery(q=words), NOW).hits]


def test_search_finds_the_words_of_every_language() -> None:
    listing, other = make_listing(), make_listing(title="House by the sea")

    put(listing)
    assert (found("appartement"), found("pièces"), found("flat")) == (
        [listing.pk],
        [listing.pk],
        [listing.pk],
    )
    assert maintenance.differences() == []

    put(listing, title="Studio sur le fleuve")
    assert (found("appartement"), found("studio")) == ([], [listing.pk])

    texts.remove(actor=listing.host, listing=listing, language="fr", now=NOW)
    assert (found("studio"), found("fleuve"), found("house")) == ([], [], [other.pk])
    assert maintenance.differences() == []


def test_rebuilding_search_knows_the_texts() -> None:
    listing = make_listing()
    put(listing)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM search_text")
    assert found("appartement") == []

    maintenance.rebuild()

    assert found("appartement") == [listing.pk]


def test_a_new_listing_speaks_what_its_host_wants_to_be_served_in() -> None:
    def made(wanted: str, **optional: Any) -> str:
        host = make_user()
        host.profile.language = wanted
        host.profile.save()
        return listings.create(
            actor=host,
            now=NOW,
            title="Gorofa",
            description="",
            price=75,  # type: ignore[arg-type]
            location="Lisbon, Portugal",
            availability=True,
            **optional,
        ).language

    assert (made("sw"), made(""), made("sw", language="ar")) == ("sw", "en", "ar")


def test_two_first_texts_at_once_are_one() -> None:
    listing = make_listing()

    outcomes = race(
        lambda: put(listing, title="Appartement").version,
        lambda: put(listing, title="Studio").version,
    )

    assert sorted(outcomes) == [1, 2]
    assert ListingText.objects.filter(listing=listing, version=2).count() == 1
