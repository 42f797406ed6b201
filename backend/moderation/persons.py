"""What is known of a person that somebody who decides about them should look at: facts with their rows, no score.

Each fact is the newest few rows of one kind, found by an index; whoever reads a fact reads what it is made of. One query
for all of them, and one for those who have the same phone number, which only our keys can compare.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from backend.accounts.models import Profile, User
from backend.bookings.models import Booking
from backend.listings.models import Listing
from backend.listings.states import ListingStatus
from backend.payments.models import Payout
from backend.payments.states import PayoutStatus

SHOWN = 5
"""How many rows of a fact are read; one more tells that there are more."""

NEWEST = 500
"""How far back stays and payments are looked through."""

LATELY = timedelta(days=90)
JUST_NOW = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a fact: when, in which words of its kind, on which object (``app.model`` and key), how much.

    ``detail`` is what is masked from some readers: a network address, a device, somebody's name.
    """

    at: datetime | None
    words: str
    detail: str
    model: str
    key: str
    amount_minor: int | None
    currency: str


@dataclass(frozen=True, slots=True)
class Fact:
    """The newest rows of one kind; ``more``: there are others behind them."""

    key: str
    rows: tuple[Row, ...]
    more: bool

    @property
    def count(self) -> int:
        return len(self.rows)


FACTS: Mapping[str, str] = {
    "devices": """
        SELECT max(last_used_at), max(device), host(address), 'accounts.session', '', NULL, ''
        FROM sessions WHERE user_id = %(user)s AND last_used_at > %(lately)s GROUP BY device, address
        ORDER BY max(last_used_at) DESC""",
    "stopped_sign_ins": """
        SELECT last_at, windows::text, '', 'core.throttledsubject', id::text, NULL, ''
        FROM throttled_subjects WHERE policy = 'sign_in_account' AND subject = %(subject)s
        ORDER BY 1 DESC""",
    "credentials": """
        SELECT at, action, '', 'audit.auditentry', id::text, NULL, ''
        FROM audit_log WHERE object_type = 'user' AND object_id = %(user)s::text AND at > %(just_now)s
            AND action IN ('password.changed', 'password.reset', 'email.changed', 'phone.verified', 'mfa.disabled',
                'mfa.enabled', 'identity.linked', 'identity.unlinked')
        ORDER BY id DESC""",
    "payout_accounts": """
        SELECT greatest(created_at, replaced_at), status, shown, 'payments.payoutaccount', id::text, NULL, currency
        FROM payout_accounts WHERE user_id = %(user)s AND greatest(created_at, replaced_at) > %(just_now)s
        ORDER BY 1 DESC""",
    "cards": """
        SELECT p.created_at, p.provider, '', 'payments.payment', p.id::text, p.amount_minor, p.currency
        FROM (SELECT id FROM folios WHERE guest_id = %(user)s ORDER BY id DESC LIMIT %(newest)s) f
        JOIN payments p ON p.folio_id = f.id WHERE p.kind = 'payment' AND p.status = 'failed' ORDER BY p.id DESC""",
    "disputes": """
        SELECT d.opened_at, d.status, d.reason, 'payments.dispute', d.id::text, d.amount_minor, d.currency
        FROM (SELECT id FROM folios WHERE guest_id = %(user)s ORDER BY id DESC LIMIT %(newest)s) f
        JOIN payments p ON p.folio_id = f.id JOIN disputes d ON d.payment_id = p.id ORDER BY d.id DESC""",
    "disputes_as_host": """
        SELECT d.opened_at, d.status, d.reason, 'payments.dispute', d.id::text, d.amount_minor, d.currency
        FROM (SELECT id FROM folios WHERE host_id = %(user)s ORDER BY id DESC LIMIT %(newest)s) f
        JOIN payments p ON p.folio_id = f.id JOIN disputes d ON d.payment_id = p.id ORDER BY d.id DESC""",
    "refunds": """
        SELECT p.created_at, p.status, '', 'payments.payment', p.id::text, p.amount_minor, p.currency
        FROM (SELECT id FROM folios WHERE guest_id = %(user)s ORDER BY id DESC LIMIT %(newest)s) f
        JOIN payments p ON p.folio_id = f.id WHERE p.kind = 'refund' ORDER BY p.id DESC""",
    "canceled": """
        SELECT b.ended_at, b.reference, '', 'bookings.booking', b.id::text, b.total_minor, b.currency
        FROM (SELECT * FROM bookings WHERE guest_id = %(user)s ORDER BY id DESC LIMIT %(newest)s) b
        WHERE b.status = 'canceled' AND b.canceled_by = 'guest' ORDER BY b.id DESC""",
    "canceled_as_host": """
        SELECT b.ended_at, b.reference, '', 'bookings.booking', b.id::text, b.total_minor, b.currency
        FROM (SELECT * FROM bookings WHERE host_id = %(user)s ORDER BY id DESC LIMIT %(newest)s) b
        WHERE b.status = 'canceled' AND b.canceled_by = 'host' ORDER BY b.id DESC""",
    "reported": """
        SELECT created_at, reason, status, 'moderation.report', id::text, NULL, ''
        FROM reports WHERE user_id = %(user)s
            OR listing_id = ANY (ARRAY(SELECT id FROM properties WHERE host_id = %(user)s ORDER BY id DESC LIMIT %(newest)s))
        ORDER BY id DESC""",
    "reports": """
        SELECT created_at, reason, status, 'moderation.report', id::text, NULL, ''
        FROM reports WHERE reporter_id = %(user)s ORDER BY id DESC""",
    "strikes": """
        SELECT created_at, reason_code, points::text, 'moderation.strike', id::text, NULL, ''
        FROM moderation_strikes WHERE person_id = %(user)s AND removed_at IS NULL AND expires_at > %(now)s
        ORDER BY id DESC""",
    "blocked": """
        SELECT b.created_at, u.username, '', 'accounts.user', u.id::text, NULL, ''
        FROM user_blocks b JOIN users u ON u.id = b.blocker_id WHERE b.blocked_id = %(user)s ORDER BY b.id DESC""",
    "same_phone": """
        SELECT u.created_at, u.username, '', 'accounts.user', u.id::text, NULL, ''
        FROM users u WHERE u.id = ANY(%(same_phone)s) ORDER BY u.id DESC""",
    "same_account": """
        SELECT DISTINCT ON (u.id) a.created_at, u.username, a.provider, 'accounts.user', u.id::text, NULL, ''
        FROM payout_accounts mine JOIN payout_accounts a USING (provider, provider_ref) JOIN users u ON u.id = a.user_id
        WHERE mine.user_id = %(user)s AND a.user_id <> %(user)s AND provider_ref <> ''
        ORDER BY u.id DESC""",
    "same_device": """
        SELECT DISTINCT ON (u.id) s.last_used_at, u.username, host(s.address), 'accounts.user', u.id::text, NULL, ''
        FROM (
            SELECT DISTINCT address, device FROM sessions
            WHERE user_id = %(user)s AND address IS NOT NULL AND device <> '' AND last_used_at > %(lately)s
        ) mine JOIN sessions s ON s.address = mine.address AND s.device = mine.device
        JOIN users u ON u.id = s.user_id
        WHERE s.user_id <> %(user)s AND s.last_used_at > %(lately)s ORDER BY u.id DESC""",
}
"""Fact → its rows, newest first. The newest ``NEWEST`` stays are looked through, so that nobody's page waits for all."""


_TYPES = {
    "at": "timestamptz",
    "words": "text",
    "detail": "text",
    "model": "text",
    "key": "text",
    "minor": "bigint",
    "currency": "text",
}
_NAMES = ", ".join(_TYPES)
_CAST = ", ".join(f"{name}::{kind}" for name, kind in _TYPES.items())


def facts(user: User, keys: Collection[str], *, now: datetime) -> list[Fact]:
    """Those of ``FACTS`` that are named in ``keys``, in their order, those without rows too. Two queries at most."""
    wanted = [key for key in FACTS if key in keys]
    if not wanted:
        return []
    # Constants of this module only.
    parts = [
        f"SELECT '{key}', {_CAST} FROM (({FACTS[key]}) LIMIT %(most)s) AS {key} ({_NAMES})"  # noqa: S608
        for key in wanted
    ]
    values: dict[str, Any] = {
        "user": user.pk,
        "subject": f"account:{user.pk}",
        "same_phone": _same_phone(user) if "same_phone" in wanted else [],
        "now": now,
        "lately": now - LATELY,
        "just_now": now - JUST_NOW,
        "newest": NEWEST,
        "most": SHOWN + 1,
    }
    found: dict[str, list[Row]] = {key: [] for key in wanted}
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts), values)
        for key, at, words, detail, model, pk, minor, currency in cursor.fetchall():
            found[key].append(Row(at, words or "", detail or "", model, pk, minor, currency or ""))
    return [Fact(key, tuple(rows[:SHOWN]), len(rows) > SHOWN) for key, rows in found.items()]


def _same_phone(user: User) -> list[int]:
    """Who has the same phone number, by the blind index; nobody has none in common."""
    if not user.profile.phone:
        return []
    others = Profile.objects.filter(phone=user.profile.phone).exclude(pk=user.pk)
    return list(others.order_by("-pk").values_list("pk", flat=True)[: SHOWN + 1])


@dataclass(frozen=True, slots=True)
class Consequences:
    """What stands on an account: what shutting it out touches. Counts are cut at ``MOST``; currency → minor units."""

    devices: int
    stays_as_guest: int
    stays_as_host: int
    listings: int
    payouts: int


MOST = 100
"""Counting stops here."""


def consequences(user: User, *, now: datetime) -> Consequences:
    """What suspending ``user`` would touch at ``now``. Four queries."""
    coming = Booking.objects.coming(now)
    unpaid = Payout.objects.filter(receiver=user, status__in=(PayoutStatus.SCHEDULED, PayoutStatus.ON_HOLD))

    def count(rows: object) -> int:
        return int(rows.order_by()[:MOST].count())  # type: ignore[attr-defined]

    return Consequences(
        devices=count(user.sessions.filter(revoked_at=None, expires_at__gt=now)),
        stays_as_guest=count(coming.filter(guest=user)),
        stays_as_host=count(coming.filter(host=user)),
        listings=count(Listing.objects.filter(host=user, status=ListingStatus.PUBLISHED)),
        payouts=count(unpaid),
    )
