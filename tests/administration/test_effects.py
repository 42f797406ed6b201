"""What a change would do is told by the code that does it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.utils.translation import override

from backend.administration import effects
from backend.core import limits, platform
from backend.core.errors import NotAllowed, Throttled
from backend.rates import services as rates
from tests.factories import NOW, make_user

pytestmark = pytest.mark.usefixtures("db")


def told(key: str, value: Any, language: str = "en") -> list[tuple[str, str, str]]:
    with override(language):
        found = effects.of(actor=make_user("admin"), key=key, value=value, now=NOW, language=language)
        return [(str(each.what), each.before, each.after) for each in found]


def test_fee_says_who_gets_what_of_three_nights() -> None:
    assert told("host_fee_percent", Decimal(12)) == [
        ("The guest pays for three nights at 100", "EUR 300.00", "EUR 300.00"),
        ("The host gets", "EUR 253.50", "EUR 264.00"),
        ("The platform keeps", "EUR 46.50", "EUR 36.00"),
    ]
    assert told("service_fee_model", "split") == [
        ("The guest pays for three nights at 100", "EUR 300.00", "EUR 342.30"),
        ("The host gets", "EUR 253.50", "EUR 291.00"),
        ("The platform keeps", "EUR 46.50", "EUR 51.30"),
    ]
    assert told("split_host_fee_percent", Decimal(5))[1] == ("The host gets", "EUR 253.50", "EUR 253.50")


def test_fee_under_written_terms_changes_nothing() -> None:
    rates.set_service_fee_terms(
        actor=make_user("admin"),
        model="host_only",
        host_percent=Decimal(10),
        guest_percent=Decimal(0),
        effective_from=NOW,
        reason="Fixed",
        now=NOW,
    )

    assert told("host_fee_percent", Decimal(12))[1] == ("The host gets", "EUR 270.00", "EUR 270.00")


def test_reduction_times_and_currency_are_told() -> None:
    assert told("non_refundable_percent", Decimal(20)) == [
        ("The guest pays, without a way back", "EUR 270.00", "EUR 240.00")
    ]
    assert told("hold_minutes", 60) == [
        (
            "Nights that are held now are free again at",
            "01 Mar 2027, 09:15 UTC",
            "01 Mar 2027, 10:00 UTC",
        )
    ]
    (row,) = told("currency", "EUR")
    assert row[1:] == ("EUR 100.00", "EUR 100.00")
    assert told("mask_contact_data", False)[0][1:] == ("•••", "+254 712 345 678, ana@example.com")


def test_amounts_are_written_as_the_reader_writes_them() -> None:
    assert told("host_fee_percent", Decimal(12), "fr")[1][1:] == ("EUR 253,50", "EUR 264,00")


def test_nothing_is_invented() -> None:
    assert told("issuer_name", "Kwetu") == []
    assert told("limit_holds_user", 9) == []


def test_effects_are_for_administrators() -> None:
    with pytest.raises(NotAllowed):
        effects.of(actor=make_user("finance"), key="hold_minutes", value=20, now=NOW, language="en")


def test_stopped_lately_counts_whom_a_limit_stopped() -> None:
    from django.utils import timezone

    for person in ("ana", "ben"):
        limits.hit(f"reports:{person}", limit=1, window_s=60)
        with pytest.raises(Throttled):
            limits.hit(f"reports:{person}", limit=1, window_s=60)

    assert effects.stopped_lately("limit_reports_user", now=timezone.now()) == 2
    assert effects.stopped_lately("limit_exports_user", now=timezone.now()) == 0
    assert effects.stopped_lately("hold_minutes", now=timezone.now()) is None


def test_policies_are_of_limits_that_exist() -> None:
    assert set(effects.POLICIES) <= set(platform.DECLARED)
