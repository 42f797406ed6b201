"""The market's days: what is counted on which, kept equal to the rows, and proved."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from backend.analytics import invariants, market, visits
from backend.analytics.models import Level, ListingMove, ListingVisits, MarketBuild, MarketChange, MarketDay
from backend.analytics.visits import Visitor
from backend.availability import calendar
from backend.bookings import alterations, answers, settlement
from backend.bookings import services as bookings
from backend.bookings.alterations import Change
from backend.core.stay import Stay
from backend.jobs import books, sweeps
from backend.jobs.sweeps import Clock
from backend.listings import services as listings
from backend.listings.models import Listing, ListingTransition
from tests.bookings.making import book, confirmed, pay
from tests.damage import plant
from tests.factories import NOW, make_listing, make_user
from tests.reviews.making import review

pytestmark = pytest.mark.usefixtures("db")

TODAY = NOW.date()
DAY = timedelta(days=1)


def at(days: int, hour: int = 9) -> datetime:
    """So many days after NOW."""
    return datetime(NOW.year, NOW.month, NOW.day, hour, tzinfo=UTC) + days * DAY


def stay(days: int, nights: int) -> Stay:
    check_in = TODAY + days * DAY
    return Stay(check_in, check_in + nights * DAY)


def figures(day: date, **where: Any) -> dict[str, int]:
    """The columns of a summary that are not zero, of the level that ``where`` implies."""
    names = tuple(name for name in where if name != "currency")
    level = {(): Level.ALL, ("city",): Level.CITY, ("property_type",): Level.TYPE}.get(
        names, Level.CITY_AND_TYPE
    )
    sums: dict[str, int] = {}
    for row in MarketDay.objects.filter(day=day, level=level, **where).values(*market.KEPT):
        for name, value in row.items():
            sums[name] = sums.get(name, 0) + value
    return {name: value for name, value in sums.items() if value}


def only(day: int, *names: str, **where: Any) -> list[int]:
    """Some columns of a day."""
    found = figures(TODAY + day * DAY, **where)
    return [found.get(name, 0) for name in names]


def offered(**fields: Any) -> Listing:
    """A published listing with the step that made it so."""
    listing = make_listing(**fields)
    ListingTransition.objects.create(listing=listing, seq=1, new="published", at=listing.created_at)
    return listing


def keep_up(days: int) -> dict[str, int]:
    return market.keep_up(now=at(days))


def wrong() -> dict[str, int]:
    """The invariants of the summaries that do not hold, all days proved, with how many rows violate each."""
    clock = Clock(NOW, NOW)
    found = [books.run(check, clock, full=True) for check in invariants.CHECKS]
    return {finding.check.name: finding.count for finding in found if finding.count}


def test_a_day_says_what_was_booked_and_slept() -> None:
    listing = make_listing(cleaning_fee_minor=2_000)
    make_listing(published_at=at(-3), created_at=at(-3))
    confirmed(listing, stay=stay(2, 3), now=at(0))

    done = keep_up(6)

    assert done == {"changed": 0, "built": 9}
    supply = {"published": 2, "available": 2}
    assert figures(TODAY - 3 * DAY) == {"published": 1, "available": 1, "new": 1}
    assert figures(TODAY) == {
        **supply,
        **{"new": 1, "confirmed": 1, "bookings": 1, "booked_nights": 3, "lead_days": 2},
        **{"gmv_minor": 32_000, "fees_minor": 4_960, "taken_minor": 32_000},
    }
    assert figures(TODAY + DAY) == supply
    for night in (2, 3, 4):
        assert figures(TODAY + night * DAY) == {**supply, "nights": 1, "room_minor": 10_000}
    assert figures(TODAY + 5 * DAY) == supply
    assert wrong() == {}


def test_what_does_not_divide_is_spread_without_loss() -> None:
    listing = make_listing(price_minor=3_333)
    calendar.change(
        actor=listing.host, listing=listing, start=TODAY + DAY, end=TODAY + 2 * DAY, changes={"price_minor": 3_335}, now=NOW
    )  # fmt: skip
    confirmed(listing, stay=stay(1, 3))

    keep_up(5)

    nights = [only(day, "room_minor")[0] for day in (1, 2, 3)]
    assert (nights, sum(nights)) == ([3_333, 3_334, 3_334], 10_001)


def test_a_cancellation_changes_the_day_of_the_booking() -> None:
    listing = make_listing(cancellation_policy="strict")
    booking = confirmed(listing, stay=stay(20, 3))
    keep_up(3)
    assert only(0, "confirmed", "bookings", "canceled", "gmv_minor") == [1, 1, 0, 30_000]

    bookings.cancel(actor=booking.host, booking_id=booking.pk, now=at(3))
    settlement.reconcile(now=at(3))
    pending = wrong()
    done = keep_up(4)

    assert (pending, done) == ({}, {"changed": 1, "built": 2})
    assert only(0, "confirmed", "bookings", "canceled", "canceled_by_host", "gmv_minor", "taken_minor") == [
        *(1, 0, 1, 1),
        *(0, 30_000),
    ]
    assert only(3, "refunded_minor", "canceled") == [30_000, 0]
    assert wrong() == {}


def test_a_changed_stay_changes_its_days() -> None:
    listing = make_listing()
    booking = confirmed(listing, stay=stay(1, 2))
    market.keep_up(now=at(6))
    assert [only(day, "nights")[0] for day in (1, 2, 3, 4)] == [1, 1, 0, 0]

    change = Change(check_in=TODAY + 2 * DAY, check_out=TODAY + 5 * DAY)
    alterations.ask(actor=booking.guest, booking_id=booking.pk, change=change, now=NOW)
    pay(booking)

    assert keep_up(6)["built"] == 5
    assert [only(day, "nights", "room_minor") for day in (1, 2, 3, 4, 5)] == [
        *([0, 0], [1, 10_000], [1, 10_000], [1, 10_000], [0, 0])
    ]
    assert only(0, "gmv_minor", "booked_nights", "lead_days", "taken_minor") == [30_000, 3, 2, 30_000]
    assert wrong() == {}


def test_available_are_published_nights_that_nobody_closed_and_sold_ones() -> None:
    listing, other = offered(), offered()
    host = listing.host
    calendar.change(
        actor=host, listing=listing, start=TODAY, end=TODAY + 3 * DAY, changes={"available": False}, now=NOW
    )
    calendar.change(
        actor=host, listing=listing, start=TODAY + 2 * DAY, end=TODAY + 3 * DAY, changes={"available": True}, now=at(2)
    )  # fmt: skip
    confirmed(other, stay=stay(3, 2))
    listings.pause(actor=other.host, listing=other, now=at(3))

    keep_up(7)

    assert [only(day, "available", "published", "paused", "nights") for day in range(6)] == [
        [1, 2, 0, 0],
        [1, 2, 0, 0],
        # Opened at midnight's side of the day itself: what counts is how the day ended.
        [2, 2, 0, 0],
        # Paused, and sold all the same.
        [2, 1, 1, 1],
        [2, 1, 1, 1],
        [1, 1, 1, 0],
    ]
    assert wrong() == {}


def test_opening_a_night_that_is_over_does_not_change_it() -> None:
    listing = make_listing()
    calendar.change(
        actor=listing.host, listing=listing, start=TODAY, end=TODAY + 9 * DAY, changes={"available": False}, now=NOW
    )  # fmt: skip
    keep_up(5)
    before = [only(day, "available") for day in range(5)]

    calendar.change(
        actor=listing.host,
        listing=listing,
        start=TODAY + 5 * DAY,
        end=TODAY + 9 * DAY,
        changes={"available": True},
        now=at(5),
    )

    assert keep_up(7)["built"] == 7
    assert [only(day, "available") for day in range(5)] == before == 5 * [[0]]
    assert only(5, "available") == [1]
    assert wrong() == {}


def test_a_listing_counts_where_it_was_on_the_day() -> None:
    listing = make_listing(city="Lisbon", property_type="apartment", updated_at=at(-9), published_at=at(-9), created_at=at(-9))  # fmt: skip
    confirmed(listing, stay=stay(-1, 5), now=at(-3))
    keep_up(1)

    listings.update(actor=listing.host, listing=listing, changes={"property_type": "loft"}, now=at(2))
    listings.update(actor=listing.host, listing=listing, changes={"property_type": "house"}, now=at(2, 12))
    listings.update(actor=listing.host, listing=listing, changes={"property_type": "villa"}, now=at(3))
    keep_up(5)

    for level in ({}, {"city": "Lisbon"}):
        by_type = [
            {kind: only(day, "nights", "available", property_type=kind, **level) for kind in ("apartment", "house", "villa")}
            for day in (1, 2, 3)
        ]  # fmt: skip
        assert by_type == [
            {"apartment": [1, 1], "house": [0, 0], "villa": [0, 0]},
            {"apartment": [0, 0], "house": [1, 1], "villa": [0, 0]},
            {"apartment": [0, 0], "house": [0, 0], "villa": [1, 1]},
        ]
    assert ListingMove.objects.count() == 2
    assert not MarketDay.objects.filter(property_type="loft").exists()
    assert wrong() == {}


def test_cities_types_and_currencies_sum_to_the_whole() -> None:
    for city, kind, currency in (("Lisbon", "loft", "EUR"), ("Lisbon", "villa", "KES"), ("Nairobi", "villa", "KES")):  # fmt: skip
        confirmed(make_listing(city=city, property_type=kind, currency=currency), stay=stay(1, 1))

    keep_up(2)

    assert only(0, "bookings", "published") == [3, 3]
    assert only(0, "bookings", "published", currency="KES") == [2, 2]
    assert only(0, "bookings", "gmv_minor", currency="KES", city="Lisbon") == [1, 10_000]
    assert only(0, "bookings", city="Lisbon") == [2]
    assert only(0, "bookings", property_type="villa") == [2]
    assert only(0, "bookings", city="Nairobi", property_type="villa") == [1]
    assert wrong() == {}


def test_answers_reviews_and_visits_count_when_they_come() -> None:
    listing = make_listing(instant_book=False)
    asked = book(listing, stay=stay(5, 2), now=at(0))
    other = book(listing, stay=stay(9, 2), now=at(0))
    answers.accept(actor=listing.host, booking_id=asked.pk, now=at(0, 11))
    answers.decline(actor=listing.host, booking_id=other.pk, now=at(0, 13))
    done = confirmed(make_listing(), stay=stay(1, 1))
    bookings.complete(now=at(3))
    review(done, rating=4, now=at(3))
    visits.viewed(listing, Visitor(make_user(), "", ""), now=at(1))
    visits.quoted(listing, Visitor(make_user(), "", ""), now=at(1))
    visits.flush()

    keep_up(30)

    assert only(0, "answers", "answer_seconds") == [2, 6 * 3600]
    assert only(1, "views", "quotes") == [1, 1]
    assert sum(only(day, "reviews")[0] for day in range(30)) == 0
    from backend.reviews import services as reviews

    reviews.publish_due(now=at(40))
    keep_up(41)
    assert [only(40, "reviews", "stars")] == [[1, 4]]
    assert wrong() == {}


def test_keeping_up_twice_changes_nothing_and_the_sweep_does_it() -> None:
    confirmed(make_listing(), stay=stay(1, 1))
    keep_up(3)
    rows = list(MarketDay.objects.order_by("level", "day").values())

    again = sweeps.run(next(each for each in sweeps.SWEEPS if each.name == "market_days"), now=at(3))

    assert again == {"changed": 0, "built": 0}
    assert list(MarketDay.objects.order_by("level", "day").values()) == rows
    assert MarketChange.objects.count() == 0


def test_today_is_not_summarized() -> None:
    confirmed(make_listing(), stay=stay(1, 1))

    keep_up(0)

    assert (MarketBuild.objects.count(), MarketDay.objects.count()) == (0, 0)
    assert market.missing(at(1)) == [TODAY]


def test_a_run_that_broke_off_is_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    make_listing()
    monkeypatch.setattr(market, "BATCH", 2)

    def stop(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        market.keep_up(now=at(5), progress=stop)
    left = market.missing(at(5))

    assert left == [TODAY + 2 * DAY, TODAY + DAY, TODAY]
    assert keep_up(5) == {"changed": 0, "built": 3}


def test_what_is_confirmed_while_a_day_is_summarized_is_not_lost() -> None:
    """The note of a change that is not committed yet stays for the next round."""
    listing = make_listing()
    held = book(listing, stay=stay(3, 2))
    may_commit, changed = threading.Event(), threading.Event()

    def confirm() -> None:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(
                    "UPDATE bookings SET status = 'confirmed', pending_reason = '', expires_at = NULL, confirmed_at = %s"
                    " WHERE id = %s",
                    [at(0, 23), held.pk],
                )
                changed.set()
                assert may_commit.wait(20)
        finally:
            connection.close()

    thread = threading.Thread(target=confirm)
    thread.start()
    assert changed.wait(20)
    first = keep_up(1)
    seen = only(0, "confirmed")
    may_commit.set()
    thread.join()
    second = keep_up(1)

    assert (first["built"], seen) == (1, [0])
    assert (second, only(0, "confirmed")) == ({"changed": 1, "built": 1}, [1])


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE market_days SET gmv_minor = gmv_minor + 1 WHERE level = 0 AND gmv_minor > 0",
        "UPDATE market_days SET available = 0 WHERE level = 3 AND available > 0",
        "DELETE FROM market_days WHERE level = 1",
        "INSERT INTO market_days (level, day, country, city, property_type, currency, published, paused, new, available,"
        " views, quotes, confirmed, bookings, canceled, canceled_by_host, booked_nights, lead_days, gmv_minor,"
        " fees_minor, nights, room_minor, taken_minor, refunded_minor, answers, answer_seconds, reviews, stars)"
        " SELECT 0, day, '', '', '', 'XTS', 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0"
        " FROM market_builds LIMIT 1",
        "UPDATE folio_lines SET amount_minor = amount_minor - 1 WHERE code = 'night'",
        "DELETE FROM payments",
    ],
)
def test_a_summary_that_is_wrong_is_found_and_mended(damage: str) -> None:
    confirmed(make_listing(), stay=stay(1, 1))
    keep_up(4)
    assert wrong() == {}

    plant(damage)

    assert "market_days_follow_rows" in wrong()
    with pytest.raises(CommandError, match="not what they must be"):
        call_command("rebuild_analytics", "--verify", stdout=StringIO(), stderr=StringIO())
    market.build(market.built())
    assert wrong() == {}


def test_levels_that_disagree_are_found() -> None:
    confirmed(make_listing(), stay=stay(1, 1))
    keep_up(4)

    plant("UPDATE market_days SET nights = nights + 1 WHERE level = 2 AND nights > 0")

    assert wrong()["market_levels_agree"] == 1


def test_the_command_summarizes_chosen_days_and_all() -> None:
    confirmed(make_listing(), stay=stay(1, 1))
    keep_up(4)
    plant("UPDATE market_days SET gmv_minor = 7 WHERE gmv_minor > 0")
    out = StringIO()

    call_command("rebuild_analytics", "--day", TODAY.isoformat(), stdout=out)

    assert only(0, "gmv_minor") == [10_000]
    assert out.getvalue() == "1 days\nevery summary is what the rows come to\n"


def test_old_visits_go_and_old_days_stay() -> None:
    listing = make_listing(created_at=at(-1200), published_at=at(-1200))
    ListingVisits.objects.create(listing=listing, day=TODAY - 1000 * DAY, views=3)

    days = market.missing(NOW)

    assert (days[0], days[-1]) == (TODAY - DAY, TODAY - market.REACH)
    assert market.REACH < visits.KEPT


def test_the_days_of_a_listing_that_was_never_offered_have_no_supply() -> None:
    draft = make_listing(status="draft", published_at=None)
    make_listing()
    Listing.objects.filter(pk=draft.pk).update(city="Nowhere")

    keep_up(2)

    assert only(0, "published", "available") == [1, 1]
    assert not MarketDay.objects.filter(city="Nowhere").exists()
