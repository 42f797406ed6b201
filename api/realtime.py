"""The ticket that opens a websocket."""

from __future__ import annotations

from ninja import Router

router = Router(tags=["Realtime"])
