"""Which networks come in at which door: judged before anything else is done for a request.

Rules are rows; each process holds them compiled and asks once a second whether their version is still the same, so
that a change counts everywhere within that time and a judgement costs microseconds. A trigger renews the version.
Blocking wins over allowing; a door that somebody is allowed in at is closed to all others. Rules that are switched
off or have run out count for nothing: a door whose last allowing rule has gone is open again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

import structlog
from django.db import Error as DatabaseError
from django.db import connection
from django.utils.translation import gettext_lazy as _

from backend.core.errors import NotAllowed
from backend.core.models import FirewallRule

log = structlog.get_logger(__name__)

FRESH_FOR_S = 1.0
BREAK_S = 5.0
"""How long a database that does not answer is left alone; what was known last counts meanwhile."""

API, ADMIN = FirewallRule.Door.API.value, FirewallRule.Door.ADMIN.value
DOORS = (API, ADMIN)

Networks = dict[int, list[tuple[int, dict[int, int]]]]
"""IP version → (bits behind the prefix, prefix → rule) for each length of prefix that occurs."""


class AddressBlocked(NotAllowed):
    """403: nothing is done for this address."""

    code = "address_blocked"
    title = _("Requests from your network are not accepted.")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an address comes in. ``rule_id`` is the rule that decided; None where it is that no rule names it."""

    is_admitted: bool
    rule_id: int | None = None


OPEN, NOT_LISTED = Verdict(True), Verdict(False)


class _Door:
    """The rules of one door."""

    def __init__(self, rules: Iterable[FirewallRule]) -> None:
        self.blocked: Networks = {}
        self.allowed: Networks = {}
        for rule in rules:
            networks = self.allowed if rule.effect == FirewallRule.Effect.ALLOW else self.blocked
            _put(networks, rule)

    def judge(self, address: str) -> Verdict:
        if not self.blocked and not self.allowed:
            return OPEN
        try:
            parsed = ip_address(address)
        except ValueError:
            return NOT_LISTED if self.allowed else OPEN
        value, version = int(parsed), parsed.version
        rule_id = _find(self.blocked, value, version)
        if rule_id is not None:
            return Verdict(False, rule_id)
        if not self.allowed:
            return OPEN
        rule_id = _find(self.allowed, value, version)
        return NOT_LISTED if rule_id is None else Verdict(True, rule_id)


class Rules:
    """All rules as they are in force at ``now`` (UTC). ``ends_at``: when the first of them runs out."""

    def __init__(self, rules: Iterable[FirewallRule], now: datetime) -> None:
        counting = [rule for rule in rules if counts(rule, now)]
        self.doors = {
            door: _Door(rule for rule in counting if rule.door in (door, FirewallRule.Door.BOTH))
            for door in DOORS
        }
        ends = [rule.expires_at for rule in counting if rule.expires_at is not None]
        self.ends_at = min(ends, default=None)

    def judge(self, address: str, door: str) -> Verdict:
        """Whether ``address`` comes in at ``door`` (``API`` or ``ADMIN``), and by which rule."""
        return self.doors[door].judge(address)


def counts(rule: FirewallRule, now: datetime) -> bool:
    """Whether the rule is in force at ``now``."""
    return rule.is_active and (rule.expires_at is None or rule.expires_at > now)


def _put(networks: Networks, rule: FirewallRule) -> None:
    bits = rule.network.max_prefixlen - rule.network.prefixlen
    by_length = networks.setdefault(rule.network.version, [])
    prefixes = next((known for length, known in by_length if length == bits), None)
    if prefixes is None:
        prefixes = {}
        by_length.append((bits, prefixes))
    # 0 stands for a rule that is only being thought of.
    prefixes[int(rule.network.network_address) >> bits] = rule.pk or 0


def _find(networks: Networks, value: int, version: int) -> int | None:
    for bits, prefixes in networks.get(version, ()):
        rule_id = prefixes.get(value >> bits)
        if rule_id is not None:
            return rule_id
    return None


@dataclass(frozen=True, slots=True)
class _Known:
    rules: Rules
    version: Any


_lock = threading.Lock()
_known: _Known | None = None
_ask_after = float("-inf")


def admits(address: str, door: str) -> bool:
    """Whether ``address`` comes in at ``door`` now, by rules that are at most ``FRESH_FOR_S`` old."""
    return rules().judge(address, door).is_admitted


def rules() -> Rules:
    """The rules in force. One thread asks whether they changed; the others go on with those that it had."""
    known = _known
    if known is not None and time.monotonic() < _ask_after:
        return known.rules
    if _lock.acquire(blocking=known is None):
        try:
            return _ask()
        finally:
            _lock.release()
    assert known is not None  # noqa: S101 - waiting for the lock was the other way
    return known.rules


def refresh() -> Rules:
    """The rules as they are at this moment: asks at once."""
    with _lock:
        return _ask(at_once=True)


def forget() -> None:
    """Ask again at the next judgement, as after a change that this process has made."""
    global _ask_after
    _ask_after = float("-inf")


def _ask(*, at_once: bool = False) -> Rules:
    """Under the lock: compile the rules anew where their version is another one, or where one has run out."""
    global _known, _ask_after
    if _known is not None and not at_once and time.monotonic() < _ask_after:
        return _known.rules
    now = datetime.now(UTC)
    try:
        version = _version()
        ended = _known is not None and _known.rules.ends_at is not None and _known.rules.ends_at <= now
        if _known is None or _known.version != version or ended:
            # Read after the version: what changes in between is met at the next look.
            _known = _Known(Rules(FirewallRule.objects.filter(is_active=True), now), version)
        _ask_after = time.monotonic() + FRESH_FOR_S
    except DatabaseError as error:
        log.warning("firewall.not_read", error=type(error).__name__, pause_s=BREAK_S)
        _known = _known or _Known(Rules([], now), None)
        _ask_after = time.monotonic() + BREAK_S
    return _known.rules


def _version() -> Any:
    """The rules' version; None before the first rule. Not among the statements that Django counts for a request."""
    connection.ensure_connection()
    with connection.wrap_database_errors, connection.connection.cursor() as cursor:
        cursor.execute("SELECT version FROM firewall_version")
        row = cursor.fetchone()
    return row[0] if row else None
