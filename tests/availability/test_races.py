"""Hosts change their calendar while guests book: every outcome is one that somebody could have had alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from functools import partial

import pytest
from django.db import connection

from backend.availability import calendar
from backend.availability.invariants import CHECKS
from backend.availability.models import Block
from backend.availability.services import DatesUnavailable, Preparation
from backend.bookings.models import Booking
from backend.core.stay import Stay
from backend.listings import services as listings
from tests.bookings.making import book
from tests.factories import NOW, make_listing, make_user
from tests.racing import deadlocks, race

pytestmark = pytest.mark.usefixtures("db")

ROUNDS = 8


def june(first: int, last: int) -> Stay:
    return Stay(date(2027, 6, first), date(2027, 6, last))


def violations() -> list[str]:
    found = []
    with connection.cursor() as cursor:
        for check in CHECKS:
            cursor.execute(check.sql)
            if cursor.fetchall():
                found.append(check.name)
    return found


def test_closing_dates_while_guests_book_them_sells_or_closes_each_night_once():
    before, closed, sold = deadlocks(), 0, 0

    for _ in range(ROUNDS):
        listing = make_listing()
        guests = [make_user("guest") for _ in range(3)]
        stays = [june(8, 11), june(10, 14), june(13, 16)]
        close = partial(
            calendar.change,
            actor=listing.host,
            listing=listing,
            start=date(2027, 6, 10),
            end=date(2027, 6, 14),
            changes={"available": False},
            now=NOW,
        )

        host, *booked = race(
            close,
            *(partial(book, listing, guest, stay=stay) for guest, stay in zip(guests, stays, strict=True)),
        )

        made = [result for result in booked if isinstance(result, Booking)]
        assert all(isinstance(result, Booking | DatesUnavailable) for result in booked), booked
        assert host is None or isinstance(host, DatesUnavailable), host
        # Each of the three shares a night with the range: the host has it, or some of the guests.
        assert (host is None) == (made == [])
        rows = Block.objects.filter(listing=listing, active=True)
        assert rows.count() == (1 if host is None else len(made))
        closed, sold = closed + (host is None), sold + len(made)
    assert closed + sold >= ROUNDS
    assert violations() == []
    assert deadlocks() == before


def change_preparation_in_a_crowd(number: int) -> list[object]:
    """A host asks for two nights while guests book around each other; what the guests got."""
    listing = make_listing(preparation_days_before=0 if number % 4 else 1)
    guests = [make_user("guest") for _ in range(4)]
    stays = [june(8, 10), june(10, 12), june(13, 15), june(18, 20)]
    change = partial(
        listings.update,
        actor=listing.host,
        listing=listing,
        changes={"preparation_days_after": 2},
        now=NOW,
    )

    changed, *booked = race(
        change, *(partial(book, listing, guest, stay=stay) for guest, stay in zip(guests, stays, strict=True))
    )

    assert not isinstance(changed, Exception), changed
    return booked


def test_changing_the_preparation_while_guests_book_leaves_no_stay_without_it():
    before, refused = deadlocks(), 0

    for number in range(ROUNDS):
        booked = change_preparation_in_a_crowd(number)
        assert all(isinstance(result, Booking | Preparation) for result in booked), booked
        assert violations() == []
        refused += sum(isinstance(result, Preparation) for result in booked)
    assert refused >= 1
    assert deadlocks() == before


def test_control_without_the_wait_some_stay_keeps_the_old_preparation():
    with bookings_not_waited_for():
        for number in range(5 * ROUNDS):
            change_preparation_in_a_crowd(number)
            if violations():
                break

    assert violations() == ["preparation_is_guarded"]


@contextmanager
def bookings_not_waited_for() -> Iterator[None]:
    """A change of preparation that does not wait for the bookings under way."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_functiondef('blocks_follow_preparation'::regproc)")
        (definition,) = cursor.fetchone()
        assert "FOR UPDATE" in definition
        cursor.execute(definition.replace("FOR UPDATE", ""))
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(definition)
