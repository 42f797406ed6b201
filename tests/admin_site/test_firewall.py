"""The firewall and the limits in the back office."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page

from admin_site.frame.sidebar import GROUPS, address_of
from backend.core import firewall as judging
from backend.core import limits
from backend.core.errors import Throttled
from backend.core.models import FirewallRule, ThrottledSubject
from tests.admin_site.conftest import Browse
from tests.admin_site.test_actions import act, shown_actions
from tests.admin_site.world import HTMX, audited, signed_in, staff
from tests.conftest import Server
from tests.factories import make_user

pytestmark = pytest.mark.usefixtures("db")

LIST = "admin:core_firewallrule_changelist"
ADD = "admin:core_firewallrule_add_rule"
TRY = "admin:core_firewallrule_try_address"


def add(client: Client, network: str, **given: str) -> Any:
    values = {"effect": "block", "door": "api", "reason": "Scraping", "network": network, **given}
    return client.post(reverse(ADD), {**values, "_form_submitted": "on"}, **HTMX)


def test_a_rule_is_added_switched_off_and_on_and_removed() -> None:
    boss = staff("admin")
    client = signed_in(boss)

    answer = add(client, "203.0.113.9/24", note="A scraper", expires_at="2099-01-01T10:00")

    assert answer["HX-Redirect"] == reverse(LIST)
    rule = FirewallRule.objects.get()
    assert (str(rule.network), rule.door, rule.effect, rule.note) == (
        "203.0.113.0/24",
        "api",
        "block",
        "A scraper",
    )
    assert rule.expires_at is not None
    assert (audited("firewall.added").actor, audited("firewall.added").reason) == (boss, "Scraping")
    page = client.get(reverse(LIST)).content.decode()
    for shown in ("203.0.113.0/24", "in force", "A scraper", boss.username):
        assert shown in page
    assert shown_actions(client, rule) == {"Switch off", "Remove"}

    act(client, rule, "switch_off", reason="Sorry")
    assert judging.admits("203.0.113.7", "api")
    assert shown_actions(client, rule) == {"Switch on", "Remove"}
    act(client, rule, "switch_on", reason="Again")
    assert not judging.admits("203.0.113.7", "api")
    assert act(client, rule, "remove", reason="Gone")["HX-Redirect"] == reverse(LIST)
    assert not FirewallRule.objects.exists()


def test_what_would_shut_oneself_out_is_asked_for_again() -> None:
    client = signed_in(staff("admin"))

    answer = add(client, "127.0.0.0/8", door="admin")

    assert "shut your own address out" in answer.content.decode()
    assert not FirewallRule.objects.exists()
    add(client, "127.0.0.0/8", door="admin", confirmed="on")
    assert FirewallRule.objects.count() == 1
    assert client.get(reverse(LIST)).status_code == 403


def test_what_makes_no_sense_is_said_beside_its_field() -> None:
    client = signed_in(staff("admin"))

    said = [
        add(client, "everybody").content.decode(),
        add(client, "203.0.113.0/24", expires_at="2001-01-01T10:00").content.decode(),
        add(client, "203.0.113.0/24", door="window").content.decode(),
    ]

    assert "An address or a network is needed" in said[0]
    assert "This moment is over." in said[1]
    assert "Select a valid choice." in said[2]
    assert not FirewallRule.objects.exists()


def test_moderators_block_at_the_api_and_nothing_else() -> None:
    client = signed_in(staff("moderator"))

    add(client, "203.0.113.0/24")
    refused = add(client, "198.51.100.0/24", door="admin")

    assert "You may not do this." in refused.content.decode()
    assert [str(rule.network) for rule in FirewallRule.objects.all()] == ["203.0.113.0/24"]


@pytest.mark.parametrize("role", ["support", "finance"])
def test_others_neither_see_nor_change_rules(role: str) -> None:
    rule = FirewallRule.objects.create(
        network="203.0.113.0/24", door="api", effect="block", created_at=timezone.now()
    )
    client = signed_in(staff(role))

    assert client.get(reverse(LIST)).status_code == 403
    assert client.get(reverse(TRY)).status_code == 403
    assert add(client, "192.0.2.1").status_code == 403
    assert act(client, rule, "remove", reason="x").status_code == 403
    assert list(FirewallRule.objects.all()) == [rule]
    assert "core/firewallrule" not in client.get("/admin/").content.decode()


def test_an_address_is_tried_at_both_doors() -> None:
    client = signed_in(staff("admin"))
    add(client, "203.0.113.0/24")
    add(client, "127.0.0.1", door="admin", effect="allow")

    def verdicts(address: str) -> str:
        page = client.get(reverse(TRY), {"address": address})
        return " ".join(str(cell) for row in page.context["rows"] or [] for cell in row)

    assert "block 203.0.113.0/24" in verdicts("203.0.113.7")
    assert "others are allowed, it is not" in verdicts("203.0.113.7")
    assert "no rule names it" in verdicts("127.0.0.1")
    assert "allow 127.0.0.1/32" in verdicts("127.0.0.1")
    assert client.get(reverse(TRY), {"address": "nobody"}).context["rows"] is None
    assert FirewallRule.objects.count() == 2


def test_whom_a_limit_stopped_is_shown_and_blocked_for_a_while() -> None:
    user = make_user(username="anna")
    for key in ("anonymous:203.0.113.7", f"sign_in_account:account:{user.pk}"):
        for _ in range(4):
            try:
                limits.hit(key, limit=1, window_s=60)
            except Throttled:
                continue
    client = signed_in(staff("moderator"))

    page = client.get(reverse("admin:core_throttledsubject_changelist")).content.decode()

    assert list(ThrottledSubject.objects.order_by("id").values_list("policy", "subject", "windows")) == [
        ("anonymous", "203.0.113.7", 1),
        ("sign_in_account", f"account:{user.pk}", 1),
    ]
    assert "203.0.113.7" in page
    address, account = ThrottledSubject.objects.order_by("id")
    assert shown_actions(client, address) == {"Block"}
    assert shown_actions(client, account) == set()
    shown = client.get(reverse("admin:core_throttledsubject_change", args=(account.pk,))).content.decode()
    assert "anna" in shown

    act(client, address, "block", hours="3", reason="Scraping")

    rule = FirewallRule.objects.get()
    assert (str(rule.network), rule.door, rule.effect, rule.note) == (
        "203.0.113.7/32",
        "api",
        "block",
        "anonymous",
    )
    assert rule.expires_at is not None
    assert timedelta(hours=2.9) < rule.expires_at - timezone.now() <= timedelta(hours=3)
    assert not judging.admits("203.0.113.7", "api")


def test_a_session_ends_after_twelve_hours_however_busy_and_after_one_without_a_page() -> None:
    busy, idle = signed_in(staff("admin")), signed_in(staff("admin"))
    start = timezone.now()
    assert (busy.get("/admin/").status_code, idle.get("/admin/").status_code) == (200, 200)

    for half_hour in range(1, 24):
        with time_machine.travel(start + timedelta(minutes=30 * half_hour), tick=False):
            assert busy.get("/admin/").status_code == 200
    with time_machine.travel(start + timedelta(minutes=61), tick=False):
        assert idle.get("/admin/").status_code == 302
    with time_machine.travel(start + timedelta(hours=12, seconds=5), tick=False):
        answer = busy.get("/admin/")

    assert (answer.status_code, answer["Location"]) == (302, "/admin/login/?next=/admin/")
    assert "_auth_user_id" not in busy.session


def test_signing_in_gives_the_session_another_name() -> None:
    boss = staff("admin")
    client = Client()
    client.get("/admin/login/?next=/admin/")
    client.session.save()
    client.cookies["sessionid"] = before = str(
        client.session.session_key or "planted-by-somebody-else-00000000"
    )

    client.post("/admin/login/?next=/admin/", {"username": boss.username, "password": "correct-horse-9"})

    assert client.cookies["sessionid"].value not in ("", before)
    assert client.get("/admin/").status_code == 200
    cookie = client.cookies["sessionid"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"], cookie["domain"]) == (
        True,
        "Lax",
        "/",
        "",
    )


WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
    window.violations.push(`${event.violatedDirective} ${event.blockedURI}`);
});
"""


def test_no_page_breaks_the_content_security_policy(server: Server, browse: Browse[Any]) -> None:
    boss = staff("admin")
    FirewallRule.objects.create(
        network="203.0.113.0/24", door="api", effect="block", created_at=timezone.now()
    )
    paths = ["/admin/", "/admin/password_change/", f"{reverse(TRY)}?address=203.0.113.7", "/api/docs"]
    for _title, _collapsible, pages in GROUPS:
        paths += [address_of(label) for _title, _icon, label, _badges in pages]

    def steps(page: Page) -> dict[str, list[str]]:
        page.add_init_script(WATCH)
        found = {}
        for path in paths:
            page.goto(server.url + path)
            page.wait_for_load_state("networkidle")
            if violations := page.evaluate("window.violations"):
                found[path] = violations
        page.goto(server.url + reverse(LIST))
        page.click("text=Add a rule")
        page.wait_for_selector("#modal-content textarea[name=reason]")
        page.fill("input[name=network]", "198.51.100.0/24")
        page.fill("textarea[name=reason]", "Scraping")
        with page.expect_navigation():
            page.click("#modal-content >> button:has-text('Add a rule')")
        found["added"] = page.evaluate("window.violations")
        return found

    assert browse(server.url, boss.username, steps) == {"added": []}
    assert FirewallRule.objects.count() == 2
