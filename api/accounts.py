"""Accounts on the wire: register, sign in, the profile, the devices."""

from __future__ import annotations

from ninja import Router

router = Router(tags=["Accounts"])
