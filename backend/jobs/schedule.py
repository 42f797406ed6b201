"""The periodic jobs: each runs one sweep with the clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from procrastinate import App

from backend.core import jobs

if TYPE_CHECKING:
    from backend.jobs.sweeps import Sweep


AT_ONCE = 4
"""So many jobs a worker does side by side, each with a connection of its own: what takes long on a large platform (the purge, a
base backup) must not keep mails, money and the log's way to the backups waiting. ``--concurrency`` says otherwise."""


def on_app_ready(app: App) -> None:
    """Called by procrastinate's Django integration when its app exists: hang every sweep on its schedule.

    One run of a sweep at a time, and at most one waiting: a slow one must not pile up behind itself.
    """
    from backend.jobs import sweeps
    from backend.telemetry import watching

    jobs.make_transactional(app)
    jobs.follow_the_clock()
    app.worker_defaults["concurrency"] = AT_ONCE
    app.worker_defaults["task_middleware"] = [jobs.on_living_connections, watching.watch]
    # Without a lock: one that dies itself must not keep the next from running.
    taking_over = app.task(name="jobs.take_over", queue="upkeep", queueing_lock="jobs.take_over")(_take_over)
    app.periodic(cron=sweeps.EVERY_MINUTE)(taking_over)
    for sweep in sweeps.SWEEPS:
        if sweep.cron:
            name = f"sweep.{sweep.name}"
            task = app.task(name=name, queue="sweeps", lock=name, queueing_lock=name)(_job(sweep))
            app.periodic(cron=sweep.cron)(task)


def _job(sweep: Sweep) -> Callable[[int], None]:
    from django.utils import timezone

    from backend.jobs import sweeps

    def run(timestamp: int) -> None:
        sweeps.run(sweep, now=timezone.now(), gently=True)

    run.__doc__ = f"Run the sweep {sweep.name}."
    return run


def _take_over(timestamp: int) -> None:
    """Have the jobs of dead workers done by others."""
    from backend.jobs import stalled

    stalled.take_over()
