"""Changes against bookings and against each other: real threads, one winner, and nobody loses the nights they had."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from backend.availability.models import Block
from backend.availability.services import DatesUnavailable
from backend.bookings import alterations, settlement
from backend.bookings import services as bookings
from backend.bookings.alterations import AlterationOpen, Change
from backend.bookings.models import Alteration, Booking
from backend.core.errors import DomainError, WrongState
from backend.core.stay import Stay
from backend.jobs import books
from backend.jobs.sweeps import Clock
from tests.bookings.making import STAY, book, confirmed, pay
from tests.factories import NOW, make_listing, make_user
from tests.racing import deadlocks, race

pytestmark = pytest.mark.usefixtures("db")

ROUNDS = 6


def _ask(booking: Booking, **change: Any) -> Alteration:
    return alterations.ask(actor=booking.guest, booking_id=booking.pk, change=Change(**change), now=NOW)


def _books() -> None:
    settlement.reconcile(now=NOW)
    found = books.check_books(Clock(NOW, NOW))
    assert {each.check.name: each.violations for each in found if each.count} == {}


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_alteration_against_a_booking_of_the_same_nights_has_one_winner(round_: int) -> None:
    listing, rival = make_listing(), make_user()
    booking = confirmed(listing)
    before = deadlocks()

    moved, taken = race(
        # Two days later: gives up the first nights, takes new ones.
        lambda: _ask(booking, check_in=date(2027, 5, 5), check_out=date(2027, 5, 9)),
        lambda: book(listing, rival, stay=Stay(date(2027, 5, 8), date(2027, 5, 10))),
    )

    outcomes = [type(moved), type(taken)]
    assert outcomes in ([Alteration, DatesUnavailable], [DatesUnavailable, Booking])
    fresh = Booking.objects.select_related("block").get(pk=booking.pk)
    won = Stay(date(2027, 5, 5), date(2027, 5, 9)) if outcomes[0] is Alteration else STAY
    assert (fresh.stay, fresh.block.active) == (won, True)
    assert Stay(fresh.block.nights.lower, fresh.block.nights.upper) == won
    assert Block.objects.filter(active=True).count() == (1 if outcomes[0] is Alteration else 2)
    assert deadlocks() == before
    _books()


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_alteration_against_a_booking_of_the_nights_that_it_gives_up_loses_nothing(round_: int) -> None:
    listing, rival = make_listing(), make_user()
    booking = confirmed(listing)

    moved, taken = race(
        lambda: _ask(booking, check_in=date(2027, 5, 5), check_out=date(2027, 5, 9)),
        lambda: book(listing, rival, stay=Stay(date(2027, 5, 3), date(2027, 5, 5))),
    )

    assert isinstance(moved, Alteration)
    assert isinstance(taken, (Booking, DatesUnavailable))
    assert Booking.objects.get(pk=booking.pk).stay == Stay(date(2027, 5, 5), date(2027, 5, 9))
    _books()


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_two_bookings_that_move_into_the_same_nights_have_one_winner(round_: int) -> None:
    listing = make_listing()
    first = confirmed(listing)
    second = confirmed(listing, stay=Stay(date(2027, 5, 12), date(2027, 5, 16)))
    middle = {"check_in": date(2027, 5, 7), "check_out": date(2027, 5, 11)}

    outcomes = race(lambda: _ask(first, **middle), lambda: _ask(second, **middle))

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Alteration", "DatesUnavailable"]
    loser, stay = (second, Stay(date(2027, 5, 12), date(2027, 5, 16)))
    if isinstance(outcomes[1], Alteration):
        loser, stay = first, STAY
    fresh = Booking.objects.select_related("block").get(pk=loser.pk)
    assert (fresh.stay, fresh.block.active) == (stay, True)
    assert Block.objects.filter(active=True).count() == 2
    _books()


def test_two_bookings_that_swap_places_do_not_deadlock() -> None:
    listing = make_listing()
    first = confirmed(listing)
    second = confirmed(listing, stay=Stay(date(2027, 5, 12), date(2027, 5, 16)))
    before = deadlocks()

    outcomes = race(
        lambda: _ask(first, check_in=date(2027, 5, 12), check_out=date(2027, 5, 16)),
        lambda: _ask(second, check_in=date(2027, 5, 3), check_out=date(2027, 5, 7)),
    )

    # Neither can go first while the other is still there.
    assert [type(outcome) for outcome in outcomes] == [DatesUnavailable, DatesUnavailable]
    assert deadlocks() == before
    _books()


def test_one_booking_is_changed_once_at_a_time() -> None:
    booking = confirmed(make_listing())

    outcomes = race(*[lambda: _ask(booking, check_out=date(2027, 5, 9)) for _ in range(4)])

    assert [type(outcome) for outcome in outcomes].count(Alteration) == 1
    assert [type(outcome) for outcome in outcomes].count(AlterationOpen) == 3
    assert Alteration.objects.count() == 1


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_accept_against_withdraw_has_one_winner(round_: int) -> None:
    booking = book(make_listing(instant_book=False))
    pay(booking)
    bookings.accept(actor=booking.host, booking_id=booking.pk, now=NOW)
    _ask(booking, check_out=date(2027, 5, 6))

    outcomes = race(
        lambda: alterations.accept(actor=booking.host, booking_id=booking.pk, now=NOW),
        lambda: alterations.withdraw(actor=booking.guest, booking_id=booking.pk, now=NOW),
    )

    failed = [outcome for outcome in outcomes if isinstance(outcome, DomainError)]
    assert [type(error) for error in failed] == [WrongState]
    nights = Booking.objects.get(pk=booking.pk).stay.nights
    assert (Alteration.objects.get().status, nights) in (("accepted", 3), ("withdrawn", 4))
    _books()


def test_paying_twice_at_once_charges_the_difference_once() -> None:
    booking = confirmed(make_listing())
    _ask(booking, check_out=date(2027, 5, 9))

    outcomes = race(*[lambda: pay(booking) for _ in range(4)])

    paid = [outcome for outcome in outcomes if not isinstance(outcome, Exception)]
    assert len(paid) == 1
    assert Booking.objects.get(pk=booking.pk).total_minor == 60_000
    _books()
