"""Cancellation policies in the back office: versions in words, publishing, the simulator."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.urls import reverse
from django.utils.html import strip_tags

from backend.audit.models import AuditEntry
from backend.bookings import policy_versions
from backend.bookings.models import CancellationPolicy
from tests.admin_site.test_actions import act, shown_actions, url
from tests.admin_site.world import audited, signed_in, staff
from tests.factories import NOW

pytestmark = pytest.mark.usefixtures("db")

SIMULATOR = "admin:bookings_cancellationpolicy_simulate"


def version(code: str) -> CancellationPolicy:
    return CancellationPolicy.objects.get(code=code, version=1)


def asked(code: str, **changes: Any) -> dict[str, Any]:
    """Four nights at 100.00 EUR from 1 June 2027 in Lisbon, confirmed a month before."""
    values = {
        "version": version(code).pk,
        "zone": "Europe/Lisbon",
        "currency": "EUR",
        "check_in": "2027-06-01",
        "check_in_time": "15:00",
        "nights": "100 x 4",
        "confirmed_at": "2027-05-01T12:00",
    }
    return {**values, **changes}


def test_policy_is_read_in_words() -> None:
    page = signed_in(staff("support")).get(
        reverse("admin:bookings_cancellationpolicy_change", args=(version("moderate").pk,))
    )

    text = page.content.decode()
    assert "until 5 days before check-in, at its hour" in text
    assert "1 night + 50 % of the rest" in text
    assert "the nights stayed + 1 night + 50 % of the rest" in text


def test_simulate_shows_the_timeline_on_both_clocks() -> None:
    answer = signed_in(staff("support")).get(reverse(SIMULATOR), asked("firm"))

    outcome = answer.context["outcome"]
    assert [[strip_tags(str(cell)) for cell in row] for row in outcome["rows"]] == [
        ["Sun 02 May 2027, 15:00:002027-05-02 14:00:00 UTC", "EUR 400.00", "EUR 0.00"],
        ["Tue 25 May 2027, 15:00:002027-05-25 14:00:00 UTC", "EUR 200.00", "EUR 200.00"],
        ["from then on", "EUR 0.00", "EUR 400.00"],
    ]
    assert (outcome["total"], outcome["nights"]) == ("EUR 400.00", 4)


@pytest.mark.parametrize(
    ("at", "back", "kept"),
    [
        ("2027-05-25T15:00", "EUR 200.00", "EUR 200.00"),
        ("2027-05-25T15:01", "EUR 0.00", "EUR 400.00"),
        ("2027-05-01T13:00", "EUR 400.00", "EUR 0.00"),
    ],
)
def test_simulate_says_what_an_instant_gives(at: str, back: str, kept: str) -> None:
    answer = signed_in(staff("admin")).get(reverse(SIMULATOR), asked("firm", canceled_at=at))

    assert answer.context["outcome"]["at_row"] == [[back, kept]]


def test_simulate_takes_prices_fees_taxes_and_currencies() -> None:
    values = asked(
        "strict",
        currency="jpy",
        nights="10000, 12000 x 2",
        cleaning="5000",
        tax_percent="10",
        service_fee="3000",
        canceled_at="2027-05-31T12:00",
    )

    outcome = signed_in(staff("admin")).get(reverse(SIMULATOR), values).context["outcome"]

    assert outcome["total"] == "JPY 45,400"
    assert [str(header) for header in outcome["at_headers"]] == [
        *("guest gets back", "host keeps", "service fee in it", "taxes kept"),
    ]
    assert outcome["at_row"] == [["JPY 5,000", "JPY 37,000", "JPY 3,000", "JPY 3,400"]]


def test_simulate_tries_rules_that_are_not_published() -> None:
    rules = {
        "tiers": [{"days_before": 3, "keep": None}],
        "late": {"nights": 0, "percent": 25},
        "stay": {"nights": 0, "percent": 100},
        "grace": None,
    }

    answer = signed_in(staff("admin")).get(
        reverse(SIMULATOR), asked("firm", rules=json.dumps(rules), canceled_at="2027-05-30T12:00")
    )

    assert answer.context["outcome"]["at_row"] == [["EUR 300.00", "EUR 100.00"]]
    assert CancellationPolicy.objects.filter(version__gt=1).count() == 0


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("nights", "a hundred", "Not a price: a hundred"),
        ("nights", "100 x 0", "A stay has 1 to 365 nights."),
        ("nights", "100 x 366", "A stay has 1 to 365 nights."),
        ("nights", "100.001", "This currency has no such amount."),
        ("currency", "E1", "Three letters of ISO 4217 are needed."),
        ("cleaning", "-1", "greater than or equal to 0"),
        ("zone", "Mars/Olympus", "Select a valid choice."),
        ("version", "0", "Select a valid choice."),
        ("confirmed_at", "2027-06-01T15:00", "The confirmation must come before check-in."),
        ("rules", "{", "This is not JSON."),
        ("rules", '{"tiers": []}', "The rules could not be read."),
        ("check_in", "9999-12-31", "less than or equal to 2099-12-31"),
    ],
)
def test_simulate_says_what_it_cannot_read(field: str, value: str, said: str) -> None:
    answer = signed_in(staff("admin")).get(reverse(SIMULATOR), asked("firm", **{field: value}))

    assert answer.status_code == 200
    assert said in answer.content.decode()
    assert answer.context["outcome"] is None


def test_simulate_is_for_those_who_see_policies() -> None:
    assert signed_in(staff("moderator")).get(reverse(SIMULATOR)).status_code == 403
    assert signed_in(staff("finance")).get(reverse(SIMULATOR)).status_code == 200


def test_simulate_begins_with_the_version_one_comes_from() -> None:
    row = version("strict")

    answer = signed_in(staff("support")).get(url(row, "simulate_this"), follow=True)

    assert str(answer.context["form"]["version"].value()) == str(row.pk)


def test_publish_writes_the_next_version_and_leaves_the_old() -> None:
    row, boss = version("strict"), staff("admin")
    rules = {**row.rules, "tiers": [{"days_before": 10, "keep": {"nights": 0, "percent": 50}}]}

    answer = act(signed_in(boss), row, "publish", rules=json.dumps(rules), reason="Kinder for longer")

    assert answer["HX-Redirect"] == reverse("admin:bookings_cancellationpolicy_changelist") + "?code=strict"
    newest = CancellationPolicy.objects.get(code="strict", version=2)
    assert (newest.rules, newest.reason, newest.created_by) == (rules, "Kinder for longer", boss)
    row.refresh_from_db()
    assert row.rules["tiers"][0]["days_before"] == 7
    assert audited("policy.publish").actor == boss
    assert policy_versions.in_force(newest.effective_from)["strict"].version == 2


def test_publish_from_a_later_instant_waits() -> None:
    row = version("strict")

    act(
        signed_in(staff("admin")),
        row,
        "publish",
        rules=json.dumps(row.rules),
        effective_from="2099-01-01T00:00",
        reason="For later",
    )

    assert CancellationPolicy.objects.get(code="strict", version=2).effective_from.year == 2099
    assert policy_versions.in_force(NOW)["strict"].version == 1


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ("{", "This is not JSON."),
        ("[]", "The rules could not be read."),
        ('{"tiers": []}', "The rules could not be read."),
        (
            '{"tiers": [], "late": {"nights": 0, "percent": 100}, "stay": null, "grace": null}',
            "Who cancels later may not get more back.",
        ),
    ],
)
def test_publish_of_what_makes_no_policy_changes_nothing(rules: str, said: str) -> None:
    answer = act(signed_in(staff("admin")), version("strict"), "publish", rules=rules, reason="x")

    assert said in answer.content.decode()
    assert CancellationPolicy.objects.filter(version__gt=1).count() == 0
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("role", ["support", "finance", "moderator"])
def test_publish_is_for_administrators(role: str) -> None:
    row, client = version("strict"), signed_in(staff(role))

    assert act(client, row, "publish", rules=json.dumps(row.rules), reason="x").status_code == 403
    assert CancellationPolicy.objects.filter(version__gt=1).count() == 0
    if role != "moderator":
        assert shown_actions(client, row) == {"Simulate"}
