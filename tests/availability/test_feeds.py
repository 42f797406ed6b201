"""Imported calendars: which nights they take, what they never undo, and how far they are trusted."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, transaction

from backend.audit.models import AuditEntry
from backend.availability import feed_nights, feed_polling, feeds
from backend.availability import services as availability
from backend.availability.feeds import BadFeedUrl, TooManyFeeds
from backend.availability.invariants import CHECKS
from backend.availability.models import Block, CalendarFeed, Decision, FeedConflict, FeedEvent, Reason
from backend.core import net, platform
from backend.core.errors import NotAllowed, NotFound
from backend.core.stay import Stay
from backend.notifications.models import Notification
from backend.search import maintenance
from tests.availability.calendars import AIRBNB, BOOKING_COM, calendar, event, taken
from tests.factories import NOW, make_listing, make_user
from tests.far_end import far_end
from tests.racing import race
from tests.shared import shared

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture(autouse=True)
def _loopback(settings):
    settings.ALLOW_LOOPBACK_FETCH = True


@pytest.fixture
def end():
    with far_end() as server:
        server.serve(calendar())
        yield server


def day(number: int, month: int = 6) -> date:
    return date(2027, month, number)


def add(listing, end, *, now=NOW, name="Far") -> CalendarFeed:
    return feeds.add(actor=listing.host, listing=listing, name=name, url=end.url, now=now)


def poll(feed, *, now=NOW) -> CalendarFeed:
    return feeds.poll(feed_id=feed.pk, now=now)


def blocks(listing, reason="feed") -> list[tuple[date, date]]:
    found = Block.objects.filter(listing=listing, active=True, reason=reason).order_by("nights")
    return [(row.nights.lower, row.nights.upper) for row in found]


def book(listing, start, end, reason=Reason.BOOKING, **kwargs) -> Block:
    with transaction.atomic():
        return availability.claim(listing=listing, stay=Stay(start, end), reason=reason, now=NOW, **kwargs)


def test_add_asks_at_once_and_closes_the_nights(end):
    listing = make_listing()
    end.serve(calendar(taken(day(10), day(14)), taken(day(20), day(22), uid="two"), prodid=AIRBNB))

    feed = add(listing, end)

    assert (feed.status, feed.error, feed.kind) == ("ok", "", "airbnb")
    assert (feed.last_polled_at, feed.last_healthy_at) == (NOW, NOW)
    assert blocks(listing) == [(day(10), day(14)), (day(20), day(22))]
    assert AuditEntry.objects.filter(action="listing.feed_added").count() == 1
    assert "far-secret" not in str(list(AuditEntry.objects.values()))


def test_add_of_a_calendar_that_cannot_be_read_says_so(end):
    listing = make_listing()
    end.fail(503)

    feed = add(listing, end)

    assert (feed.status, feed.error, feed.last_healthy_at) == ("failing", "http_503", None)
    assert blocks(listing) == []


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://1.1.1.1/x.ics", "not_https"),
        ("https://10.0.0.1/x.ics", "address_not_public"),
        ("nonsense", "invalid_url"),
    ],
)
def test_add_refuses_an_address_that_is_never_fetched(url, code):
    listing = make_listing()

    with pytest.raises(BadFeedUrl) as caught:
        feeds.add(actor=listing.host, listing=listing, name="Far", url=url, now=NOW)

    assert caught.value.errors[0].code == code
    assert CalendarFeed.objects.count() == 0


def test_add_is_for_the_host_alone(end):
    listing = make_listing()

    with pytest.raises(NotAllowed):
        feeds.add(actor=make_user(), listing=listing, name="Far", url=end.url, now=NOW)

    assert (CalendarFeed.objects.count(), end.requests) == (0, [])


def test_add_refuses_more_than_a_place_may_import(end):
    listing = make_listing()
    CalendarFeed.objects.bulk_create(
        CalendarFeed(listing=listing, name="x", url=end.url, next_poll_at=NOW, created_at=NOW)
        for _ in range(feeds.MAX_FEEDS)
    )

    with pytest.raises(TooManyFeeds):
        add(listing, end)

    assert CalendarFeed.objects.count() == feeds.MAX_FEEDS


def test_poll_follows_moved_dates_with_the_same_block(end):
    listing = make_listing()
    end.serve(calendar(taken(day(10), day(14))))
    feed = add(listing, end)
    block = Block.objects.get()
    end.serve(calendar(taken(day(12), day(16))))

    poll(feed)

    assert blocks(listing) == [(day(12), day(16))]
    assert Block.objects.get().pk == block.pk
    assert maintenance.differences() == []


def test_poll_opens_what_a_whole_answer_no_longer_has(end):
    listing = make_listing()
    end.serve(calendar(taken(day(10), day(14)), taken(day(20), day(22), uid="two")))
    feed = add(listing, end)
    end.serve(calendar(taken(day(20), day(22), uid="two")))

    poll(feed)

    assert blocks(listing) == [(day(20), day(22))]
    assert FeedEvent.objects.get(uid="one@far").removed_at == NOW


def broken(end, how):
    whole = calendar(taken(day(20), day(22), uid="two"))
    if how == "empty":
        end.serve(calendar())
    elif how == "cut":
        end.serve(whole[:-20])
    elif how == "page":
        end.serve("<html>Sign in</html>")
    elif how == "status":
        end.fail(404)
    elif how == "too large":
        end.serve(b"x" * (net.MAX_BYTES + 1))
    elif how == "bomb":
        end.serve(calendar(event("DTSTART:20270610T000000Z", "RRULE:FREQ=SECONDLY")))


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("empty", "empty"),
        ("cut", "incomplete"),
        ("page", "no_calendar"),
        ("status", "http_404"),
        ("too large", "too_large"),
        ("bomb", "too_complex"),
    ],
)
def test_poll_of_a_broken_feed_opens_nothing(end, how, error):
    listing = make_listing()
    end.serve(calendar(taken(day(10), day(14))))
    feed = add(listing, end)
    later = NOW + timedelta(minutes=20)
    broken(end, how)

    feed = poll(feed, now=later)

    assert (feed.status, feed.error, feed.failures) == ("failing", error, 1)
    assert (feed.last_polled_at, feed.last_healthy_at) == (later, NOW)
    assert blocks(listing) == [(day(10), day(14))]
    end.serve(calendar(taken(day(11), day(14))))
    feed = poll(feed, now=later)
    assert (feed.status, feed.error, feed.failures, blocks(listing)) == ("ok", "", 0, [(day(11), day(14))])


def test_poll_believes_an_empty_answer_when_the_host_says_that_it_is_right(end):
    listing = make_listing()
    end.serve(calendar(taken(day(10), day(14))))
    feed = add(listing, end)
    end.serve(calendar())

    feed = feeds.poll_of(actor=listing.host, listing=listing, feed_id=feed.pk, now=NOW, accept_empty=True)

    assert (feed.status, feed.error, blocks(listing)) == ("ok", "", [])


def test_poll_reads_again_only_what_says_something_else(end, monkeypatch):
    listing = make_listing()
    text = calendar(taken(day(10), day(14)))
    end.serve(text)
    feed = add(listing, end)
    read = []
    real = feed_polling.ical_reading.read
    monkeypatch.setattr(
        feed_polling.ical_reading, "read", lambda *args, **kw: read.append(1) or real(*args, **kw)
    )

    end.serve(text.replace("DTSTAMP:20270301", "DTSTAMP:20270302"))
    feed = poll(feed, now=NOW + timedelta(minutes=10))
    assert (feed.status, feed.last_healthy_at, len(read)) == ("ok", NOW + timedelta(minutes=10), 0)
    poll(feed, now=NOW + timedelta(days=1))  # what is over and what is far depends on the day
    assert len(read) == 1
    end.serve(text.replace("20270614", "20270615"))
    poll(feed, now=NOW + timedelta(days=1))

    assert (len(read), blocks(listing)) == (2, [(day(10), day(15))])


def test_poll_of_a_thousand_entries_is_contained(end):
    listing = make_listing()
    entries = [
        taken(day(1) + timedelta(days=n % 900), day(3) + timedelta(days=n % 900), uid=f"u{n}")
        for n in range(1000)
    ]
    end.serve(calendar(*entries))
    before = time.monotonic()

    feed = add(listing, end)
    took = time.monotonic() - before
    end.serve(calendar(*(each.replace("UID:u", "UID:v") for each in entries)))
    poll(feed)

    assert (feed.status, FeedEvent.objects.filter(removed_at=None).count()) == ("ok", 1000)
    assert sum((upper - lower).days for lower, upper in blocks(listing)) == 901
    assert took < 10


def test_purge_forgets_entries_that_are_long_over_and_keeps_their_nights(end):
    listing = make_listing()
    end.serve(calendar(taken(day(10), day(14)), taken(day(1, 12), day(3, 12), uid="two")))
    add(listing, end)

    assert feeds.purge(now=datetime(2027, 9, 10, 9, 0, tzinfo=UTC)) == 0
    assert feeds.purge(now=datetime(2027, 9, 14, 9, 0, tzinfo=UTC)) == 1

    assert (FeedEvent.objects.get().uid, blocks(listing)) == (
        "two",
        [(day(10), day(14)), (day(1, 12), day(3, 12))],
    )


def test_poll_of_a_calendar_that_was_always_empty_is_well(end):
    feed = add(make_listing(), end)

    assert (feed.status, feed.error) == ("ok", "")


def test_poll_asks_conditionally_and_takes_unchanged_for_well(end):
    listing = make_listing()
    end.serve(calendar(taken(day(10), day(14))), ETag='"v1"')
    feed = add(listing, end)
    end.status, end.body = 304, b""

    feed = poll(feed, now=NOW + timedelta(minutes=10))

    assert end.requests[-1]["if-none-match"] == '"v1"'
    assert (feed.status, feed.last_healthy_at) == ("ok", NOW + timedelta(minutes=10))
    assert blocks(listing) == [(day(10), day(14))]


def test_poll_keeps_an_entry_that_is_there_but_makes_no_sense_any_more(end):
    listing = make_listing()
    end.serve(calendar(taken(day(10), day(14)), taken(day(20), day(22), uid="two")))
    feed = add(listing, end)
    end.serve(calendar(taken(day(14), day(10)), taken(day(20), day(22), uid="two")))

    feed = poll(feed)

    assert (feed.status, feed.refused_events) == ("ok", 1)
    assert blocks(listing) == [(day(10), day(14)), (day(20), day(22))]


def test_poll_closes_each_night_once_where_entries_overlap(end):
    listing = make_listing()
    end.serve(
        calendar(
            taken(day(10), day(14)), taken(day(12), day(18), uid="two"), taken(day(11), day(12), uid="three")
        )
    )

    feed = add(listing, end)

    assert blocks(listing) == [(day(10), day(14)), (day(14), day(18))]
    end.serve(calendar(taken(day(12), day(18), uid="two"), taken(day(11), day(12), uid="three")))
    poll(feed)
    assert blocks(listing) == [(day(11), day(12)), (day(12), day(18))]


def test_poll_keeps_a_night_closed_that_another_feed_still_has(end):
    listing = make_listing()
    end.serve(calendar(taken(day(10), day(14))))
    first = add(listing, end)
    add(listing, end, name="Second")
    end.serve(calendar(taken(day(20), day(22))))

    poll(first)

    assert blocks(listing) == [(day(10), day(14)), (day(20), day(22))]


def test_poll_never_touches_what_is_over(end):
    listing = make_listing()
    end.serve(calendar(taken(day(10), day(14)), taken(day(20), day(25), uid="two")))
    feed = add(listing, end)
    end.serve(calendar(taken(day(22), day(25), uid="other")))

    poll(feed, now=datetime(2027, 6, 22, 9, 0, tzinfo=UTC))

    assert blocks(listing) == [(day(10), day(14)), (day(20), day(25))]
    end.serve(calendar(taken(day(1, 9), day(3, 9), uid="far")))
    poll(feed, now=datetime(2027, 6, 23, 9, 0, tzinfo=UTC))
    assert blocks(listing) == [(day(10), day(14)), (day(20), day(23)), (day(1, 9), day(3, 9))]


def test_poll_takes_a_far_end_of_time_for_as_far_as_is_sold(end):
    listing = make_listing()
    end.serve(calendar(event("DTSTART;VALUE=DATE:20270610", "DTEND;VALUE=DATE:99991231", "SUMMARY:Blocked")))

    add(listing, end)

    assert blocks(listing) == [(day(10), NOW.date() + timedelta(days=feed_nights.AHEAD_DAYS))]
    assert FeedEvent.objects.get().kind == "window"


def test_poll_moves_the_rolling_window_without_leaving_a_row_a_day(end):
    listing = make_listing()
    feed = None
    for number in range(5):
        end.serve(
            calendar(
                taken(day(1, 12), date(2028, 8, 20 + number), summary="CLOSED - Not available"),
                prodid=BOOKING_COM,
            )
        )
        now = NOW + timedelta(days=number)
        feed = poll(feed, now=now) if feed else add(listing, end, now=now)

    assert blocks(listing) == [(day(1, 12), date(2028, 8, 24))]
    assert Block.objects.count() == 1


def test_poll_leaves_a_stay_its_nights_and_closes_the_others(end):
    listing = make_listing()
    stay = book(listing, day(12), day(14))
    end.serve(calendar(taken(day(10), day(16))))

    feed = add(listing, end)

    assert blocks(listing) == [(day(10), day(12)), (day(14), day(16))]
    conflict = FeedConflict.objects.get()
    assert (conflict.block_id, conflict.event.feed_id, conflict.decision) == (stay.pk, feed.pk, "")
    assert Notification.objects.filter(user=listing.host, kind="calendar.conflict").count() == 1
    poll(feed)
    assert (FeedConflict.objects.count(), Notification.objects.count()) == (1, 1)


def test_poll_gives_the_nights_of_a_canceled_stay_to_the_entry(end):
    listing = make_listing()
    stay = book(listing, day(12), day(14))
    end.serve(calendar(taken(day(10), day(16))))
    feed = add(listing, end)
    availability.release(block=stay, now=NOW)

    poll(feed)

    assert blocks(listing)[0][0] == day(10)
    assert sum((upper - lower).days for lower, upper in blocks(listing)) == 6
    assert FeedConflict.objects.get().closed_at == NOW


def test_poll_takes_the_nights_of_a_hold_that_ran_out(end):
    listing = make_listing()
    hold = book(listing, day(12), day(14), Reason.HOLD, expires_at=NOW + timedelta(minutes=15))
    end.serve(calendar(taken(day(10), day(16))))
    feed = add(listing, end)
    assert blocks(listing) == [(day(10), day(12)), (day(14), day(16))]

    poll(feed, now=NOW + timedelta(minutes=16))

    hold.refresh_from_db()
    assert hold.active is False
    assert sum((upper - lower).days for lower, upper in blocks(listing)) == 6


def test_poll_sees_no_conflict_in_a_window(end):
    listing = make_listing()
    book(listing, day(10, 12), day(12, 12))
    end.serve(calendar(taken(day(1, 12), date(2028, 8, 20), summary="CLOSED - Not available")))

    add(listing, end)

    assert FeedConflict.objects.count() == 0
    assert blocks(listing) == [(day(1, 12), day(10, 12)), (day(12, 12), date(2028, 8, 20))]


def test_poll_knows_the_echo_of_our_own_stay_from_airbnb(end):
    from backend.availability import subscribers

    listing = make_listing()
    book(listing, day(10), day(14))
    echo = calendar(taken(day(10), day(14), summary="Airbnb (Not available)"), prodid=AIRBNB)
    end.serve(echo)
    feed = add(listing, end)
    assert FeedConflict.objects.filter(closed_at=None).count() == 1  # nobody can have read of it yet

    reader = subscribers.add(actor=listing.host, listing=listing, name="Airbnb", now=NOW)
    subscribers.read(listing_id=listing.pk, given=subscribers.token(reader), now=NOW)
    poll(feed)

    assert FeedConflict.objects.filter(closed_at=None).count() == 0
    end.serve(calendar(taken(day(10), day(14), summary="Reserved"), prodid=AIRBNB))
    poll(feed)
    assert FeedConflict.objects.filter(closed_at=None).count() == 1


def test_decide_skip_opens_the_entrys_nights_until_it_moves(end):
    listing = make_listing()
    book(listing, day(12), day(14))
    end.serve(calendar(taken(day(10), day(16))))
    feed = add(listing, end)

    feeds.decide(actor=listing.host, conflict=FeedConflict.objects.get(), decision=Decision.SKIP, now=NOW)

    assert blocks(listing) == []
    poll(feed)
    assert blocks(listing) == []
    assert [each.decision for _, found in feeds.shown(listing, NOW) for each in found] == ["skip"]
    end.serve(calendar(taken(day(10), day(17))))
    poll(feed)
    assert blocks(listing) == [(day(10), day(12)), (day(14), day(17))]
    assert [each.decision for _, found in feeds.shown(listing, NOW) for each in found] == [""]


def test_remove_opens_the_nights_to_come_and_keeps_the_past(end):
    listing = make_listing()
    end.serve(calendar(taken(day(10), day(14)), taken(day(20), day(22), uid="two")))
    feed = add(listing, end)

    feeds.remove(
        actor=listing.host, listing=listing, feed_id=feed.pk, now=datetime(2027, 6, 12, 9, 0, tzinfo=UTC)
    )

    assert blocks(listing) == [(day(10), day(12))]
    assert (CalendarFeed.objects.count(), FeedEvent.objects.count()) == (0, 0)


def test_remove_is_for_the_host_alone_and_finds_no_other_listings_feed(end):
    listing, other = make_listing(), make_listing()
    end.serve(calendar(taken(day(10), day(14))))
    feed = add(listing, end)

    with pytest.raises(NotAllowed):
        feeds.remove(actor=make_user(), listing=listing, feed_id=feed.pk, now=NOW)
    with pytest.raises(NotFound):
        feeds.remove(actor=other.host, listing=other, feed_id=feed.pk, now=NOW)

    assert blocks(listing) == [(day(10), day(14))]


def test_a_slow_answer_never_overwrites_a_later_one(end):
    listing = make_listing()
    end.serve(calendar(taken(day(10), day(14))))
    feed = add(listing, end)
    slow = CalendarFeed.objects.select_related("listing").get(pk=feed.pk)
    heard = feed_polling._ask(slow, NOW, net.TOTAL_S)
    end.serve(calendar(taken(day(20), day(22))))
    poll(feed)

    feed_polling._apply(slow, heard, NOW)

    assert blocks(listing) == [(day(20), day(22))]


def test_refresh_before_booking_asks_only_what_is_old(end):
    listing = make_listing()
    add(listing, end)
    end.serve(calendar(taken(day(10), day(14))))

    feeds.refresh_before_booking(listing_id=listing.pk, now=NOW + timedelta(minutes=5))
    assert (len(end.requests), blocks(listing)) == (1, [])
    feeds.refresh_before_booking(listing_id=listing.pk, now=NOW + timedelta(minutes=5, seconds=1))

    assert (len(end.requests), blocks(listing)) == (2, [(day(10), day(14))])


def test_refresh_before_booking_gives_up_on_a_feed_that_hangs(end, monkeypatch):
    monkeypatch.setattr(feed_polling, "REFRESH_S", 0.3)
    listing = make_listing()
    add(listing, end)
    end.answer = lambda request: time.sleep(2)
    before = time.monotonic()
    later = NOW + timedelta(minutes=6)

    feeds.refresh_before_booking(listing_id=listing.pk, now=later)
    feeds.refresh_before_booking(listing_id=listing.pk, now=later + timedelta(seconds=10))

    assert time.monotonic() - before < 2
    assert (len(end.requests), CalendarFeed.objects.get().error) == (2, "timeout")


def test_refresh_before_booking_takes_nights_that_a_canceled_stay_left(end):
    listing = make_listing()
    stay = book(listing, day(10), day(14))
    end.serve(calendar(taken(day(10), day(14))))
    add(listing, end)
    availability.release(block=stay, now=NOW)

    feeds.refresh_before_booking(listing_id=listing.pk, now=NOW)

    assert (blocks(listing), len(end.requests)) == ([(day(10), day(14))], 1)


def test_refresh_before_booking_of_a_listing_without_feeds_is_one_query(django_assert_num_queries):
    listing = make_listing()
    platform.get("feed_refresh_minutes")

    with django_assert_num_queries(1):
        feeds.refresh_before_booking(listing_id=listing.pk, now=NOW)


def test_poll_due_asks_whose_time_has_come_and_failing_ones_less_and_less(end):
    listing = make_listing()
    add(listing, end)
    assert feeds.poll_due(now=NOW + timedelta(minutes=5))["healthy"] == 0
    assert feeds.poll_due(now=NOW + timedelta(minutes=10)) == {
        "healthy": 1,
        "failing": 0,
        "stale": 0,
        "left": 0,
    }
    end.fail()

    asked = []
    for minutes in range(20, 200, 10):
        if feeds.poll_due(now=NOW + timedelta(minutes=minutes))["failing"]:
            asked.append(minutes)

    assert asked == [20, 30, 50, 90, 170]


def test_poll_due_leaves_withdrawn_listings_alone(end):
    listing = make_listing()
    add(listing, end)
    listing.status = "archived"
    listing.save(update_fields=["status"])

    assert feeds.poll_due(now=NOW + timedelta(hours=1), all_of_them=True)["healthy"] == 0


def test_mark_stale_tells_the_host_once_a_time(end):
    listing = make_listing()
    end.serve(calendar(taken(day(10), day(14))))
    feed = add(listing, end)
    end.fail()
    limit = NOW + timedelta(hours=6)

    assert feeds.poll_due(now=limit, all_of_them=True)["stale"] == 0
    assert feeds.is_stale(listing.pk, limit) is False
    assert feeds.poll_due(now=limit + timedelta(seconds=1), all_of_them=True)["stale"] == 1
    assert feeds.is_stale(listing.pk, limit + timedelta(seconds=1)) is True
    feed.refresh_from_db()
    assert (feed.status, feed.error, feeds.figures()) == (
        "stale",
        "http_503",
        {"ok": 0, "stale": 1, "failing": 0},
    )
    feeds.poll_due(now=limit + timedelta(hours=1), all_of_them=True)
    assert Notification.objects.filter(user=listing.host, kind="calendar.feed_stale").count() == 1

    end.serve(calendar(taken(day(10), day(14))))
    feeds.poll_due(now=limit + timedelta(hours=2), all_of_them=True)
    feed.refresh_from_db()
    assert (feed.status, feeds.is_stale(listing.pk, limit + timedelta(hours=2))) == ("ok", False)


def late(wait: float, listing) -> Block:
    time.sleep(wait)
    return book(listing, day(12), day(15))


def test_poll_and_booking_of_the_same_nights_give_them_to_one(end):
    outcomes = set()
    for number in range(8):
        listing = make_listing()
        feed = add(listing, end)
        end.serve(calendar(taken(day(10), day(14))))

        asked = race(
            lambda feed=feed: feeds.poll(feed_id=feed.pk, now=NOW),
            lambda listing=listing, wait=0.02 * number: late(wait, listing),
        )

        assert asked[0].status == "ok"
        booked, closed = blocks(listing, "booking"), blocks(listing)
        if booked:
            assert (booked, closed) == ([(day(12), day(15))], [(day(10), day(12))])
            assert FeedConflict.objects.filter(event__feed=feed, closed_at=None).count() == 1
        else:
            assert isinstance(asked[1], availability.DatesUnavailable)
            assert closed == [(day(10), day(14))]
        outcomes.add(bool(booked))
        end.serve(calendar())
    assert outcomes


def violations(name: str) -> int:
    check = next(each for each in CHECKS if each.name == name)
    with connection.cursor() as cursor:
        cursor.execute(check.sql, {"now": NOW, "seen": NOW})
        return len(cursor.fetchall())


def test_invariants_see_nights_without_their_entry_and_conflicts_between_places(end):
    listing, other = make_listing(), make_listing()
    book(listing, day(12), day(14))
    end.serve(calendar(taken(day(10), day(16))))
    add(listing, end)
    names = ("imported_nights_follow_their_entries", "calendar_conflicts_in_one_place")
    assert [violations(name) for name in names] == [0, 0]

    FeedEvent.objects.update(removed_at=NOW)
    Block.objects.filter(reason="booking").update(listing=other)

    assert [violations(name) for name in names] == [2, 1]


STATE = re.compile(r"(\d{4}-\d\d-\d\dT\d{4})")
EVENT = re.compile(r"DTSTART[^:]*:(\d{8})\s+DTEND[^:]*:(\d{8})")


@dataclass
class Model:
    """What is taken, night by night: the past as it was when it became past, the rest as the last answer said."""

    nights: set[date] = field(default_factory=set)

    def hear(self, text: str, today: date) -> None:
        self.nights = {night for night in self.nights if night < today}
        for start, stop in EVENT.findall(text):
            first, last = (date.fromisoformat(each) for each in (start, stop))
            while first < last:
                if first >= today:
                    self.nights.add(first)
                first += timedelta(days=1)


def nights_of(listing) -> set[date]:
    return {
        lower + timedelta(days=index)
        for lower, upper in blocks(listing)
        for index in range((upper - lower).days)
    }


def test_poll_of_sixty_states_of_a_real_feed_loses_no_stay(end):
    listing = make_listing(timezone="Europe/Rome")
    states = sorted(shared("ical/series_booking").glob("*.ics"))
    model, feed = Model(), None

    for state in states:
        stamp = STATE.search(state.name)
        assert stamp
        now = datetime.strptime(stamp[1], "%Y-%m-%dT%H%M").replace(tzinfo=UTC)
        today = now.astimezone(ZoneInfo("Europe/Rome")).date()
        end.serve(state.read_bytes())
        feed = poll(feed, now=now) if feed else add(listing, end, now=now)
        model.hear(state.read_text(), today)

        assert feed.status == "ok"
        assert nights_of(listing) == model.nights, state.name

    assert len(states) == 60
    assert maintenance.differences() == []
    assert CalendarFeed.objects.get().kind == "booking_com"
    # A running stay that is given a new UID every day is one entry all along.
    assert FeedEvent.objects.filter(removed_at=None, ends_on=date(2025, 12, 28)).count() == 1
