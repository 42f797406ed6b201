"""Platform settings: typed, bounded, in force at once."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext

from backend.core import declared, platform
from backend.core.errors import Invalid
from backend.core.models import PlatformSetting, SettingVersion, SettingWithdrawal
from backend.core.setting import KINDS
from tests.factories import NOW

pytestmark = pytest.mark.usefixtures("db")


@pytest.mark.parametrize("setting", platform.DECLARED.values(), ids=lambda setting: setting.key)
def test_default_fits_its_own_setting(setting: platform.Setting) -> None:
    assert setting.parse(setting.default) == setting.default
    assert str(setting.description)


def test_put_is_in_force_at_once() -> None:
    assert platform.get("hold_minutes") == 15

    assert platform.put("hold_minutes", "30") == 30

    assert platform.get("hold_minutes") == 30


def test_put_keeps_decimals_exact() -> None:
    platform.put("host_fee_percent", 14.7)

    assert platform.get("host_fee_percent") == Decimal("14.7")
    assert SettingVersion.objects.get().value == "14.7"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hold_minutes", 0),
        ("hold_minutes", 1441),
        ("hold_minutes", 1.5),
        ("hold_minutes", True),
        ("hold_minutes", "x"),
        ("hold_minutes", None),
        ("hold_minutes", "NaN"),
        ("hold_minutes", 10**30),
        ("host_fee_percent", 51),
        ("host_fee_percent", "Infinity"),
        ("listing_approval", "true"),
        ("listing_approval", 1),
        ("currency", "XYZ"),
        ("currency", None),
        ("currency", []),
    ],
)
def test_put_refuses_what_does_not_fit(key: str, value: Any) -> None:
    before = platform.get(key)

    with pytest.raises(Invalid) as refused:
        platform.put(key, value)

    assert [(error.field, error.code) for error in refused.value.errors] == [(key, "invalid_setting")]
    assert platform.get(key) == before
    assert PlatformSetting.objects.count() == 0


def test_setting_must_be_declared() -> None:
    with pytest.raises(KeyError):
        platform.get("no_such_setting")
    with pytest.raises(KeyError):
        platform.put("no_such_setting", 1)


def written(key: str, value: Any, since: datetime, *, at: datetime = NOW) -> SettingVersion:
    with transaction.atomic():
        row = platform.held(key)
        return platform.write(row, value, effective_from=since, now=at, by_id=None, reason="So")


def test_change_by_another_process_is_seen_within_a_second() -> None:
    assert platform.get("hold_minutes") == 15
    row = PlatformSetting.objects.create(key="hold_minutes", number=1)
    SettingVersion.objects.create(
        setting=row, number=1, value=20, effective_from=platform.ALWAYS, created_at=NOW
    )

    time.sleep(platform.FRESH_FOR_S + 0.1)

    assert platform.get("hold_minutes") == 20


def test_reading_costs_one_query_a_second_for_all_settings() -> None:
    platform.put("hold_minutes", 20)
    written("host_fee_percent", Decimal(12), NOW + timedelta(days=1))

    with CaptureQueriesContext(connection) as queries:
        platform.forget()
        for key in platform.DECLARED:
            platform.get(key)
            platform.at(key, NOW + timedelta(days=2))

    assert len(queries) == 1


def test_at_says_what_was_is_and_will_be_in_force() -> None:
    day = timedelta(days=1)
    long_ago = datetime(2026, 1, 1, tzinfo=UTC)
    written("hold_minutes", 20, long_ago)
    written("hold_minutes", 30, long_ago + 10 * day)
    written("hold_minutes", 40, NOW)
    written("hold_minutes", None, NOW + day)

    found = {
        moment: platform.at("hold_minutes", moment)
        for moment in (
            long_ago - day,
            long_ago,
            long_ago + 9 * day,
            long_ago + 10 * day,
            NOW - timedelta(microseconds=1),
            NOW,
            NOW + day - timedelta(microseconds=1),
            NOW + day,
        )
    }

    assert list(found.values()) == [15, 20, 20, 30, 30, 40, 40, 15]


def test_a_planned_value_comes_into_force_at_its_second_without_being_read_again(monkeypatch: Any) -> None:
    platform.put("hold_minutes", 20)
    soon = datetime.now(UTC) + timedelta(milliseconds=400)
    written("hold_minutes", 45, soon)
    monkeypatch.setattr(platform, "FRESH_FOR_S", 60)
    assert platform.get("hold_minutes") == 20

    with CaptureQueriesContext(connection) as queries:
        while (asked := datetime.now(UTC)) < soon:
            time.sleep(0.01)
        found = platform.get("hold_minutes")

    assert asked >= soon
    assert (found, len(queries)) == (45, 0)


def test_of_two_versions_from_the_same_instant_the_later_one_holds() -> None:
    written("hold_minutes", 20, NOW)
    written("hold_minutes", 30, NOW)

    assert platform.at("hold_minutes", NOW) == 30


def test_a_stored_value_that_fits_no_longer_counts_as_not_set() -> None:
    row = PlatformSetting.objects.create(key="hold_minutes", number=1)
    for number, value in ((1, 100_000), (2, "soon")):
        SettingVersion.objects.create(
            setting=row, number=number, value=value, effective_from=platform.ALWAYS, created_at=NOW
        )
        platform.forget()
        assert platform.get("hold_minutes") == 15
    PlatformSetting.objects.create(key="no_longer_declared", number=1)
    platform.forget()
    assert platform.get("quote_minutes") == 15


def test_what_was_rolled_back_is_not_remembered() -> None:
    with suppress(ZeroDivisionError), transaction.atomic():
        row = platform.held("hold_minutes")
        platform.write(row, 20, effective_from=platform.ALWAYS, now=NOW, by_id=None, reason="")
        raise ZeroDivisionError

    assert platform.get("hold_minutes") == 15
    assert SettingVersion.objects.count() == 0


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE setting_versions SET value = '99'",
        "DELETE FROM setting_versions",
        "TRUNCATE setting_versions CASCADE",
        "UPDATE setting_withdrawals SET reason = 'x'",
        "DELETE FROM setting_withdrawals",
        "TRUNCATE setting_withdrawals",
    ],
)
def test_history_is_written_once(statement: str) -> None:
    version = written("hold_minutes", 20, NOW + timedelta(days=1))
    with transaction.atomic():
        platform.withdraw(PlatformSetting.objects.get(), version, now=NOW, by_id=None, reason="Better not")

    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)

    assert (SettingVersion.objects.get().value, SettingWithdrawal.objects.get().reason) == (20, "Better not")


def test_what_is_in_force_is_not_withdrawn() -> None:
    version = written("hold_minutes", 20, NOW)
    row = PlatformSetting.objects.get()

    for moment in (NOW, NOW + timedelta(seconds=1)):
        with pytest.raises(platform.InForce), transaction.atomic():
            platform.withdraw(row, version, now=moment, by_id=None, reason="Late")
    with transaction.atomic():
        platform.withdraw(row, version, now=NOW - timedelta(seconds=1), by_id=None, reason="In time")
    with pytest.raises(platform.InForce), transaction.atomic():
        platform.withdraw(row, version, now=NOW - timedelta(seconds=1), by_id=None, reason="Again")

    assert SettingWithdrawal.objects.get().reason == "In time"
    assert platform.at("hold_minutes", NOW) == 15


def test_every_setting_is_told_in_full() -> None:
    groups = [group.key for group in platform.GROUPS]
    told = [setting.key for group in platform.GROUPS for setting in group.settings]

    assert len(set(groups)) == len(groups)
    assert told == list(platform.DECLARED)
    for setting in platform.DECLARED.values():
        assert setting.kind in KINDS
        assert str(setting.title), setting.key
        assert str(declared.effect_of(setting)), setting.key
        assert set(setting.words) <= set(setting.choices), setting.key
        if setting.only_if:
            other, value = setting.only_if
            assert platform.DECLARED[other].parse(value) == value
        if setting.kind in ("int", "decimal"):
            assert setting.low is not None
            assert setting.high is not None


@pytest.mark.parametrize(
    ("raw", "codes"),
    [("eur, kes USD", ("EUR", "KES", "USD")), (["KES", "EUR", "KES"], ("EUR", "KES")), ("", ()), ([], ())],
)
def test_codes_are_read_as_people_write_them(raw: Any, codes: tuple[str, ...]) -> None:
    platform.put("currencies_offered", raw)
    platform.forget()

    assert platform.get("currencies_offered") == codes


@pytest.mark.parametrize("raw", ["EURO", "EUR;KES", ["EUR", 1], {"EUR": 1}, 5, "€"])
def test_codes_that_are_none_are_refused(raw: Any) -> None:
    with pytest.raises(Invalid):
        platform.put("currencies_offered", raw)

    assert SettingVersion.objects.count() == 0


def test_a_feature_that_is_off_is_refused_with_its_name() -> None:
    platform.require("wishlists")
    platform.put("feature_wishlists", False)

    with pytest.raises(platform.FeatureOff) as refused:
        platform.require("wishlists")

    assert (refused.value.status, refused.value.code) == (503, "feature_off")
    assert refused.value.extra == {"feature": "wishlists"}


def test_an_event_loop_goes_by_what_is_known_and_asks_nothing() -> None:
    platform.put("hold_minutes", 20)
    assert platform.get("hold_minutes") == 20
    platform.put("hold_minutes", 30)

    async def in_the_loop() -> int:
        found: int = platform.get("hold_minutes")
        return found

    assert asyncio.run(in_the_loop()) == 20
    platform.keep_fresh()
    assert asyncio.run(in_the_loop()) == 30
