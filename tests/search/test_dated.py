"""A dated search shows what can really be booked, and nothing else."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, datetime, timedelta
from random import Random

import pytest
from django.db import connection, transaction

from backend.availability import services as availability
from backend.availability.models import Block, CalendarDay, Reason
from backend.core.errors import Invalid
from backend.core.stay import Stay
from backend.listings.models import Listing
from backend.rates.models import PriceRule
from backend.search import find as finding
from backend.search import maintenance, nights
from backend.search.find import every, find
from backend.search.models import SearchRow, SearchWindow
from backend.search.query import SearchQuery
from tests.factories import NOW, make_listing
from tests.search.world import bookable, make_world, on, some_stay

pytestmark = pytest.mark.usefixtures("db")


def found(stay: Stay, now: datetime = NOW, **fields: object) -> set[int]:
    return set(every(SearchQuery(check_in=stay.check_in, check_out=stay.check_out, **fields), now))  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_find_agrees_with_the_booking_rules_for_every_listing(seed: int) -> None:
    random = Random(seed)
    now = NOW + timedelta(hours=random.randint(0, 23), minutes=random.randint(0, 59))
    listings = make_world(random, listings=110, now=now)
    shown = refused = 0

    for _ in range(40):
        stay, guests = some_stay(random, now), random.randint(1, 4)
        ids = found(stay, now, guests=guests)
        assert ids == bookable(listings, stay, guests, now), stay
        shown, refused = shown + len(ids), refused + len(listings) - len(ids)
    assert shown > 300
    assert refused > 300
    assert maintenance.differences() == []


@pytest.mark.parametrize("seed", [4, 5])
def test_find_with_flexible_days_agrees_with_the_booking_rules_for_every_shift(seed: int) -> None:
    random = Random(seed)
    now = NOW + timedelta(hours=random.randint(0, 23))
    listings = make_world(random, listings=70, now=now)
    moved = 0

    for _ in range(10):
        stay, days = some_stay(random, now), random.randint(1, 7)
        asked = SearchQuery(
            check_in=stay.check_in, check_out=stay.check_out, flexible_days=days, guests=2, page_size=100
        )
        nearest: dict[int, Stay] = {}
        for each in asked.stays():
            for pk in bookable(listings, each, 2, now):
                nearest.setdefault(pk, each)
        shown = {hit.listing_id: hit.stay for hit in find(asked, now).hits}
        assert shown == nearest, (stay, days)
        moved += sum(each != stay for each in nearest.values())
    assert moved > 20


def test_find_with_flexible_days_reads_on_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "NARROW", 5)
    monkeypatch.setattr(finding, "PROBE", 4)
    listings = [make_listing(review_count=number, rating=5) for number in range(12)]
    stay = Stay(on(10), on(12))
    for listing in listings[::2]:
        with transaction.atomic():
            availability.claim(listing=listing, stay=stay, reason=Reason.HOST, now=NOW)
    asked = SearchQuery(check_in=on(10), check_out=on(12), flexible_days=2, page_size=5)

    pages = [find(asked, NOW)]
    while pages[-1].next:
        pages.append(find(replace(asked, position=pages[-1].next), NOW))

    hits = [(hit.listing_id, hit.stay) for page in pages for hit in page.hits]
    moved = Stay(on(8), on(10))
    assert hits == [
        (listing.pk, stay if number % 2 else moved) for number, listing in reversed(list(enumerate(listings)))
    ]


@pytest.mark.parametrize(
    ("rule", "stay", "shown"),
    [
        ({"min_nights": 3}, (on(10), on(12)), False),
        ({"min_nights": 3}, (on(10), on(13)), True),
        ({"min_nights": 3}, (on(9), on(11)), True),
        ({"min_nights": 3}, (on(20), on(21)), True),
        ({"max_nights": 3}, (on(19), on(23)), False),
        ({"closed_to_arrival": True}, (on(19), on(21)), False),
        ({"closed_to_arrival": True}, (on(9), on(11)), True),
        ({"closed_to_departure": True}, (on(9), on(19)), False),
        ({"closed_to_departure": True}, (on(19), on(20)), True),
        ({"price_minor": 7_000}, (on(10), on(11)), True),
    ],
)
def test_find_reads_the_rules_of_a_season(
    rule: dict[str, object], stay: tuple[date, date], shown: bool
) -> None:
    """A season from the tenth to the nineteenth; the twentieth is the first date after it."""
    listing = make_listing()
    PriceRule.objects.create(
        listing=listing,
        kind="season",
        starts_on=on(10),
        ends_on=on(20),
        created_at=NOW,
        updated_at=NOW,
        **rule,
    )

    assert found(Stay(*stay)) == ({listing.pk} if shown else set())
    assert maintenance.differences() == []


def test_find_lets_a_date_go_before_its_season() -> None:
    listing = make_listing()
    PriceRule.objects.create(
        listing=listing, kind="season", starts_on=on(10), ends_on=on(20), min_nights=5, closed_to_arrival=True,
        created_at=NOW, updated_at=NOW,
    )  # fmt: skip
    CalendarDay.objects.create(listing=listing, date=on(12), min_nights=1, closed_to_arrival=False)

    assert found(Stay(on(12), on(13))) == {listing.pk}
    assert found(Stay(on(13), on(14))) == set()


def test_find_knows_a_clock_that_has_just_come() -> None:
    make_listing()
    stay = Stay(on(10), on(12))
    before = found(stay)
    late = make_listing(advance_notice_hours=2_000)

    after = found(stay)

    assert late.pk not in after
    assert after == before


def test_find_shows_nights_again_once_their_hold_has_run_out() -> None:
    listing = make_listing()
    stay = Stay(on(10), on(12))
    with transaction.atomic():
        availability.claim(
            listing=listing, stay=stay, reason=Reason.HOLD, now=NOW, expires_at=NOW + timedelta(minutes=15)
        )

    assert found(stay) == set()
    assert found(stay, NOW + timedelta(minutes=15)) == {listing.pk}
    assert found(Stay(on(12), on(13))) == {listing.pk}


def test_find_follows_a_hold_that_is_kept_then_released() -> None:
    listing = make_listing()
    stay = Stay(on(10), on(12))
    with transaction.atomic():
        block = availability.claim(
            listing=listing, stay=stay, reason=Reason.HOLD, now=NOW, expires_at=NOW + timedelta(minutes=15)
        )
    later = NOW + timedelta(hours=1)
    with transaction.atomic():
        availability.keep(block=block, now=NOW)
    kept = found(stay, later)

    availability.release(block=block, now=later)

    assert kept == set()
    assert found(stay, later) == {listing.pk}
    assert maintenance.differences() == []


def test_find_is_exact_beyond_the_night_words() -> None:
    listing, other = make_listing(), make_listing()
    far = Stay((NOW + timedelta(days=700)).date(), (NOW + timedelta(days=703)).date())
    with transaction.atomic():
        availability.claim(listing=listing, stay=far, reason=Reason.BOOKING, now=NOW)

    assert found(far) == {other.pk}


def test_find_does_not_depend_on_the_window_having_moved() -> None:
    listing, other = make_listing(), make_listing()
    stay = Stay(on(10), on(12))
    with transaction.atomic():
        availability.claim(listing=listing, stay=stay, reason=Reason.BOOKING, now=NOW)
    present = SearchRow.objects.values_list("first_word", flat=True).first()
    assert present is not None
    answers = {}

    for word in range(present - 9, present + 10):
        SearchRow.objects.update(first_word=word)
        with connection.cursor() as cursor:
            cursor.execute("SELECT search_refresh_nights(ARRAY(SELECT id FROM properties))")
        answers[word] = found(stay)

    assert set(map(frozenset, answers.values())) == {frozenset({other.pk})}


def test_roll_window_forgets_old_nights_and_learns_new_ones() -> None:
    listing = make_listing()
    window = SearchWindow.objects.get()
    old = Stay(NOW.date(), NOW.date() + timedelta(days=3))
    far = Stay(NOW.date() + timedelta(days=500), NOW.date() + timedelta(days=503))
    with transaction.atomic():
        for stay in (old, far):
            availability.claim(listing=listing, stay=stay, reason=Reason.BOOKING, now=NOW)
    later = NOW + timedelta(days=400)

    try:
        moved = maintenance.roll_window(later), maintenance.roll_window(later)
        rows = list(SearchRow.objects.values_list("first_word", flat=True))
        assert moved == (1, 0)
        assert rows == [nights.first_word(later)]
        assert maintenance.differences() == []
        assert found(far, later) == set()
    finally:
        SearchWindow.objects.update(first_word=window.first_word, reached=window.reached)


@pytest.mark.parametrize(
    ("check_in", "check_out", "code"),
    [
        (on(10), None, "required"),
        (None, on(10), "required"),
        (on(10), on(10), "invalid_stay"),
        (on(10), on(9), "invalid_stay"),
        (on(10), on(10) + timedelta(days=366), "max_nights"),
        (NOW.date() - timedelta(days=1), on(10), "check_in_past"),
    ],
)
def test_find_refuses_dates_that_make_no_stay(check_in: date, check_out: date, code: str) -> None:
    make_listing()

    with pytest.raises(Invalid) as refusal:
        find(SearchQuery(check_in=check_in, check_out=check_out), NOW)

    assert [error.code for error in refusal.value.errors] == [code]


def test_find_takes_today_by_the_clock_of_the_listing() -> None:
    lisbon = make_listing()
    yesterday = Stay(NOW.date() - timedelta(days=1), NOW.date() + timedelta(days=1))
    with pytest.raises(Invalid):
        found(yesterday)
    honolulu = make_listing(timezone="Pacific/Honolulu")

    assert found(yesterday) == {honolulu.pk}
    assert found(Stay(NOW.date(), NOW.date() + timedelta(days=1))) == {lisbon.pk, honolulu.pk}


def test_claims_of_one_listing_at_once_lose_no_bits() -> None:
    listing = make_listing()
    stays = [
        Stay(on(1) + timedelta(days=3 * number), on(2) + timedelta(days=3 * number)) for number in range(24)
    ]

    def claim(stay: Stay) -> None:
        try:
            with transaction.atomic():
                block = availability.claim(listing=listing, stay=stay, reason=Reason.BOOKING, now=NOW)
            if stay.check_in.toordinal() % 2:
                availability.release(block=block, now=NOW)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(claim, stays))

    assert maintenance.differences() == []
    taken = Block.objects.filter(active=True).count()
    assert sum(listing.pk not in found(stay) for stay in stays) == taken


def test_a_listing_published_while_its_nights_are_taken_misses_none() -> None:
    listing = make_listing(status="paused")
    stay = Stay(on(10), on(12))
    claimed = threading.Event()

    def publish() -> None:
        try:
            claimed.wait(5)
            Listing.objects.filter(pk=listing.pk).update(status="published")
        finally:
            connection.close()

    thread = threading.Thread(target=publish)
    thread.start()
    with transaction.atomic():
        availability.claim(listing=listing, stay=stay, reason=Reason.HOST, now=NOW)
        claimed.set()
        thread.join(0.5)
    thread.join(5)

    assert found(stay) == set()
    assert found(Stay(on(12), on(13))) == {listing.pk}


def test_rules_of_single_dates_are_marked_and_unmarked() -> None:
    listing = make_listing()
    marks = []

    for change in (
        lambda: CalendarDay.objects.create(listing=listing, date=on(10), price_minor=1),
        lambda: CalendarDay.objects.update(min_nights=3),
        lambda: CalendarDay.objects.create(listing=listing, date=on(11), closed_to_arrival=True),
        lambda: CalendarDay.objects.filter(date=on(10)).delete(),
        lambda: CalendarDay.objects.all().delete(),
    ):
        change()
        marks.append(SearchRow.objects.get().day_rules)

    assert marks == [False, True, True, True, False]
