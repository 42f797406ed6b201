"""The search rows: they follow every change, can be rebuilt, and are proved equal to what they repeat."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from io import StringIO
from random import Random
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from psycopg.types.range import DateRange

from backend.accounts.models import Profile, User
from backend.availability import services as availability
from backend.availability.models import Block, CalendarDay, Reason
from backend.core.stay import Stay
from backend.listings.models import Listing
from backend.rates.models import PriceRule
from backend.search import codes, geo, maintenance, nights
from backend.search.find import every
from backend.search.models import NEVER, SearchRow, SearchText
from backend.search.query import SearchQuery
from tests.factories import NOW, make_listing, make_user
from tests.search.world import make_world, on, set_season

pytestmark = pytest.mark.usefixtures("db")


def sql(statement: str, *params: Any) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.fetchone()[0]


def test_words_cells_and_distances_are_the_same_on_both_sides() -> None:
    random = Random(3)
    for _ in range(200):
        lat, lon = random.uniform(-90, 90), random.uniform(-180, 180)
        check_in = on(1) + timedelta(days=random.randint(0, 900))
        stay = Stay(check_in, check_in + timedelta(days=random.randint(1, 365)))
        first, past = nights.day_number(stay.check_in), nights.day_number(stay.check_out)
        for word, mask in nights.masks(stay).items():
            assert sql("SELECT search_mask(%s, %s, %s)", first, past, word) == mask
        assert sum(mask.bit_count() for mask in nights.masks(stay).values()) == stay.nights
        assert sql("SELECT search_cell(%s, %s)", lat, lon) == geo.cell(lat, lon)
        assert sql("SELECT search_distance_km(%s, %s, 10.0, 20.0)", lat, lon) == pytest.approx(
            geo.distance_km(lat, lon, 10.0, 20.0)
        )
    assert sql("SELECT search_day(%s)", date(2027, 3, 1)) == nights.day_number(date(2027, 3, 1))
    slots = [sql("SELECT search_word_at(%s, %s)", slot, 345) for slot in range(8)]
    assert slots == [352, 345, 346, 347, 348, 349, 350, 351]
    assert [word % nights.WORDS for word in slots] == list(range(8))


def test_codes_are_the_positions_that_the_database_writes() -> None:
    for room_type in codes.ROOM_TYPES:
        listing = make_listing(room_type=room_type)
        assert SearchRow.objects.get(pk=listing.pk).room_type == codes.ROOM_TYPES.index(room_type)
    for policy in codes.POLICIES:
        listing = make_listing(cancellation_policy=policy)
        assert SearchRow.objects.get(pk=listing.pk).policy == codes.POLICIES.index(policy)


def test_random_changes_leave_every_row_right() -> None:
    random = Random(11)
    listings = make_world(random, listings=25, now=NOW)

    done = 0
    for _ in range(120):
        try:
            with transaction.atomic():
                for _ in range(random.randint(1, 3)):
                    random.choice(CHANGES)(random, random.choice(listings).pk)
            done += 1
        except IntegrityError:
            continue  # an overlap that the calendar refuses: nothing changed
    wrong = maintenance.differences()

    assert done > 60
    assert wrong == []


def _let_go(random: Random, listing: int) -> None:
    Block.objects.filter(listing_id=listing, active=True).update(active=False, released_at=NOW)


def _take_again(random: Random, listing: int) -> None:
    block = Block.objects.filter(listing_id=listing, active=False).first()
    if block:
        Block.objects.filter(pk=block.pk).update(active=True, released_at=None)


def _move(random: Random, listing: int) -> None:
    block = Block.objects.filter(listing_id=listing).order_by("-pk").first()
    if block:
        moved = block.nights.lower + timedelta(days=random.randint(-90, 90))
        Block.objects.filter(pk=block.pk).update(
            nights=DateRange(moved, moved + timedelta(days=3)), guarded=None
        )


def _hold(random: Random, listing: int) -> None:
    start = on(1) + timedelta(days=random.randint(0, 200))
    expires_at = NOW + timedelta(minutes=random.randint(-5, 5))
    Block.objects.create(
        listing_id=listing, nights=DateRange(start, start + timedelta(days=2)), reason="hold", expires_at=expires_at, created_at=NOW
    )  # fmt: skip


def _keep(random: Random, listing: int) -> None:
    Block.objects.filter(listing_id=listing, reason="hold").update(reason="booking", expires_at=None)


def _delete(random: Random, listing: int) -> None:
    Block.objects.filter(listing_id=listing, nights__startswith__gt=on(20)).delete()


def _rule(random: Random, listing: int) -> None:
    CalendarDay.objects.filter(listing_id=listing).update(min_nights=random.choice([None, 1]))


def _forget_rules(random: Random, listing: int) -> None:
    CalendarDay.objects.filter(listing_id=listing).delete()


def _season(random: Random, listing: int) -> None:
    set_season(random, Listing.objects.get(pk=listing), NOW)


def _change_seasons(random: Random, listing: int) -> None:
    rule = random.choice([None, 2])
    PriceRule.objects.filter(listing_id=listing).update(
        min_nights=rule, max_nights=None, closed_to_arrival=None, closed_to_departure=None
    )


def _forget_seasons(random: Random, listing: int) -> None:
    PriceRule.objects.filter(listing_id=listing).delete()


def _edit(random: Random, listing: int) -> None:
    fields: dict[str, Any] = {
        "title": f"Number {random.randint(1, 9)}",
        "city": random.choice(["Lisbon", "Porto", ""]),
        "timezone": random.choice(["UTC", "Asia/Tokyo"]),
        "price_minor": random.randint(1, 10**9),
        "currency": random.choice(["EUR", "JPY", "KES"]),
        "status": random.choice(["published", "paused"]),
        "public_latitude": random.choice([None, random.uniform(-90, 90)]),
        "arrival_weekdays": random.sample(range(1, 8), 3),
        "min_nights_by_weekday": {str(random.randint(1, 7)): random.randint(1, 365)},
        "rating": random.choice([None, "4.21"]),
    }
    name = random.choice(list(fields))
    if name in ("status", "currency"):
        Listing.objects.filter(pk=listing, status__in=["published", "paused"]).exclude(
            **{name: fields[name]}
        ).update(**{name: fields[name]})
    else:
        Listing.objects.filter(pk=listing).update(**{name: fields[name]})


def _host(random: Random, listing: int) -> None:
    host = Listing.objects.get(pk=listing).host_id
    Profile.objects.filter(pk=host).update(is_superhost=random.random() < 0.5)
    User.objects.filter(pk=host).update(suspended_at=random.choice([None, NOW]))


CHANGES = [
    _let_go,
    _take_again,
    _move,
    _hold,
    _hold,
    _keep,
    _delete,
    _rule,
    _forget_rules,
    _season,
    _change_seasons,
    _forget_seasons,
    _edit,
    _edit,
    _host,
]


def test_changes_of_one_listing_at_once_neither_deadlock_nor_get_lost() -> None:
    host = make_user()
    listing = make_listing(host)

    def claim(number: int) -> None:
        stay = Stay(on(1) + timedelta(days=2 * number), on(2) + timedelta(days=2 * number))
        with transaction.atomic():
            availability.claim(listing=listing, stay=stay, reason=Reason.BOOKING, now=NOW)

    def edit(number: int) -> None:
        with transaction.atomic():
            Listing.objects.filter(pk=listing.pk).update(price_minor=1_000 + number)
            claim(100 + number)

    def rules(number: int) -> None:
        CalendarDay.objects.create(listing=listing, date=on(1) + timedelta(days=number), min_nights=1)

    def stand(number: int) -> None:
        Profile.objects.filter(pk=host.pk).update(is_superhost=number % 2 == 0)

    def run(task: tuple[Any, int]) -> None:
        try:
            task[0](task[1])
        finally:
            connection.close()

    tasks = [(what, number) for number in range(12) for what in (claim, edit, rules, stand)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(run, tasks))

    assert maintenance.differences() == []
    row = SearchRow.objects.get()
    assert sum(getattr(row, f"w{slot}").bit_count() for slot in range(8)) == 24
    assert row.day_rules


@pytest.mark.parametrize("commits_last", ["listing", "suspension"])
def test_a_listing_made_while_its_host_is_suspended_is_not_found(commits_last: str) -> None:
    host = make_user()
    inside, go_on = threading.Event(), threading.Event()

    def suspend() -> None:
        try:
            with transaction.atomic():
                User.objects.filter(pk=host.pk).update(suspended_at=NOW)
                inside.set()
                go_on.wait(5)
        finally:
            connection.close()

    thread = threading.Thread(target=suspend)
    thread.start()
    inside.wait(5)
    if commits_last == "listing":
        with transaction.atomic():
            make_listing(host)
            go_on.set()
            thread.join(0.5)
    else:
        make_listing(host)
        go_on.set()
    thread.join(5)

    assert every(SearchQuery(), NOW) == []
    assert maintenance.differences() == []


def test_rebuild_search_mends_what_verify_finds() -> None:
    listings = make_world(Random(4), listings=6, now=NOW)
    found = every(SearchQuery(), NOW)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE search_row SET w3 = 7, score = 0 WHERE listing_id = %s", [listings[0].pk])
    SearchRow.objects.filter(pk=listings[1].pk).delete()
    SearchText.objects.filter(pk=listings[2].pk).delete()
    SearchRow.objects.create(
        **{
            **{field.attname: 0 for field in SearchRow._meta.concrete_fields},
            **{"listing_id": 999_999, "hold_lapses_at": NEVER, "property_type": "", "listed": True},
        }
    )

    with pytest.raises(CommandError):
        call_command("rebuild_search", "--verify", stdout=StringIO(), stderr=StringIO())
    wrong = {(name, row["listing_id"]) for name, row in maintenance.differences()}
    call_command("rebuild_search", "--cluster", stdout=StringIO(), stderr=StringIO())

    assert {
        ("search_rows_follow_listings", listings[0].pk),
        ("search_rows_follow_nights", listings[0].pk),
        ("search_rows_follow_listings", listings[1].pk),
        ("search_text_follows_listings", listings[2].pk),
        ("search_rows_follow_listings", 999_999),
    } <= wrong
    call_command("rebuild_search", "--verify", stdout=StringIO())
    assert every(SearchQuery(), NOW) == found
    assert set(found) == {listing.pk for listing in listings}


def test_no_index_names_what_a_booking_changes() -> None:
    changed = [*(f"w{slot}" for slot in range(8)), "hold_lapses_at"]

    indexed = sql(
        """
        SELECT count(*) FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
        WHERE i.indrelid = 'search_row'::regclass AND a.attname = ANY (%s)
        """,
        changed,
    )

    assert indexed == 0
