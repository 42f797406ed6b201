"""The periodic jobs."""

from __future__ import annotations

from procrastinate import App

from backend.core import jobs


def on_app_ready(app: App) -> None:
    """Called by procrastinate's Django integration when its app exists."""
    jobs.make_transactional(app)
