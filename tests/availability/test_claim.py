"""Claiming nights: who gets them, what is refused, and that nothing gets past the database."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from psycopg.types.range import DateRange

from backend.availability import services as availability
from backend.availability.models import Block, Reason
from backend.availability.services import DatesUnavailable, Preparation
from backend.core.stay import Stay
from tests.factories import NOW, make_listing

pytestmark = pytest.mark.usefixtures("db")

JUNE = Stay(date(2027, 6, 10), date(2027, 6, 14))


def claim(listing, stay, reason=Reason.BOOKING, **kwargs):
    with transaction.atomic():
        return availability.claim(listing=listing, stay=stay, reason=reason, now=NOW, **kwargs)


def active(listing) -> list[tuple[date, date, str]]:
    rows = Block.objects.filter(listing=listing, active=True).order_by("nights")
    return [(row.nights.lower, row.nights.upper, row.reason) for row in rows]


@pytest.mark.parametrize(
    ("first", "last"),
    [(10, 14), (9, 11), (13, 15), (11, 12), (1, 30)],
    ids=["same", "over the start", "over the end", "inside", "around"],
)
def test_claim_refuses_a_shared_night(first, last):
    listing = make_listing()
    claim(listing, JUNE)

    with pytest.raises(DatesUnavailable):
        claim(listing, Stay(date(2027, 6, first), date(2027, 6, last)))

    assert active(listing) == [(JUNE.check_in, JUNE.check_out, "booking")]


def test_claim_allows_turnover_on_the_same_day():
    listing = make_listing()

    claim(listing, JUNE)
    claim(listing, Stay(date(2027, 6, 14), date(2027, 6, 16)))
    claim(listing, Stay(date(2027, 6, 8), date(2027, 6, 10)))

    assert [row[:2] for row in active(listing)] == [
        (date(2027, 6, 8), date(2027, 6, 10)),
        (date(2027, 6, 10), date(2027, 6, 14)),
        (date(2027, 6, 14), date(2027, 6, 16)),
    ]


def test_claim_takes_over_from_a_hold_that_ran_out():
    listing = make_listing()
    hold = claim(listing, JUNE, Reason.HOLD, expires_at=NOW)

    claim(listing, JUNE)

    assert active(listing) == [(JUNE.check_in, JUNE.check_out, "booking")]
    hold.refresh_from_db()
    assert (hold.active, hold.released_at) == (False, NOW)


def test_claim_respects_a_living_hold():
    listing = make_listing()
    claim(listing, JUNE, Reason.HOLD, expires_at=NOW + timedelta(seconds=1))

    with pytest.raises(DatesUnavailable):
        claim(listing, JUNE)

    assert active(listing) == [(JUNE.check_in, JUNE.check_out, "hold")]


@pytest.mark.parametrize(("before", "after"), [(2, 0), (0, 2), (2, 1)])
def test_claim_keeps_the_preparation_gap_between_stays(before, after):
    listing = make_listing(preparation_days_before=before, preparation_days_after=after)
    claim(listing, JUNE)

    for stay in (Stay(date(2027, 6, 15), date(2027, 6, 17)), Stay(date(2027, 6, 7), date(2027, 6, 9))):
        with pytest.raises(Preparation):
            claim(listing, stay)
    claim(listing, Stay(date(2027, 6, 16), date(2027, 6, 17)))
    claim(listing, Stay(date(2027, 6, 7), date(2027, 6, 8)))

    assert len(active(listing)) == 3


def test_claim_lets_a_hosts_own_block_touch_a_stay_with_preparation():
    listing = make_listing(preparation_days_after=2)
    claim(listing, JUNE)

    claim(listing, Stay(date(2027, 6, 14), date(2027, 6, 15)), Reason.HOST)

    assert [row[2] for row in active(listing)] == ["booking", "host"]


def test_claim_after_an_expired_hold_whose_preparation_is_in_the_way():
    listing = make_listing(preparation_days_after=2)
    claim(listing, JUNE, Reason.HOLD, expires_at=NOW)

    claim(listing, Stay(date(2027, 6, 15), date(2027, 6, 17)))

    assert active(listing) == [(date(2027, 6, 15), date(2027, 6, 17), "booking")]


def test_release_frees_the_nights_once():
    listing = make_listing()
    block = claim(listing, JUNE)

    assert availability.release(block=block, now=NOW) is True
    assert availability.release(block=block, now=NOW) is False

    claim(listing, JUNE)
    assert len(active(listing)) == 1


def test_keep_refuses_a_block_that_was_released():
    listing = make_listing()
    block = claim(listing, JUNE, Reason.HOLD, expires_at=NOW)
    availability.release(block=block, now=NOW)

    with pytest.raises(DatesUnavailable):
        availability.keep(block=block, now=NOW)

    assert active(listing) == []


def test_inserts_and_updates_that_bypass_the_service_cannot_oversell():
    listing = make_listing()
    claim(listing, JUNE)
    other = claim(listing, Stay(date(2027, 6, 20), date(2027, 6, 22)))
    released = claim(listing, Stay(date(2027, 6, 25), date(2027, 6, 26)))
    availability.release(block=released, now=NOW)
    claim(listing, Stay(date(2027, 6, 25), date(2027, 6, 26)))
    shared = DateRange(date(2027, 6, 13), date(2027, 6, 15))

    statements = [
        ("INSERT INTO blocks (listing_id, nights, reason, active, note, created_at) VALUES (%s, %s, 'host', true, '', now())", [listing.pk, shared]),
        ("UPDATE blocks SET nights = %s WHERE id = %s", [shared, other.pk]),
        ("UPDATE blocks SET active = true, released_at = NULL WHERE id = %s", [released.pk]),
    ]  # fmt: skip
    before = active(listing)
    for statement, values in statements:
        with pytest.raises(IntegrityError, match="blocks_no_overlap"), connection.cursor() as cursor:
            cursor.execute(statement, values)

    assert active(listing) == before


def test_refusal_of_nights_tells_what_a_claim_would_say():
    listing = make_listing(preparation_days_after=1)
    claim(listing, JUNE)

    taken = availability.refusal_of_nights(listing=listing, stay=JUNE, now=NOW)
    near = availability.refusal_of_nights(
        listing=listing, stay=Stay(date(2027, 6, 14), date(2027, 6, 16)), now=NOW
    )
    free = availability.refusal_of_nights(
        listing=listing, stay=Stay(date(2027, 6, 15), date(2027, 6, 16)), now=NOW
    )

    assert (type(taken), type(near), free) == (DatesUnavailable, Preparation, None)
