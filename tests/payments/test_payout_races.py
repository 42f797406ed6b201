"""Two at once: workers, a hold against sending, an account named meanwhile."""

from __future__ import annotations

import pytest
from django.db import transaction

from backend.payments import payout_accounts, payouts
from backend.payments import services as payments
from backend.payments.models import MoneyOp, Payout, PayoutAccount, SandboxRecord
from tests.bookings.making import wrong_books
from tests.factories import NOW, make_user
from tests.payments.hosts import LATER, SHARE, account, earn, owes, send, settle_open, shown
from tests.racing import deadlocks, race

pytestmark = pytest.mark.usefixtures("db")


def _prepare() -> int:
    return len(payouts.prepare_due(now=LATER).ops)


def test_two_workers_prepare_each_payout_once() -> None:
    host = make_user()
    account(host)
    for _number in range(4):
        earn(host)

    before = deadlocks()
    results = race(_prepare, _prepare, _prepare)
    settle_open()

    assert sum(results) == 4
    assert MoneyOp.objects.filter(kind="payout").count() == 4
    assert SandboxRecord.objects.filter(kind="payout").count() == 4
    assert [row[0] for row in shown(host)] == ["paid"] * 4
    assert deadlocks() == before
    assert wrong_books() == {}


@pytest.mark.parametrize("_round", range(3))
def test_payout_against_a_dispute_is_held_or_sent_and_never_both(_round: int) -> None:
    host = make_user()
    account(host)
    folio = earn(host)

    def dispute() -> int:
        with transaction.atomic():
            return len(payouts.hold_for_folio(folio=folio, reason="dispute", now=LATER))

    sent, held = race(_prepare, dispute)
    settle_open()

    assert sent + held == 1
    assert MoneyOp.objects.filter(kind="payout").count() == sent
    assert shown(host)[0][0] == ("paid" if sent else "on_hold")
    assert wrong_books() == {}


@pytest.mark.parametrize("_round", range(3))
def test_payout_against_another_account_goes_to_the_old_one_or_waits(_round: int) -> None:
    host = make_user()
    old = account(host)
    new = account(host)
    earn(host)

    sent, _chosen = race(
        _prepare, lambda: payout_accounts.set_default(actor=host, account_id=new.pk, now=LATER)
    )
    settle_open()

    payout = Payout.objects.get()
    assert PayoutAccount.objects.get(is_default=True) == new
    if sent:
        assert (payout.status, payout.account) == ("paid", old)
    else:
        assert shown(host) == [("on_hold", SHARE, SHARE, "EUR", ["account_changed"])]


def test_two_first_accounts_at_once_leave_one_default() -> None:
    host = make_user()

    results = race(lambda: account(host), lambda: account(host))

    assert [type(result) for result in results] == [PayoutAccount, PayoutAccount]
    assert PayoutAccount.objects.filter(user=host, is_default=True).count() == 1


def test_debt_is_netted_once_by_two_payouts_at_once() -> None:
    host = make_user()
    account(host)
    owed = earn(host)
    send()
    with transaction.atomic():
        payments.penalize(folio=owed, amount_minor=5_000, now=LATER)
    earn(host, now=NOW)
    earn(host, now=NOW)

    race(_prepare, _prepare)
    settle_open()

    assert sorted(row[2] for row in shown(host)) == [SHARE - 5_000, SHARE, SHARE]
    assert owes(owed) == 0
    assert wrong_books() == {}


def test_waiver_against_netting_leaves_nothing_owed() -> None:
    host = make_user()
    account(host)
    owed = earn(host)
    send()
    with transaction.atomic():
        payments.penalize(folio=owed, amount_minor=5_000, now=LATER)
    earn(host, now=NOW)

    def waive() -> None:
        with transaction.atomic():
            payments.forgive(folio=owed, amount_minor=5_000, now=LATER)
            payouts.schedule(folio=owed, due_at=LATER, now=LATER)

    race(_prepare, waive)
    settle_open()
    send()

    assert sum(row[2] for row in shown(host)) == 2 * SHARE
    assert owes(owed) == 0
    assert wrong_books() == {}
