"""What hosts and moderators do with listings."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connections, transaction

from backend.audit.models import AuditEntry
from backend.availability.models import CalendarDay
from backend.core.access import SYSTEM
from backend.core.errors import DomainError, Invalid, NotAllowed, NotFound, Stale, WrongState
from backend.listings import services as listings
from backend.listings.models import Listing, ListingTransition
from backend.listings.states import TRANSITIONS, ListingStatus
from backend.notifications.models import Notification
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")


def steps(listing: Listing) -> list[tuple[int, str, str]]:
    return list(ListingTransition.objects.filter(listing=listing).values_list("seq", "old", "new"))


def create(actor: Any, **changes: Any) -> Listing:
    said = {
        "title": "Flat",
        "description": "",
        "price": Decimal(80),
        "location": "Kyoto",
        "availability": True,
        **changes,
    }
    return listings.create(actor=actor, now=NOW, **said)


def test_approve_publishes_and_tells_the_host() -> None:
    listing, moderator = make_listing(status="pending_review", published_at=None), make_user("moderator")

    listings.approve(actor=moderator, listing=listing, now=NOW)

    listing.refresh_from_db()
    assert (listing.status, listing.published_at, listing.version) == ("published", NOW, 2)
    assert steps(listing) == [(1, "pending_review", "published")]
    notice = Notification.objects.get()
    assert (notice.user_id, notice.kind, notice.data) == (
        listing.host_id,
        "listing.approved",
        {"property_id": listing.pk},
    )
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor_id, entry.before, entry.after) == (
        "listing.approved",
        moderator.pk,
        {"status": "pending_review"},
        {"status": "published"},
    )


@pytest.mark.parametrize(("verb", "status"), [("flag", "flagged"), ("reject", "rejected")])
def test_moderators_hide_a_listing_with_a_reason(verb: str, status: str) -> None:
    listing, moderator = make_listing(), make_user("moderator")

    getattr(listings, verb)(
        actor=moderator, listing=listing, now=NOW, reason="The photos show another place."
    )

    listing.refresh_from_db()
    assert (listing.status, listing.status_reason) == (status, "The photos show another place.")
    notice = Notification.objects.get()
    assert (notice.kind, notice.params["reason"]) == (f"listing.{status}", "The photos show another place.")
    assert AuditEntry.objects.get().reason == "The photos show another place."


def test_each_judgement_is_told_once_and_every_new_one_again() -> None:
    listing, moderator = make_listing(), make_user("moderator")

    for _ in range(2):
        listings.flag(actor=moderator, listing=listing, now=NOW, reason="Looks odd.")
        listings.approve(actor=moderator, listing=listing, now=NOW)

    kinds = list(Notification.objects.order_by("id").values_list("kind", flat=True))
    assert kinds == ["listing.flagged", "listing.approved", "listing.flagged", "listing.approved"]
    assert [seq for seq, _old, _new in steps(listing)] == [1, 2, 3, 4]


@pytest.mark.parametrize("verb", ["flag", "reject"])
@pytest.mark.parametrize("reason", ["", "   ", "x" * 501])
def test_moderators_must_say_why(verb: str, reason: str) -> None:
    listing = make_listing()

    with pytest.raises(Invalid):
        getattr(listings, verb)(actor=make_user("moderator"), listing=listing, now=NOW, reason=reason)

    listing.refresh_from_db()
    assert (listing.status, steps(listing), Notification.objects.count()) == ("published", [], 0)


@pytest.mark.parametrize("role", ["guest", "host", "support", "finance"])
def test_judging_is_for_moderators(role: str) -> None:
    listing = make_listing()
    for actor in (make_user(role), listing.host):
        with pytest.raises(NotAllowed):
            listings.flag(actor=actor, listing=listing, now=NOW, reason="Mine now.")

    listing.refresh_from_db()
    assert (listing.status, Notification.objects.count()) == ("published", 0)


def test_judging_ones_own_listing_is_refused() -> None:
    listing = make_listing(make_user("host", "moderator"), status="flagged")

    with pytest.raises(NotAllowed):
        listings.approve(actor=listing.host, listing=listing, now=NOW)

    listing.refresh_from_db()
    assert listing.status == "flagged"


@pytest.mark.parametrize(
    ("verb", "status"),
    [("approve", "draft"), ("approve", "paused"), ("approve", "published"), ("flag", "flagged"), ("flag", "draft"), ("flag", "rejected"), ("reject", "rejected"), ("reject", "draft")],
)  # fmt: skip
def test_judging_in_the_wrong_state_is_refused(verb: str, status: str) -> None:
    listing = make_listing(status=status)

    with pytest.raises(WrongState):
        getattr(listings, verb)(actor=make_user("moderator"), listing=listing, now=NOW, reason="Because.")

    listing.refresh_from_db()
    assert (listing.status, listing.version, steps(listing)) == (status, 1, [])


def test_publish_and_pause_by_name() -> None:
    listing = make_listing(status="draft")

    listings.publish(actor=listing.host, listing=listing, now=NOW)
    listings.publish(actor=listing.host, listing=listing, now=NOW)
    listings.pause(actor=listing.host, listing=listing, now=NOW)
    with pytest.raises(WrongState):
        listings.pause(actor=listing.host, listing=listing, now=NOW)

    assert steps(listing) == [(1, "draft", "published"), (2, "published", "paused")]


def test_archive_ends_everything() -> None:
    listing = make_listing()

    listings.archive(actor=listing.host, listing=listing, now=NOW)

    for again in (
        lambda: listings.archive(actor=listing.host, listing=listing, now=NOW),
        lambda: listings.publish(actor=listing.host, listing=listing, now=NOW),
        lambda: listings.update(actor=listing.host, listing=listing, changes={"title": "x"}, now=NOW),
        lambda: listings.approve(actor=make_user("moderator"), listing=listing, now=NOW),
    ):
        with pytest.raises(NotFound):
            again()
    assert steps(listing) == [(1, "published", "archived")]
    assert Listing.objects.visible_to(listing.host).count() == 0
    assert Listing.objects.visible_to(make_user("support")).count() == 1


@pytest.mark.parametrize("old", ListingStatus.values)
@pytest.mark.parametrize("new", ListingStatus.values)
def test_the_database_refuses_every_edge_that_is_none(old: str, new: str) -> None:
    listing = make_listing(status=old)

    if old == new or TRANSITIONS.allows(old, new):
        assert Listing.objects.filter(pk=listing.pk).update(status=new) == 1
    else:
        with pytest.raises(IntegrityError, match="may not go from"), transaction.atomic():
            Listing.objects.filter(pk=listing.pk).update(status=new)
        assert Listing.objects.get().status == old


def test_two_moderators_at_once_judge_once() -> None:
    listing, moderator = make_listing(), make_user("moderator")

    def judge(verb: str) -> str:
        try:
            getattr(listings, verb)(actor=moderator, listing=listing, now=NOW, reason="Because.")
            return "done"
        except DomainError as error:
            return error.code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as threads:
        outcomes = list(threads.map(judge, ["flag"] * 4))

    assert sorted(outcomes) == ["done", "wrong_state", "wrong_state", "wrong_state"]
    assert (steps(listing), Notification.objects.count()) == ([(1, "published", "flagged")], 1)


def test_two_updates_of_one_version_let_one_through() -> None:
    listing = make_listing()

    def change(title: str) -> str:
        try:
            listings.update(
                actor=listing.host, listing=listing, changes={"title": title}, now=NOW, versions={1}
            )
            return title
        except Stale:
            return "stale"
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as threads:
        outcomes = list(threads.map(change, ["one", "two", "three", "four"]))

    listing.refresh_from_db()
    assert outcomes.count("stale") == 3
    assert (listing.title in outcomes, listing.version) == (True, 2)


def test_update_of_nothing_changes_nothing() -> None:
    listing = make_listing()

    listings.update(
        actor=listing.host, listing=listing, changes={"title": listing.title, "availability": True}, now=NOW
    )

    listing.refresh_from_db()
    assert (listing.version, AuditEntry.objects.count(), steps(listing)) == (1, 0, [])


def test_update_audits_without_saying_where_somebody_lives() -> None:
    listing = make_listing()
    changes = {
        "price_per_night": Decimal("120.50"),
        "address": {"line1": "Rua Alta 4"},
        "latitude": 38.8,
        "longitude": -9.2,
    }

    listings.update(actor=listing.host, listing=listing, changes=changes, now=NOW)

    entry = AuditEntry.objects.get()
    assert (entry.before["price_minor"], entry.after["price_minor"]) == (10_000, 12_050)
    assert (entry.after["line1"], entry.after["latitude"]) == ("…", "…")
    assert "Rua Alta" not in str((entry.before, entry.after))


def test_update_of_the_currency_over_calendar_prices_is_refused() -> None:
    listing = make_listing()
    CalendarDay.objects.create(listing=listing, date=NOW.date(), price_minor=9_000)

    with pytest.raises(listings.CalendarPrices):
        listings.update(actor=listing.host, listing=listing, changes={"currency": "USD"}, now=NOW)

    listing.refresh_from_db()
    assert (listing.currency, listing.version) == ("EUR", 1)


def test_update_with_the_same_place_leaves_what_the_host_has_said_of_it() -> None:
    listing = create(make_user(), location="Kyoto", city="Gion", timezone="Asia/Seoul")

    listings.update(
        actor=listing.host, listing=listing, changes={"location": "Kyoto", "title": "New"}, now=NOW
    )

    listing.refresh_from_db()
    assert (listing.title, listing.city, listing.timezone) == ("New", "Gion", "Asia/Seoul")


def test_update_names_every_wrong_field_at_once() -> None:
    listing = make_listing()
    changes = {"title": "", "min_nights": 400, "price_per_night": Decimal("1.234"), "amenities": ["moat"]}

    with pytest.raises(Invalid) as refused:
        listings.update(actor=listing.host, listing=listing, changes=changes, now=NOW)

    assert [(error.field, error.code) for error in refused.value.errors] == [
        ("title", "blank"),
        ("min_nights", "too_large"),
        ("amenities", "unknown_amenity"),
        ("price_per_night", "too_precise"),
    ]
    listing.refresh_from_db()
    assert (listing.title, listing.version) == ("Flat over the river", 1)


def test_update_moves_the_public_point_with_the_exact_one_only() -> None:
    listing = create(make_user(), latitude=35.0, longitude=135.7)
    point = (listing.public_latitude, listing.public_longitude)

    renamed = listings.update(
        actor=listing.host, listing=listing, changes={"title": "New", "max_guests": 3}, now=NOW
    )
    moved = listings.update(actor=listing.host, listing=listing, changes={"latitude": 35.1}, now=NOW)
    back = listings.update(actor=listing.host, listing=listing, changes={"latitude": 35.0}, now=NOW)

    assert (renamed.public_latitude, renamed.public_longitude) == point
    assert moved.public_latitude != point[0]
    assert (back.public_latitude, back.public_longitude) == point


@pytest.mark.parametrize(
    ("said", "timezone"),
    [
        ({"location": "Albany, NY"}, "America/New_York"),
        ({"location": "Nowhere at all"}, "UTC"),
        ({"location": "Diani, Kenya"}, "Africa/Nairobi"),
        ({"location": "Nowhere at all", "latitude": -33.87, "longitude": 151.2}, "Australia/Sydney"),
        ({"location": "Kyoto", "timezone": "Asia/Dubai"}, "Asia/Dubai"),
    ],
)
def test_create_lives_by_the_clock_of_its_place(said: dict[str, Any], timezone: str) -> None:
    assert create(make_user(), **said).timezone == timezone


@pytest.mark.parametrize(
    ("location", "city", "country"),
    [
        ("Albany, NY", "Albany", "US"),
        ("Diani Beach, Kenya", "Diani Beach", "KE"),
        ("4 High Street, Smallville", "Smallville", ""),
        ("Albany, Oregon", "Albany", "US"),
        ("12 Rue Haute, Antwerpen, Belgique", "Antwerp", "BE"),
    ],
)
def test_create_names_its_city(location: str, city: str, country: str) -> None:
    listing = create(make_user(), location=location)

    assert (listing.city, listing.country, listing.location) == (city, country, location)


def test_create_by_the_system_is_no_ones() -> None:
    with pytest.raises((ValueError, TypeError)):
        create(SYSTEM)
    assert Listing.objects.count() == 0
