"""The sweeps: what must happen by itself as time goes by. Each calls one operation with ``now``, and may run any time.

They stand in the order in which ``run_due`` runs them: money that is in is seen before the hold that it pays for runs
out, and what ending bookings owe is sent in the same round.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import connection
from django.db.models import F
from django.utils import timezone

from backend.analytics import market
from backend.audit import chain
from backend.availability import feeds
from backend.bookings import (
    alterations,
    dispute_answers,
    disputing,
    earnings,
    inquiries,
    reminders,
    settlement,
)
from backend.bookings import services as bookings
from backend.jobs import sampling
from backend.jobs.backups import schedule as backups
from backend.jobs.imports import exchange_rates
from backend.jobs.models import SweepRun
from backend.moderation import looking
from backend.payments import closing, payout_accounts, payouts, reconciliation
from backend.privacy import cleaning, retention
from backend.reviews import services as reviews
from backend.reviews import standing
from backend.search import maintenance, saved
from backend.webhooks import delivering

EVERY_MINUTE = "* * * * *"
EVERY_TEN_MINUTES = "*/10 * * * *"
EVERY_HOUR = "17 * * * *"
EVERY_NIGHT = "41 0 * * *"
WHEN_RATES_ARE_OUT = "31 * * * *"
"""The central bank tells its rates at 16:00 of Frankfurt, whatever hour that is in UTC; asked until they are there."""

YOUNG = timedelta(seconds=10)
"""How long an operation is left to the request that has just written it down."""

log = structlog.get_logger(__name__)

Run = Callable[[datetime], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Sweep:
    """A named operation on everything that is due. ``cron`` says when the worker runs it; empty: in ``run_due`` only.

    ``gently`` takes its place in the worker, where requests are under way at the same time. What runs ``by_clock`` alone
    looks after the machine, not after the market: ``run_due``, whose clock may be any, leaves it out.
    """

    name: str
    run: Run
    cron: str = EVERY_MINUTE
    gently: Run | None = None
    by_clock: bool = False


def _reconcile(now: datetime) -> dict[str, int]:
    return settlement.reconcile(now=now)


def _reconcile_gently(now: datetime) -> dict[str, int]:
    return settlement.reconcile(now=now, older_than=YOUNG)


def _check_books(now: datetime) -> dict[str, Any]:
    """How many invariants there are and which are violated; what violates them is told by ``manage.py check_books``."""
    from backend.jobs import books

    found = {finding.check.name: finding.count for finding in books.check_books() if finding.count}
    return {"checks": len(books.CHECKS), "violations": sum(found.values()), "violated": found}


SWEEPS = [
    Sweep("provider_events", lambda now: settlement.apply_events(now=now)),
    Sweep("reconcile_payments", _reconcile, gently=_reconcile_gently),
    Sweep("expire_bookings", lambda now: bookings.expire(now=now)),
    Sweep("expire_alterations", lambda now: alterations.expire(now=now)),
    Sweep("expire_inquiries", lambda now: inquiries.expire(now=now)),
    Sweep("reminders", lambda now: reminders.remind(now=now), cron=EVERY_TEN_MINUTES),
    Sweep("complete_stays", lambda now: bookings.complete(now=now)),
    # Windows that are due are closed before new ones are opened: who hears of a stay late has until the next round.
    Sweep("publish_reviews", lambda now: reviews.publish_due(now=now)),
    Sweep("invite_to_review", lambda now: reviews.invite_due(now=now)),
    Sweep("remind_to_review", lambda now: reviews.remind_due(now=now), cron=EVERY_TEN_MINUTES),
    Sweep("earn_parts", lambda now: earnings.earn_parts(now=now)),
    Sweep("owed_to_hosts", lambda now: payouts.schedule_rest(now=now), cron=EVERY_HOUR),
    Sweep("payouts", lambda now: earnings.pay_out(now=now)),
    Sweep("send_money", _reconcile, cron=""),
    Sweep("payout_accounts", lambda now: payout_accounts.refresh_pending(now=now), cron=EVERY_TEN_MINUTES),
    Sweep("reconcile_providers", lambda now: reconciliation.reconcile(now=now), cron=EVERY_TEN_MINUTES),
    Sweep("returned_refunds", lambda now: settlement.take_back(now=now), cron=EVERY_TEN_MINUTES),
    Sweep("dispute_answers", lambda now: dispute_answers.settle(now=now), cron=EVERY_TEN_MINUTES),
    Sweep("disputes", lambda now: disputing.catch_up(now=now), cron=EVERY_HOUR),
    Sweep("close_books", lambda now: closing.close(now=now), cron=EVERY_HOUR),
    Sweep(
        "poll_feeds",
        lambda now: feeds.poll_due(now=now, all_of_them=True),
        cron=EVERY_TEN_MINUTES,
        gently=lambda now: feeds.poll_due(now=now),
    ),
    Sweep("exchange_rates", lambda now: exchange_rates.keep_up(now=now), cron=WHEN_RATES_ARE_OUT),
    Sweep("search", maintenance.keep_up, cron=EVERY_TEN_MINUTES),
    Sweep("moderation", lambda now: looking.sweep(now=now)),
    Sweep("saved_searches", lambda now: saved.sweep(now=now), cron=EVERY_HOUR),
    Sweep("market_days", lambda now: market.keep_up(now=now), cron=EVERY_HOUR),
    Sweep("host_standing", lambda now: standing.assess(now=now), cron=EVERY_NIGHT),
    Sweep("host_responses", lambda now: standing.refresh_responses(now=now), cron=EVERY_NIGHT),
    Sweep(
        "erasures",
        lambda now: cleaning.resume(now=now),
        cron=EVERY_HOUR,
        gently=lambda now: cleaning.resume(now=now, older_than=cleaning.LEFT_TO_ITS_JOB),
    ),
    Sweep("webhooks", lambda now: delivering.sweep(now=now)),
    Sweep("purge", lambda now: retention.hourly(now=now), cron=EVERY_HOUR),
    Sweep("retention", lambda now: retention.nightly(now=now), cron=EVERY_NIGHT),
    Sweep("seal_audit_log", lambda now: chain.seal(now=now)),
    Sweep("verify_audit_log", lambda now: chain.verify(now=now), cron=EVERY_NIGHT),
    Sweep("check_books", _check_books, cron=EVERY_NIGHT, by_clock=True),
    Sweep("samples", lambda now: dict(sampling.sample(now)), by_clock=True),
    Sweep("ship_backups", backups.ship, cron=backups.SHIPPED, by_clock=True),
    Sweep("ship_files", backups.ship_files, cron=backups.SHIPPED, by_clock=True),
    Sweep("backups", backups.start_due, cron=EVERY_TEN_MINUTES, by_clock=True),
]


def run(sweep: Sweep, *, now: datetime, gently: bool = False) -> dict[str, Any]:
    """Run one sweep with the clock ``now`` (UTC) and keep what it did. Errors pass on after they were noted."""
    operation = sweep.gently if gently and sweep.gently else sweep.run
    try:
        result = operation(now)
    except Exception as error:
        _note(sweep, now, {}, failure=f"{type(error).__name__}: {error}"[:300])
        raise
    _note(sweep, now, result)
    return result


def run_due(*, now: datetime) -> dict[str, dict[str, Any]]:
    """Run every sweep once with the clock ``now``, each although another failed; what each did, by name."""
    done: dict[str, dict[str, Any]] = {}
    for sweep in SWEEPS:
        if sweep.by_clock:
            continue
        try:
            done[sweep.name] = run(sweep, now=now)
        except Exception as error:
            log.exception("sweep_failed", sweep=sweep.name)
            done[sweep.name] = {"error": f"{type(error).__name__}: {error}"}
    return done


A_MOMENT = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Clock:
    """``now``: the instant at which ages are judged; ``seen``: until when rows were written that a sweep could meet."""

    now: datetime
    seen: datetime


def clock() -> Clock:
    """The latest clock that a sweep was given, when it lies ahead of the real one; else the real one.

    A sweep that ran by a clock that was wrong at the time, and is right again, was given none.
    """
    real = timezone.now()
    given = SweepRun.objects.filter(clock__gt=F("ran_at") + A_MOMENT)
    latest = given.filter(clock__gt=real).order_by("-clock", "ran_at").first()
    return Clock(latest.clock, latest.ran_at) if latest else Clock(real, real)


def _note(sweep: Sweep, now: datetime, result: dict[str, Any], *, failure: str = "") -> None:
    """Keep the run unless a later clock was used before: ages are judged by the latest."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO sweep_runs AS kept (name, clock, ran_at, result, failure) VALUES (%s, %s, %s, %s, %s)
            ON CONFLICT (name) DO UPDATE SET
                clock = greatest(kept.clock, excluded.clock),
                ran_at = CASE WHEN excluded.clock >= kept.clock THEN excluded.ran_at ELSE kept.ran_at END,
                result = excluded.result, failure = excluded.failure
            """,
            [sweep.name, now, timezone.now(), json.dumps(result), failure],
        )
