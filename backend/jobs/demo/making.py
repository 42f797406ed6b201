"""Make the demo: accounts, places with pictures, and a history, all through the operations that people use.

A run that broke off is gone on with: every part looks first what is there. The last thing that is written says that the
demo is whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connections

from backend.accounts.models import ADMIN, MODERATOR
from backend.analytics import market, visits
from backend.audit import services as audit
from backend.audit.models import AuditEntry
from backend.core.access import SYSTEM
from backend.jobs.demo import accounts, people, places, rates, stays
from backend.jobs.demo.places import Place
from backend.listings.models import Listing, Photo

DONE = "demo.made"
"""The act in the audit log that says that the demo is whole."""

OPENED = timedelta(days=150)
"""How long ago the demo's world began."""

DRAWERS = 2
"""How many pictures are drawn at once: about as many as ``images.reencode`` takes."""


@dataclass(frozen=True, slots=True)
class Made:
    """What there is after a run. The passwords are known here only."""

    accounts: Sequence[people.Account]
    listings: int
    pictures: int
    bookings: int


def made_at() -> datetime | None:
    """When the demo was finished; None when it was not."""
    return AuditEntry.objects.filter(action=DONE).values_list("at", flat=True).first()


def make(*, now: datetime) -> Made:
    """Make whatever of the demo is not there yet, as its world is at ``now`` (UTC), and give its accounts new passwords.

    Raises: NameTaken when a stranger has the name of one of its accounts; it has changed nothing of theirs.
    """
    everybody = people.make(now=now - OPENED)
    moderator = everybody[MODERATOR]
    homes = []
    for count, place in enumerate(places.plan()):
        opened = now - OPENED + timedelta(hours=7 * count + 5)
        listing = places.make(place, host=everybody[place.host], moderator=moderator, now=opened)
        homes.append((place, listing))
    _draw(homes, now=now - OPENED + timedelta(days=20))
    for place, listing in homes:
        places.settle(place, listing, moderator=moderator, now=now - timedelta(days=2))
    places.set_calendars(homes, now=now)
    rates.set_rates(homes, set_at=now - OPENED + timedelta(days=30), now=now)
    listings = {(place.city.name, place.number): listing for place, listing in homes}
    accounts.open_accounts(everybody, now=now - OPENED + timedelta(days=10))
    accounts.share(listings["Lisbon", 0], everybody["host_12"], now=now - OPENED + timedelta(days=31))
    booked = stays.tell(stays.World(everybody, listings, now))
    visits.flush()
    market.keep_up(now=now)
    passwords = people.give_passwords(everybody.values())
    audit.record(actor=SYSTEM, action=DONE, subject=everybody[ADMIN], now=now)
    return Made(passwords, len(homes), Photo.objects.filter(listing__in=listings.values()).count(), booked)


def _draw(homes: Sequence[tuple[Place, Listing]], *, now: datetime) -> None:
    """Draw the pictures of all places, several at once: drawing and encoding leave Python's lock to others."""
    with ThreadPoolExecutor(DRAWERS, thread_name_prefix="drawer") as drawers:
        for running in [drawers.submit(_draw_one, place, listing, now) for place, listing in homes]:
            running.result()


def _draw_one(place: Place, listing: Listing, now: datetime) -> None:
    try:
        places.add_pictures(place, listing, now=now)
    finally:
        connections.close_all()
