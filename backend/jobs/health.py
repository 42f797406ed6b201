"""How the platform is, part by part: what was measured, whether that is well, and what to do where it is not.

``core.health`` asks whether the parts answer at all; here is what stands behind them. Reads a fixed number of small
queries, each over an index or a bounded piece of a table.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import redis
from django.conf import settings
from django.core.cache import cache
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import ADMIN, SUPPORT
from backend.core import access, health
from backend.core.errors import Text
from backend.core.health import DEGRADED, DOWN, LOCAL, OK
from backend.jobs.backups import standing as backups
from backend.payments import reconciliation
from backend.payments.providers import registry

FULL = 0.8
"""The share of connections or of a disk from which on there is little room."""

LONG_S = 300
"""A transaction that is open for longer keeps the database from tidying up."""

DEAD_ROWS, DEAD_SHARE = 100_000, 0.3
LATE_S = 120
"""A job that is due for longer waits too long."""

LATEST = 300
"""So many of the newest movements and deliveries are looked at."""

ASTRAY = 0.1
PROBED_FOR_S = 60


@access.rule("system.see")
def may_see(actor: Any, subject: object) -> bool:
    """How the platform runs, what its processes have seen, and what fails in it, is for administrators."""
    return bool(actor.has_role(ADMIN))


@access.rule("system.requests")
def may_see_requests(actor: Any, subject: object) -> bool:
    """What became of a request whose number somebody names; its traces are for those who may see the system."""
    return bool(actor.has_role(SUPPORT, ADMIN))


@dataclass(slots=True)
class Part:
    """One part: its state (as of ``core.health``), facts as (words, value), and what to do where it is not well."""

    key: str
    title: Text
    state: str = OK
    facts: list[tuple[Text, Any]] = field(default_factory=list)
    advice: list[Text] = field(default_factory=list)

    def wants(self, state: str, advice: Text) -> None:
        """Note that something is to be done; the worst state counts."""
        if self.state != DOWN:
            self.state = state
        self.advice.append(advice)


def look(now: datetime) -> list[Part]:
    """Every part as it is at ``now`` (UTC)."""
    answers = health.parts()
    made = [
        _made("database", _("Database"), answers, _database),
        _made("cache", _("Cache"), answers, _cache),
        _made("channel_layer", _("Live events"), answers, _live),
        _made("queue", _("Jobs"), answers, _queue),
        _made("storage", _("Storage"), answers, _storage),
    ]
    if made[0].state != DOWN:
        made += [_deliveries(now), *_providers(now), _feeds(), _backups(now)]
    return made


def _made(
    key: str, title: Text, answers: dict[str, dict[str, Any]], look_closer: Callable[[Part], None]
) -> Part:
    answer = answers[key]
    part = Part(key, title, answer["status"], [(_("answered in"), Milliseconds(answer["ms"]))])
    if part.state == DOWN:
        part.facts.append((_("error"), answer.get("error", "–")))
        part.advice.append(DOES_NOT_ANSWER[key])
    else:
        look_closer(part)
    return part


DOES_NOT_ANSWER = {
    "database": _("The database does not answer: see whether it runs and has connections left. Nothing works without it."),
    "cache": _("Valkey does not answer: pages are slower and limits are counted in the database until it is back."),
    "channel_layer": _("Valkey does not answer: live events come a little later, by a look at the database."),
    "queue": _("The table of jobs does not answer: see whether the database is overloaded."),
    "storage": _("The storage of files does not answer: pictures and documents cannot be read or written. Check its address and keys."),
}  # fmt: skip


class Milliseconds(float):
    """A length of time, which is shown with its unit."""


class Seconds(float):
    """A length of time, which is shown as people say it."""


class Bytes(int):
    """A size."""


class Percent(float):
    """A share of one, which is shown in percent."""


def _row(sql: str, *values: Any) -> tuple[Any, ...]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        found: tuple[Any, ...] | None = cursor.fetchone()
        return found or ()


def _rows(sql: str, *values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall()


def _database(part: Part) -> None:
    used, limit, longest, size, in_recovery = _row(
        """
        SELECT count(*) FILTER (WHERE backend_type = 'client backend'),
            current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
            coalesce(extract(epoch FROM max(clock_timestamp() - xact_start)
                FILTER (WHERE state <> 'idle' AND pid <> pg_backend_pid() AND backend_type = 'client backend')), 0)::float,
            pg_database_size(current_database()), pg_is_in_recovery()
        FROM pg_stat_activity
        """
    )
    part.facts += [
        (_("connections"), f"{used} / {limit}"),
        (_("longest transaction"), Seconds(longest)),
        (_("size"), Bytes(size)),
    ]
    if used > FULL * limit:
        part.wants(
            DEGRADED, _("Nearly all connections are taken: run fewer processes, or put a pooler in front.")
        )
    if longest > LONG_S:
        part.wants(
            DEGRADED, _("A transaction is open for minutes: find who holds it and end it, the database cannot tidy up.")
        )  # fmt: skip
    dead = _row(
        """
        SELECT relname, n_dead_tup, n_dead_tup::float / greatest(n_live_tup + n_dead_tup, 1), last_autovacuum
        FROM pg_stat_user_tables ORDER BY n_dead_tup DESC LIMIT 1
        """
    )
    if dead:
        name, count, share, cleaned_at = dead
        part.facts += [(_("most dead rows"), f"{name}: {count}"), (_("tidied up last"), cleaned_at)]
        if count > DEAD_ROWS and share > DEAD_SHARE:
            part.wants(
                DEGRADED, _("Many rows of one table are dead: see whether autovacuum keeps up with it.")
            )
    replicas = _rows(
        "SELECT coalesce(client_addr::text, application_name), state,"
        " coalesce(extract(epoch FROM replay_lag), 0)::float FROM pg_stat_replication ORDER BY 1"
    )
    for name, state, lag in replicas:
        part.facts.append((_("replica"), f"{name or '?'}: {state or '?'}, {lag:.1f} s"))
        if lag > LONG_S:
            part.wants(DEGRADED, _("A replica lags minutes behind: reads from it are old."))
    if in_recovery:
        part.wants(
            DEGRADED, _("This database is a replica that only reads: writes fail until one is promoted.")
        )


def _valkey(part: Part) -> None:
    if part.state == LOCAL:
        part.facts.append((_("lives in"), _("this process alone")))
        part.advice.append(_("There is no Valkey: enough for one process, not for several."))
        return
    with (
        suppress(redis.RedisError),
        redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1) as client,
    ):
        told: Any = client.info()
        part.facts += [
            (_("version"), told.get("valkey_version") or told["redis_version"]),
            (_("memory"), Bytes(told["used_memory"])),
            (_("clients"), told["connected_clients"]),
        ]
        most = told.get("maxmemory") or 0
        if most and told["used_memory"] > 0.95 * most:
            part.wants(
                DEGRADED, _("The memory of Valkey is full: give it more, or what it keeps goes too early.")
            )


def _cache(part: Part) -> None:
    _valkey(part)


def _live(part: Part) -> None:
    (sockets,) = _row("SELECT count(*) FROM (SELECT FROM open_sockets LIMIT 100000) AS counted")
    part.facts.append((_("open sockets"), sockets))
    if part.state == LOCAL:
        part.advice.append(
            _("There is no Valkey: live events of other processes come by a look at the database.")
        )


def queue_figures() -> dict[str, Any]:
    """The queue now: ``due`` and ``failed`` jobs (each counted to 10,000), the ``lag_s`` of the one that is due longest,
    jobs of dead workers (``stalled``), and ``workers`` that live."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH due AS (
                SELECT id, scheduled_at FROM procrastinate_jobs
                WHERE status = 'todo' AND (scheduled_at IS NULL OR scheduled_at <= clock_timestamp())
                ORDER BY id LIMIT 10000
            )
            SELECT
                (SELECT count(*) FROM due),
                (SELECT coalesce(extract(epoch FROM max(clock_timestamp() - coalesce(scheduled_at, (
                    SELECT max(at) FROM procrastinate_events WHERE job_id = oldest.id
                )))), 0)::float FROM (SELECT * FROM due LIMIT 100) AS oldest),
                (SELECT count(*) FROM (
                    SELECT FROM procrastinate_jobs WHERE status = 'failed' LIMIT 10000
                ) AS failed),
                (SELECT count(*) FROM procrastinate_jobs job LEFT JOIN procrastinate_workers worker ON worker.id = worker_id
                 WHERE job.status = 'doing' AND (
                    worker.id IS NULL OR last_heartbeat < clock_timestamp() - make_interval(secs => %s))),
                (SELECT count(*) FROM procrastinate_workers
                 WHERE last_heartbeat > clock_timestamp() - make_interval(secs => %s)),
                (SELECT extract(epoch FROM clock_timestamp() - max(last_heartbeat))::float FROM procrastinate_workers)
            """,
            [health.WORKER_SILENT_S, health.WORKER_SILENT_S],
        )
        names = ("due", "lag_s", "failed", "stalled", "workers", "heard_s")
        return dict(zip(names, cursor.fetchone(), strict=True))


def _queue(part: Part) -> None:
    found = queue_figures()
    part.facts += [
        (_("workers"), found["workers"]),
        (_("jobs that are due"), found["due"]),
        (_("the oldest waits for"), Seconds(found["lag_s"])),
        (_("failed jobs"), found["failed"]),
        (_("jobs of dead workers"), found["stalled"]),
    ]
    if found["heard_s"] is not None:
        part.facts.append((_("last heard of a worker"), Seconds(found["heard_s"])))
    part.state = OK
    if not found["workers"]:
        part.wants(DOWN, _("No worker runs: no mail goes out, no hold ends, no host is paid. Start one."))
    elif found["lag_s"] > LATE_S:
        part.wants(
            DEGRADED, _("Jobs wait for minutes: start another worker, or look for one that takes too long.")
        )
    if found["failed"]:
        part.wants(DEGRADED, _("Some jobs failed for good: look at each, then try it again or discard it."))
    if found["stalled"]:
        part.wants(
            DEGRADED, _("Jobs of dead workers are taken over within a minute; if they stay, no worker runs.")
        )


def _storage(part: Part) -> None:
    known = cache.get("health.storage")
    if known is None:
        known = health.ask("storage_probe", _probe)
        cache.set("health.storage", known, PROBED_FOR_S)
    if known["status"] == DOWN:
        part.facts.append((_("error"), known.get("error", "–")))
        part.wants(
            DOWN, _("A file could not be written and read back: check room, rights and keys of the storage.")
        )
    else:
        part.facts.append((_("written and read back in"), Milliseconds(known["ms"])))
    if not settings.ENV.storage_bucket:
        disk = shutil.disk_usage(settings.STATE_DIR)
        part.facts += [(_("room left"), Bytes(disk.free)), (_("disk used"), Percent(disk.used / disk.total))]
        if disk.used > 0.9 * disk.total:
            part.wants(DEGRADED, _("The disk is nearly full: make room before the database stops."))


def _probe() -> dict[str, Any]:
    """Write a file and read it back."""
    name = default_storage.save("health/probe", ContentFile(b"karibu"))
    try:
        with default_storage.open(name) as file:
            if file.read() != b"karibu":
                raise OSError("what was written came back otherwise")
    finally:
        default_storage.delete(name)
    return {"status": OK}


def _deliveries(now: datetime) -> Part:
    part = Part("deliveries", _("Mail and SMS"))
    rows = _rows(
        """
        SELECT channel, max(sent_at), max(attempted_at) FILTER (WHERE state IN ('failed', 'unknown')),
            count(*) FILTER (WHERE state IN ('failed', 'unknown')), count(*) FILTER (WHERE sent_at IS NOT NULL),
            count(*) FILTER (WHERE state = 'queued' AND created_at < %s)
        FROM (SELECT * FROM deliveries WHERE created_at > %s ORDER BY id DESC LIMIT %s) AS latest
        GROUP BY 1 ORDER BY 1
        """,
        now - timedelta(minutes=10),
        now - timedelta(days=7),
        LATEST,
    )
    words = {"email": _("mail"), "sms": _("SMS")}
    for channel, sent_at, failed_at, failed, sent, waiting in rows:
        part.facts += [
            (_("last sent by %s") % words[channel], sent_at),
            (_("last failed by %s") % words[channel], failed_at),
            (_("of the latest, sent / failed"), f"{sent} / {failed}"),
        ]
        if failed > ASTRAY * (sent + failed):
            part.wants(
                DEGRADED, _("Many deliveries fail: check the keys and the account of who carries them.")
            )
        if waiting:
            part.wants(DEGRADED, _("Deliveries wait for more than ten minutes: see whether a worker runs."))
    if not rows:
        part.facts.append((_("sent in the last week"), 0))
    return part


def _providers(now: datetime) -> list[Part]:
    latest = {
        row[0]: row[1:]
        for row in _rows(
            """
            SELECT provider, max(op.updated_at) FILTER (WHERE state = 'succeeded'),
                count(*) FILTER (WHERE state = 'succeeded'), count(*) FILTER (WHERE state = 'failed'),
                count(*) FILTER (WHERE state = 'unknown'), count(*) FILTER (WHERE error_code LIKE '%%provider%%')
            FROM (SELECT id FROM payments ORDER BY id DESC LIMIT %s) AS newest
            JOIN money_ops op ON op.payment_id = newest.id GROUP BY 1
            """,
            LATEST,
        )
    }
    waiting = dict(
        _rows("SELECT provider, count(*) FROM provider_events WHERE applied_at IS NULL GROUP BY 1")
    )
    routed = {
        provider: f"{on} / {total}"
        for provider, on, total in _rows(
            "SELECT provider, count(*) FILTER (WHERE is_active), count(*) FROM provider_routes GROUP BY 1"
        )
    }
    made = []
    for standing in reconciliation.standing():
        name = standing.provider
        part = Part(f"provider_{name}", _("Payments: %s") % name.capitalize())
        good_at, good, refused, unknown, _own = latest.get(name, (None, 0, 0, 0, 0))
        part.facts += [
            (_("last success"), good_at),
            (_("of the latest, done / refused / unknown"), f"{good} / {refused} / {unknown}"),
            (_("routes that are on"), routed.get(name, _("none: by preference"))),
            (_("events not applied"), waiting.get(name, 0)),
            (_("last compared"), standing.good_at),
            (_("differences"), standing.differences),
        ]
        if name not in registry.configured():
            part.wants(
                DEGRADED,
                _("There are differences with a provider whose keys are gone: they cannot be settled."),
            )
        if standing.failure:
            part.wants(DEGRADED, _("The last comparison failed: %s") % standing.failure)
        elif standing.good_at and now - standing.good_at > timedelta(hours=1):
            part.wants(DEGRADED, _("Nothing was compared for more than an hour: see whether a worker runs."))
        if standing.differences:
            part.wants(DEGRADED, _("Our books and the provider's list differ: settle each difference."))
        if unknown > 2 and unknown > ASTRAY * (good + refused + unknown):
            part.wants(DEGRADED, _("Many movements have no outcome: the provider does not answer. Route around it, nothing is lost."))  # fmt: skip
        made.append(part)
    return made


def _feeds() -> Part:
    part = Part("feeds", _("Calendar feeds"))
    stale, failing = _row(
        """
        SELECT count(*) FILTER (WHERE status = 'stale'), count(*) FILTER (WHERE status = 'failing')
        FROM (SELECT status FROM calendar_feeds WHERE status <> 'ok' LIMIT 10000) AS unwell
        """
    )
    overdue, polled_at = _row(
        """
        SELECT (SELECT count(*) FROM (
                    SELECT FROM calendar_feeds WHERE next_poll_at < clock_timestamp() - interval '1 hour' LIMIT 10000
                ) AS late),
            (SELECT max(last_polled_at) FROM (
                SELECT last_polled_at FROM calendar_feeds ORDER BY next_poll_at DESC LIMIT 100
            ) AS latest)
        """
    )
    part.facts += [
        (_("stale"), stale),
        (_("failing"), failing),
        (_("an hour overdue"), overdue),
        (_("last asked"), polled_at),
    ]
    if failing or stale:
        part.wants(DEGRADED, _("Some hosts' other calendars cannot be read: their hosts are told; see the list for the reasons."))  # fmt: skip
    if overdue:
        part.wants(DEGRADED, _("Calendars are asked too late: start another worker."))
    return part


def _backups(now: datetime) -> Part:
    found = backups.standing(now)
    part = Part("backups", _("Backups"))
    part.facts += [
        (_("last backup"), found.based_at),
        (_("size"), Bytes(found.bytes)),
        (_("everything is safe until"), found.safe_until),
        *([(_("uploaded files are safe until"), found.files_until)] if found.files_until else []),
        (_("last restore drill"), found.drilled_at),
    ]
    part.advice += found.advice
    part.state = DOWN if found.is_late else DEGRADED if found.advice else OK
    return part
