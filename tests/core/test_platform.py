"""Platform settings: typed, bounded, in force at once."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import pytest

from backend.core import platform
from backend.core.errors import Invalid
from backend.core.models import PlatformSetting

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
    assert PlatformSetting.objects.get().value == "14.7"


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


def test_change_by_another_process_is_seen_within_a_second() -> None:
    assert platform.get("hold_minutes") == 15
    PlatformSetting.objects.create(key="hold_minutes", value=20)

    time.sleep(platform.FRESH_FOR_S + 0.1)

    assert platform.get("hold_minutes") == 20
