"""The application's name in Django."""

from __future__ import annotations

from django.apps import AppConfig


class MarketConfig(AppConfig):
    name = "bench.peers.market"
    label = "market"
