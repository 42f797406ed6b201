"""A host's account with a payment provider goes with the host."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from backend.payments import payout_accounts
from backend.payments.models import PayoutAccount
from backend.privacy import cleaning, erasure
from backend.privacy.models import Erasure
from tests.factories import NOW, PASSWORD, make_user
from tests.fakes.stripe import CONNECT_SECRET, KEY, SECRET, StripeFake

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def bank(settings: Any) -> Iterator[StripeFake]:
    with StripeFake() as running:
        settings.STRIPE_API_BASE, settings.STRIPE_SECRET_KEY = running.url, KEY
        settings.STRIPE_WEBHOOK_SECRETS = (SECRET, CONNECT_SECRET)
        yield running


def erased(bank: StripeFake) -> tuple[int, str]:
    """An erasure that waits for its job, and the reference of the host's account at Stripe."""
    host = make_user(password=PASSWORD)
    account = payout_accounts.add(actor=host, provider="stripe", currency="EUR", country="DE", now=NOW)
    assert bank._get(account.provider_ref, "account")["email"] == host.email
    return erasure.erase(actor=host, user=host, now=NOW, password=PASSWORD).pk, account.provider_ref


def test_the_account_at_the_provider_is_deleted(bank: StripeFake) -> None:
    erasure_id, reference = erased(bank)

    assert cleaning.clean(erasure_id, now=NOW) is True

    assert bank._get(reference, "account")["email"] is None
    row = PayoutAccount.objects.get()
    assert (row.status, row.destination, row.shown, row.requirements) == ("disabled", "", "", [])
    assert row.provider_ref == reference


def test_an_account_with_money_on_it_keeps_the_erasure_open_and_all_else_is_done(bank: StripeFake) -> None:
    erasure_id, reference = erased(bank)
    bank.account_balance[reference] = 500

    assert cleaning.resume(now=NOW) == {"finished": 0, "left": 1}
    stopped = Erasure.objects.get(pk=erasure_id)
    assert stopped.failure == "providers: NotClosed"
    assert stopped.steps == ["files", "rows", "notices", "queue", "mail", "money", "addresses"]

    bank.account_balance[reference] = 0
    assert cleaning.resume(now=NOW) == {"finished": 1, "left": 0}
    assert bank._get(reference, "account")["email"] is None
