"""Bookings as the operations leave them, for tests."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from backend.accounts.models import User
from backend.bookings import services as bookings
from backend.bookings.models import Booking
from backend.bookings.services import Paid, Wish
from backend.core.stay import Stay
from backend.jobs import books
from backend.jobs.sweeps import Clock
from backend.listings.models import Listing
from backend.payments.models import LedgerEntry, MoneyOp, SandboxRecord
from tests.factories import NOW, make_user

STAY = Stay(date(2027, 5, 3), date(2027, 5, 7))
"""Four nights from a Monday."""


def book(listing: Listing, guest: User | None = None, *, now: datetime = NOW, **wish: Any) -> Booking:
    """A fresh booking of ``listing`` by ``guest`` (default: a new one) for ``STAY``."""
    values = {"stay": STAY, **wish}
    return bookings.create(guest=guest or make_user(), wish=Wish(listing_id=listing.pk, **values), now=now)


def pay(booking: Booking, outcome: str = "succeed", *, now: datetime = NOW) -> Paid:
    """Pay for ``booking`` as its guest through the sandbox."""
    return bookings.pay(
        actor=booking.guest,
        booking_id=booking.pk,
        provider="sandbox",
        options={"outcome": outcome},
        now=now,
    )


def confirmed(listing: Listing, guest: User | None = None, *, now: datetime = NOW, **wish: Any) -> Booking:
    """A paid and confirmed booking."""
    booking = book(listing, guest, now=now, **wish)
    pay(booking, now=now)
    booking.refresh_from_db()
    assert booking.status == "confirmed"
    return booking


def state(booking: Booking) -> tuple[str, str, list[str], bool]:
    """Status, pending reason, the events of the timeline, and whether the nights are taken."""
    fresh = Booking.objects.select_related("block").get(pk=booking.pk)
    events = list(fresh.transitions.order_by("seq").values_list("event", flat=True))
    return fresh.status, fresh.pending_reason, events, fresh.block.active


def money(booking: Booking) -> tuple[list[tuple[str, str]], dict[str, int]]:
    """The money operations of ``booking`` as (kind, state) in order, and its ledger balances that are not zero."""
    ops = MoneyOp.objects.filter(payment__folio=booking.folio).order_by("created_at", "payment_id")
    balances: dict[str, int] = {}
    for entry in LedgerEntry.objects.filter(transaction__folio=booking.folio):
        balances[entry.account] = balances.get(entry.account, 0) + entry.amount_minor
    return list(ops.values_list("kind", "state")), {name: left for name, left in balances.items() if left}


def journal(kind: str) -> list[tuple[int, str]]:
    """What the sandbox has of ``kind`` in its journal: (amount in minor units, state)."""
    return list(
        SandboxRecord.objects.filter(kind=kind).order_by("created_at").values_list("amount_minor", "state")
    )


def wrong_books(at: datetime = NOW) -> dict[str, int]:
    """The invariants that do not hold by the clock ``at``, with how many rows violate each."""
    found = books.check_books(Clock(at, at))
    return {finding.check.name: finding.count for finding in found if finding.count}
