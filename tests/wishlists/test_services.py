from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.utils.translation import override

from backend.audit.models import AuditEntry
from backend.core import crypto
from backend.core.errors import Conflict, Invalid, NotFound
from backend.listings import services as listings
from backend.wishlists import reading
from backend.wishlists import services as wishlists
from backend.wishlists.models import Wishlist, WishlistPlace
from tests.factories import NOW, make_listing, make_user
from tests.racing import race

pytestmark = pytest.mark.usefixtures("db")

LATER = NOW + timedelta(hours=1)


def _names(wishlist: Wishlist, *, for_owner: bool = True) -> list[tuple[str, bool]]:
    shown = reading.places([wishlist.pk], for_owner=for_owner)[wishlist.pk].shown
    return [(place.title, place.is_available) for place in shown]


def test_create_without_a_name_is_called_as_lists_usually_are() -> None:
    user = make_user()

    with override("en"):
        made = wishlists.create(user=user, now=NOW)

    assert (made.name, made.share_token, made.created_at) == ("Favorites", "", NOW)
    assert wishlists.share_url(made) is None


@pytest.mark.parametrize("name", ["", "   ", "x" * 81])
def test_create_refuses_a_name_that_is_none(name: str) -> None:
    with pytest.raises(Invalid):
        wishlists.create(user=make_user(), name=name, now=NOW)

    assert not Wishlist.objects.exists()


def test_add_again_changes_nothing() -> None:
    user, listing = make_user(), make_listing()
    wishlist = wishlists.create(user=user, name="Sea", now=NOW)

    first = wishlists.add(user=user, wishlist_id=wishlist.pk, listing_id=listing.pk, now=NOW)
    again = wishlists.add(user=user, wishlist_id=wishlist.pk, listing_id=listing.pk, now=LATER)

    assert (first[1], again[1]) == (True, False)
    assert list(WishlistPlace.objects.values_list("listing", "created_at")) == [(listing.pk, NOW)]
    assert again[0].updated_at == NOW


def test_add_takes_only_what_is_offered_and_only_to_ones_own_list() -> None:
    user = make_user()
    wishlist = wishlists.create(user=user, name="Sea", now=NOW)
    hidden = [
        make_listing(status=status) for status in ("draft", "paused", "flagged", "rejected", "archived")
    ]

    for listing in hidden:
        with pytest.raises(NotFound):
            wishlists.add(user=user, wishlist_id=wishlist.pk, listing_id=listing.pk, now=NOW)
    with pytest.raises(NotFound):
        wishlists.add(user=make_user(), wishlist_id=wishlist.pk, listing_id=make_listing().pk, now=NOW)

    assert not WishlistPlace.objects.exists()


def test_add_in_parallel_puts_a_place_there_once() -> None:
    user, listing = make_user(), make_listing()
    wishlist = wishlists.create(user=user, name="Sea", now=NOW)

    def add() -> bool:
        return wishlists.add(user=user, wishlist_id=wishlist.pk, listing_id=listing.pk, now=NOW)[1]

    assert sorted(race(*[add] * 8)) == [False] * 7 + [True]
    assert WishlistPlace.objects.count() == 1


def test_limits_hold_also_for_those_who_ask_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wishlists, "MOST_LISTS", 3)
    user = make_user()

    made = race(*[lambda: wishlists.create(user=user, name="Sea", now=NOW)] * 6)

    assert sum(isinstance(each, wishlists.TooManyWishlists) for each in made) == 3
    assert Wishlist.objects.filter(user=user).count() == 3


def test_a_full_list_takes_no_more_until_a_withdrawn_place_makes_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wishlists, "MOST_PLACES", 2)
    user, places = make_user(), [make_listing() for _ in range(3)]
    wishlist = wishlists.create(user=user, name="Sea", now=NOW)
    for place in places[:2]:
        wishlists.add(user=user, wishlist_id=wishlist.pk, listing_id=place.pk, now=NOW)

    with pytest.raises(Conflict) as refused:
        wishlists.add(user=user, wishlist_id=wishlist.pk, listing_id=places[2].pk, now=NOW)
    listings.archive(actor=places[0].host, listing=places[0], now=NOW)
    wishlists.add(user=user, wishlist_id=wishlist.pk, listing_id=places[2].pk, now=NOW)

    assert refused.value.code == "wishlist_full"
    assert set(WishlistPlace.objects.values_list("listing", flat=True)) == {places[1].pk, places[2].pk}


def test_what_is_paused_is_shown_to_the_owner_alone_and_what_is_hidden_to_nobody() -> None:
    user = make_user()
    wishlist = wishlists.create(user=user, name="Sea", now=NOW)
    titles = {
        "published": "There",
        "paused": "Later",
        "flagged": "Hidden",
        "rejected": "No",
        "archived": "Gone",
    }
    for status, title in titles.items():
        listing = make_listing(title=title)
        wishlists.add(user=user, wishlist_id=wishlist.pk, listing_id=listing.pk, now=NOW)
        type(listing).objects.filter(pk=listing.pk).update(status=status)

    assert _names(wishlist) == [("Later", False), ("There", True)]
    assert _names(wishlist, for_owner=False) == [("There", True)]


def test_places_of_many_lists_are_the_newest_of_each_and_counted_whole() -> None:
    user, places = make_user(), [make_listing(title=f"Place {number}") for number in range(3)]
    full, empty = (wishlists.create(user=user, name=name, now=NOW) for name in ("Sea", "Hills"))
    for place in places:
        wishlists.add(user=user, wishlist_id=full.pk, listing_id=place.pk, now=NOW)

    found = reading.places([full.pk, empty.pk], for_owner=True, most=2)

    assert [place.title for place in found[full.pk].shown] == ["Place 2", "Place 1"]
    assert (found[full.pk].count, found[empty.pk]) == (3, reading.Places())


def test_share_keeps_its_link_and_unshare_kills_it_for_good() -> None:
    user = make_user()
    wishlist = wishlists.create(user=user, name="Sea", now=NOW)

    token = wishlists.share(user=user, wishlist_id=wishlist.pk, now=NOW).share_token
    again = wishlists.share(user=user, wishlist_id=wishlist.pk, now=LATER).share_token
    opened = wishlists.by_token(token)
    wishlists.unshare(user=user, wishlist_id=wishlist.pk, now=LATER)
    wishlists.unshare(user=user, wishlist_id=wishlist.pk, now=LATER)
    anew = wishlists.share(user=user, wishlist_id=wishlist.pk, now=LATER).share_token

    assert (opened.pk, again, len(token)) == (wishlist.pk, token, 43)
    assert anew != token
    with pytest.raises(NotFound):
        wishlists.by_token(token)
    acts = AuditEntry.objects.filter(object_type="wishlist").order_by("pk").values_list("action", flat=True)
    assert list(acts) == ["wishlist.shared", "wishlist.unshared", "wishlist.shared"]


def test_the_secret_of_a_link_lies_sealed() -> None:
    user = make_user()
    wishlist = wishlists.create(user=user, name="Sea", now=NOW)
    token = wishlists.share(user=user, wishlist_id=wishlist.pk, now=NOW).share_token

    with connection.cursor() as cursor:
        cursor.execute("SELECT share_token FROM wishlists")
        (stored,) = cursor.fetchone()
        cursor.execute("SELECT count(*) FROM audit_log WHERE after::text LIKE %s", [f"%{token}%"])
        noted = cursor.fetchone()[0]

    assert stored.startswith("sealed:v2:")
    assert token not in stored
    assert crypto.unseal(stored) == token
    assert noted == 0


@pytest.mark.parametrize("token", ["", "none", "x" * 43, "x" * 5000, "\x00" * 43, "ä" * 43])
def test_by_token_finds_nothing_by_a_made_up_one(token: str) -> None:
    user = make_user()
    wishlist = wishlists.create(user=user, name="Sea", now=NOW)
    wishlists.share(user=user, wishlist_id=wishlist.pk, now=NOW)
    wishlists.create(user=user, name="Hills", now=NOW)

    with pytest.raises(NotFound):
        wishlists.by_token(token)


@pytest.mark.parametrize("gone", [{"is_active": False}, {"suspended_at": NOW}, {"erased_at": NOW}])
def test_links_of_those_who_are_gone_lead_nowhere(gone: dict[str, object]) -> None:
    user = make_user()
    wishlist = wishlists.create(user=user, name="Sea", now=NOW)
    token = wishlists.share(user=user, wishlist_id=wishlist.pk, now=NOW).share_token
    type(user).objects.filter(pk=user.pk).update(**gone)

    with pytest.raises(NotFound):
        wishlists.by_token(token)


def test_foreign_lists_are_as_if_they_were_not_there() -> None:
    owner, other, listing = make_user(), make_user(), make_listing()
    wishlist = wishlists.create(user=owner, name="Sea", now=NOW)
    wishlists.add(user=owner, wishlist_id=wishlist.pk, listing_id=listing.pk, now=NOW)
    named = {"user": other, "wishlist_id": wishlist.pk}

    for attempt in (
        lambda: wishlists.of(other, wishlist.pk),
        lambda: wishlists.rename(**named, name="Mine", now=LATER),
        lambda: wishlists.take_out(**named, listing_id=listing.pk, now=LATER),
        lambda: wishlists.share(**named, now=LATER),
        lambda: wishlists.unshare(**named, now=LATER),
        lambda: wishlists.remove(**named),
    ):
        with pytest.raises(NotFound):
            attempt()

    wishlist.refresh_from_db()
    assert (wishlist.name, wishlist.share_token, wishlist.updated_at) == ("Sea", "", NOW)
    assert WishlistPlace.objects.count() == 1
