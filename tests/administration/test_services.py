"""Changes of settings: by whom, from when on, without a lost update, and each with its trace."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from threading import Barrier, Thread
from typing import Any

import pytest
from django.db import connections

from backend.accounts.models import User
from backend.administration import services as administration
from backend.audit.models import AuditEntry
from backend.core import platform
from backend.core.errors import Invalid, NotAllowed, NotFound
from backend.core.models import PlatformSetting, SettingVersion
from backend.rates import services as rates
from tests.factories import NOW, make_user

pytestmark = pytest.mark.usefixtures("db")

DAY = timedelta(days=1)


def change(actor: User, key: str, value: Any, **given: Any) -> SettingVersion:
    return administration.change(
        **{"actor": actor, "key": key, "value": value, "reason": "So", "now": NOW, **given}
    )


def traces() -> list[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    rows = AuditEntry.objects.filter(object_type="platformsetting").order_by("id")
    return [(row.action, row.object_id, row.before, row.after) for row in rows]


def test_change_holds_from_now_on_and_is_kept() -> None:
    boss = make_user("admin")

    change(boss, "host_fee_percent", "12.5", reason=" Cheaper ")

    assert platform.at("host_fee_percent", NOW) == Decimal("12.5")
    assert platform.at("host_fee_percent", NOW - timedelta(seconds=1)) == Decimal("15.5")
    version = SettingVersion.objects.get()
    assert (version.number, version.value, version.created_by_id, version.reason) == (
        *(1, "12.5"),
        boss.pk,
        "Cheaper",
    )
    assert (version.created_at, version.effective_from) == (NOW, NOW)
    assert traces() == [
        ("setting.changed", "host_fee_percent", {"value": "15.5"}, {"value": "12.5"}),
    ]


def test_planned_change_holds_from_its_instant_on_and_can_be_withdrawn_before() -> None:
    boss = make_user("admin")
    planned = change(boss, "hold_minutes", 30, effective_from=NOW + DAY)
    assert [platform.at("hold_minutes", NOW + days * DAY) for days in (0, 1)] == [15, 30]

    administration.withdraw(actor=boss, version_id=planned.pk, reason="Better not", now=NOW + DAY / 2)

    assert platform.at("hold_minutes", NOW + DAY) == 15
    assert administration.number_of("hold_minutes") == 2
    assert traces() == [
        (
            "setting.planned",
            "hold_minutes",
            {"value": 15},
            {"value": 30, "effective_from": (NOW + DAY).isoformat()},
        ),
        (
            "setting.plan_withdrawn",
            "hold_minutes",
            {"value": 30, "effective_from": (NOW + DAY).isoformat()},
            {},
        ),
    ]


def test_withdraw_of_what_is_in_force_is_refused() -> None:
    boss = make_user("admin")
    planned = change(boss, "hold_minutes", 30, effective_from=NOW + DAY)

    with pytest.raises(platform.InForce):
        administration.withdraw(actor=boss, version_id=planned.pk, reason="Late", now=NOW + DAY)
    with pytest.raises(NotFound):
        administration.withdraw(actor=boss, version_id=planned.pk + 1, reason="None", now=NOW)

    assert platform.at("hold_minutes", NOW + DAY) == 30
    assert administration.number_of("hold_minutes") == 1
    assert len(traces()) == 1


def test_a_change_now_leaves_what_is_planned() -> None:
    boss = make_user("admin")
    change(boss, "hold_minutes", 30, effective_from=NOW + DAY)

    change(boss, "hold_minutes", 20)

    assert [platform.at("hold_minutes", NOW + days * DAY) for days in (0, 1)] == [20, 30]


def test_back_to_the_default_is_the_default_of_the_day() -> None:
    boss = make_user("admin")
    change(boss, "hold_minutes", 30)

    change(boss, "hold_minutes", None, now=NOW + DAY)

    assert SettingVersion.objects.get(number=2).value is None
    assert [platform.at("hold_minutes", NOW + days * DAY) for days in (0, 1)] == [30, 15]


@pytest.mark.parametrize(
    ("given", "field", "code"),
    [
        ({"value": 0}, "value", "invalid_setting"),
        ({"value": 15}, "value", "unchanged"),
        ({"value": None}, "value", "unchanged"),
        ({"effective_from": NOW - timedelta(seconds=1)}, "effective_from", "in_the_past"),
        ({"effective_from": NOW + 731 * DAY}, "effective_from", "too_far"),
        ({"reason": " "}, "reason", "reason_required"),
    ],
)
def test_change_refuses_what_makes_no_sense(given: dict[str, Any], field: str, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        change(make_user("admin"), "hold_minutes", given.pop("value", 30), **given)

    assert [(error.field, error.code) for error in refused.value.errors] == [(field, code)]
    assert SettingVersion.objects.count() == 0
    assert traces() == []


@pytest.mark.parametrize("role", ["support", "moderator", "finance", "guest", "host"])
def test_settings_are_for_administrators(role: str) -> None:
    boss, other = make_user("admin"), make_user(role)
    planned = change(boss, "hold_minutes", 30, effective_from=NOW + DAY)

    with pytest.raises(NotAllowed):
        change(other, "hold_minutes", 40)
    with pytest.raises(NotAllowed):
        administration.withdraw(actor=other, version_id=planned.pk, reason="x", now=NOW)

    assert [platform.at("hold_minutes", NOW + days * DAY) for days in (0, 1)] == [15, 30]


def test_what_is_not_declared_is_not_found() -> None:
    with pytest.raises(NotFound):
        change(make_user("admin"), "nonsense", 1)

    assert PlatformSetting.objects.count() == 0


def test_fee_settings_give_way_to_written_terms() -> None:
    boss = make_user("admin")
    rates.set_service_fee_terms(
        actor=boss,
        model="host_only",
        host_percent=Decimal(9),
        guest_percent=Decimal(0),
        effective_from=NOW + DAY,
        reason="Autumn",
        now=NOW,
    )
    change(boss, "host_fee_percent", 12)

    with pytest.raises(administration.TermsHold):
        change(boss, "host_fee_percent", 11, effective_from=NOW + DAY)
    with pytest.raises(administration.TermsHold):
        change(boss, "service_fee_model", "split", now=NOW + 2 * DAY)

    assert SettingVersion.objects.count() == 1
    change(boss, "non_refundable_percent", 20, now=NOW + 2 * DAY)


def test_who_saw_an_older_value_hears_that_it_changed() -> None:
    boss = make_user("admin")
    seen = administration.number_of("hold_minutes")
    change(boss, "hold_minutes", 20, seen=seen)

    with pytest.raises(platform.ChangedMeanwhile):
        change(boss, "hold_minutes", 30, seen=seen)

    assert platform.at("hold_minutes", NOW) == 20
    assert len(traces()) == 1


@pytest.mark.parametrize("guarded", [True, False], ids=["with what they saw", "control: without"])
def test_of_two_who_change_the_same_setting_at_once_one_hears_of_the_other(guarded: bool) -> None:
    people = [make_user("admin"), make_user("admin")]
    change(people[0], "hold_minutes", 20)
    seen = administration.number_of("hold_minutes") if guarded else None
    met, outcomes = Barrier(2, timeout=10), []

    def run(actor: User, value: int) -> None:
        met.wait()
        try:
            change(actor, "hold_minutes", value, seen=seen)
            outcomes.append("changed")
        except platform.ChangedMeanwhile:
            outcomes.append("heard")
        finally:
            connections.close_all()

    threads = [
        Thread(target=run, args=(person, value)) for person, value in zip(people, (30, 40), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert sorted(outcomes) == (["changed", "heard"] if guarded else ["changed", "changed"])
    numbers = list(SettingVersion.objects.order_by("number").values_list("number", flat=True))
    assert numbers == ([1, 2] if guarded else [1, 2, 3])
