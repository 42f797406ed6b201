"""The hand-written read shows what the ORM would show."""

from __future__ import annotations

import threading

import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from api.auth import ANONYMOUS
from api.property_types import property_payload
from api.rendering import dumps
from backend.core.access import SYSTEM
from backend.listings import reading
from backend.listings.models import Listing, Photo
from backend.listings.states import ListingStatus
from tests.factories import NOW, make_listing, make_user

pytestmark = pytest.mark.usefixtures("db")


def test_reading_shows_what_the_orm_shows() -> None:
    listing = make_listing(
        weekend_price_minor=12_345,
        min_nights_by_weekday={"5": 2},
        arrival_weekdays=[1, 5],
        bathrooms="1.5",
        rating="4.85",
        amenities_mask=2**55 + 5,
        line1="Rua Alta 4",
    )
    for position in (2, 1):
        Photo.objects.create(
            listing=listing,
            file=f"listings/{position}.jpg",
            width=9,
            height=9,
            sizes={"480": f"listings/{position}s.jpg"},
            caption="Ça va",
            position=position,
            is_cover=position == 1,
            created_at=NOW,
        )
    make_listing()
    orm = Listing.objects.select_related("host__profile").prefetch_related("photos").get(pk=listing.pk)

    with CaptureQueriesContext(connection) as queries:
        shown = reading.by_id(listing.pk, ANONYMOUS)

    assert shown is not None
    assert len(queries) == 1
    for viewer, exact in ((ANONYMOUS, False), (listing.host, True)):
        assert dumps(property_payload(shown, viewer, exact)) == dumps(property_payload(orm, viewer, exact))


@pytest.mark.parametrize("status", ListingStatus.values)
def test_may_know_is_visible_to(status: str) -> None:
    listing = make_listing(status=status)
    roles = ("guest", "host", "support", "moderator", "finance", "admin")

    for viewer in (ANONYMOUS, SYSTEM, listing.host, *(make_user(role) for role in roles)):
        seen = Listing.objects.visible_to(viewer).filter(pk=listing.pk).exists()
        assert reading.may_know(viewer, listing) == seen


def test_by_ids_reads_many_at_once() -> None:
    ids = [make_listing().pk for _ in range(3)]

    with CaptureQueriesContext(connection) as queries:
        found = reading.by_ids([*ids, 999_999])

    assert (sorted(found), len(queries)) == (ids, 1)
    assert reading.by_ids([]) == {}


@pytest.mark.parametrize("status", ListingStatus.values)
@pytest.mark.parametrize("once_public", [True, False])
def test_pinned_knows_what_known_to_knows(status: str, once_public: bool) -> None:
    host = make_user("host")
    listing = make_listing(host, status=status, published_at=NOW if once_public else None)
    people = [host, make_user("guest"), make_user("support"), make_user("admin")]

    with transaction.atomic():
        found = {person.pk: reading.pinned(listing.pk, person) for person in people}

    for person in people:
        known = Listing.objects.known_to(person).filter(pk=listing.pk).first()
        assert found[person.pk] == known
        if known is not None:
            read = found[person.pk]
            assert read is not None
            assert (read.title, read.host) == (known.title, host)


def test_pinned_keeps_a_listing_from_being_withdrawn_and_nothing_else() -> None:
    listing = make_listing()
    pinned, done = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                reading.pinned(listing.pk, listing.host)
                pinned.set()
                done.wait(10)
        finally:
            connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert pinned.wait(10)
        with transaction.atomic():
            Listing.objects.filter(pk=listing.pk).update(title="Another one")
        with pytest.raises(OperationalError), transaction.atomic():
            list(Listing.objects.select_for_update(nowait=True).filter(pk=listing.pk))
    finally:
        done.set()
        holder.join()
