"""The firewall's rules as staff change them. What they mean is judged in ``core.firewall``.

Administrators may do everything; moderators may stop networks of a modest size at the API, which is where abuse comes
in. Whoever would shut their own address out is asked first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext_lazy as _

from backend.accounts.models import ADMIN, MODERATOR
from backend.audit import services as audit
from backend.core import access, db, firewall
from backend.core.addresses import Network
from backend.core.errors import Conflict, FieldError, Invalid, WrongState
from backend.core.models import FirewallRule
from backend.core.networks import network as read_network

Door, Effect = FirewallRule.Door, FirewallRule.Effect

MODEST = {4: 16, 6: 32}
"""The shortest prefix of a network that a moderator may name, by IP version: one provider's customers in one place."""

LOCK_SPACE = 0xF12E
"""Advisory lock of this module: who looks whether a change locks them out must see all changes before it."""


class RuleExists(Conflict):
    """The same network has such a rule at this door already."""

    code = "rule_exists"
    title = _("There is such a rule already.")


class WouldLockOut(Conflict):
    """The change would shut out whoever makes it."""

    code = "would_lock_out"
    title = _("This would shut your own address out. Confirm it if that is what you want.")


@dataclass(frozen=True, slots=True)
class Draft:
    """A rule that does not exist yet, for the question whether somebody may make it."""

    network: Network
    door: str
    effect: str


@access.rule("firewall.see")
def _may_see(actor: Any, subject: Any) -> bool:
    return bool(actor.has_role(ADMIN, MODERATOR))


@access.rule("firewall.change")
def _may_change(actor: Any, rule: FirewallRule | Draft) -> bool:
    if actor.has_role(ADMIN):
        return True
    modest = rule.network.prefixlen >= MODEST[rule.network.version]
    return bool(
        actor.has_role(MODERATOR) and rule.door == Door.API and rule.effect == Effect.BLOCK and modest
    )


def add(
    *,
    actor: Any,
    network: str,
    door: str,
    effect: str,
    own_address: str | None,
    now: datetime,
    reason: str,
    note: str = "",
    expires_at: datetime | None = None,
    confirmed: bool = False,
    is_active: bool = True,
) -> FirewallRule:
    """Block or allow a network (an address, or one with its prefix) at a door, at once and on every process.

    One that is not ``is_active`` is kept for later and counts for nothing until it is switched on. ``own_address`` is where the actor acts from: a rule that would shut it out needs ``confirmed``.
    Raises: Invalid (``network``, ``door``, ``effect``, ``expires_at``), NotAllowed, RuleExists, WouldLockOut.
    """
    draft = _draft(network, door, effect)
    access.require(actor, "firewall.change", draft)
    if expires_at is not None and expires_at <= now:
        raise Invalid.field("expires_at", "in_the_past", _("This moment is over."))
    with transaction.atomic():
        _lock()
        rule = FirewallRule(
            network=draft.network,
            door=draft.door,
            effect=draft.effect,
            note=note,
            is_active=is_active,
            expires_at=expires_at,
            created_at=now,
            created_by_id=actor.pk,
        )
        _require_way_in(own_address, now, confirmed, lambda rules: [*rules, rule])
        with db.constraint_errors({"firewall_rules_once": RuleExists}):
            rule.save()
        _note(actor, "firewall.added", rule, now, reason, after=_said(rule))
    return rule


def switch(
    *,
    actor: Any,
    rule: FirewallRule,
    is_active: bool,
    own_address: str | None,
    now: datetime,
    reason: str,
    confirmed: bool = False,
) -> FirewallRule:
    """Let a rule count, or not for a while.

    Raises: NotAllowed, NotFound, WrongState (it is so already), WouldLockOut.
    """
    access.require(actor, "firewall.change", rule)
    with transaction.atomic():
        _lock()
        current = db.lock(FirewallRule.objects.all(), pk=rule.pk)
        if current.is_active == is_active:
            raise WrongState(extra={"state": "on" if is_active else "off"})
        current.is_active = is_active
        _require_way_in(own_address, now, confirmed, lambda rules: [*_others(rules, current), current])
        current.save(update_fields=["is_active"])
        action = "firewall.switched_on" if is_active else "firewall.switched_off"
        _note(actor, action, current, now, reason, before={"is_active": not is_active}, after=_said(current))
    return current


def remove(
    *,
    actor: Any,
    rule: FirewallRule,
    own_address: str | None,
    now: datetime,
    reason: str,
    confirmed: bool = False,
) -> None:
    """Take a rule away for good. Raises: NotAllowed, NotFound, WouldLockOut."""
    access.require(actor, "firewall.change", rule)
    with transaction.atomic():
        _lock()
        current = db.lock(FirewallRule.objects.all(), pk=rule.pk)
        _require_way_in(own_address, now, confirmed, lambda rules: _others(rules, current))
        _note(actor, "firewall.removed", current, now, reason, before=_said(current))
        current.delete()


def clear_admin(*, actor: Any, now: datetime, reason: str) -> list[FirewallRule]:
    """Switch off every rule that has a say at the back office's door: the way out of a lock-out. Raises: NotAllowed."""
    with transaction.atomic():
        _lock()
        rules = list(
            FirewallRule.objects.filter(is_active=True, door__in=[Door.ADMIN, Door.BOTH]).order_by("id")
        )
        for rule in rules:
            access.require(actor, "firewall.change", rule)
            rule.is_active = False
            rule.save(update_fields=["is_active"])
            _note(actor, "firewall.switched_off", rule, now, reason, {"is_active": True}, _said(rule))
    return rules


def _draft(network: str, door: str, effect: str) -> Draft:
    try:
        named = read_network(network)
    except ValueError:
        message = _("An address or a network is needed, such as 203.0.113.7 or 203.0.113.0/24.")
        raise Invalid.field("network", "invalid_network", message) from None
    if door not in Door.values:
        raise Invalid.field("door", "invalid_door", _("There is no such door."))
    if effect not in Effect.values:
        raise Invalid.field("effect", "invalid_effect", _("A rule blocks or allows."))
    return Draft(named, door, effect)


def _lock() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, 0)", [LOCK_SPACE])


def _require_way_in(
    own_address: str | None,
    now: datetime,
    confirmed: bool,
    change: Callable[[Sequence[FirewallRule]], Sequence[FirewallRule]],
) -> None:
    """Raises: WouldLockOut where ``own_address`` comes in at a door now, and would not after ``change``."""
    if own_address is None or confirmed:
        return
    present = list(FirewallRule.objects.filter(is_active=True))
    before, after = firewall.Rules(present, now), firewall.Rules(change(present), now)
    for door in firewall.DOORS:
        let_in = before.judge(own_address, door).is_admitted
        if let_in and not after.judge(own_address, door).is_admitted:
            raise WouldLockOut(errors=[FieldError("confirmed", WouldLockOut.code, WouldLockOut.title)])


def _others(rules: Sequence[FirewallRule], rule: FirewallRule) -> list[FirewallRule]:
    return [other for other in rules if other.pk != rule.pk]


def _said(rule: FirewallRule) -> dict[str, Any]:
    """The rule as the audit log keeps it."""
    return {
        "network": str(rule.network),
        "door": rule.door,
        "effect": rule.effect,
        "is_active": rule.is_active,
        "expires_at": rule.expires_at.isoformat() if rule.expires_at else None,
    }


def _note(
    actor: Any,
    action: str,
    rule: FirewallRule,
    now: datetime,
    reason: str,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    audit.record(actor=actor, action=action, subject=rule, now=now, before=before, after=after, reason=reason)
    transaction.on_commit(firewall.forget)
