"""What waits for somebody: counted once per page, in one query, each count over its own index and cut at 100."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

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
    must have to be shown the count.
    """

    key: str
    title: str | Promise
    path: str
    permission: str
    icon: str
    variant: str
    rows: str


KINDS = [
    Kind(
        "review",
        _("Listings to review"),
        "listings/listing/?status__exact=pending_review",
        "listings.view_listing",
        "rate_review",
        "warning",
        "SELECT FROM properties WHERE status = 'pending_review'",
    ),
    Kind(
        "reports",
        _("Reports to decide"),
        "moderation/report/?status__exact=open",
        "moderation.view_report",
        "report",
        "warning",
        "SELECT FROM reports WHERE status = 'open'",
    ),
    Kind(
        "appeals",
        _("Hidden reviews with an appeal"),
        "reviews/review/?appeal=open",
        "reviews.view_review",
        "gavel",
        "warning",
        "SELECT FROM reviews WHERE appealed_at IS NOT NULL AND appeal_outcome = ''",
    ),
    Kind(
        "flagged",
        _("Flagged listings"),
        "listings/listing/?status__exact=flagged",
        "listings.view_listing",
        "flag",
        "danger",
        "SELECT FROM properties WHERE status = 'flagged'",
    ),
    Kind(
        "identity",
        _("Identity documents to check"),
        "accounts/identitycheck/?status__exact=waiting",
        "accounts.view_identitycheck",
        "badge",
        "warning",
        "SELECT FROM identity_checks WHERE status = 'waiting'",
    ),
    Kind(
        "requests",
        _("Requests that run out soon"),
        "bookings/booking/?waits=host_soon",
        "bookings.view_booking",
        "hourglass_bottom",
        "warning",
        "SELECT FROM bookings WHERE status = 'pending' AND pending_reason = 'host' AND expires_at < %(soon)s",
    ),
    Kind(
        "feeds",
        _("Calendar feeds out of date"),
        "availability/calendarfeed/?unwell=1",
        "availability.view_calendarfeed",
        "sync_problem",
        "danger",
        "SELECT FROM calendar_feeds WHERE status <> 'ok'",
    ),
    Kind(
        "conflicts",
        _("Calendar conflicts"),
        "availability/feedconflict/?decided=open",
        "availability.view_feedconflict",
        "event_busy",
        "warning",
        "SELECT FROM feed_conflicts WHERE decision = '' AND closed_at IS NULL",
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
    ),
    Kind(
        "differences",
        _("Differences with providers"),
        "payments/reconciliationdifference/?settled=open",
        "payments.view_reconciliationdifference",
        "difference",
        "danger",
        "SELECT FROM reconciliation_differences WHERE settled_at IS NULL",
    ),
    Kind(
        "payouts",
        _("Payouts that need attention"),
        "payments/payout/?attention=yes",
        "payments.view_payout",
        "account_balance_wallet",
        "danger",
        "SELECT FROM payouts WHERE needs_attention",
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
    ),
    Kind(
        "approvals",
        _("Refunds that need a second person"),
        "payments/refundrequest/?status__exact=waiting",
        "payments.view_refundrequest",
        "undo",
        "warning",
        "SELECT FROM refund_requests WHERE status = 'waiting'",
    ),
    Kind(
        "disputes",
        _("Disputes that need a response"),
        "payments/dispute/?status__exact=needs_response",
        "payments.view_dispute",
        "gavel",
        "danger",
        "SELECT FROM disputes WHERE status = 'needs_response'",
    ),
    Kind(
        "events",
        _("Provider events that cannot be applied"),
        "payments/providerevent/?applied=stuck",
        "payments.view_providerevent",
        "webhook",
        "danger",
        f"SELECT FROM provider_events WHERE applied_at IS NULL AND attempts >= {inbox.MANY_TRIES}",
    ),
    Kind(
        "deliveries",
        _("Mails that failed"),
        "notifications/delivery/?state__exact=failed",
        "notifications.view_delivery",
        "unsubscribe",
        "warning",
        "SELECT FROM deliveries WHERE state = 'failed'",
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
    ),
    Kind(
        "jobs",
        _("Jobs that failed"),
        "procrastinate/procrastinatejob/?status__exact=failed",
        "procrastinate.view_procrastinatejob",
        "error",
        "danger",
        "SELECT FROM procrastinate_jobs WHERE status = 'failed'",
    ),
]


def counts(request: HttpRequest) -> dict[str, int]:
    """Key of ``KINDS`` → how many wait, at most ``AT_MOST``; only those that the user may see. Once per request."""
    known: dict[str, int] | None = getattr(request, "_waiting", None)
    if known is None:
        kinds = [kind for kind in KINDS if request.user.has_perm(kind.permission)]
        known = _count(kinds, timezone.now()) if kinds else {}
        request._waiting = known  # type: ignore[attr-defined]
    return known


def _count(kinds: list[Kind], now: datetime) -> dict[str, int]:
    # Constants of this module only.
    columns = [f"(SELECT count(*) FROM ({kind.rows} LIMIT {AT_MOST}) AS first_ones)" for kind in kinds]  # noqa: S608
    values = {"now": now, "soon": now + REQUESTS_RUN_OUT_IN, "late": now - OPEN_TOO_LONG}
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(columns)}", values)
        return dict(zip((kind.key for kind in kinds), cursor.fetchone(), strict=True))


def shown(count: int) -> str:
    """A count as a badge says it; empty for nothing."""
    return "" if not count else f"{AT_MOST - 1}+" if count >= AT_MOST else str(count)
