from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import transaction

from backend.bookings import services as bookings
from backend.bookings import settlement
from backend.core.stay import Stay
from backend.notifications.models import Notification
from backend.payments import services as payments
from tests.bookings.making import book, confirmed, journal, money, pay, state
from tests.factories import NOW, make_listing

pytestmark = pytest.mark.usefixtures("db")


def test_expire_ends_holds_at_their_time_and_not_before() -> None:
    listing = make_listing()
    booking = book(listing)

    assert bookings.expire(now=NOW + timedelta(minutes=14, seconds=59)) == {"expired": 0, "left": 0}
    assert state(booking) == ("pending", "payment", ["held"], True)
    assert bookings.expire(now=NOW + timedelta(minutes=15)) == {"expired": 1, "left": 0}

    assert state(booking) == ("expired", "", ["held", "expired"], False)
    assert list(Notification.objects.values_list("user_id", "kind")) == [
        (booking.guest_id, "booking.expired")
    ]
    assert state(book(listing, now=NOW + timedelta(minutes=15)))[0] == "pending"


def test_expire_ends_requests_and_lets_the_money_go() -> None:
    booking = book(make_listing(instant_book=False))
    pay(booking)
    late = NOW + timedelta(hours=24)

    assert bookings.expire(now=late) == {"expired": 1, "left": 0}
    settlement.reconcile(now=late)

    assert state(booking) == ("expired", "", ["requested", "authorized", "expired"], False)
    assert money(booking) == ([("authorize", "succeeded"), ("void", "succeeded")], {})
    told = Notification.objects.filter(kind="booking.expired").values_list("user_id", flat=True)
    assert sorted(told) == sorted([booking.guest_id, booking.host_id])


def test_expire_closes_the_booking_whose_nights_another_guest_took() -> None:
    listing = make_listing()
    first = book(listing)
    late = NOW + timedelta(minutes=15)
    second = book(listing, now=late)

    assert bookings.expire(now=late) == {"expired": 1, "left": 0}

    assert state(first) == ("expired", "", ["held", "expired"], False)
    assert state(second) == ("pending", "payment", ["held"], True)


def test_complete_ends_the_stay_at_check_out_and_books_what_was_earned() -> None:
    booking = confirmed(make_listing())

    assert bookings.complete(now=booking.check_out_at - timedelta(seconds=1)) == {"completed": 0, "left": 0}
    assert bookings.complete(now=booking.check_out_at) == {"completed": 1, "left": 0}
    assert bookings.complete(now=booking.check_out_at) == {"completed": 0, "left": 0}

    assert state(booking) == ("completed", "", ["held", "confirmed", "completed"], True)
    assert money(booking)[1] == {"clearing:sandbox": 40_000, "host_payable": -33_800, "revenue": -6_200}


@pytest.mark.parametrize(
    ("zone", "check_out_at"),
    [
        ("Pacific/Kiritimati", datetime(2027, 5, 6, 21, tzinfo=UTC)),
        ("Pacific/Honolulu", datetime(2027, 5, 7, 21, tzinfo=UTC)),
        ("Europe/Lisbon", datetime(2027, 5, 7, 10, tzinfo=UTC)),
    ],
)
def test_complete_ends_the_stay_at_the_check_out_hour_of_the_place(zone: str, check_out_at: datetime) -> None:
    booking = confirmed(make_listing(timezone=zone))

    assert booking.check_out_at == check_out_at
    assert bookings.complete(now=check_out_at - timedelta(seconds=1)) == {"completed": 0, "left": 0}
    assert bookings.complete(now=check_out_at) == {"completed": 1, "left": 0}
    assert state(booking)[0] == "completed"


@pytest.mark.parametrize(
    ("zone", "check_in", "check_in_at"),
    [
        ("Pacific/Kiritimati", date(2027, 3, 2), datetime(2027, 3, 2, 1, tzinfo=UTC)),
        ("Pacific/Honolulu", date(2027, 3, 1), datetime(2027, 3, 2, 1, tzinfo=UTC)),
    ],
)
def test_expire_ends_a_request_at_check_in_at_the_latest(
    zone: str, check_in: date, check_in_at: datetime
) -> None:
    listing = make_listing(timezone=zone, instant_book=False)
    booking = book(listing, stay=Stay(check_in, check_in + timedelta(days=1)))

    assert booking.expires_at == check_in_at
    assert bookings.expire(now=check_in_at - timedelta(seconds=1)) == {"expired": 0, "left": 0}
    assert bookings.expire(now=check_in_at) == {"expired": 1, "left": 0}
    assert state(booking) == ("expired", "", ["requested", "expired"], False)


def test_expire_gives_up_a_payment_that_was_never_sent() -> None:
    booking = book(make_listing())
    with transaction.atomic():
        payments.start(
            folio=booking.folio, provider="sandbox", amount_minor=40_000, capture=True, options={}, now=NOW
        )
    late = NOW + timedelta(minutes=15)

    assert bookings.expire(now=late) == {"expired": 1, "left": 0}
    settlement.reconcile(now=late)

    assert money(booking) == ([("charge", "failed")], {})
    assert journal("charge") == []
    assert state(booking) == ("expired", "", ["held", "expired"], False)
