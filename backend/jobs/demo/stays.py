"""What has happened in the demo's world: stays that were asked for, paid, canceled and lived through.

Each visit is a story: a generator that says when its next step is due and takes it when its turn comes. All stories are
told together in the order of time, through the same operations that people use, each with the clock of its moment.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from backend.accounts.models import MODERATOR, SUPPORT, User
from backend.analytics import visits
from backend.analytics.visits import Visitor
from backend.availability import services as availability
from backend.availability.rules import StayRefused
from backend.bookings import alterations, earnings, inquiries, quotes, settlement
from backend.bookings import services as bookings
from backend.bookings.models import AlterationStatus, Booking, Inquiry
from backend.core.stay import Stay
from backend.jobs.demo.visits import VISITS, Visit
from backend.listings.models import Listing
from backend.notifications import services as notifications

Story = Generator[datetime, None, None]

MESSAGES = (
    "Hello! We are looking forward to the city.",
    "We arrive in the evening, is that all right?",
    "",
    "We come with a small child; is there a crib?",
    "A quiet week of work for me, nothing else.",
)
TRIES = 21
"""How many days later a stay may begin than was meant, when the calendar does not allow it earlier."""


@dataclass(frozen=True, slots=True)
class World:
    """Who and what there is: people by username, listings by city and number, and the present."""

    people: Mapping[str, User]
    listings: Mapping[tuple[str, int], Listing]
    now: datetime


def tell(world: World) -> int:
    """Let everything happen that is not there yet; answers how many bookings were made."""
    before = Booking.objects.count()
    stories: list[Story] = [_quiet_read(world), _questions(world)]
    for number, visit in enumerate(VISITS):
        listing = world.listings[visit.city, visit.number]
        guest = world.people[f"guest_{visit.guest}"]
        if not Booking.objects.filter(guest=guest, listing=listing).exists():
            rng = Random(f"visit/{number}")  # noqa: S311 - the same stories for everybody
            stories.append(_STORIES[visit.story](_Told(world, visit, guest, listing, rng, at=world.now)))
    _in_order(stories, world.now)
    return Booking.objects.count() - before


def _in_order(stories: Iterable[Story], until: datetime) -> None:
    """Run the stories step by step in the order of time; what is due after ``until`` is left to the future."""
    queue: list[tuple[datetime, int, Story]] = []
    for number, story in enumerate(stories):
        _push(queue, number, story)
    while queue:
        due, number, story = heapq.heappop(queue)
        if due <= until:
            _push(queue, number, story)


def _push(queue: list[tuple[datetime, int, Story]], number: int, story: Story) -> None:
    due = next(story, None)
    if due is not None:
        heapq.heappush(queue, (due, number, story))


@dataclass(slots=True)
class _Told:
    """One visit while it is told. ``at`` is the moment of its present step, in UTC."""

    world: World
    visit: Visit
    guest: User
    listing: Listing
    rng: Random
    at: datetime
    booking_id: int = 0

    def first(self) -> datetime:
        """When it begins: ``asked_days`` ago, at some time of the day."""
        self.at = self.world.now - timedelta(days=self.visit.asked, minutes=self.rng.randint(20, 600))
        return self.at

    def soon(self, minutes: int) -> datetime:
        """When ``minutes`` have passed since the last step."""
        self.at += timedelta(minutes=minutes)
        return self.at

    @property
    def booking(self) -> Booking:
        return Booking.objects.get(pk=self.booking_id)

    def book(self) -> None:
        """Look at the place, ask for the price and then for the stay, on the first day that the calendar allows."""
        visitor = Visitor(self.guest, "", "")
        visits.viewed(self.listing, visitor, now=self.at - timedelta(minutes=6))
        today = availability.rules_of(self.listing).today(self.world.now)
        wanted = today + timedelta(days=self.visit.check_in)
        message = self.rng.choice(MESSAGES)
        for later in range(TRIES):
            check_in = wanted + timedelta(days=later)
            wish = bookings.Wish(
                listing_id=self.listing.pk,
                stay=Stay(check_in, check_in + timedelta(days=self.visit.nights)),
                guests=min(self.visit.guests, self.listing.max_guests),
                message=message,
            )
            try:
                self._price(wish, visitor)
                self.booking_id = bookings.create(guest=self.guest, wish=wish, now=self.at).pk
            except (StayRefused, availability.DatesUnavailable, availability.Preparation):
                if later == TRIES - 1:
                    raise
            else:
                return

    def _price(self, wish: bookings.Wish, visitor: Visitor) -> None:
        """Ask what the stay costs. Raises: what refuses the stay."""
        asked_at = self.at - timedelta(minutes=3)
        quotes.make(
            listing=self.listing, stay=wish.stay, guests=wish.guests or 1, now=asked_at, guest=self.guest
        )
        visits.quoted(self.listing, visitor, now=asked_at)

    def pay(self, outcome: str = "succeed") -> None:
        """Pay with the sandbox."""
        bookings.pay(
            actor=self.guest,
            booking_id=self.booking_id,
            provider="sandbox",
            options={"outcome": outcome},
            now=self.at,
        )

    def accept(self) -> None:
        bookings.accept(actor=self.listing.host, booking_id=self.booking_id, now=self.at)

    def cancel(self, actor: User, reason: str) -> None:
        """Cancel, and send what this gives back without waiting for the worker."""
        bookings.cancel(actor=actor, booking_id=self.booking_id, now=self.at, reason=reason)
        settlement.reconcile(now=self.at)


def _paid(told: _Told) -> Story:
    """Booked at once and paid: coming, or there at the moment."""
    yield told.first()
    told.book()
    yield told.soon(4)
    told.pay()


def _prolonged(told: _Told) -> Story:
    """Paid, then a night longer: the host says yes and the difference is paid."""
    yield from _paid(told)
    yield told.soon(600)
    change = alterations.Change(check_out=told.booking.check_out + timedelta(days=1))
    asked = alterations.ask(actor=told.guest, booking_id=told.booking_id, change=change, now=told.at)
    if asked.status == AlterationStatus.PROPOSED:
        yield told.soon(90)
        alterations.accept(actor=told.listing.host, booking_id=told.booking_id, now=told.at)
    yield told.soon(5)
    told.pay()


def _wants_shorter(told: _Told) -> Story:
    """Paid; the guest asks to leave a day earlier, which the host has not answered yet."""
    yield from _welcomed(told)
    yield told.soon(30)
    change = alterations.Change(check_out=told.booking.check_out - timedelta(days=1))
    alterations.ask(actor=told.guest, booking_id=told.booking_id, change=change, now=told.at)


def _completed(told: _Told) -> Story:
    yield from _paid(told)
    yield told.booking.check_out_at + timedelta(minutes=30)
    told.at = told.booking.check_out_at + timedelta(minutes=30)
    bookings.complete(now=told.at)
    yield told.soon(1)
    earnings.pay_out(now=told.at)
    settlement.reconcile(now=told.at)


def _second_card(told: _Told) -> Story:
    """The first card is declined, the second one pays."""
    yield told.first()
    told.book()
    yield told.soon(2)
    try:
        told.pay("decline")
    except bookings.Refused:
        yield told.soon(3)
    told.pay()


def _held(told: _Told) -> Story:
    """Nights that are held for a guest who is about to pay."""
    told.at = told.world.now - timedelta(minutes=1)
    yield told.at
    told.book()


def _run_out(told: _Told) -> Story:
    """Held or asked for, and forgotten."""
    yield told.first()
    told.book()
    expires_at = told.booking.expires_at
    if expires_at is not None:
        told.at = expires_at + timedelta(minutes=1)
        yield told.at
        bookings.expire(now=told.at)


def _asked(told: _Told) -> Story:
    """A request that the host has not answered yet."""
    yield told.first()
    told.book()


def _asked_and_set_aside(told: _Told) -> Story:
    """A request whose amount is set aside already."""
    yield from _asked(told)
    yield told.soon(3)
    told.pay()


def _accepted(told: _Told) -> Story:
    """A request that was accepted and waits for the payment."""
    yield from _asked(told)
    yield told.soon(15)
    told.accept()


def _welcomed(told: _Told) -> Story:
    """A request that was set aside for, accepted, and so paid."""
    yield from _asked_and_set_aside(told)
    yield told.soon(150)
    told.accept()


def _declined(told: _Told) -> Story:
    yield from _asked_and_set_aside(told)
    yield told.soon(200)
    reason = "My family visits in that week."
    bookings.decline(actor=told.listing.host, booking_id=told.booking_id, now=told.at, reason=reason)
    settlement.reconcile(now=told.at)


def _canceled(told: _Told) -> Story:
    yield from _paid(told)
    yield told.soon(1700)
    told.cancel(told.guest, "Our plans have changed.")


def _canceled_by_host(told: _Told) -> Story:
    yield from _paid(told)
    yield told.soon(2900)
    told.cancel(told.listing.host, "The heating is being repaired.")


def _canceled_by_platform(told: _Told) -> Story:
    yield from _paid(told)
    yield told.soon(2500)
    told.cancel(told.world.people[SUPPORT], "The guest and the host have asked for it.")


def _quiet_read(world: World) -> Story:
    """Everybody has read what is older than five days."""
    at = world.now - timedelta(days=5)
    yield at
    for username, user in world.people.items():
        if username != MODERATOR:
            notifications.mark_all_read(user=user, now=at)


def _questions(world: World) -> Story:
    """Two guests have asked about dates: one waits for an answer, one has a pre-approval."""
    for hours, username, number, answer in ((5, "guest_2", 0, ""), (3, "guest_5", 2, "You are welcome!")):
        at = world.now - timedelta(hours=hours)
        yield at
        listing, guest = world.listings["Lisbon", number], world.people[username]
        if Inquiry.objects.filter(guest=guest, listing=listing).exists():
            continue
        check_in = availability.rules_of(listing).today(world.now) + timedelta(days=130 + number)
        asked = inquiries.ask(
            guest=guest,
            listing_id=listing.pk,
            stay=Stay(check_in, check_in + timedelta(days=4)),
            guests=1,
            message="Is the place quiet at night?",
            now=at,
        )
        if answer:
            inquiries.pre_approve(
                actor=listing.host, inquiry_id=asked.pk, now=at + timedelta(hours=1), answer=answer
            )


_STORIES: dict[str, Callable[[_Told], Story]] = {
    "paid": _paid,
    "prolonged": _prolonged,
    "shortening": _wants_shorter,
    "completed": _completed,
    "second card": _second_card,
    "held": _held,
    "run out": _run_out,
    "asked": _asked,
    "set aside": _asked_and_set_aside,
    "accepted": _accepted,
    "welcomed": _welcomed,
    "declined": _declined,
    "canceled": _canceled,
    "canceled by host": _canceled_by_host,
    "canceled by platform": _canceled_by_platform,
}
