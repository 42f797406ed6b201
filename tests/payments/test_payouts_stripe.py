"""A host is paid through a pretend Stripe: from the papers to the bank, and back again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from procrastinate.contrib.django.models import ProcrastinateJob

from backend.bookings import settlement
from backend.payments import payout_accounts, payout_results, payout_reversals, payouts
from backend.payments.models import Folio, MoneyOp, Payment, Payout, PayoutAccount
from backend.payments.providers import registry
from backend.payments.providers.base import PaysOut
from tests.bookings.making import wrong_books
from tests.factories import NOW, make_user
from tests.fakes.base import Fault
from tests.fakes.stripe import CONNECT_SECRET, KEY, SECRET, StripeFake
from tests.payments.desk import give_back
from tests.payments.hosts import LATER, SHARE, earn, owes, shown

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def bank(settings: Any) -> Iterator[StripeFake]:
    """A pretend Stripe that holds enough. It is not configured before ``_configure``."""
    with StripeFake() as running:
        running.patience_s = 0.1
        running.fund("eur", 1_000_000)
        yield running


def _configure(settings: Any, bank: StripeFake) -> None:
    settings.STRIPE_API_BASE, settings.STRIPE_SECRET_KEY = bank.url, KEY
    settings.STRIPE_WEBHOOK_SECRETS = (SECRET, CONNECT_SECRET)


def _add(host: Any) -> PayoutAccount:
    return payout_accounts.add(actor=host, provider="stripe", currency="EUR", country="DE", now=NOW)


def _take_back(folio: Folio) -> MoneyOp:
    """What became of asking Stripe for the payout of a stay that was refunded whole."""
    give_back(folio, 31_500)
    with transaction.atomic():
        (op,) = payout_reversals.take_back(refund=Payment.objects.get(kind="refund"), now=LATER)
    return settlement.settle(op.pk, now=LATER).op


def test_host_goes_from_papers_to_the_bank(bank: StripeFake, settings: Any) -> None:
    host = make_user()
    folio = earn(host)
    _configure(settings, bank)

    account = _add(host)
    link = payout_accounts.onboarding_link(actor=host, account_id=account.pk, now=NOW)
    assert (account.status, account.is_default) == ("pending", True)
    assert link.startswith(f"{bank.url}/onboarding/{account.provider_ref}")
    assert shown(host) == [("on_hold", SHARE, SHARE, "EUR", ["no_account"])]
    assert payouts.prepare_due(now=LATER).ops == []

    bank.onboard(account.provider_ref)
    assert payout_accounts.refresh_pending(now=LATER) == {"asked": 1, "silent": 0}
    account.refresh_from_db()
    assert (account.status, account.shown) == ("active", "TEST BANK •••• 6789")
    (op,) = payouts.prepare_due(now=LATER).ops
    settlement.settle(op.pk, now=LATER)
    assert shown(host)[0][0] == "sent"
    assert bank.moved("transfer") == [(str(op.pk), SHARE, "EUR")]

    adapter = registry.get("stripe")
    assert isinstance(adapter, PaysOut)
    for key in adapter.delivered(bank.pay_bank(account.provider_ref), account.provider_ref):
        payout_results.arrived(op_id=key, now=LATER + timedelta(days=2))
    assert Payout.objects.get().paid_at == LATER + timedelta(days=2)

    # What has gone on to the bank cannot be taken back: the debt stands.
    assert _take_back(folio).state == "failed"
    assert (shown(host)[0][0], owes(folio)) == ("paid", -SHARE)
    assert wrong_books() == {}


def test_payout_that_is_still_at_stripe_is_taken_back(bank: StripeFake, settings: Any) -> None:
    host = make_user()
    folio = earn(host)
    _configure(settings, bank)
    bank.onboard(_add(host).provider_ref)
    payout_accounts.refresh_pending(now=LATER)
    (op,) = payouts.prepare_due(now=LATER).ops
    settlement.settle(op.pk, now=LATER)

    back = _take_back(folio)

    assert (back.state, back.amount_minor) == ("succeeded", SHARE)
    assert (shown(host)[0][0], owes(folio)) == ("reversed", 0)
    assert [(key, amount) for key, amount, _currency in bank.moved()] == [
        (str(op.pk), SHARE),
        (str(back.pk), SHARE),
    ]
    assert wrong_books() == {}


def test_account_that_stripe_did_not_answer_about_is_opened_once(bank: StripeFake, settings: Any) -> None:
    host = make_user()
    _configure(settings, bank)
    bank.faults.script(Fault.TIMEOUT_AFTER, on="POST /v1/accounts")

    account = _add(host)
    assert (account.status, account.provider_ref) == ("pending", "")
    assert payout_accounts.refresh_pending(now=NOW + timedelta(minutes=1)) == {"asked": 0, "silent": 0}
    payout_accounts.refresh_pending(now=NOW + timedelta(minutes=10))

    account.refresh_from_db()
    opened = [ref for ref in bank.objects if ref.startswith("acct_")]
    assert [account.provider_ref] == opened


@pytest.mark.parametrize("fault", [Fault.TIMEOUT_AFTER, Fault.TIMEOUT_BEFORE])
def test_payout_in_trouble_is_transferred_once(bank: StripeFake, settings: Any, fault: Fault) -> None:
    host = make_user()
    earn(host)
    _configure(settings, bank)
    account = _add(host)
    bank.onboard(account.provider_ref)
    payout_accounts.refresh_pending(now=LATER)
    bank.faults.script(fault, on="POST /v1/transfers")

    (op,) = payouts.prepare_due(now=LATER).ops
    settlement.settle(op.pk, now=LATER)
    assert MoneyOp.objects.get(pk=op.pk).state == "unknown"
    assert payouts.prepare_due(now=LATER + timedelta(minutes=1)).ops == []
    settlement.reconcile(now=LATER + timedelta(minutes=2))

    assert shown(host)[0][0] == "sent"
    assert bank.moved("transfer") == [(str(op.pk), SHARE, "EUR")]
    assert wrong_books() == {}


def test_account_that_its_host_looks_at_is_asked_about_soon(bank: StripeFake, settings: Any) -> None:
    _configure(settings, bank)
    account = _add(make_user())
    bank.onboard(account.provider_ref)
    at = NOW + timedelta(minutes=1)

    payout_accounts.refresh_later(account, now=at - timedelta(seconds=1))
    assert not ProcrastinateJob.objects.filter(task_name=payout_accounts.REFRESH_JOB).exists()
    for _look in range(2):
        payout_accounts.refresh_later(account, now=at)
    job = ProcrastinateJob.objects.get(task_name=payout_accounts.REFRESH_JOB)
    assert job.args == {"account_id": account.pk}
    payout_accounts.refresh(account.pk, now=at)

    account.refresh_from_db()
    assert account.status == "active"
    payout_accounts.refresh_later(account, now=at + timedelta(hours=1))
    assert ProcrastinateJob.objects.filter(task_name=payout_accounts.REFRESH_JOB).count() == 1
