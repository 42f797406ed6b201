"""Changing the firewall: who may, what it leaves behind, and that nobody shuts themselves out by accident."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from backend.accounts.models import User
from backend.audit.models import AuditEntry
from backend.core import firewall as judging
from backend.core.access import SYSTEM
from backend.core.errors import Invalid, NotAllowed, NotFound, WrongState
from backend.core.models import FirewallRule
from backend.identity import firewall
from tests.factories import NOW, make_user

pytestmark = pytest.mark.usefixtures("db")

HOME = "198.51.100.7"


def add(actor: Any, network: str, *, door: str = "api", effect: str = "block", **given: Any) -> FirewallRule:
    values = {"own_address": HOME, "now": NOW, "reason": "Scraping", **given}
    return firewall.add(actor=actor, network=network, door=door, effect=effect, **values)


def boss() -> User:
    return make_user("admin")


def test_add_counts_at_once_and_is_in_the_log() -> None:
    actor = boss()
    assert judging.admits("203.0.113.7", "api")

    rule = add(actor, "203.0.113.9/24", note="A scraper", expires_at=NOW + timedelta(days=9999))

    assert not judging.admits("203.0.113.7", "api")
    assert judging.admits("203.0.113.7", "admin")
    assert (str(rule.network), rule.note, rule.created_by_id) == ("203.0.113.0/24", "A scraper", actor.pk)
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor, entry.reason) == ("firewall.added", actor, "Scraping")
    assert (entry.object_type, entry.object_id) == ("firewallrule", str(rule.pk))
    assert (entry.after["network"], entry.after["door"], entry.after["effect"]) == (
        "203.0.113.0/24",
        "api",
        "block",
    )


def test_switch_and_remove_count_at_once_and_are_in_the_log() -> None:
    actor = boss()
    rule = add(actor, "203.0.113.0/24")
    given: dict[str, Any] = {"actor": actor, "rule": rule, "own_address": HOME, "now": NOW, "reason": "Sorry"}

    firewall.switch(**given, is_active=False)
    assert judging.admits("203.0.113.7", "api")
    with pytest.raises(WrongState):
        firewall.switch(**given, is_active=False)
    firewall.switch(**given, is_active=True)
    assert not judging.admits("203.0.113.7", "api")
    firewall.remove(**given)
    assert judging.admits("203.0.113.7", "api")

    with pytest.raises(NotFound):
        firewall.remove(**given)
    assert list(AuditEntry.objects.order_by("id").values_list("action", flat=True)) == [
        *("firewall.added", "firewall.switched_off", "firewall.switched_on", "firewall.removed")
    ]


@pytest.mark.parametrize("role", ["guest", "host", "support", "finance"])
def test_others_may_change_nothing(role: str) -> None:
    rule = add(SYSTEM, "203.0.113.0/24", own_address=None)
    actor = make_user(role)
    given: dict[str, Any] = {
        "actor": actor,
        "rule": rule,
        "own_address": HOME,
        "now": NOW,
        "reason": "Why not",
    }

    with pytest.raises(NotAllowed):
        add(actor, "192.0.2.0/24")
    with pytest.raises(NotAllowed):
        firewall.switch(**given, is_active=False)
    with pytest.raises(NotAllowed):
        firewall.remove(**given)
    assert list(FirewallRule.objects.values_list("pk", "is_active")) == [(rule.pk, True)]


def test_a_moderator_may_not_clear_the_back_offices_door() -> None:
    add(SYSTEM, "192.0.2.0/24", door="admin", own_address=None)

    with pytest.raises(NotAllowed):
        firewall.clear_admin(actor=make_user("moderator"), now=NOW, reason="x")

    assert FirewallRule.objects.get().is_active is True


@pytest.mark.parametrize(
    ("network", "door", "effect", "may"),
    [
        ("203.0.113.0/24", "api", "block", True),
        ("10.9.0.0/16", "api", "block", True),
        ("10.8.0.0/15", "api", "block", False),
        ("2001:db8::/32", "api", "block", True),
        ("2001:d00::/24", "api", "block", False),
        ("203.0.113.0/24", "admin", "block", False),
        ("203.0.113.0/24", "both", "block", False),
        ("203.0.113.0/24", "api", "allow", False),
    ],
)
def test_a_moderator_stops_modest_networks_at_the_api(
    network: str, door: str, effect: str, may: bool
) -> None:
    actor = make_user("moderator")

    if may:
        add(actor, network, door=door, effect=effect)
    else:
        with pytest.raises(NotAllowed):
            add(actor, network, door=door, effect=effect)

    assert FirewallRule.objects.count() == int(may)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"network": "203.0.113.0/40"}, "network"),
        ({"network": "everybody"}, "network"),
        ({"network": ""}, "network"),
        ({"network": "192.0.2.1", "door": "window"}, "door"),
        ({"network": "192.0.2.1", "effect": "maybe"}, "effect"),
        ({"network": "192.0.2.1", "expires_at": NOW}, "expires_at"),
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        add(boss(), **given)

    assert [error.field for error in refused.value.errors] == [field]
    assert not FirewallRule.objects.exists()


def test_the_same_rule_again_is_a_conflict_however_it_is_written() -> None:
    add(boss(), "203.0.113.0/24")

    with pytest.raises(firewall.RuleExists):
        add(boss(), "::ffff:203.0.113.7/120")

    assert FirewallRule.objects.count() == 1
    assert AuditEntry.objects.count() == 1


def shut_out_by_a_block(actor: User, **given: Any) -> None:
    add(actor, "198.51.100.0/24", door="admin", **given)


def shut_out_at_the_api(actor: User, **given: Any) -> None:
    add(actor, HOME, door="api", **given)


def shut_out_by_the_first_allowed(actor: User, **given: Any) -> None:
    add(actor, "203.0.113.0/24", door="both", effect="allow", **given)


@pytest.mark.parametrize("act", [shut_out_by_a_block, shut_out_at_the_api, shut_out_by_the_first_allowed])
def test_shutting_oneself_out_takes_a_confirmation(act: Callable[..., None]) -> None:
    actor = boss()

    with pytest.raises(firewall.WouldLockOut) as refused:
        act(actor)

    assert [error.field for error in refused.value.errors] == ["confirmed"]
    assert not FirewallRule.objects.exists()
    assert not AuditEntry.objects.exists()
    act(actor, confirmed=True)
    assert FirewallRule.objects.count() == 1


def test_taking_ones_own_permission_away_takes_a_confirmation() -> None:
    actor = boss()
    own = add(actor, HOME, door="admin", effect="allow")
    add(actor, "203.0.113.0/24", door="admin", effect="allow")
    given: dict[str, Any] = {"actor": actor, "rule": own, "own_address": HOME, "now": NOW, "reason": "Moving"}

    with pytest.raises(firewall.WouldLockOut):
        firewall.switch(**given, is_active=False)
    with pytest.raises(firewall.WouldLockOut):
        firewall.remove(**given)
    assert FirewallRule.objects.filter(is_active=True).count() == 2

    firewall.remove(**given, confirmed=True)
    assert not judging.admits(HOME, "admin")


def test_switching_a_block_of_oneself_on_again_takes_a_confirmation() -> None:
    actor = boss()
    rule = add(actor, HOME, door="admin", confirmed=True)
    given: dict[str, Any] = {"actor": actor, "rule": rule, "own_address": HOME, "now": NOW, "reason": "Test"}
    firewall.switch(**given, is_active=False)

    with pytest.raises(firewall.WouldLockOut):
        firewall.switch(**given, is_active=True)

    rule.refresh_from_db()
    assert rule.is_active is False


def test_whoever_is_out_already_may_tidy_up() -> None:
    actor = boss()
    add(actor, HOME, door="admin", confirmed=True)

    add(actor, "198.51.100.0/24", door="admin")

    assert FirewallRule.objects.count() == 2


def test_the_command_line_is_the_way_out() -> None:
    actor = boss()
    add(actor, HOME, door="admin", confirmed=True)
    add(actor, "203.0.113.0/24", door="both", effect="allow", confirmed=True)
    kept = add(actor, "192.0.2.0/24", door="api", note="Scraper")
    assert not judging.admits(HOME, "admin")

    with pytest.raises(CommandError):
        call_command("firewall", "--clear-admin")
    assert not judging.admits(HOME, "admin")
    said = StringIO()
    call_command("firewall", "--clear-admin", "--reason", "Locked out", stdout=said)

    assert said.getvalue().splitlines() == [
        "1: block 198.51.100.7/32 at admin (off)",
        "2: allow 203.0.113.0/24 at both (off)",
        "2 rules are switched off.",
    ]
    assert judging.admits(HOME, "admin")
    assert list(FirewallRule.objects.filter(is_active=True)) == [kept]
    entry = AuditEntry.objects.order_by("-id")[0]
    assert (entry.action, entry.actor, entry.reason) == ("firewall.switched_off", None, "Locked out")
    shown = StringIO()
    call_command("firewall", stdout=shown)
    assert shown.getvalue().splitlines()[2] == "3: block 192.0.2.0/24 at api Scraper"
