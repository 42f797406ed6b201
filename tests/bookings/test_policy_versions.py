from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext

from backend.audit.models import AuditEntry
from backend.bookings import policies, policy_versions, quotes
from backend.bookings.models import CancellationPolicy
from backend.bookings.policy_versions import InvalidPolicy
from backend.core.errors import Invalid, NotAllowed
from tests.bookings.making import STAY
from tests.bookings.test_policies import TABLE
from tests.factories import NOW, make_listing, make_user
from tests.racing import race, wide_pool

pytestmark = pytest.mark.usefixtures("db")

HALF = {"nights": 0, "percent": 50}
ALL = {"nights": 0, "percent": 100}
RULES: dict[str, Any] = {
    "tiers": [{"days_before": 10, "keep": None}, {"days_before": 3, "keep": HALF}],
    "late": ALL,
    "stay": ALL,
    "grace": {"hours": 48, "days_before": 14},
}


def _publish(**fields: Any) -> CancellationPolicy:
    values: dict[str, Any] = {"code": "firm", "rules": RULES, "reason": "Softer", "now": NOW}
    return policy_versions.publish(
        **{**values, "actor": fields.pop("actor", None) or make_user("admin"), **fields}
    )


def test_in_force_is_the_shipped_table() -> None:
    found = policy_versions.in_force(NOW)

    assert list(found) == list(policy_versions.CODES)
    assert found == TABLE
    assert policy_versions.in_force(datetime(2019, 12, 31, tzinfo=UTC)) == {}


def test_in_force_reads_once_a_second() -> None:
    policy_versions.forget()

    with CaptureQueriesContext(connection) as queries:
        policy_versions.in_force(NOW)
        policy_versions.for_stay("strict", 4, NOW)

    assert len(queries) == 1


@pytest.mark.parametrize(("nights", "code"), [(27, "strict"), (28, "long_stay"), (365, "long_stay")])
def test_for_stay_takes_the_long_stay_policy_from_28_nights(nights: int, code: str) -> None:
    assert policy_versions.for_stay("strict", nights, NOW) == TABLE[code]


def test_publish_writes_the_next_version_and_leaves_quotes_their_own() -> None:
    listing, admin = make_listing(cancellation_policy="firm"), make_user("admin")
    before = quotes.make(listing=listing, stay=STAY, guests=1, now=NOW)

    row = _publish(actor=admin)

    assert (row.code, row.version, row.rules, row.effective_from) == ("firm", 2, RULES, NOW)
    after = quotes.make(listing=listing, stay=STAY, guests=1, now=NOW)
    kept = quotes.redeem(before.token, listing=listing, stay=STAY, guests=1, now=NOW)
    assert (kept.policy, after.policy.version) == (TABLE["firm"], 2)
    assert policies.dump(after.policy) == {"code": "firm", "version": 2, **RULES}
    entry = AuditEntry.objects.get(action="policy.publish")
    assert (entry.actor_id, entry.reason, entry.after) == (admin.pk, "Softer", RULES)


def test_publish_may_begin_later() -> None:
    begins = NOW + timedelta(days=3)

    _publish(effective_from=begins)

    assert policy_versions.in_force(begins - timedelta(seconds=1))["firm"].version == 1
    assert policy_versions.in_force(begins)["firm"].version == 2
    with pytest.raises(Invalid) as refused:
        _publish(now=NOW + timedelta(days=1))
    assert refused.value.errors[0].code == "before_newest"
    assert CancellationPolicy.objects.filter(code="firm").count() == 2


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"late": {"nights": 0, "percent": 49}}, "rules.late", "not_monotone"),
        ({"late": None}, "rules.late", "not_monotone"),
        (
            {"late": {"nights": 3, "percent": 60}, "stay": {"nights": 2, "percent": 60}},
            "rules.stay",
            "not_monotone",
        ),
        (
            {"tiers": [{"days_before": 9, "keep": HALF}, {"days_before": 3, "keep": None}]},
            "rules.tiers",
            "not_monotone",
        ),
        (
            {"tiers": [{"days_before": 3, "keep": None}, {"days_before": 9, "keep": HALF}]},
            "rules.tiers",
            "not_in_order",
        ),
        ({"tiers": [{"days_before": 3, "keep": None}] * 2}, "rules.tiers", "not_in_order"),
        ({"tiers": [{"days_before": 0, "keep": None}]}, "rules.tiers", "out_of_range"),
        ({"tiers": [{"days_before": 366, "keep": None}]}, "rules.tiers", "out_of_range"),
        ({"late": {"nights": 0, "percent": 101}}, "rules.keep", "out_of_range"),
        ({"late": {"nights": -1, "percent": 100}}, "rules.keep", "out_of_range"),
        ({"late": {"nights": 0, "percent": "NaN"}}, "rules.keep", "out_of_range"),
        ({"grace": {"hours": 0, "days_before": 7}}, "rules.grace", "out_of_range"),
        ({"grace": {"hours": 25, "days_before": 1}}, "rules.grace", "out_of_range"),
        ({"late": {"nights": 1}}, "rules", "unreadable"),
        ({"tiers": "none"}, "rules", "unreadable"),
        ({"discount": 5}, "rules.discount", "unknown_field"),
    ],
)
def test_publish_refuses_rules_that_make_no_policy(changes: dict[str, Any], field: str, code: str) -> None:
    with pytest.raises(InvalidPolicy) as refused:
        _publish(rules={**RULES, **changes})

    assert [(error.field, error.code) for error in refused.value.errors] == [(field, code)]
    assert CancellationPolicy.objects.filter(version__gt=1).count() == 0
    assert AuditEntry.objects.count() == 0


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"code": "generous"}, "unknown_policy"),
        ({"reason": "  "}, "required"),
        ({"effective_from": NOW - timedelta(seconds=1)}, "in_the_past"),
    ],
)
def test_publish_refuses_what_is_not_said_or_too_late(fields: dict[str, Any], code: str) -> None:
    with pytest.raises(Invalid) as refused:
        _publish(**fields)

    assert refused.value.errors[0].code == code
    assert CancellationPolicy.objects.filter(version__gt=1).count() == 0


def test_publish_is_for_administrators() -> None:
    for actor in (make_user(), make_user("support"), make_user("moderator"), make_user("finance")):
        with pytest.raises(NotAllowed):
            _publish(actor=actor)

    assert CancellationPolicy.objects.filter(version__gt=1).count() == 0


def test_publish_twice_at_once_gives_two_versions() -> None:
    actors = [make_user("admin") for _ in range(4)]

    with wide_pool(4):
        found = race(*(lambda actor=actor: _publish(actor=actor) for actor in actors))

    assert sorted(row.version for row in found) == [2, 3, 4, 5]


@pytest.mark.parametrize(
    "sql", ["UPDATE cancellation_policies SET reason = 'x'", "DELETE FROM cancellation_policies"]
)
def test_versions_are_never_changed(sql: str) -> None:
    with (
        pytest.raises(DatabaseError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(sql)

    assert CancellationPolicy.objects.count() == 7
