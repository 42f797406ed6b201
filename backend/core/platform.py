"""The platform's settings: what an operator may change without a deploy, with values by time.

What there is to set is declared in ``core.declared``; a version (``setting_versions``) puts a value in force from an
instant on. Read with ``platform.get("hold_minutes")``, or ``platform.at("hold_minutes", now)`` where an operation has
its own clock. Each process knows what holds and what is planned, at most ``FRESH_FOR_S`` seconds old: a planned value
comes into force at its second without being read again.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from datetime import UTC, datetime
from typing import Any

import structlog
from django.db import connection, transaction
from django.utils.translation import gettext_lazy as _

from backend.core import db
from backend.core.declared import DECLARED, GROUPS
from backend.core.errors import Conflict, Invalid, Unavailable
from backend.core.models import PlatformSetting, SettingVersion, SettingWithdrawal
from backend.core.setting import Group, Setting

__all__ = ["DECLARED", "GROUPS", "Group", "Setting"]

_FURTHER: dict[str, Setting] = {}
"""Settings that packages above declare and show on pages of their own, such as the texts of notices."""

FRESH_FOR_S = 1.0

ALWAYS = datetime(2000, 1, 1, tzinfo=UTC)
"""From when on a value counts that was there before anybody looked."""

_EVER = datetime.min.replace(tzinfo=UTC)

ASK_AGAIN_S = 600

log = structlog.get_logger(__name__)


class FeatureOff(Unavailable):
    """The operator has switched this off, for a while or for good."""

    code = "feature_off"
    title = _("This is switched off at the moment.")


class ChangedMeanwhile(Conflict):
    """Somebody else has changed the setting since it was looked at."""

    code = "changed_meanwhile"
    title = _("Somebody else has changed this setting meanwhile. Look at it again first.")


class InForce(Conflict):
    """The version has begun, or was withdrawn before."""

    code = "not_planned"
    title = _("This change is in force or withdrawn already.")


_lock = threading.Lock()
_values: dict[str, tuple[tuple[datetime, Any], ...]] = {}
_read_at = float("-inf")

_IN_FORCE_AND_PLANNED = """
    WITH standing AS (
        SELECT v.setting_id, v.number, v.effective_from, v.value::text AS value FROM setting_versions v
        WHERE NOT EXISTS (SELECT FROM setting_withdrawals w WHERE w.version_id = v.id)
    ),
    begun AS (
        SELECT DISTINCT ON (setting_id) setting_id, effective_from, number FROM standing
        WHERE effective_from <= %s ORDER BY setting_id, effective_from DESC, number DESC
    )
    SELECT s.setting_id, s.effective_from, s.value FROM standing s LEFT JOIN begun b USING (setting_id)
    WHERE b.setting_id IS NULL OR (s.effective_from, s.number) >= (b.effective_from, b.number)
    ORDER BY s.setting_id, s.effective_from, s.number
"""


def declare(setting: Setting) -> None:
    """Let a package above have a setting that is shown elsewhere than with the others."""
    _FURTHER[setting.key] = setting


def find(key: str) -> Setting | None:
    """The setting of a key, wherever it is declared; None where there is none."""
    return DECLARED.get(key) or _FURTHER.get(key)


def _setting(key: str) -> Setting:
    found = find(key)
    if found is None:
        raise KeyError(key)
    return found


def get(key: str) -> Any:
    """The value in force of a declared setting. Raises: KeyError for one that is not declared."""
    return at(key, datetime.now(UTC))


def at(key: str, moment: datetime) -> Any:
    """The value that was, is or is planned to be in force at ``moment``. Raises: KeyError for one that is not declared.

    No query but the one a second that all settings share, unless the value in force at ``moment`` has been followed by
    another one since. An event loop may not ask: there it is what the process knew last (``keep_fresh``).
    """
    setting = _setting(key)
    if time.monotonic() - _read_at > FRESH_FOR_S and not _in_event_loop():
        _read()
    known = _values.get(key)
    if known is None:
        return setting.default
    for effective_from, value in reversed(known):
        if effective_from <= moment:
            return value
    return _long_ago(setting, moment)


def keep_fresh() -> None:
    """Know what holds now: called every now and then for those that may not ask themselves, in an event loop."""
    if time.monotonic() - _read_at > FRESH_FOR_S:
        _read()


def is_on(feature: str) -> bool:
    """Whether a feature (``feature_…`` without its beginning) is switched on."""
    return bool(get(f"feature_{feature}"))


def require(feature: str) -> None:
    """Nothing where a feature is switched on. Raises: FeatureOff."""
    if not is_on(feature):
        raise FeatureOff(retry_after=ASK_AGAIN_S, extra={"feature": feature})


def put(key: str, raw: Any) -> Any:
    """Set what is in force from when that began, and return the typed value: for scripts and tests.

    Nobody is asked, and no log is written; staff change settings by ``administration.services``.
    Raises: Invalid, KeyError for one that is not declared.
    """
    setting = _setting(key)
    value = setting.parse(raw)
    with transaction.atomic():
        row = held(key)
        begun = standing(key).filter(effective_from__lte=datetime.now(UTC)).order_by("-effective_from")
        since = begun.values_list("effective_from", flat=True).first() or ALWAYS
        write(row, value, effective_from=since, now=datetime.now(UTC), by_id=None, reason="")
    forget()
    return value


def standing(key: str) -> Any:
    """The versions of a setting that were not withdrawn."""
    return SettingVersion.objects.filter(setting_id=key, withdrawal=None)


def held(key: str, *, seen: int | None = None) -> PlatformSetting:
    """The locked row of a setting, made where nobody has changed it yet. ``seen`` is the number of its last known change.

    Raises: KeyError for one that is not declared; ChangedMeanwhile; Unavailable.
    """
    _setting(key)
    PlatformSetting.objects.bulk_create([PlatformSetting(key=key)], ignore_conflicts=True)
    row = db.lock(PlatformSetting.objects.all(), key=key)
    if seen is not None and row.number != seen:
        raise ChangedMeanwhile(extra={"number": row.number})
    return row


def write(
    row: PlatformSetting,
    value: Any,
    *,
    effective_from: datetime,
    now: datetime,
    by_id: int | None,
    reason: str,
) -> SettingVersion:
    """Write the next version of a held setting; a ``value`` of None is the default. Everybody knows after the commit."""
    version = SettingVersion.objects.create(
        setting=row,
        number=_count(row),
        value=None if value is None else _setting(row.key).stored(value),
        effective_from=effective_from,
        created_at=now,
        created_by_id=by_id,
        reason=reason,
    )
    transaction.on_commit(forget)
    return version


def withdraw(
    row: PlatformSetting, version: SettingVersion, *, now: datetime, by_id: int | None, reason: str
) -> None:
    """Let a planned version of a held setting not come into force. Raises: InForce."""
    with db.constraint_errors({"setting_withdrawals_in_time": InForce, "setting_withdrawals_pkey": InForce}):
        SettingWithdrawal.objects.create(version=version, created_at=now, created_by_id=by_id, reason=reason)
    _count(row)
    transaction.on_commit(forget)


def forget() -> None:
    """Read again at the next ``get``."""
    global _read_at
    _read_at = float("-inf")


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _count(row: PlatformSetting) -> int:
    row.number += 1
    row.save(update_fields=["number", "changed_at"])
    return row.number


def _read() -> None:
    global _values, _read_at
    began = time.monotonic()
    with connection.cursor() as cursor:
        now = datetime.now(UTC)
        cursor.execute(_IN_FORCE_AND_PLANNED, [now])
        rows = cursor.fetchall()
    found: dict[str, list[tuple[datetime, Any]]] = {}
    for key, effective_from, text in rows:
        setting = find(key)
        if setting is not None:
            found.setdefault(key, []).append((effective_from, _typed(setting, text)))
    for key, versions in found.items():
        if versions[0][0] > now:
            # Nothing has begun yet: until the first plan the default holds, and always has.
            versions.insert(0, (_EVER, _setting(key).default))
    with _lock:
        _values, _read_at = {key: tuple(versions) for key, versions in found.items()}, began


def _typed(setting: Setting, text: str | None) -> Any:
    """What is stored, as a value. One that fits no longer since its bounds are others now counts as not set."""
    stored = None if text is None else json.loads(text)
    if stored is None:
        return setting.default
    try:
        return setting.parse(stored)
    except Invalid:
        log.warning("setting_does_not_fit", key=setting.key)
        return setting.default


def _long_ago(setting: Setting, moment: datetime) -> Any:
    """The value at a moment before everything that is remembered here."""
    begun = standing(setting.key).filter(effective_from__lte=moment).order_by("-effective_from", "-number")
    version = begun.first()
    return setting.default if version is None else _typed(setting, json.dumps(version.value))
