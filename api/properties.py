"""Listings over HTTP, where they are called properties."""

from __future__ import annotations

from ninja import Router

router = Router(tags=["properties"])
