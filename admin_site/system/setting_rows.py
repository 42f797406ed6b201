"""Settings as their pages show them: what holds, who changed it last, what is planned, what was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from difflib import ndiff
from typing import Any

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from admin_site.frame.display import instant, number
from admin_site.frame.masking import full_name
from backend.administration import effects
from backend.administration import services as administration
from backend.core import platform
from backend.core.declared import GROUP_OF, effect_of
from backend.core.models import PlatformSetting, SettingVersion, SettingWithdrawal
from backend.core.setting import Setting
from backend.rates import reading

HISTORY = 100
"""How many changes of one setting its page shows; the audit log has all."""


def said(setting: Setting, value: Any) -> str:
    """A value in words, with its unit."""
    if setting.kind in ("int", "decimal"):
        return f"{number(Decimal(str(value)))} {setting.unit}".strip()
    return str(setting.said(value))


def unit(setting: Setting) -> str:
    """The unit as a help beside a field, "" where there is none."""
    return _("In %(unit)s.") % {"unit": setting.unit} if setting.unit not in ("", "%") else ""


def told(setting: Setting) -> dict[str, Any]:
    """What is always the same of a setting."""
    only_if = None
    if setting.only_if:
        other = platform.DECLARED[setting.only_if[0]]
        only_if = _("Counts only while “%(setting)s” is: %(value)s.") % {
            "setting": other.title,
            "value": other.said(setting.only_if[1]),
        }
    return {
        "key": setting.key,
        "title": setting.title,
        "description": setting.description,
        "effect": effect_of(setting) if setting.key in GROUP_OF else "",
        "only_if": only_if,
        "kind": setting.kind,
        "default": said(setting, setting.default),
        "url": reverse("admin:core_platformsetting_change", args=(setting.key,)),
        "dialog": reverse("admin:core_platformsetting_set_value", args=(setting.key,)),
    }


def groups(*, words: str, only: str, now: datetime) -> list[dict[str, Any]]:
    """The groups with the settings that hold all of ``words``, each with what holds, who changed it last, what is planned.

    Three queries, however much was ever changed.
    """
    last = {
        version.setting_id: version
        for version in SettingVersion.objects.filter(withdrawal=None)
        .order_by("setting_id", "-number")
        .distinct("setting_id")
    }
    planned: dict[str, list[SettingVersion]] = {}
    for version in SettingVersion.objects.filter(withdrawal=None, effective_from__gt=now).order_by(
        "effective_from", "number"
    ):
        planned.setdefault(version.setting_id, []).append(version)
    people = administration.names(last.values())
    terms = reading.platform_terms(at=now)
    found = []
    for group in platform.GROUPS:
        rows = [
            _row(setting, last.get(setting.key), planned.get(setting.key, []), people)
            for setting in group.settings
            if _matches(setting, words)
        ]
        if rows and only in ("", group.key):
            found.append(
                {
                    "key": group.key,
                    "title": group.title,
                    "icon": group.icon,
                    "description": group.description,
                    "rows": [row for row in rows if words or row["counts"] or row["plans"]],
                    "others": [row for row in rows if not (words or row["counts"] or row["plans"])],
                    "terms_since": instant(terms[0]) if terms and group.key == "fees" else None,
                }
            )
    return found


def one(setting: Setting, *, now: datetime) -> dict[str, Any]:
    """One setting with its plans and its history, the latest change first."""
    versions = list(
        SettingVersion.objects.filter(setting_id=setting.key).select_related("withdrawal")[:HISTORY]
    )
    withdrawals = [version.withdrawal for version in versions if hasattr(version, "withdrawal")]
    people = administration.names([*versions, *withdrawals])
    changes = PlatformSetting.objects.filter(key=setting.key).values_list("number", flat=True).first()
    terms = reading.platform_terms(at=now) if setting.key in administration.FEE_SETTINGS else None
    return {
        **told(setting),
        "group": GROUP_OF.get(setting.key),
        "value": said(setting, platform.get(setting.key)),
        "is_changed": platform.get(setting.key) != setting.default,
        "counts": _counts(setting),
        "bounds": _bounds(setting),
        "plans": plans(setting, now=now),
        "history": [_told_version(setting, version, versions, people, now) for version in versions],
        "changes": changes or 0,
        "stopped": effects.stopped_lately(setting.key, now=now),
        "terms_since": instant(terms[0]) if terms else None,
        "back": _back(setting),
    }


def _back(setting: Setting) -> str:
    group = GROUP_OF.get(setting.key)
    return reverse("admin:core_platformsetting_changelist") + (f"#group-{group.key}" if group else "")


def plans(setting: Setting, *, now: datetime) -> list[dict[str, Any]]:
    """The planned changes of a setting, the next one first."""
    planned = (
        platform.standing(setting.key).filter(effective_from__gt=now).order_by("effective_from", "number")
    )
    people = administration.names(planned)
    return [
        {
            "id": version.pk,
            "value": _said_of(setting, version.value),
            "from": instant(version.effective_from),
            "by": _name(version, people),
            "reason": version.reason,
            "withdraw": reverse("admin:core_platformsetting_withdraw", args=(setting.key,))
            + f"?version={version.pk}",
        }
        for version in planned
    ]


def diff(before: str, after: str) -> SafeString:
    """What changed of a text, line by line; of a single line, from what to what."""
    if "\n" not in before + after:
        return format_html("<del>{}</del> → <ins>{}</ins>", before, after)
    lines = [
        (line[0], line[2:]) for line in ndiff(before.splitlines(), after.splitlines()) if line[0] in " +-"
    ]
    tags = {" ": "span", "+": "ins", "-": "del"}
    return format_html_join(
        "", "<{0} class='ko-line'>{1}</{0}>", ((tags[sign], line) for sign, line in lines)
    )


def _row(
    setting: Setting,
    last: SettingVersion | None,
    planned: Iterable[SettingVersion],
    people: Mapping[int, Any],
) -> dict[str, Any]:
    value = platform.get(setting.key)
    return {
        **told(setting),
        "value": said(setting, value),
        "is_on": value if setting.kind == "bool" else None,
        "is_changed": value != setting.default,
        "counts": _counts(setting),
        "by": _name(last, people) if last else None,
        "changed_at": instant(last.created_at) if last else None,
        "plans": [
            {"value": _said_of(setting, version.value), "from": instant(version.effective_from)}
            for version in planned
        ],
    }


def _told_version(
    setting: Setting,
    version: SettingVersion,
    versions: list[SettingVersion],
    people: Mapping[int, Any],
    now: datetime,
) -> dict[str, Any]:
    withdrawal: SettingWithdrawal | None = getattr(version, "withdrawal", None)
    earlier = [
        each
        for each in versions
        if each.number < version.number
        and getattr(each, "withdrawal", None) is None
        and each.effective_from <= version.effective_from
    ]
    before = max(earlier, key=lambda each: (each.effective_from, each.number), default=None)
    return {
        "at": instant(version.created_at),
        "by": _name(version, people),
        "from": instant(version.effective_from) if version.effective_from > version.created_at else None,
        "change": diff(_said_of(setting, before.value if before else None), _said_of(setting, version.value)),
        "reason": version.reason,
        "is_planned": withdrawal is None and version.effective_from > now,
        "withdrawn": withdrawal
        and {
            "at": instant(withdrawal.created_at),
            "by": _name(withdrawal, people),
            "reason": withdrawal.reason,
        },
    }


def _said_of(setting: Setting, stored: Any) -> str:
    """A stored value in words; one that would no longer fit as it stands there."""
    if stored is None:
        return f"{said(setting, setting.default)} ({_('default')})"
    try:
        return said(setting, setting.parse(stored))
    except platform.Invalid:
        return str(stored)


def _name(version: SettingVersion | SettingWithdrawal, people: Mapping[int, Any]) -> str:
    if version.created_by_id is None:
        return _("command line")
    person = people.get(version.created_by_id)
    return str(full_name(person)) if person else f"#{version.created_by_id}"


def _counts(setting: Setting) -> bool:
    """Whether the setting means anything with what holds now."""
    return setting.only_if is None or platform.get(setting.only_if[0]) == setting.only_if[1]


def _bounds(setting: Setting) -> str:
    if setting.kind in ("int", "decimal"):
        return _("From %(low)s to %(high)s.") % {
            "low": number(setting.low or 0),
            "high": number(setting.high or 0),
        }
    if setting.kind == "text":
        return _("At most %(high)s characters.") % {"high": setting.high}
    return ""


def _matches(setting: Setting, words: str) -> bool:
    text = f"{setting.key} {setting.title} {setting.description} {GROUP_OF[setting.key].title}".lower()
    return all(word in text for word in words.lower().split())
