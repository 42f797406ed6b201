"""The words that should not stand in listings: what staff add, switch off and on, and try before."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import ADMIN, MODERATOR
from backend.audit import services as audit
from backend.core import access
from backend.core.db import constraint_errors, lock, retrying
from backend.core.errors import Conflict, Invalid, WrongState
from backend.identity import suspension
from backend.moderation import wording
from backend.moderation.flag_models import PATTERN_LONGEST
from backend.moderation.models import TextRule

TRIED_LONGEST = 10_000


class RuleExists(Conflict):
    """There is a rule for these words."""

    code = "rule_exists"
    title = _("There is a rule for these words already.")


@access.rule("text_rule.edit")
def may_edit(actor: Any, subject: Any) -> bool:
    """Moderators and administrators."""
    return bool(actor.has_role(MODERATOR, ADMIN))


@retrying
def add(*, actor: Any, pattern: str, language: str, severity: str, reason: str, now: datetime) -> TextRule:
    """Look for ``pattern`` (see ``wording``) in listings from now on: in those of ``language``, or in all ("").

    Listings that are there already are looked at when they change.
    Raises: NotAllowed, Invalid (``pattern``, ``language``, ``severity``, no reason), RuleExists.
    """
    access.require(actor, "text_rule.edit")
    words = " ".join(pattern.split())
    if len(words) > PATTERN_LONGEST or wording.parse(words) is None:
        message = _("At least two letters, at most 8 words and 120 characters; * for any letters of a word.")
        raise Invalid.field("pattern", "invalid_pattern", message)
    if language not in dict(TextRule._meta.get_field("language").flatchoices):
        raise Invalid.field("language", "unknown_language", _("There is no such language."))
    if severity not in TextRule.Severity.values:
        raise Invalid.field("severity", "unknown_severity", _("There is no such severity."))
    why = suspension.required_reason(reason)
    with transaction.atomic():
        with constraint_errors({"moderation_text_rules_once": RuleExists}):
            rule = TextRule.objects.create(
                pattern=words.casefold(),
                language=language,
                severity=severity,
                note=why[:200],
                created_by_id=actor.pk,
                created_at=now,
            )
        audit.record(
            actor=actor,
            action="text_rule.added",
            subject=rule,
            now=now,
            after={"pattern": rule.pattern, "language": language, "severity": severity},
            reason=why,
        )
    return rule


@retrying
def switch(*, actor: Any, rule_id: int, on: bool, reason: str, now: datetime) -> TextRule:
    """Switch a rule on or off; what it has found stays as it is until the listing changes.

    Raises: NotAllowed, NotFound, Invalid (no reason), WrongState (it is so already).
    """
    access.require(actor, "text_rule.edit")
    why = suspension.required_reason(reason)
    with transaction.atomic():
        rule = lock(TextRule.objects.all(), pk=rule_id)
        if rule.is_active == on:
            raise WrongState(extra={"state": "on" if on else "off"})
        rule.is_active = on
        rule.save(update_fields=["is_active"])
        action = "text_rule.switched_on" if on else "text_rule.switched_off"
        audit.record(actor=actor, action=action, subject=rule, now=now, reason=why)
    return rule


def matches(*, actor: Any, pattern: str, text: str) -> list[tuple[str, bool]]:
    """``text`` in pieces, each with whether ``pattern`` finds it: for trying a rule. Raises: NotAllowed, Invalid."""
    access.require(actor, "text_rule.edit")
    parsed = wording.parse(pattern)
    if parsed is None:
        raise Invalid.field("pattern", "invalid_pattern", _("This would find everything, or nothing."))
    shown = text[:TRIED_LONGEST]
    return wording.marked(shown, wording.find(parsed, wording.tokens(shown)))
