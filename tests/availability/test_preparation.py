"""The nights between two stays are what the host asks for now, whenever the stays were booked."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import pytest
from django.db import connection, transaction

from backend.availability import calendar
from backend.availability import services as availability
from backend.availability.invariants import CHECKS
from backend.availability.models import Block
from backend.availability.services import Preparation
from backend.core.stay import Stay
from backend.listings.models import Listing
from tests.availability.making import take
from tests.factories import NOW, make_listing

pytestmark = pytest.mark.usefixtures("db")


def june(first: int, last: int) -> Stay:
    return Stay(date(2027, 6, first), date(2027, 6, last))


def ask_for(listing: Listing, before: int, after: int) -> None:
    """The host changes the preparation."""
    listing.preparation_days_before, listing.preparation_days_after = before, after
    listing.save(update_fields=["preparation_days_before", "preparation_days_after"])


def sold_from(listing: Listing, *stays: Stay) -> list[bool]:
    """Whether each of ``stays`` could be claimed by itself; claiming and asking must agree."""
    could = []
    for stay in stays:
        refusal = availability.refusal_of_nights(listing=listing, stay=stay, now=NOW)
        why = availability.why(listing=listing, stay=stay, guests=1, now=NOW)
        try:
            availability.release(block=take(listing, stay), now=NOW)
            could.append(True)
        except Preparation:
            could.append(False)
        assert (refusal is None, not why) == (could[-1], could[-1])
    return could


def violations() -> list[object]:
    (check,) = (check for check in CHECKS if check.name == "preparation_is_guarded")
    with connection.cursor() as cursor:
        cursor.execute(check.sql)
        return cursor.fetchall()


def guards(listing: Listing) -> list[tuple[int, int] | None]:
    rows = Block.objects.filter(listing=listing, active=True, reason__in=("hold", "booking"))
    found = rows.order_by("nights").values_list("guarded", flat=True)
    assert violations() == []
    return [guarded and (guarded.lower.day, guarded.upper.day) for guarded in found]


@pytest.mark.parametrize(("before", "after", "gap"), [(1, 0, 1), (0, 2, 2), (3, 1, 3), (1, 3, 3)])
def test_preparation_counts_on_both_sides_and_is_the_longer_of_the_two(before, after, gap):
    listing = make_listing(preparation_days_before=before, preparation_days_after=after)
    take(listing, june(10, 14))

    beside = june(14 + gap - 1, 20), june(14 + gap, 20), june(5, 10 - gap + 1), june(5, 10 - gap)

    assert sold_from(listing, *beside) == [False, True, False, True]


@pytest.mark.parametrize(("before", "after", "gap"), [(1, 0, 1), (0, 2, 2), (3, 1, 3)])
def test_preparation_asked_for_later_holds_for_stays_that_were_booked_before(before, after, gap):
    listing = make_listing()
    take(listing, june(10, 14))

    ask_for(listing, before, after)

    beside = june(14 + gap - 1, 20), june(14 + gap, 20), june(5, 10 - gap + 1), june(5, 10 - gap)
    assert sold_from(listing, *beside) == [False, True, False, True]
    shown = calendar.read(listing=listing, start=date(2027, 6, 1), end=date(2027, 6, 25), now=NOW)
    assert [night.date.day for night in shown if night.reason == "preparation"] == [
        *range(10 - gap, 10),
        *range(14, 14 + gap),
    ]


def test_preparation_given_up_frees_the_nights():
    listing = make_listing(preparation_days_after=3)
    take(listing, june(10, 14))

    ask_for(listing, 0, 1)
    assert sold_from(listing, june(14, 16), june(15, 16), june(8, 10)) == [False, True, False]
    ask_for(listing, 0, 0)
    assert sold_from(listing, june(14, 16), june(8, 10)) == [True, True]
    assert guards(listing) == [None]


def test_preparation_leaves_two_stays_that_are_already_too_near_and_lets_nothing_between():
    listing = make_listing()
    take(listing, june(10, 12))
    second = take(listing, june(13, 14))
    take(listing, june(14, 16))

    ask_for(listing, 2, 0)

    assert guards(listing) == [(10, 13), (13, 14), (14, 18)]
    assert sold_from(listing, june(12, 13), june(17, 18), june(18, 19), june(8, 9)) == [
        *(False, False, True, False)
    ]
    availability.release(block=second, now=NOW)
    assert guards(listing) == [(10, 14), (14, 18)]
    assert sold_from(listing, june(12, 13), june(13, 14)) == [False, False]


def test_preparation_moves_along_with_a_stay_that_is_cut_short():
    listing = make_listing()
    first = take(listing, june(10, 14))
    take(listing, june(14, 16))
    ask_for(listing, 0, 1)

    first.refresh_from_db()
    availability.shorten(block=first, until=date(2027, 6, 12))

    assert guards(listing) == [(10, 13), (14, 17)]


def test_preparation_is_nothing_to_hosts_own_and_imported_nights():
    listing = make_listing()
    take(listing, june(10, 12))
    take(listing, june(12, 14), "host")
    take(listing, june(14, 15), "feed")

    ask_for(listing, 0, 2)

    assert guards(listing) == [(10, 14)]
    assert set(Block.objects.exclude(reason="booking").values_list("guarded", flat=True)) == {None}
    assert sold_from(listing, june(15, 16)) == [True]


def test_preparation_that_changes_while_stays_are_claimed_fails_nobody():
    listing = make_listing()
    stays = [june(1 + 3 * number, 2 + 3 * number) for number in range(8)]
    started = threading.Barrier(9)

    def claim(stay: Stay) -> None:
        try:
            started.wait(10)
            with transaction.atomic():
                fresh = Listing.objects.get(pk=listing.pk)
                availability.claim(
                    listing=fresh,
                    stay=stay,
                    reason="hold",
                    now=NOW,
                    expires_at=NOW + timedelta(minutes=15),
                )
        finally:
            connection.close()

    def change() -> None:
        try:
            started.wait(10)
            for gap in (1, 2, 0, 2):
                ask_for(Listing.objects.get(pk=listing.pk), 0, gap)
        finally:
            connection.close()

    with ThreadPoolExecutor(9) as pool:
        for done in [pool.submit(change), *(pool.submit(claim, stay) for stay in stays)]:
            done.result()

    assert Block.objects.filter(active=True).count() == 8


def test_check_finds_a_stay_whose_preparation_can_be_sold():
    listing = make_listing(preparation_days_after=1)
    take(listing, june(10, 12))

    Block.objects.update(guarded=None)
    found = len(violations())
    with connection.cursor() as cursor:
        cursor.execute("SELECT blocks_keep_preparation(%s)", [listing.pk])

    assert found == 1
    assert guards(listing) == [(10, 13)]


def test_claim_guards_what_the_host_asks_for_though_the_listing_was_read_before():
    listing = make_listing()
    stale = Listing.objects.get(pk=listing.pk)
    ask_for(listing, 0, 2)

    block = take(stale, june(10, 12))

    assert block.guarded.upper == date(2027, 6, 14)
    assert guards(listing) == [(10, 14)]
    with pytest.raises(Preparation):
        take(stale, june(13, 15))
    assert guards(listing) == [(10, 14)]
