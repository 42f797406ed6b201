from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from backend.audit.models import AuditEntry
from backend.availability import calendar
from backend.availability.models import Block
from backend.availability.services import DatesUnavailable
from backend.bookings import penalties, settlement
from backend.bookings import services as bookings
from backend.bookings.models import Booking, HostPenalty
from backend.core import fx
from backend.core.errors import Invalid, NotAllowed, NotFound, WrongState
from backend.core.money import Money
from backend.notifications.models import Notification
from tests.bookings.making import STAY, book, confirmed, money, wrong_books
from tests.factories import NOW, make_listing, make_user
from tests.racing import race

pytestmark = pytest.mark.usefixtures("db")


def _canceled(**fields: Any) -> Booking:
    """A booking of 4 x 300.00 that its host has canceled."""
    booking = confirmed(make_listing(**{"price_minor": 30_000, **fields}))
    bookings.cancel(actor=booking.host, booking_id=booking.pk, now=NOW)
    booking.refresh_from_db()
    return booking


def test_cancel_by_the_host_costs_a_penalty_and_keeps_the_nights_closed() -> None:
    booking = _canceled()
    settlement.reconcile(now=NOW)

    penalty = HostPenalty.objects.get()
    assert (penalty.booking_id, penalty.host_id, penalty.currency) == (booking.pk, booking.host_id, "EUR")
    assert (penalty.percent, penalty.base_minor, penalty.amount_minor) == (10, 120_000, 12_000)
    assert (booking.refund_minor, booking.host_keeps_minor) == (120_000, 0)
    assert money(booking)[1] == {"host_payable": 12_000, "revenue": -12_000}
    block = penalty.block
    assert block is not None
    assert (block.nights.lower, block.nights.upper) == (STAY.check_in, STAY.check_out)
    assert (block.reason, block.active, block.pinned) == ("host", True, True)
    told = Notification.objects.filter(kind="host.penalty").values_list("user_id", "params__amount")
    assert list(told) == [(booking.host_id, 12_000)]
    assert wrong_books() == {}


def test_cancel_by_the_host_leaves_nights_that_he_cannot_open() -> None:
    booking = _canceled()

    calendar.change(
        actor=booking.host,
        listing=booking.listing,
        start=STAY.check_in,
        end=STAY.check_out,
        changes={"available": True},
        now=NOW,
    )

    with pytest.raises(DatesUnavailable):
        book(booking.listing)
    assert wrong_books() == {}


@pytest.mark.parametrize(
    ("before", "percent"),
    [
        (timedelta(days=30, seconds=1), 10),
        (timedelta(days=30), 25),
        (timedelta(days=2, seconds=1), 25),
        (timedelta(days=2), 50),
        (timedelta(0), 50),
    ],
)
def test_penalty_grows_towards_check_in(before: timedelta, percent: int) -> None:
    booking = confirmed(make_listing(price_minor=20_000))

    bookings.cancel(actor=booking.host, booking_id=booking.pk, now=booking.check_in_at - before)

    penalty = HostPenalty.objects.get()
    assert (penalty.percent, penalty.base_minor) == (percent, 80_000)
    assert penalty.amount_minor == 800 * percent


def test_penalty_during_the_stay_is_taken_of_the_nights_not_stayed() -> None:
    booking = confirmed(make_listing(price_minor=20_000))
    at = booking.check_in_at + timedelta(days=1)

    bookings.cancel(actor=booking.host, booking_id=booking.pk, now=at)
    settlement.reconcile(now=at)

    penalty = HostPenalty.objects.select_related("block").get()
    assert (penalty.percent, penalty.base_minor, penalty.amount_minor) == (50, 60_000, 30_000)
    assert penalty.block is not None
    assert (str(penalty.block.nights.lower), str(penalty.block.nights.upper)) == ("2027-05-04", "2027-05-07")
    slept = Block.objects.get(pk=booking.block_id)
    assert (str(slept.nights.upper), slept.active) == ("2027-05-04", True)
    assert wrong_books() == {}


@pytest.mark.parametrize(
    ("price_minor", "bound"), [(1_000, Money(5_000, "USD")), (100_000_000, Money(100_000, "USD"))]
)
def test_penalty_lies_between_bounds_in_the_currency_of_the_stay(price_minor: int, bound: Money) -> None:
    booking = confirmed(make_listing(price_minor=price_minor, currency="KES"))

    bookings.cancel(actor=booking.host, booking_id=booking.pk, now=booking.check_in_at - timedelta(days=1))

    assert HostPenalty.objects.get().amount_minor == fx.exchange(bound, "KES").minor


def test_cancel_of_a_request_costs_the_host_nothing() -> None:
    booking = book(make_listing(instant_book=False))

    bookings.cancel(actor=booking.host, booking_id=booking.pk, now=NOW)

    assert HostPenalty.objects.count() == 0
    assert not Block.objects.filter(active=True).exists()


@pytest.mark.parametrize("free_nights", [False, True])
def test_waive_reverses_the_books_and_opens_the_nights_when_asked(free_nights: bool) -> None:
    booking, staff = _canceled(), make_user("finance")
    penalty = HostPenalty.objects.get()

    penalties.waive(
        actor=staff, penalty_id=penalty.pk, reason="Fire next door", now=NOW, free_nights=free_nights
    )
    settlement.reconcile(now=NOW)

    penalty.refresh_from_db()
    assert (penalty.waived_at, penalty.waived_by_id, penalty.waiver_reason) == (
        NOW,
        staff.pk,
        "Fire next door",
    )
    assert money(booking)[1] == {}
    assert penalty.block_id is not None
    assert Block.objects.get(pk=penalty.block_id).active is not free_nights
    entry = AuditEntry.objects.get(action="penalty.waive")
    assert (entry.actor_id, entry.reason) == (staff.pk, "Fire next door")
    assert Notification.objects.filter(kind="host.penalty_waived", user=booking.host).count() == 1
    assert wrong_books() == {}


def test_waive_is_refused_twice_without_a_reason_and_to_others() -> None:
    booking = _canceled()
    penalty = HostPenalty.objects.get()
    given: dict[str, Any] = {"penalty_id": penalty.pk, "reason": "Storm", "now": NOW}

    for actor in (booking.host, make_user("support"), make_user("moderator")):
        with pytest.raises(NotAllowed):
            penalties.waive(actor=actor, **given)
    with pytest.raises(NotFound):
        penalties.waive(actor=make_user(), **given)
    with pytest.raises(NotFound):
        penalties.waive(actor=make_user("admin"), **{**given, "penalty_id": penalty.pk + 1})
    with pytest.raises(Invalid):
        penalties.waive(actor=make_user("admin"), **{**given, "reason": " "})
    penalty.refresh_from_db()
    assert penalty.waived_at is None

    penalties.waive(actor=make_user("admin"), **given)
    with pytest.raises(WrongState):
        penalties.waive(actor=make_user("finance"), **given)

    assert AuditEntry.objects.filter(action="penalty.waive").count() == 1
    assert wrong_books() == {}


def test_waive_from_many_desks_at_once_reverses_once() -> None:
    booking, staff = _canceled(), make_user("finance")
    penalty = HostPenalty.objects.get()

    results = race(
        *[partial(penalties.waive, actor=staff, penalty_id=penalty.pk, reason="Storm", now=NOW)] * 6
    )

    assert sorted(type(result).__name__ for result in results) == ["NoneType"] + ["WrongState"] * 5
    assert money(booking)[1] == {"clearing:sandbox": 120_000, "guest_funds": -120_000}
    assert wrong_books() == {}
