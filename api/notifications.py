"""One's own notices: list, read."""

from __future__ import annotations

from ninja import Router

router = Router(tags=["Notifications"])
