"""What administrators change of the platform while it runs: its settings, now or from an instant on.

Each change is a version that is never changed afterwards; who changed what, and why, stands in the audit log.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import ADMIN, User
from backend.audit import services as audit
from backend.core import access, platform
from backend.core.db import retrying
from backend.core.errors import Conflict, Invalid, NotFound
from backend.core.models import PlatformSetting, SettingVersion
from backend.rates import reading

REASON_LONGEST = 500

FARTHEST = timedelta(days=730)
"""How far ahead a change may be planned."""

FEE_SETTINGS = frozenset(
    {"service_fee_model", "host_fee_percent", "split_host_fee_percent", "split_guest_fee_percent"}
)
"""What holds only where the platform has no written terms of its service fee."""


class TermsHold(Conflict):
    """The platform's written terms stand before these settings."""

    code = "terms_hold"
    title = _("The platform's terms of the service fee stand before this setting. Set new terms instead.")


@access.rule("platform.settings")
def may_change(actor: Any, subject: object) -> bool:
    """The platform's settings are for administrators."""
    return bool(actor.has_role(ADMIN))


@retrying
def change(
    *,
    actor: Any,
    key: str,
    value: Any,
    reason: str,
    now: datetime,
    effective_from: datetime | None = None,
    seen: int | None = None,
) -> SettingVersion:
    """Put a value of a setting in force, at once or from ``effective_from`` (UTC) on; a ``value`` of None is its default.

    ``seen`` is the number of the last change that the actor knew of. A planned change that was made before stays
    planned. Raises: NotAllowed, NotFound, ChangedMeanwhile, TermsHold, Invalid (``value``: ``invalid_setting``,
    ``unchanged``, or what the setting names itself; ``effective_from``: ``in_the_past``, ``too_far``; ``reason``: ``reason_required``).
    """
    access.require(actor, "platform.settings")
    setting = _declared(key)
    starts = effective_from or now
    if starts < now:
        raise Invalid.field("effective_from", "in_the_past", _("This moment is over."))
    if starts > now + FARTHEST:
        raise Invalid.field(
            "effective_from", "too_far", _("A change may be planned two years ahead at most.")
        )
    reason = _reason(reason)
    try:
        after = setting.default if value is None else setting.parse(value)
    except Invalid as refused:
        if key not in platform.DECLARED:
            raise
        raise Invalid.field("value", refused.errors[0].code, refused.detail) from None
    with transaction.atomic():
        row = platform.held(key, seen=seen)
        if key in FEE_SETTINGS and reading.platform_terms(at=starts) is not None:
            raise TermsHold
        platform.forget()
        before = platform.at(key, starts)
        if before == after:
            raise Invalid.field("value", "unchanged", _("It has this value already."))
        version = platform.write(
            row,
            None if value is None else after,
            effective_from=starts,
            now=now,
            by_id=actor.pk,
            reason=reason,
        )
        audit.record(
            actor=actor,
            action="setting.planned" if starts > now else "setting.changed",
            subject=row,
            now=now,
            before={"value": setting.stored(before)},
            after={"value": setting.stored(after), **_since(starts, now)},
            reason=reason,
        )
    return version


@retrying
def withdraw(*, actor: Any, version_id: int, reason: str, now: datetime) -> None:
    """Let a planned change not come into force. Raises: NotAllowed, NotFound, InForce, Invalid (``reason``)."""
    access.require(actor, "platform.settings")
    reason = _reason(reason)
    with transaction.atomic():
        version = SettingVersion.objects.filter(pk=version_id).first()
        if version is None:
            raise NotFound
        row = platform.held(version.setting_id)
        platform.withdraw(row, version, now=now, by_id=actor.pk, reason=reason)
        audit.record(
            actor=actor,
            action="setting.plan_withdrawn",
            subject=row,
            now=now,
            before={"value": version.value, "effective_from": version.effective_from.isoformat()},
            reason=reason,
        )


def number_of(key: str) -> int:
    """The number of the last change of a setting, 0 where nobody has changed it: what ``change`` is told as ``seen``."""
    found = PlatformSetting.objects.filter(key=key).values_list("number", flat=True).first()
    return found or 0


def names(versions: Any) -> dict[int, User]:
    """Who made the versions and withdrawals, by their id."""
    ids = {each.created_by_id for each in versions if each.created_by_id}
    return User.objects.in_bulk(ids)


def _declared(key: str) -> platform.Setting:
    found = platform.find(key)
    if found is None:
        raise NotFound
    return found


def _reason(reason: str) -> str:
    if not reason.strip():
        raise Invalid.field("reason", "reason_required", _("Say why."))
    return reason.strip()[:REASON_LONGEST]


def _since(starts: datetime, now: datetime) -> dict[str, str]:
    return {"effective_from": starts.isoformat()} if starts > now else {}
