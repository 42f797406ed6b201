"""Which addresses the firewall's rules let in, and how soon a change counts."""

from __future__ import annotations

import time
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from django.db import IntegrityError, connection, connections

from backend.core import firewall
from backend.core.addresses import UNKNOWN
from backend.core.firewall import ADMIN, API, Rules, Verdict
from backend.core.models import FirewallRule
from backend.core.networks import network
from tests.factories import NOW


def rule(effect: str, text: str, door: str = "both", pk: int = 1, **fields: Any) -> FirewallRule:
    values = {"effect": effect, "network": network(text), "door": door, "created_at": NOW, **fields}
    return FirewallRule(pk=pk, **values)


def let_in(rules: Rules, door: str, *addresses: str) -> list[bool]:
    return [rules.judge(address, door).is_admitted for address in addresses]


def test_without_a_rule_everybody_comes_in() -> None:
    rules = Rules([], NOW)

    assert let_in(rules, API, "203.0.113.7", "2001:db8::1", UNKNOWN, "nonsense") == [True] * 4


def test_a_blocked_network_stays_out_with_every_address_of_it() -> None:
    rules = Rules(
        [
            rule("block", "203.0.113.128/25", pk=3),
            rule("block", "2001:db8:7::/48", pk=4),
            rule("block", "198.51.100.9"),
        ],
        NOW,
    )

    inside = (
        "203.0.113.128",
        "203.0.113.255",
        "2001:db8:7::",
        "2001:db8:7:ffff:ffff:ffff:ffff:ffff",
        "198.51.100.9",
    )
    outside = (
        "203.0.113.127",
        "203.0.114.0",
        "2001:db8:6:ffff::1",
        "2001:db8:8::",
        "198.51.100.8",
        UNKNOWN,
    )
    assert let_in(rules, API, *inside) == [False] * 5
    assert let_in(rules, ADMIN, *inside) == [False] * 5
    assert let_in(rules, API, *outside) == [True] * 6
    assert rules.judge("203.0.113.200", API) == Verdict(False, 3)


def test_a_door_that_somebody_is_allowed_in_at_is_closed_to_all_others() -> None:
    rules = Rules([rule("allow", "203.0.113.0/24", "admin", pk=5)], NOW)

    assert rules.judge("203.0.113.7", ADMIN) == Verdict(True, 5)
    assert rules.judge("198.51.100.1", ADMIN) == Verdict(False, None)
    assert let_in(rules, ADMIN, "2001:db8::1", UNKNOWN, "nonsense") == [False] * 3
    assert let_in(rules, API, "198.51.100.1", "2001:db8::1") == [True] * 2


def test_blocking_wins_over_allowing() -> None:
    rules = Rules([rule("allow", "203.0.113.7", pk=1), rule("block", "203.0.113.0/24", pk=2)], NOW)

    assert rules.judge("203.0.113.7", ADMIN) == Verdict(False, 2)


def test_rules_that_are_off_or_over_count_for_nothing() -> None:
    over = rule("allow", "203.0.113.7", expires_at=NOW)
    off = rule("block", "203.0.113.8", is_active=False)
    coming = rule("block", "203.0.113.9", expires_at=NOW + timedelta(seconds=1))

    rules = Rules([over, off, coming], NOW)

    assert let_in(rules, API, "203.0.113.7", "203.0.113.8", "203.0.113.9", "198.51.100.1") == [
        *(True, True, False, True)
    ]
    assert rules.ends_at == NOW + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("203.0.113.7", "203.0.113.7/32"),
        (" 203.0.113.77/24 ", "203.0.113.0/24"),
        ("::ffff:203.0.113.0/120", "203.0.113.0/24"),
        ("2001:DB8::1/64", "2001:db8::/64"),
        ("0.0.0.0/0", "0.0.0.0/0"),
    ],
)
def test_networks_are_read_as_people_write_them(text: str, named: str) -> None:
    assert network(text) == ip_network(named)


@pytest.mark.parametrize(
    "text", ["", "203.0.113", "203.0.113.7/33", "example.org", "1.2.3.4/255.0.255.0", "010.1.1.1"]
)
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        network(text)


@pytest.mark.usefixtures("db")
def test_a_row_comes_back_as_it_was() -> None:
    for pk, text in enumerate(("203.0.113.0/24", "2001:db8::/32"), start=1):
        rule("block", text, pk=pk).save()

    assert [each.network for each in FirewallRule.objects.order_by("id")] == [
        ip_network("203.0.113.0/24"),
        ip_network("2001:db8::/32"),
    ]


@pytest.mark.usefixtures("db")
def test_the_database_refuses_the_same_rule_twice_and_unknown_words() -> None:
    rule("block", "203.0.113.0/24", pk=1).save(force_insert=True)

    with pytest.raises(IntegrityError, match="firewall_rules_once"):
        rule("block", "203.0.113.0/24", pk=2).save(force_insert=True)
    with pytest.raises(IntegrityError, match="firewall_rules_known"):
        rule("maybe", "203.0.113.0/24", pk=3).save(force_insert=True)


@pytest.mark.usefixtures("db")
def test_a_change_that_nobody_told_of_is_met_at_the_next_look() -> None:
    firewall.forget()
    assert firewall.admits("203.0.113.7", API)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO firewall_rules (network, door, effect, note, is_active, created_at)"
            " VALUES ('203.0.113.0/24', 'api', 'block', '', true, now())"
        )

    assert firewall.refresh().judge("203.0.113.7", API).is_admitted is False
    assert not firewall.admits("203.0.113.7", API)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE firewall_rules SET is_active = false")
    assert firewall.refresh().judge("203.0.113.7", API).is_admitted is True


@pytest.mark.usefixtures("db")
def test_a_rule_that_runs_out_lets_in_again_without_a_change() -> None:
    now = firewall.datetime.now(firewall.UTC)
    rule("block", "203.0.113.7", expires_at=now + timedelta(seconds=0.4)).save()
    assert firewall.refresh().judge("203.0.113.7", API).is_admitted is False
    version = firewall._known.version  # type: ignore[union-attr]

    time.sleep(0.5)

    assert firewall.refresh().judge("203.0.113.7", API).is_admitted is True
    assert firewall._known.version == version  # type: ignore[union-attr]


@pytest.mark.usefixtures("db")
def test_what_was_known_last_counts_while_the_database_is_away(settings: Any) -> None:
    rule("block", "203.0.113.7").save()
    firewall.refresh()
    at = connections["default"].settings_dict
    connections["default"].close()
    connections["default"].close_pool()
    right = at["PORT"]
    at["PORT"] = "1"
    try:
        firewall.forget()
        assert not firewall.admits("203.0.113.7", API)
        assert firewall.admits("203.0.113.8", API)
    finally:
        at["PORT"] = right
        connections["default"].close()
        connections["default"].close_pool()
        firewall.forget()
