"""Many want the same: exactly one gets it, nobody pays for nothing, and the books are clean afterwards."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction
from psycopg.types.range import DateRange

from backend.availability import services as availability
from backend.availability.models import Block
from backend.availability.services import DatesUnavailable
from backend.bookings import services as bookings
from backend.bookings import settlement
from backend.bookings.models import Booking
from backend.bookings.services import ActiveBookings
from backend.core import platform
from backend.core.errors import NotFound, Throttled, WrongState
from backend.core.stay import Stay
from backend.jobs import books
from backend.jobs.sweeps import Clock
from backend.listings.models import Listing
from backend.payments.models import SandboxRecord
from backend.payments.services import AlreadyPaid, PaymentInProgress
from tests.bookings.making import STAY, book, confirmed, journal, pay
from tests.factories import NOW, make_listing, make_user
from tests.racing import PATIENCE_S, deadlocks, race

pytestmark = pytest.mark.usefixtures("db")

CROWD = 50
ROUNDS = 8


def _violations() -> list[str]:
    return [finding.check.name for finding in books.check_books(Clock(NOW, NOW)) if finding.count]


def _taken() -> int:
    return Block.objects.filter(active=True).count()


@contextmanager
def _without_the_constraint() -> Iterator[None]:
    """The calendar as most people write it: nothing but the code's own check stands against a double booking."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'blocks_no_overlap'"
        )
        (definition,) = cursor.fetchone()
        cursor.execute("ALTER TABLE blocks DROP CONSTRAINT blocks_no_overlap")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE bookings, blocks CASCADE")
            cursor.execute(f"ALTER TABLE blocks ADD CONSTRAINT blocks_no_overlap {definition}")


def test_fifty_guests_want_one_stay_and_one_gets_it() -> None:
    listing = make_listing()
    guests = [make_user() for _ in range(CROWD)]

    results = race(*(partial(book, listing, guest) for guest in guests))

    assert Counter(type(result) for result in results) == {Booking: 1, DatesUnavailable: CROWD - 1}
    assert (Booking.objects.count(), _taken()) == (1, 1)
    assert _violations() == []


def test_control_check_then_insert_sells_one_stay_many_times() -> None:
    listing = make_listing()
    nights = DateRange(STAY.check_in, STAY.check_out)
    everybody_looked = threading.Barrier(CROWD)

    def check_then_insert() -> str:
        with transaction.atomic():
            is_taken = Block.objects.filter(listing=listing, active=True, nights__overlap=nights).exists()
            everybody_looked.wait(PATIENCE_S)
            if is_taken:
                return "taken"
            Block.objects.create(listing=listing, nights=nights, reason="booking", created_at=NOW)
            return "sold"

    with _without_the_constraint():
        sold = Counter(race(*[check_then_insert] * CROWD))["sold"]
        found = [finding.check.name for finding in books.check_books() if finding.count]

    assert sold > 1
    assert {"nights_sold_once", "exclusion_constraints_stand"} <= set(found)


def test_control_without_the_constraint_the_operation_itself_oversells() -> None:
    listing = make_listing()
    guests = [make_user() for _ in range(CROWD)]

    with _without_the_constraint():
        results = race(*(partial(book, listing, guest) for guest in guests))

    assert Counter(type(result) for result in results)[Booking] > 1


def test_overlapping_stays_neither_deadlock_nor_oversell() -> None:
    listing = make_listing()
    chance = random.Random(7)
    before = deadlocks()
    tries = []
    for _ in range(CROWD):
        check_in = date(2027, 6, 1) + timedelta(days=chance.randrange(20))
        stay = Stay(check_in, check_in + timedelta(days=chance.randint(1, 9)))
        tries.append(partial(book, listing, make_user(), stay=stay))

    results = race(*tries)

    kinds = Counter(type(result) for result in results)
    assert set(kinds) == {Booking, DatesUnavailable}
    assert kinds[Booking] == _taken() == Booking.objects.count()
    assert _violations() == []
    time.sleep(1)  # the statistics of ended connections arrive with a delay
    assert deadlocks() == before


def test_overlapping_bare_claims_neither_deadlock_nor_oversell() -> None:
    listing = make_listing()
    before = deadlocks()

    def claim(chance: random.Random) -> int:
        won = 0
        for _ in range(20):
            check_in = date(2027, 6, 1) + timedelta(days=chance.randrange(200))
            stay = Stay(check_in, check_in + timedelta(days=chance.randint(1, 9)))
            try:
                with transaction.atomic():
                    availability.claim(listing=listing, stay=stay, reason=availability.Reason.HOST, now=NOW)
                won += 1
            except DatesUnavailable:
                continue
        return won

    results = race(*(partial(claim, random.Random(seed)) for seed in range(20)))

    assert sum(results) == _taken()
    assert [name for name in _violations() if name.startswith("nights")] == []
    time.sleep(1)
    assert deadlocks() == before


def test_one_guest_at_once_gets_no_more_holds_than_allowed() -> None:
    platform.put("limit_holds_user", 2)
    guest = make_user()
    listings = [make_listing() for _ in range(12)]

    results = race(*(partial(book, listing, guest) for listing in listings))

    assert sum(isinstance(result, Booking) for result in results) == 2
    assert sum(isinstance(result, Throttled) for result in results) == 10
    assert _taken() == 2


def _settled(booking: Booking) -> Booking:
    """The booking after everything that is open has been sent."""
    settlement.reconcile(now=NOW + timedelta(hours=25))
    return Booking.objects.get(pk=booking.pk)


def _net(booking: Booking) -> int:
    """What the guest's side has paid and not got back, by the sandbox's own journal."""
    charged = sum(
        amount for kind in ("charge", "capture") for amount, state in journal(kind) if state == "succeeded"
    )
    return charged - sum(amount for amount, state in journal("refund") if state == "succeeded")


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_accept_against_expire(round_: int) -> None:
    booking = book(make_listing(instant_book=False))
    pay(booking)
    end = NOW + timedelta(hours=24)

    def accept() -> None:
        bookings.accept(actor=booking.host, booking_id=booking.pk, now=end - timedelta(seconds=1))

    accepted, expired = race(accept, partial(bookings.expire, now=end))

    after = _settled(booking)
    if isinstance(accepted, WrongState):
        assert (after.status, expired["expired"], _net(booking)) == ("expired", 1, 0)
    else:
        assert (accepted, after.status, expired["expired"]) == (None, "confirmed", 0)
        assert _net(booking) == booking.total_minor
    assert _violations() == []


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_pay_against_expire(round_: int) -> None:
    booking = book(make_listing())
    end = NOW + timedelta(minutes=15)

    paid, _expired = race(
        partial(pay, booking, now=end - timedelta(seconds=1)), partial(bookings.expire, now=end)
    )

    after = _settled(booking)
    if isinstance(paid, WrongState):
        assert (after.status, _net(booking)) == ("expired", 0)
    else:
        assert paid.payment.status == "completed"
        assert (after.status, _net(booking)) == ("confirmed", booking.total_minor)
    assert _violations() == []


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_cancel_against_confirm(round_: int) -> None:
    booking = book(make_listing())

    paid, canceled = race(
        partial(pay, booking), partial(bookings.cancel, actor=booking.guest, booking_id=booking.pk, now=NOW)
    )

    after = _settled(booking)
    assert canceled is None
    assert after.status == "canceled"
    assert isinstance(paid, WrongState) or paid.payment.status in ("completed", "refunded")
    assert _net(booking) == 0
    assert _taken() == 0
    assert _violations() == []


def test_cancel_by_both_sides_at_once_refunds_once() -> None:
    booking = confirmed(make_listing())

    results = race(
        *(
            partial(bookings.cancel, actor=actor, booking_id=booking.pk, now=NOW)
            for actor in (booking.guest, booking.host) * 5
        )
    )

    assert Counter(type(result) for result in results) == {type(None): 1, WrongState: 9}
    _settled(booking)
    assert journal("refund") == [(booking.total_minor, "succeeded")]
    assert _violations() == []


def test_pay_many_times_at_once_charges_once() -> None:
    booking = book(make_listing())

    results = race(*[partial(pay, booking)] * 10)

    refused = [result for result in results if isinstance(result, (AlreadyPaid, PaymentInProgress))]
    assert len(refused) == 9
    assert journal("charge") == [(booking.total_minor, "succeeded")]
    assert _settled(booking).status == "confirmed"
    assert _violations() == []


def test_settling_one_operation_from_many_workers_has_one_effect() -> None:
    booking = confirmed(make_listing())
    bookings.cancel(actor=booking.guest, booking_id=booking.pk, now=NOW)

    race(*[partial(settlement.reconcile, now=NOW)] * 8)

    assert journal("refund") == [(booking.total_minor, "succeeded")]
    assert SandboxRecord.objects.get(kind="refund").calls == 1
    events = list(booking.transitions.order_by("seq").values_list("event", flat=True))
    assert events == ["held", "confirmed", "canceled", "refunded"]
    assert _violations() == []


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_booking_against_withdrawing_the_listing(round_: int) -> None:
    listing, guest = make_listing(), make_user()

    booked, withdrawn = race(
        partial(book, listing, guest),
        partial(bookings.withdraw_listing, actor=listing.host, listing=listing, now=NOW),
    )

    status = Listing.objects.get(pk=listing.pk).status
    outcome: tuple[Any, ...] = (type(booked), type(withdrawn), status)
    assert outcome in {(Booking, ActiveBookings, "published"), (NotFound, type(None), "archived")}
    assert Booking.objects.count() == (status == "published")
