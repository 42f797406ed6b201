"""How long things are kept: one rule for each kind, run by the sweeps, with what it did last.

Rows go in batches, so that nobody waits for a large table. What the law wants kept (books, documents) has no rule here:
the application may not touch it; see ``registry``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.apps import apps
from django.db import connection
from django.db.models import F
from django.utils import timezone

from backend.accounts.models import PhoneCode, TotpEnrolment
from backend.audit import services as audit
from backend.availability import feed_polling
from backend.bookings.inquiries import WAITING
from backend.bookings.models import Booking, Inquiry, InquiryStatus
from backend.bookings.states import BookingStatus
from backend.core import idempotency, limits, platform
from backend.identity import sessions
from backend.messaging import attaching, forgetting
from backend.notifications import retention as live_events
from backend.notifications.models import Delivery, Notification
from backend.payments import reconciliation
from backend.payments.models import ProviderEvent
from backend.privacy.models import RetentionRun
from backend.telemetry import retention as telemetry

BATCH = 5000
"""Rows that one statement drops or empties."""

JOBS_KEPT = timedelta(hours=72)
"""How long finished jobs are kept to be looked at."""

VISITS_KEPT = timedelta(days=1095)
"""How long it is kept how often a place was looked at; ``analytics.visits.KEPT`` says the same to who sums it up."""

PROOFS_KEPT = timedelta(days=1)
"""How long a phone code or a half set-up second step is kept after it ran out."""


@dataclass(frozen=True, slots=True)
class Rule:
    """``run`` drops (or empties) what is too old at an instant, and answers how many. ``what`` tells staff what that is.

    It is kept as many days (``in_hours``: hours) as ``setting`` says, else for ``kept``. ``hourly``: cheap, and done every hour; else every night.
    """

    name: str
    what: str
    run: Callable[[datetime], int]
    setting: str = ""
    kept: timedelta = timedelta(0)
    hourly: bool = False
    in_hours: bool = False

    @property
    def days(self) -> timedelta:
        """How long it is kept now."""
        if not self.setting:
            return self.kept
        number = platform.get(self.setting)
        return timedelta(hours=number) if self.in_hours else timedelta(days=number)


def _days(setting: str) -> timedelta:
    return timedelta(days=platform.get(setting))


def _drop(rows: Any) -> int:
    """Delete rows and what hangs on them, a batch at a time; how many rows."""
    count = 0
    while ids := list(rows.values_list("pk", flat=True)[:BATCH]):
        rows.model._default_manager.filter(pk__in=ids).delete()
        count += len(ids)
    return count


def _empty(rows: Any, **blanks: Any) -> int:
    """Set columns of rows, which then are no longer among them, a batch at a time; how many rows."""
    count = 0
    while ids := list(rows.values_list("pk", flat=True)[:BATCH]):
        count += rows.model._default_manager.filter(pk__in=ids).update(**blanks)
    return count


def _sessions(now: datetime) -> int:
    return sessions.purge(now=now, kept=_days("retention_sessions_days"))


def _addresses(now: datetime) -> int:
    return audit.forget_addresses(before=now - _days("retention_addresses_days"))


def _proofs(now: datetime) -> int:
    before = now - PROOFS_KEPT
    return sum(_drop(each.objects.filter(expires_at__lt=before)) for each in (PhoneCode, TotpEnrolment))


def _notifications(now: datetime) -> int:
    return _drop(Notification.objects.filter(created_at__lt=now - _days("retention_notifications_days")))


def _deliveries(now: datetime) -> int:
    old = Delivery.objects.filter(created_at__lt=now - _days("retention_deliveries_days"))
    return _drop(old.exclude(state__in=(Delivery.QUEUED, Delivery.SENDING)))


def _provider_events(now: datetime) -> int:
    before = now - _days("retention_provider_events_days")
    return _empty(ProviderEvent.objects.filter(applied_at__lt=before).exclude(payload={}), payload={})


def _inquiries(now: datetime) -> int:
    """Those that came to nothing go; of those that were booked the words go, which the booking holds no longer either."""
    old = Inquiry.objects.filter(updated_at__lt=now - _days("retention_inquiries_days"))
    booked = old.filter(status=InquiryStatus.BOOKED).exclude(message="", answer="")
    return _drop(old.exclude(status__in=[*WAITING, InquiryStatus.BOOKED])) + _empty(
        booked, message="", answer=""
    )


def _guest_lists(now: datetime) -> int:
    """Who came along and what was written about the arrival, of stays that are over, and of those that never were."""
    before = now - _days("retention_guest_lists_days")
    over = Booking.objects.filter(check_out_at__lt=before).exclude(
        status__in=(BookingStatus.PENDING, BookingStatus.CONFIRMED)
    )
    spoken = over.exclude(guest_list=[], arrival_note="", message="")
    return _empty(spoken, guest_list=[], arrival_note="", message="", version=F("version") + 1)


def _reports(now: datetime) -> int:
    """What people wrote in reports and appeals that are decided, and what was kept as evidence. The decisions stay, but
    for their words and what the listing looked like then."""
    before = now - _days("retention_reports_days")
    reports, appeals, decisions = (
        apps.get_model(f"moderation.{name}")._default_manager for name in ("Report", "Appeal", "Decision")
    )
    old = reports.filter(decided_at__lt=before).exclude(details="", evidence="")
    heard = appeals.filter(decided_at__lt=before).exclude(words="")
    stood = decisions.filter(decided_at__lt=before).exclude(words="", snapshot={})
    stood = stood.exclude(appeal__status="open")
    return (
        _empty(old, details="", evidence="") + _empty(heard, words="") + _empty(stood, words="", snapshot={})
    )


def _visits(now: datetime) -> int:
    visits = apps.get_model("analytics.ListingVisits")
    old = visits._default_manager.filter(day__lt=(now - VISITS_KEPT).date())
    return int(old._raw_delete(old.db))


def _messages(now: datetime) -> int:
    return forgetting.outdated(before=now - _days("retention_messages_days"))


def _back_office(now: datetime) -> int:
    from django.contrib.sessions.models import Session

    return _drop(Session.objects.filter(expire_date__lt=now))


def _throttled(now: datetime) -> int:
    from backend.core.models import ThrottledSubject

    return _drop(ThrottledSubject.objects.filter(last_at__lt=now - timedelta(days=30)))


def _jobs(now: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            DELETE FROM procrastinate_jobs j WHERE status IN ('succeeded', 'cancelled', 'aborted') AND NOT EXISTS (
                SELECT FROM procrastinate_events e WHERE e.job_id = j.id AND e.at > %s
            )
            """,
            [now - JOBS_KEPT],
        )
        return cursor.rowcount


RULES: tuple[Rule, ...] = (
    Rule("idempotency_keys", "answers kept for Idempotency-Keys", idempotency.purge, kept=idempotency.KEPT_FOR, hourly=True),
    Rule("rate_counters", "counters of limits", lambda now: limits.purge(), hourly=True),
    Rule("sessions", "devices that were signed out", _sessions, "retention_sessions_days", hourly=True),
    Rule("jobs", "finished jobs", _jobs, kept=JOBS_KEPT, hourly=True),
    Rule("reconciliations", "comparisons with payment providers", lambda now: reconciliation.purge(now=now), kept=reconciliation.RUNS_KEPT, hourly=True),
    Rule("feed_entries", "entries of imported calendars that are over", lambda now: feed_polling.purge(now=now), kept=feed_polling.KEPT, hourly=True),
    Rule("live_events", "live events, which clients ask for after a break", lambda now: sum(live_events.purge(now=now).values()), kept=live_events.EVENTS_KEPT, hourly=True),
    Rule("proofs", "phone codes and second steps that were never confirmed", _proofs, kept=PROOFS_KEPT, hourly=True),
    Rule("figures", "figures of the system", lambda now: telemetry.purge_figures(now=now), kept=telemetry.HOURS_KEPT, hourly=True),
    Rule("access_lines", "lines of requests, in parts of six hours", lambda now: telemetry.purge_lines(now=now), "access_log_hours", hourly=True, in_hours=True),
    Rule("error_lines", "errors with their traces", lambda now: telemetry.purge_errors(now=now), "error_log_days"),
    Rule("back_office", "sessions of the back office that ran out", _back_office),
    Rule("throttled", "who was stopped by a limit", _throttled, kept=timedelta(days=30)),
    Rule("visits", "how often places were looked at", _visits, kept=VISITS_KEPT),
    Rule("addresses", "network addresses in the audit log", _addresses, "retention_addresses_days"),
    Rule("notifications", "notices", _notifications, "retention_notifications_days"),
    Rule("deliveries", "notes of mails that were sent", _deliveries, "retention_deliveries_days"),
    Rule("provider_events", "contents of payment providers' messages", _provider_events, "retention_provider_events_days"),
    Rule("unsent_attachments", "files that were uploaded and never sent", lambda now: attaching.purge(now=now), kept=attaching.UNSENT_KEPT, hourly=True),
    Rule("messages", "texts and files of conversations that have ended", _messages, "retention_messages_days"),
    Rule("inquiries", "questions to hosts that ended without a booking", _inquiries, "retention_inquiries_days"),
    Rule("reports", "the words of reports, decisions and appeals that are over", _reports, "retention_reports_days"),
    Rule("guest_lists", "companions, arrival notes and messages of stays that are over", _guest_lists, "retention_guest_lists_days"),
)  # fmt: skip


def run(rules: Iterable[Rule], *, now: datetime) -> dict[str, int]:
    """Run ``rules`` at ``now`` (UTC) and note what each did; how many rows, by rule.

    A clock that was set ahead does not count: it must not sign people out or forget what they may still ask for.
    """
    real = min(now, timezone.now())
    done = {}
    for rule in rules:
        done[rule.name] = rule.run(real)
        _note(rule.name, done[rule.name], real)
    return done


def _note(name: str, count: int, now: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO retention_runs AS kept (rule, ran_at, last_count, total) VALUES (%(rule)s, %(now)s, %(n)s, %(n)s)
            ON CONFLICT (rule) DO UPDATE
            SET ran_at = excluded.ran_at, last_count = excluded.last_count, total = kept.total + excluded.total
            """,
            {"rule": name, "now": now, "n": count},
        )


def hourly(*, now: datetime) -> dict[str, int]:
    """The rules that run every hour."""
    return run((rule for rule in RULES if rule.hourly), now=now)


def nightly(*, now: datetime) -> dict[str, int]:
    """The rules that run every night."""
    return run((rule for rule in RULES if not rule.hourly), now=now)


def last_runs() -> dict[str, RetentionRun]:
    """What became of each rule that has run, by name."""
    return {row.rule: row for row in RetentionRun.objects.all()}
