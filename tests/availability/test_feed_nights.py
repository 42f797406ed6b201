"""The nights that feeds close, against a plain model: whatever comes in whatever order."""

from __future__ import annotations

import random
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction

from backend.availability import feed_polling, feeds
from backend.availability import services as availability
from backend.availability.feed_polling import Answer
from backend.availability.ical import Entry, Read
from backend.availability.models import Block, CalendarFeed, FeedConflict, Reason
from backend.availability.services import DatesUnavailable
from backend.core.stay import Stay
from backend.search import maintenance
from tests.factories import NOW, make_listing

pytestmark = pytest.mark.usefixtures("db")

ZONE = ZoneInfo("Europe/Lisbon")
SPAN = 40


class World:
    """A listing with two feeds, and what ought to be taken: night by night, nothing clever."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.listing = make_listing()
        self.today = NOW.date()
        self.feeds = [
            CalendarFeed.objects.create(
                listing=self.listing, name=name, url="https://10.0.0.1/", next_poll_at=NOW, created_at=NOW
            )
            for name in ("one", "two")
        ]
        self.answers: list[list[Entry]] = [[], []]
        self.stays: list[Block] = []
        self.past: set[date] = set()

    @property
    def now(self) -> datetime:
        return datetime.combine(self.today, time(9), tzinfo=ZONE)

    def step(self) -> None:
        self.random.choice([self.hear, self.hear, self.hear, self.fail, self.book, self.cancel, self.sleep])()

    def hear(self) -> None:
        which = self.random.randrange(2)
        kept = [entry for entry in self.answers[which] if self.random.random() < 0.6]
        moved = [self.entry(entry.uid) if self.random.random() < 0.2 else entry for entry in kept]
        new = [self.entry(f"u{self.random.randrange(8)}") for _ in range(self.random.randrange(3))]
        answer = sorted(set(moved + new)) or [self.entry("only")]
        self.apply(which, Answer(found=Read(tuple(answer), ())))
        self.answers[which] = answer

    def fail(self) -> None:
        self.apply(
            self.random.randrange(2), self.random.choice([Answer(error="timeout"), Answer(is_unchanged=True)])
        )

    def apply(self, which: int, answer: Answer) -> None:
        feed = CalendarFeed.objects.select_related("listing").get(pk=self.feeds[which].pk)
        feed_polling._apply(feed, answer, self.now)

    def entry(self, uid: str) -> Entry:
        start = self.today + timedelta(days=self.random.randrange(-3, SPAN - 8))
        return Entry(start, start + timedelta(days=self.random.randrange(1, 8)), uid, "Reserved")

    def book(self) -> None:
        start = self.today + timedelta(days=self.random.randrange(SPAN - 8))
        stay = Stay(start, start + timedelta(days=self.random.randrange(1, 6)))
        feeds.refresh_before_booking(listing_id=self.listing.pk, now=self.now)
        try:
            with transaction.atomic():
                block = availability.claim(
                    listing=self.listing, stay=stay, reason=Reason.BOOKING, now=self.now
                )
        except DatesUnavailable:
            assert set(stay.dates()) & (self.sold() | self.entries())
        else:
            assert not set(stay.dates()) & (self.sold() | self.entries())
            self.stays.append(block)

    def cancel(self) -> None:
        if self.stays:
            block = self.stays.pop(self.random.randrange(len(self.stays)))
            if block.nights.lower < self.today:
                self.stays.append(block)
                return
            availability.release(block=block, now=self.now)
            self.fail()  # the next poll, whatever it says

    def sleep(self) -> None:
        nights = self.closed()
        for _ in range(self.random.randrange(1, 4)):
            if self.today in nights:
                self.past.add(self.today)
            self.today += timedelta(days=1)

    def entries(self) -> set[date]:
        """The nights from today on that some feed's last believed answer has."""
        return {
            entry.starts_on + timedelta(days=index)
            for answer in self.answers
            for entry in answer
            for index in range((entry.ends_on - entry.starts_on).days)
            if entry.starts_on + timedelta(days=index) >= self.today
        }

    def sold(self) -> set[date]:
        return self.nights_of(self.stays)

    def closed(self) -> set[date]:
        return self.nights_of(Block.objects.filter(listing=self.listing, active=True))

    @staticmethod
    def nights_of(blocks) -> set[date]:
        return {
            block.nights.lower + timedelta(days=index)
            for block in blocks
            for index in range((block.nights.upper - block.nights.lower).days)
        }

    def check(self) -> None:
        closed = self.closed()
        coming = {night for night in closed if night >= self.today}
        wanted = self.entries() | {night for night in self.sold() if night >= self.today}
        assert coming == wanted, (sorted(coming - wanted), sorted(wanted - coming))
        assert {night for night in closed if night < self.today} == self.past
        over = {
            (feed, block.pk)
            for feed, answer in enumerate(self.answers)
            for entry in answer
            for block in self.stays
            if max(entry.starts_on, self.today) < block.nights.upper and block.nights.lower < entry.ends_on
        }
        ids = [feed.pk for feed in self.feeds]
        found = FeedConflict.objects.filter(closed_at=None).values_list("event__feed_id", "block_id")
        assert {(ids.index(feed), block) for feed, block in found} == over


@pytest.mark.parametrize("seed", range(6))
def test_nights_follow_entries_and_stays_whatever_comes(seed):
    world = World(seed)

    for _ in range(60):
        world.step()
        world.check()

    assert maintenance.differences() == []
    assert Block.objects.filter(active=True).count() > 0
