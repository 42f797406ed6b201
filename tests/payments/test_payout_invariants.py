"""Each invariant of payouts finds the damage that it is there for, and nothing else does."""

from __future__ import annotations

from datetime import timedelta

import pytest

from backend.accounts.models import User
from backend.jobs import books
from backend.jobs.sweeps import Clock
from backend.payments import payout_invariants
from backend.payments.models import Folio, Payout, PayoutSplit
from tests.damage import plant
from tests.factories import NOW, make_listing, make_user
from tests.payments.hosts import LATER, account, earn, send

pytestmark = pytest.mark.usefixtures("db")

SEEN = LATER + timedelta(days=1)


def _violated() -> set[str]:
    names = {check.name for check in payout_invariants.CHECKS}
    found = books.check_books(Clock(SEEN, SEEN))
    return {finding.check.name for finding in found if finding.count} & names


def _world() -> tuple[User, Folio, Folio]:
    """A host with a payout that was paid and one that waits."""
    host = make_user()
    account(host)
    paid = earn(host)
    send()
    waiting = earn(host, now=LATER, due_at=SEEN + timedelta(days=9))
    assert _violated() == set()
    return host, paid, waiting


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (
            "UPDATE payouts SET amount_minor = amount_minor - 1, netted_minor = 1 WHERE status = 'paid'",
            {"payouts_are_booked"},
        ),
        (
            "UPDATE payouts SET status = 'scheduled', paid_at = NULL WHERE status = 'paid'",
            {"payouts_are_booked", "payouts_follow_their_operations"},
        ),
        ("UPDATE payouts SET paid_minor = 1 WHERE status = 'paid'", {"payouts_follow_their_operations"}),
        ("UPDATE payouts SET sent_at = NULL WHERE status = 'paid'", {"payouts_follow_their_operations"}),
        (
            "UPDATE payouts SET due_at = sent_at + interval '1 second' WHERE status = 'paid'",
            {"payouts_are_earned_and_due"},
        ),
        (
            "UPDATE ledger_transactions SET at = at + interval '9 days' WHERE cause = 'stay.completed'",
            {"payouts_are_earned_and_due"},
        ),
        ("UPDATE payouts SET status = 'on_hold' WHERE status = 'scheduled'", {"payout_holds_agree"}),
        (
            "INSERT INTO payout_holds (payout_id, reason, note, created_at)"
            " SELECT id, 'staff', '', now() FROM payouts WHERE status = 'scheduled'",
            {"payout_holds_agree"},
        ),
        ("DELETE FROM payouts WHERE status = 'scheduled'", {"payouts_cover_what_is_owed"}),
        (
            "INSERT INTO money_ops (id, payout_id, kind, provider, amount_minor, currency, fee_minor, options, state,"
            " provider_ref, error_code, attempts, created_at, updated_at)"
            " SELECT gen_random_uuid(), id, 'reverse', 'sandbox', paid_minor + 1, 'EUR', 0,"
            " '{\"amount_minor\": 1, \"refund\": 1}', 'created', '', '', 0, now(), now()"
            " FROM payouts WHERE status = 'paid'",
            {"takings_back_stay_within"},
        ),
    ],
)
def test_invariant_finds_its_damage(damage: str, found: set[str]) -> None:
    _world()

    plant(damage)

    assert _violated() == found


def test_invariant_finds_splits_of_more_than_all() -> None:
    listing = make_listing()
    for percent in (60, 40):
        PayoutSplit.objects.create(listing=listing, user=make_user(), percent=percent, created_at=NOW)
    assert _violated() == set()

    plant("UPDATE payout_splits SET percent = 41 WHERE percent = 40")

    assert _violated() == {"payout_splits_leave_the_host_a_share"}
    assert Payout.objects.count() == 0
