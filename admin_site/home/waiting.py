"""What waits for somebody: counted once per page, in one query, each count over its own index and cut at 100."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from admin_site.frame.custom import OWN, PAGES
from backend.notifications import guard
from backend.payments import inbox
from backend.payments.states import OpState

AT_MOST = 100
"""Counting stops here; "99+" says as much to a reader."""

REQUESTS_RUN_OUT_IN = timedelta(hours=4)
OPEN_TOO_LONG = timedelta(minutes=5)
"""A money operation that is open for longer was left by a dead worker or a provider that does not answer."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Something that may wait: its words, its list (relative to ``/admin/``), who looks after it, and its rows.

    ``rows`` is SQL that selects them, with ``%(now)s``, ``%(soon)s`` and ``%(late)s``; ``permission`` is what one
    must have to be shown the count, or ``page:key`` for whoever may see that page of ``custom``. ``why`` tells somebody new
    what it is and what to do. ``since`` and ``until`` are SQL of a row: when its waiting began, when it is too late.
    """

    key: str
    title: str | Promise
    path: str
    permission: str
    icon: str
    variant: str
    rows: str
    why: str | Promise = ""
    since: str = ""
    until: str = ""


@dataclass(frozen=True, slots=True)
class Wait:
    """Rows of a kind that wait: how many (at most ``AT_MOST``), the oldest's beginning, the first one's end."""

    kind: Kind
    count: int
    since: datetime | None = None
    until: datetime | None = None

    @property
    def is_more(self) -> bool:
        """Whether there are more than were looked at, so that an older one may be among them."""
        return self.count >= AT_MOST

    @property
    def urgency(self) -> tuple[bool, datetime, datetime]:
        """What sorts first is to be done first: by the next deadline, then the dangerous, then the oldest."""
        never = datetime.max.replace(tzinfo=UTC)
        return (
            self.kind.variant != "danger" and self.until is None,
            self.until or never,
            self.since or never,
        )


KINDS = [
    Kind(
        "review",
        _("Listings to review"),
        "listings/listing/?status__exact=pending_review",
        "listings.view_listing",
        "rate_review",
        "warning",
        "SELECT FROM properties WHERE status = 'pending_review'",
        why=_("A host has sent a listing in and cannot take bookings until somebody approves or rejects it."),
        since="updated_at",
    ),
    Kind(
        "cases",
        _("Cases to decide"),
        "moderation/case/",
        "moderation.view_case",
        "gavel",
        "warning",
        "SELECT FROM moderation_cases WHERE status IN ('open', 'appealed')",
        why=_(
            "What was reported, found or offered is gathered in a case. Take it, look at both sides, and decide; the letter is shown before it is sent."
        ),
        since="opened_at",
        until="due_at",
    ),
    Kind(
        "reports",
        _("Reports to decide"),
        "moderation/report/?status__exact=open",
        "moderation.view_report",
        "report",
        "warning",
        "SELECT FROM reports WHERE status = 'open'",
        why=_(
            "Somebody has reported a listing, a person, a review or a message. Read it, then uphold or dismiss it."
        ),
        since="created_at",
    ),
    Kind(
        "appeals",
        _("Hidden reviews with an appeal"),
        "reviews/review/?appeal=open",
        "reviews.view_review",
        "gavel",
        "warning",
        "SELECT FROM reviews WHERE appealed_at IS NOT NULL AND appeal_outcome = ''",
        why=_("Its author asks to have a hidden review shown again. Compare it with the rules, then decide."),
        since="appealed_at",
    ),
    Kind(
        "flagged",
        _("Flagged listings"),
        "listings/listing/?status__exact=flagged",
        "listings.view_listing",
        "flag",
        "danger",
        "SELECT FROM properties WHERE status = 'flagged'",
        why=_("These listings cannot be found or booked until somebody looks at what is wrong with them."),
        since="updated_at",
    ),
    Kind(
        "identity",
        _("Identity documents to check"),
        "accounts/identitycheck/?status__exact=waiting",
        "accounts.view_identitycheck",
        "badge",
        "warning",
        "SELECT FROM identity_checks WHERE status = 'waiting'",
        why=_("Somebody has handed in a document and waits for the mark of a verified identity."),
        since="created_at",
    ),
    Kind(
        "requests",
        _("Requests that run out soon"),
        "bookings/booking/?waits=host_soon",
        "bookings.view_booking",
        "hourglass_bottom",
        "warning",
        "SELECT FROM bookings WHERE status = 'pending' AND pending_reason = 'host' AND expires_at < %(soon)s",
        why=_(
            "The host has not answered, and the request runs out within four hours. A call may save the booking."
        ),
        since="created_at",
        until="expires_at",
    ),
    Kind(
        "feeds",
        _("Calendar feeds out of date"),
        "availability/calendarfeed/?unwell=1",
        "availability.view_calendarfeed",
        "sync_problem",
        "danger",
        "SELECT FROM calendar_feeds WHERE status <> 'ok'",
        why=_(
            "Another site's calendar does not answer or is old, so that nights may be sold twice. Tell the host, or ask it again."
        ),
        since="coalesce(last_healthy_at, created_at)",
    ),
    Kind(
        "conflicts",
        _("Calendar conflicts"),
        "availability/feedconflict/?decided=open",
        "availability.view_feedconflict",
        "event_busy",
        "warning",
        "SELECT FROM feed_conflicts WHERE decision = '' AND closed_at IS NULL",
        why=_("Another site says that nights are taken that are booked here. Decide which stay goes on."),
        since="found_at",
    ),
    Kind(
        "money",
        _("Money without an outcome"),
        "payments/moneyop/?outcome=open",
        "payments.view_moneyop",
        "sync_problem",
        "danger",
        f"SELECT FROM money_ops WHERE state IN ('{OpState.CREATED}', '{OpState.SENDING}', '{OpState.UNKNOWN}')"
        f" AND (state = '{OpState.UNKNOWN}' OR created_at < %(late)s)",
        why=_(
            "A provider was asked to move money and nobody knows whether it did. It is asked again by itself; look when it stays."
        ),
        since="created_at",
    ),
    Kind(
        "differences",
        _("Differences with providers"),
        "payments/reconciliationdifference/?settled=open",
        "payments.view_reconciliationdifference",
        "difference",
        "danger",
        "SELECT FROM reconciliation_differences WHERE settled_at IS NULL",
        why=_(
            "A provider's list and our books do not say the same. Find out why, then note what settles it."
        ),
        since="first_seen_at",
    ),
    Kind(
        "payouts",
        _("Payouts that need attention"),
        "payments/payout/?attention=yes",
        "payments.view_payout",
        "account_balance_wallet",
        "danger",
        "SELECT FROM payouts WHERE needs_attention",
        why=_("Money could not be sent to a host. Mend the account or the reason, then send it again."),
        since="due_at",
    ),
    Kind(
        "refunds",
        _("Refunds that did not reach the guest"),
        "payments/payment/?attention=refunds",
        "payments.view_payment",
        "money_off",
        "danger",
        "SELECT FROM payments AS failed WHERE kind = 'refund' AND status = 'failed'"
        " AND NOT EXISTS (SELECT FROM payments WHERE retry_of_id = failed.id)",
        why=_("Money that was given back came back to us. Make the refund again, by another way if need be."),
        since="created_at",
    ),
    Kind(
        "approvals",
        _("Refunds that need a second person"),
        "payments/refundrequest/?status__exact=waiting",
        "payments.view_refundrequest",
        "undo",
        "warning",
        "SELECT FROM refund_requests WHERE status = 'waiting'",
        why=_("A colleague wants to give back more than one person may. Check it, then approve or decline."),
        since="created_at",
    ),
    Kind(
        "disputes",
        _("Disputes that need a response"),
        "payments/dispute/?status__exact=needs_response",
        "payments.view_dispute",
        "gavel",
        "danger",
        "SELECT FROM disputes WHERE status = 'needs_response'",
        why=_("A guest's bank takes money back. Hand in evidence before its date, or the money is lost."),
        since="opened_at",
        until="evidence_due_at",
    ),
    Kind(
        "events",
        _("Provider events that cannot be applied"),
        "payments/providerevent/?applied=stuck",
        "payments.view_providerevent",
        "webhook",
        "danger",
        f"SELECT FROM provider_events WHERE applied_at IS NULL AND attempts >= {inbox.MANY_TRIES}",
        why=_("What a provider told us could not be noted in the books, however often it was tried."),
        since="received_at",
    ),
    Kind(
        "deliveries",
        _("Mails that failed"),
        "notifications/delivery/?state__exact=failed",
        "notifications.view_delivery",
        "unsubscribe",
        "warning",
        "SELECT FROM deliveries WHERE state = 'failed'",
        why=_("A mail did not reach its person. Mend the address, or send it once more."),
        since="created_at",
    ),
    Kind(
        "sms",
        _("SMS that the cost guard stopped"),
        "notifications/delivery/?state__exact=skipped",
        "notifications.view_delivery",
        "sms_failed",
        "danger",
        f"SELECT FROM deliveries WHERE state = 'skipped' AND starts_with(error, '{guard.STOPPED}')"
        " AND created_at > %(now)s - interval '1 day'",
        why=_(
            "More short messages than the limit allows were asked for, and stopped. Somebody may be driving up the bill."
        ),
        since="created_at",
    ),
    Kind(
        "jobs",
        _("Jobs that failed"),
        "procrastinate/procrastinatejob/?status__exact=failed",
        "procrastinate.view_procrastinatejob",
        "error",
        "danger",
        "SELECT FROM procrastinate_jobs WHERE status = 'failed'",
        why=_("Work in the background was given up after several tries. Read why, then try it again."),
        since="scheduled_at",
    ),
    Kind(
        "backups",
        _("Backups that are late or failed"),
        "system/",
        "page:system",
        "backup",
        "danger",
        "SELECT FROM backup_runs AS run WHERE ended_at IS NOT NULL AND CASE"
        " WHEN kind IN ('wal', 'files') THEN failure <> '' OR reached_at < %(now)s - interval '5 minutes'"
        " WHEN failure <> '' THEN NOT EXISTS ("
        "SELECT FROM backup_runs WHERE kind = run.kind AND started_at > run.started_at)"
        " ELSE kind = 'base' AND ended_at < %(now)s - interval '30 hours' AND NOT EXISTS ("
        "SELECT FROM backup_runs WHERE kind = 'base' AND failure = '' AND started_at > run.started_at) END",
        why=_("What is written now might be lost with the machine. The page of the system says what to do."),
        since="ended_at",
    ),
    Kind(
        "books",
        _("Checks of the books that failed"),
        "system/",
        "page:system",
        "rule",
        "danger",
        "SELECT FROM sweep_runs WHERE name = 'check_books' AND (failure <> '' OR result ->> 'violations' <> '0')",
        why=_(
            "Rows contradict each other, as they never should. Run check_books to see them, before money moves on."
        ),
        since="ran_at",
    ),
]


def counts(request: HttpRequest) -> dict[str, int]:
    """Key of ``KINDS`` → how many wait, at most ``AT_MOST``; only those that the user may see. Once per request."""
    known: dict[str, int] | None = getattr(request, "_waiting", None)
    if known is None:
        kinds = [kind for kind in KINDS if _may(request.user, kind.permission)]
        known = _count(kinds, timezone.now()) if kinds else {}
        request._waiting = known  # type: ignore[attr-defined]
    return known


def waits(request: HttpRequest, now: datetime) -> list[Wait]:
    """What the user may see of ``KINDS``, with the ages of what waits; first what is to be done first, last what is done."""
    counted = counts(request)
    kinds = [kind for kind in KINDS if counted.get(kind.key) and kind.since]
    ages = _ages(kinds, now) if kinds else {}
    found = [
        Wait(kind, counted[kind.key], *ages.get(kind.key, (None, None)))
        for kind in KINDS
        if kind.key in counted
    ]
    return sorted(found, key=lambda wait: (not wait.count, wait.urgency))


def _may(user: Any, permission: str) -> bool:
    if permission.startswith(OWN):
        return PAGES[permission.removeprefix(OWN)].may_see(user)
    return bool(user.has_perm(permission))


def _count(kinds: list[Kind], now: datetime) -> dict[str, int]:
    # Constants of this module only.
    columns = [f"(SELECT count(*) FROM ({kind.rows} LIMIT {AT_MOST}) AS first_ones)" for kind in kinds]  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(columns)}", _values(now))
        return dict(zip((kind.key for kind in kinds), cursor.fetchone(), strict=True))


def _ages(kinds: list[Kind], now: datetime) -> dict[str, tuple[datetime | None, datetime | None]]:
    """Of the rows that were counted: with fewer than ``AT_MOST``, of all."""
    parts = []
    for kind in kinds:
        columns = f"SELECT {kind.since} AS since, {kind.until or 'NULL::timestamptz'} AS until FROM"
        rows = kind.rows.replace("SELECT FROM", columns, 1)
        parts.append(
            f"SELECT '{kind.key}', min(since), min(until) FROM ({rows} LIMIT {AT_MOST}) AS first_ones"  # noqa: S608
        )
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts), _values(now))
        return {key: (since, until) for key, since, until in cursor.fetchall()}


def _values(now: datetime) -> dict[str, datetime]:
    return {"now": now, "soon": now + REQUESTS_RUN_OUT_IN, "late": now - OPEN_TOO_LONG}


def shown(count: int) -> str:
    """A count as a badge says it; empty for nothing."""
    return "" if not count else f"{AT_MOST - 1}+" if count >= AT_MOST else str(count)
