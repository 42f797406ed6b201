"""Routes of payments."""

from __future__ import annotations

from ninja import Router

router = Router(tags=["Payments"])
