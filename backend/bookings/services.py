"""The operations on bookings, gathered from the modules that hold them: ``from backend.bookings import services as bookings``."""

from __future__ import annotations

from backend.bookings.answers import accept, decline
from backend.bookings.cancellation import Preview, cancel, preview
from backend.bookings.cancellation import rehearse as rehearse_cancel
from backend.bookings.creation import OwnListing, TooManyHolds, Wish, create
from backend.bookings.guests import counts_on
from backend.bookings.lapses import complete, expire
from backend.bookings.payment import Paid, Refused, pay, status_of
from backend.bookings.penalties import waive as waive_penalty
from backend.bookings.steps import side_of
from backend.bookings.withdrawal import ActiveBookings, knows_address, withdraw_listing

__all__ = [
    "ActiveBookings",
    "OwnListing",
    "Paid",
    "Preview",
    "Refused",
    "TooManyHolds",
    "Wish",
    "accept",
    "cancel",
    "complete",
    "counts_on",
    "create",
    "decline",
    "expire",
    "knows_address",
    "pay",
    "preview",
    "rehearse_cancel",
    "side_of",
    "status_of",
    "waive_penalty",
    "withdraw_listing",
]
