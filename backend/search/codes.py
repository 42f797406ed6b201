"""Words that the search row keeps as numbers: their position here. Append only; a changed order needs a rebuild."""

from __future__ import annotations

ROOM_TYPES = ("entire_place", "private_room", "shared_room")
POLICIES = ("flexible", "moderate", "limited", "firm", "strict", "non_refundable")
