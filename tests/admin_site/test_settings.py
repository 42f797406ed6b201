"""The pages of settings: found, changed in a dialog that tells the effect, with plans and history."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from backend.administration import services as administration
from backend.core import platform
from backend.core.models import SettingVersion, SettingWithdrawal
from backend.rates import services as rates
from tests.admin_site.world import HTMX, audited, signed_in, staff

pytestmark = pytest.mark.usefixtures("db")

LIST = "admin:core_platformsetting_changelist"


def url(key: str, action: str = "change") -> str:
    return reverse(f"admin:core_platformsetting_{action}", args=(key,))


def act(client: Client, key: str, action: str = "set-value", **given: Any) -> HttpResponse:
    address = url(key, action.replace("-", "_"))
    return client.post(address, {"_form_submitted": "on", "reason": "So", **given}, **HTMX)  # type: ignore[return-value]


def test_setting_is_changed_with_a_reason_and_within_its_bounds() -> None:
    boss = staff("admin")
    client = signed_in(boss)
    assert client.get(url("hold_minutes", "set_value")).status_code == 200

    refused = act(client, "hold_minutes", value="0", reason="Shorter")
    assert "This value does not fit the setting." in refused.content.decode()
    assert not SettingVersion.objects.exists()
    answer = act(client, "hold_minutes", value="20", reason="Longer")

    assert answer["HX-Redirect"] == url("hold_minutes")
    assert platform.get("hold_minutes") == 20
    entry = audited("setting.changed")
    assert (entry.object_id, entry.before, entry.after) == ("hold_minutes", {"value": 15}, {"value": 20})
    assert (entry.actor, entry.reason) == (boss, "Longer")


@pytest.mark.parametrize(
    ("key", "value", "kept"),
    [
        ("listing_approval", "on", True),
        ("feature_wishlists", None, False),
        ("currency", "KES", "KES"),
        ("host_fee_percent", "12.5", "12.5"),
        ("currencies_offered", "kes, EUR", ["EUR", "KES"]),
        ("issuer_name", "true", "true"),
        ("law_language", "ar", "ar"),
        ("issuer_address", "Rue Haute 12\r\n1000 Bruxelles", "Rue Haute 12\n1000 Bruxelles"),
    ],
)
def test_setting_takes_every_kind(key: str, value: str | None, kept: Any) -> None:
    act(signed_in(staff("admin")), key, **({} if value is None else {"value": value}))

    assert SettingVersion.objects.get(setting_id=key).value == kept


@pytest.mark.parametrize("value", ["", "x" * 13])
def test_a_text_keeps_its_bounds(value: str) -> None:
    answer = act(signed_in(staff("admin")), "issuer_code", value=value)

    assert answer.status_code == 200
    assert not SettingVersion.objects.exists()


def test_an_empty_choice_and_an_empty_text_are_values() -> None:
    client = signed_in(staff("admin"))
    platform.put("law_language", "fr")
    platform.put("issuer_tax_id", "BE 1")

    for key in ("law_language", "issuer_tax_id"):
        act(client, key, value="")

    assert (platform.get("law_language"), platform.get("issuer_tax_id")) == ("", "")


def test_setting_that_does_not_exist_is_not_found() -> None:
    client = signed_in(staff("admin"))

    assert client.get(url("nonsense", "set_value")).status_code == 404
    assert client.get(url("nonsense", "effect")).status_code == 404
    assert client.get(url("nonsense")).status_code == 302


def test_settings_are_for_administrators() -> None:
    for role in ("support", "moderator", "finance"):
        client = signed_in(staff(role))
        assert act(client, "hold_minutes", value="20").status_code == 403
        assert client.get(reverse(LIST)).status_code == 403
        assert client.get(url("hold_minutes")).status_code == 403
        assert client.get(url("hold_minutes", "effect")).status_code == 403
    assert not SettingVersion.objects.exists()


def test_who_changed_it_meanwhile_is_not_overwritten() -> None:
    client = signed_in(staff("admin"))
    dialog = client.get(url("hold_minutes", "set_value")).content.decode()
    assert '<input type="hidden" name="seen" value="0"' in dialog
    act(client, "hold_minutes", value="20", seen="0")

    refused = act(client, "hold_minutes", value="30", seen="0")

    assert "Somebody else has changed this setting meanwhile." in refused.content.decode()
    assert platform.get("hold_minutes") == 20


def test_planned_change_is_shown_and_withdrawn() -> None:
    client = signed_in(staff("admin", first_name="Wanjiku", last_name="Mwangi"))
    tomorrow = (timezone.now() + timedelta(days=1)).replace(second=0, microsecond=0)

    act(
        client,
        "hold_minutes",
        value="40",
        effective_from=f"{tomorrow:%Y-%m-%dT%H:%M}",
        reason="For the season",
    )

    version = SettingVersion.objects.get()
    assert version.effective_from == tomorrow
    assert platform.get("hold_minutes") == 15
    shown = client.get(url("hold_minutes")).content.decode()
    assert "For the season" in shown
    assert "Wanjiku Mwangi" in shown
    assert 'data-testid="plans"' in shown
    assert "40 minutes from" in client.get(reverse(LIST)).content.decode()

    answer = act(client, "hold_minutes", "withdraw", version=str(version.pk), reason="Too long")
    assert answer["HX-Redirect"] == url("hold_minutes")
    assert SettingWithdrawal.objects.get().reason == "Too long"
    shown = client.get(url("hold_minutes")).content.decode()
    assert 'data-testid="plans"' not in shown
    assert "Too long" in shown


def test_a_plan_of_another_setting_is_not_withdrawn_here() -> None:
    boss = staff("admin")
    version = administration.change(
        actor=boss,
        key="quote_minutes",
        value=40,
        reason="So",
        now=timezone.now(),
        effective_from=timezone.now() + timedelta(days=1),
    )

    answer = act(signed_in(boss), "hold_minutes", "withdraw", version=str(version.pk))

    assert answer.status_code == 200
    assert not SettingWithdrawal.objects.exists()


def test_the_default_holds_again() -> None:
    client = signed_in(staff("admin"))
    assert "Back to the default" not in client.get(url("hold_minutes")).content.decode()
    act(client, "hold_minutes", value="20")
    assert "Back to the default" in client.get(url("hold_minutes")).content.decode()

    act(client, "hold_minutes", "set-default", reason="Enough")

    assert platform.get("hold_minutes") == 15
    assert SettingVersion.objects.get(number=2).value is None


def test_history_says_what_changed_and_never_runs_what_is_in_it() -> None:
    client = signed_in(staff("admin"))
    act(client, "issuer_address", value="Rue Haute 12\n1000 <script>alert(1)</script>", reason="<b>Moved</b>")
    act(client, "issuer_address", value="Rue Haute 14\n1000 <script>alert(1)</script>", reason="Next door")

    shown = client.get(url("issuer_address")).content.decode()

    assert "<del class='ko-line'>Rue Haute 12</del>" in shown
    assert "<ins class='ko-line'>Rue Haute 14</ins>" in shown
    assert "<script>alert(1)" not in shown
    assert "&lt;b&gt;Moved&lt;/b&gt;" in shown


def test_effect_tells_what_the_value_would_change_and_writes_nothing() -> None:
    client = signed_in(staff("admin"))

    answer = client.get(url("host_fee_percent", "effect"), {"value": "12"}).content.decode()
    refused = client.get(url("host_fee_percent", "effect"), {"value": "99"}).content.decode()

    assert "EUR 253.50" in answer
    assert "EUR 264.00" in answer
    assert "This value does not fit the setting." in refused
    assert not SettingVersion.objects.exists()


def test_settings_are_found_by_words_and_by_group() -> None:
    client = signed_in(staff("admin"))

    def keys(**query: str) -> list[str]:
        context = client.get(reverse(LIST), query).context
        return [row["key"] for group in context["groups"] for row in (*group["rows"], *group["others"])]

    assert sorted(keys()) == sorted(platform.DECLARED)
    assert keys(q="HOLD unpaid") == ["hold_minutes", "limit_holds_user"]
    assert keys(group="payouts") == [each.key for each in _group("payouts").settings]
    assert keys(q="nothing of the kind") == []
    assert "There is no such setting." in client.get(reverse(LIST), {"q": "<b>"}).content.decode()


def _group(key: str) -> platform.Group:
    return next(group for group in platform.GROUPS if group.key == key)


def test_what_means_nothing_at_present_is_put_aside() -> None:
    client = signed_in(staff("admin"))

    def shown() -> tuple[list[str], list[str]]:
        (group,) = client.get(reverse(LIST), {"group": "fees"}).context["groups"]
        return [row["key"] for row in group["rows"]], [row["key"] for row in group["others"]]

    alone = ["service_fee_model", "host_fee_percent", "non_refundable_percent"]
    split = ["split_host_fee_percent", "split_guest_fee_percent"]
    assert shown() == (alone, split)
    platform.put("service_fee_model", "split")
    assert shown() == (["service_fee_model", *split, "non_refundable_percent"], ["host_fee_percent"])


def test_written_terms_are_told_where_the_fee_is_set() -> None:
    boss = staff("admin")
    client = signed_in(boss)
    assert 'data-testid="terms-hold"' not in client.get(reverse(LIST)).content.decode()
    rates.set_service_fee_terms(
        actor=boss,
        model="host_only",
        host_percent=Decimal(9),
        guest_percent=Decimal(0),
        effective_from=timezone.now(),
        reason="Fixed",
        now=timezone.now() - timedelta(seconds=1),
    )

    assert 'data-testid="terms-hold"' in client.get(reverse(LIST)).content.decode()
    refused = act(client, "host_fee_percent", value="12").content.decode()
    assert "Set new terms instead." in refused


def test_lists_cost_the_same_however_much_was_changed() -> None:
    boss = staff("admin")
    client = signed_in(boss)

    def cost(address: str) -> int:
        client.get(address)
        with CaptureQueriesContext(connection) as queries:
            assert client.get(address).status_code == 200
        return len(queries)

    def changed(times: int) -> None:
        for number in range(times):
            moment = datetime(2026, 1, 1 + number, tzinfo=timezone.get_current_timezone())
            for key in ("hold_minutes", "quote_minutes", "request_hours")[: times or 1]:
                administration.change(
                    actor=staff("admin"), key=key, value=50 + 10 * times + number, reason="So", now=moment
                )

    changed(1)
    first = cost(reverse(LIST)), cost(url("hold_minutes"))
    changed(3)
    assert (cost(reverse(LIST)), cost(url("hold_minutes"))) == first
