"""An erasure and what its owner is in the middle of: one of the two comes first, and the books hold either way."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from api import problems
from backend.accounts.models import Session, User
from backend.availability.models import Block
from backend.bookings.models import Booking
from backend.core.errors import DomainError
from backend.identity import services as identity
from backend.jobs.books import check_books
from backend.listings.models import Listing
from backend.payments.models import Folio
from backend.privacy import erasure
from backend.privacy.models import Erasure
from tests.api.client import ApiClient
from tests.bookings.making import STAY, book
from tests.factories import NOW, PASSWORD, make_listing, make_user
from tests.racing import race

pytestmark = pytest.mark.usefixtures("db")

ROUNDS = 6


def gone(user: User) -> bool:
    return User.objects.filter(pk=user.pk, erased_at__isnull=False).exists()


def broken() -> list[str]:
    return [each.check.name for each in check_books() if each.count]


def test_who_books_while_being_erased_has_either_the_stay_or_the_end() -> None:
    for _ in range(ROUNDS):
        guest = make_user(password=PASSWORD)
        listing = make_listing()

        booked, erased = race(
            lambda guest=guest, listing=listing: book(listing, guest),
            lambda guest=guest: erasure.erase(actor=guest, user=guest, now=NOW, password=PASSWORD),
        )

        stays = Booking.objects.filter(guest=guest).count()
        if gone(guest):
            assert stays == 0
            assert isinstance(booked, (IntegrityError, DomainError))
        else:
            assert stays == 1
            assert isinstance(erased, DomainError)
    assert broken() == []


def test_who_signs_in_while_being_erased_has_no_living_session() -> None:
    device = identity.Device("127.0.0.1", "tests")
    for _ in range(ROUNDS):
        user = make_user(password=PASSWORD)

        race(
            lambda user=user: identity.sign_in(
                login=user.username, password=PASSWORD, device=device, now=timezone.now()
            ),
            lambda user=user: erasure.erase(actor=user, user=user, now=timezone.now(), password=PASSWORD),
        )

        assert gone(user)
        assert Session.objects.filter(user=user, revoked_at=None).count() == 0
    assert broken() == []


def test_a_host_who_is_booked_while_being_erased_keeps_the_guest_or_goes() -> None:
    for _ in range(ROUNDS):
        host = make_user(password=PASSWORD)
        listing = make_listing(host)

        race(
            lambda listing=listing: book(listing),
            lambda host=host: erasure.erase(actor=host, user=host, now=NOW, password=PASSWORD),
        )

        assert gone(host) is (Booking.objects.filter(listing=listing).count() == 0)
    assert broken() == []


def test_two_erasures_of_one_account_are_one() -> None:
    user = make_user(password=PASSWORD)

    results = race(
        *(lambda: erasure.erase(actor=user, user=user, now=NOW, password=PASSWORD) for _ in range(4))
    )

    assert sorted(type(each).__name__ for each in results if isinstance(each, Erasure)) == ["Erasure"]
    assert Erasure.objects.count() == 1


def test_without_the_databases_guard_a_late_booking_would_stand_in_an_erased_name() -> None:
    guest = make_user(password=PASSWORD)
    listing = make_listing()
    erasure.erase(actor=guest, user=guest, now=NOW, password=PASSWORD)

    with pytest.raises(IntegrityError, match="was erased"):
        book(listing, guest)
    assert Booking.objects.count() == 0
    with connection.cursor() as cursor, transaction.atomic():
        cursor.execute("ALTER TABLE bookings DISABLE TRIGGER bookings_erased")
        book_inside(listing, guest)
        assert Booking.objects.count() == 1
        transaction.set_rollback(True)


def book_inside(listing: Listing, guest: User) -> None:
    """A row as a late operation would write it."""
    Booking.objects.create(
        reference="LATE00000001",
        listing=listing,
        guest=guest,
        host=listing.host,
        block=Block.objects.create(
            listing=listing, nights=(STAY.check_in, STAY.check_out), reason="booking", created_at=NOW
        ),
        folio=Folio.objects.create(guest=guest, host=listing.host, currency="EUR", created_at=NOW),
        check_in=STAY.check_in,
        check_out=STAY.check_out,
        check_in_at=NOW,
        check_out_at=NOW,
        guests=1,
        status="confirmed",
        currency="EUR",
        total_minor=1,
        host_payout_minor=1,
        created_at=NOW,
        updated_at=NOW,
    )


def test_what_comes_too_late_is_answered_as_signed_out() -> None:
    guest = make_user(password=PASSWORD)
    listing = make_listing()
    erasure.erase(actor=guest, user=guest, now=NOW, password=PASSWORD)
    with pytest.raises(IntegrityError) as refused:
        book(listing, guest)

    assert problems.translate(refused.value).code == "unauthenticated"
    assert ApiClient().get("/api/profile/").status_code == 401
