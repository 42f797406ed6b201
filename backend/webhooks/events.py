"""The types of events that endpoints may hear of.

Every notice of a user is an event of the notice's kind; what changes without a notice has types of its own. A trigger on
both tables writes the deliveries in the transaction of what happened (``migrations/0002``), so that no operation can forget
them and none pays for endpoints that nobody has.
"""

from __future__ import annotations

from backend.notifications.kinds import KINDS

BOOKING_UPDATED = "booking.updated"
"""A booking of the user's changed its state or its terms; ``data`` is the live event's."""

MESSAGE_CREATED = "message.created"
"""A message in a conversation that the user is in, their own too; ``data`` is the live event's."""

TEST = "webhook.test"
"""Sent on request, so that a receiver can be tried."""

FRAMES = {"booking": BOOKING_UPDATED, "message": MESSAGE_CREATED}
"""Type of a live event → type of an event here."""

PRIVATE = ("security.", "account.", "identity.", "message.", "search.", "webhook.")
"""Kinds that are for a person's eyes, or that have their event here already."""

TYPES = tuple(
    sorted([BOOKING_UPDATED, MESSAGE_CREATED, *(kind for kind in KINDS if not kind.startswith(PRIVATE))])
)
