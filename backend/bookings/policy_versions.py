"""The cancellation policies in force: versioned rows, each read as a value that bookings keep a copy of."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import pairwise
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import ADMIN
from backend.audit import services as audit
from backend.bookings import policies
from backend.bookings.models import CancellationPolicy
from backend.bookings.policies import Keep, Policy
from backend.core import access
from backend.core.db import retrying
from backend.core.errors import Invalid

CODES = ("flexible", "moderate", "limited", "firm", "strict", "non_refundable", policies.LONG_STAY)
"""The policies that there are, the kindest first. A listing has one of all but the last."""

FRESH_FOR_S = 1.0
MAX_DAYS, MAX_NIGHTS, MAX_TIERS, MAX_HOURS = 365, 365, 10, 168

_versions: list[tuple[datetime, Policy]] = []
_read_at = float("-inf")


class InvalidPolicy(Invalid):
    """Rules that cannot be read, or by which waiting would give more back."""

    code = "invalid_policy"
    title = _("These rules make no cancellation policy.")


@access.rule("policy.publish")
def may_publish(actor: Any, subject: object) -> bool:
    """Changing what future bookings are canceled by is for administrators."""
    return bool(actor.has_role(ADMIN))


def in_force(now: datetime, codes: Iterable[str] = CODES) -> dict[str, Policy]:
    """Code → the newest version that has begun by ``now`` (UTC), of each of ``codes`` that there is.

    One query at most; what it found serves for ``FRESH_FOR_S`` seconds in each process.
    """
    newest: dict[str, Policy] = {}
    for effective_from, policy in _all():
        if effective_from <= now:
            newest[policy.code] = policy
    return {code: newest[code] for code in codes if code in newest}


def for_stay(code: str, nights: int, now: datetime) -> Policy:
    """The version in force of what a stay of ``nights`` follows at a listing with the policy ``code``.

    Raises: LookupError for a policy that there is not.
    """
    wanted = policies.code_for(code, nights)
    return in_force(now, [wanted])[wanted]


def _all() -> list[tuple[datetime, Policy]]:
    """Every version with its beginning, the older ones first."""
    global _versions, _read_at
    if time.monotonic() - _read_at > FRESH_FOR_S:
        rows = CancellationPolicy.objects.order_by("code", "version")
        found = [(row.effective_from, read(row)) for row in rows]
        _versions, _read_at = found, time.monotonic()
    return _versions


def forget() -> None:
    """Read again at the next question."""
    global _read_at
    _read_at = float("-inf")


def read(row: CancellationPolicy) -> Policy:
    """The policy that a row holds."""
    return policies.load({"code": row.code, "version": row.version, **row.rules})


@retrying
def publish(
    *,
    actor: Any,
    code: str,
    rules: Mapping[str, Any],
    reason: str,
    now: datetime,
    effective_from: datetime | None = None,
) -> CancellationPolicy:
    """Write the next version of the policy ``code``, in force from ``effective_from`` (UTC; default ``now``).

    Quotes and bookings keep the version that they were made with. ``rules`` are ``tiers``, ``late``, ``stay`` and
    ``grace`` as ``policies.dump`` writes them.
    Raises: NotAllowed, InvalidPolicy (unreadable, out of bounds, or later is kinder), Invalid (code, reason, past).
    """
    access.require(actor, "policy.publish")
    if code not in CODES:
        raise Invalid.field("code", "unknown_policy", _("There is no such policy."))
    if not reason.strip():
        raise Invalid.field("reason", "required", _("Say why."))
    begins = effective_from or now
    if begins < now:
        raise Invalid.field("effective_from", "in_the_past", _("A version cannot begin in the past."))
    policy = parse(code, rules)
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            # The next number and the row that takes it are two steps; a rival waits here.
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"policy:{code}"])
        newest = CancellationPolicy.objects.filter(code=code).order_by("-version").first()
        if newest is not None and begins < newest.effective_from:
            raise Invalid.field(
                "effective_from", "before_newest", _("The newest version begins later than this one would.")
            )
        values = policies.dump(policy)
        row = CancellationPolicy.objects.create(
            code=code,
            version=(newest.version if newest else 0) + 1,
            rules={name: values[name] for name in ("tiers", "late", "stay", "grace")},
            effective_from=begins,
            reason=reason.strip()[:500],
            created_by=actor if getattr(actor, "pk", None) else None,
            created_at=now,
        )
        audit.record(
            actor=actor,
            action="policy.publish",
            subject=row,
            now=now,
            before=newest.rules if newest else None,
            after=row.rules,
            reason=row.reason,
        )
    forget()
    return row


def parse(code: str, rules: Mapping[str, Any]) -> Policy:
    """The policy that ``rules`` describe (version 0). Raises: InvalidPolicy with the fields that are wrong."""
    unknown = sorted(set(rules) - {"tiers", "late", "stay", "grace"})
    if unknown:
        raise _invalid(unknown[0], "unknown_field", _("There is no such rule."))
    try:
        policy = policies.load({"code": code, "version": 0, **rules})
    except ValueError:
        raise _invalid("rules", "unreadable", _("The rules could not be read.")) from None
    _require_bounds(policy)
    keeps = policy.keeps()
    for index, (earlier, later) in enumerate(pairwise(keeps)):
        if not _rises(earlier, later):
            place = (
                "tiers" if index + 1 < len(policy.tiers) else ("late", "stay")[index + 1 - len(policy.tiers)]
            )
            raise _invalid(place, "not_monotone", _("Who cancels later may not get more back."))
    return policy


def _require_bounds(policy: Policy) -> None:
    days = [tier.days_before for tier in policy.tiers]
    if len(days) > MAX_TIERS or days != sorted(set(days), reverse=True):
        raise _invalid("tiers", "not_in_order", _("The cut-offs must go from the earliest to the latest."))
    if any(not 1 <= day <= MAX_DAYS for day in days):
        raise _invalid("tiers", "out_of_range", _("A cut-off lies between 1 and 365 days before check-in."))
    for keep in policy.keeps():
        if keep is not None and not (
            0 <= keep.nights <= MAX_NIGHTS and keep.percent.is_finite() and 0 <= keep.percent <= 100
        ):
            raise _invalid(
                "keep", "out_of_range", _("Nights from 0 to 365 and a share from 0 to 100 % are kept.")
            )
    grace = policy.grace
    if grace is not None and not (0 < grace.hours <= MAX_HOURS and 0 < grace.days_before <= MAX_DAYS):
        raise _invalid("grace", "out_of_range", _("The grace is too long or too short."))
    if grace is not None and grace.hours > grace.days_before * 24:
        raise _invalid("grace", "out_of_range", _("The grace must end before check-in."))


def _rises(earlier: Keep | None, later: Keep | None) -> bool:
    """Whether of no night less is kept later than earlier, whatever the nights cost."""
    if earlier is None or later is None:
        return earlier is None
    return earlier.percent <= later.percent and (earlier.nights <= later.nights or later.percent == 100)


def _invalid(field: str, code: str, message: Any) -> Invalid:
    return InvalidPolicy.field(f"rules.{field}" if field != "rules" else field, code, message)
