"""Hosts who are paid to an email or to a phone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import transaction
from pytest_django import Settings

from backend.core.errors import Invalid
from backend.payments import dividing, payout_accounts, payouts, sending
from backend.payments.folios import Line
from backend.payments.models import Folio, MoneyOp, Payout, PayoutAccount
from backend.payments.recording import record
from tests.factories import NOW, make_user
from tests.fakes.daraja import CREDENTIAL, INITIATOR, KEY, PASSKEY, SECRET, SHORT_CODE, DarajaFake
from tests.fakes.paypal import CLIENT, PayPalFake
from tests.fakes.paypal import SECRET as PAYPAL_SECRET
from tests.payments.desk import make_folio, pay
from tests.payments.hosts import LATER, SHARE, send, settle_open
from tests.payments.providers.test_mpesa import hear

pytestmark = pytest.mark.usefixtures("db")

SHILLINGS = [
    Line("guest", "night", 3, 500_000, 1_500_000),
    Line("host", "service_fee", 1, -232_500, -232_500),
]
"""Three nights at 5,000 shillings; the host bears 15.5 %."""


@pytest.fixture
def daraja() -> Iterator[DarajaFake]:
    with DarajaFake(clock=LATER.timestamp) as fake:
        yield fake


@pytest.fixture
def paypal() -> Iterator[PayPalFake]:
    with PayPalFake(clock=LATER.timestamp) as fake:
        yield fake


def owed(folio: Folio) -> None:
    """The stay of a folio that was paid for is completed, and its payout written down."""
    with transaction.atomic():
        dividing.earned(folio=folio, now=NOW)
        payouts.schedule(folio=folio, due_at=NOW, now=NOW)


def test_host_is_paid_to_a_phone(daraja: DarajaFake, settings: Settings) -> None:
    host = make_user()
    folio = make_folio(SHILLINGS, "KES", host=host)
    pay(folio, 1_500_000)
    settings.MPESA_API_BASE = daraja.url
    settings.MPESA_CONSUMER_KEY, settings.MPESA_CONSUMER_SECRET = KEY, SECRET
    settings.MPESA_SHORT_CODE = settings.MPESA_PAYOUT_SHORT_CODE = SHORT_CODE
    settings.MPESA_PASSKEY = PASSKEY
    settings.MPESA_INITIATOR, settings.MPESA_SECURITY_CREDENTIAL = INITIATOR, CREDENTIAL
    payout_accounts.add(
        actor=host, provider="mpesa", destination="+254708374149", currency="KES", country="KE", now=NOW
    )
    owed(folio)

    send()
    hear(daraja)
    settle_open()

    op = MoneyOp.objects.get(kind="payout")
    assert Payout.objects.get().status == "paid"
    assert (op.state, op.amount_minor) == ("succeeded", 1_267_500)
    (sent,) = daraja.sent_out.values()
    assert (sent["phone"], sent["amount"], sent["key"]) == ("254708374149", 12_675, str(op.pk))


def test_host_is_paid_to_an_email(paypal: PayPalFake, settings: Settings) -> None:
    host = make_user()
    folio = make_folio(host=host)
    pay(folio)
    settings.PAYPAL_API_BASE = paypal.url
    settings.PAYPAL_CLIENT_ID, settings.PAYPAL_SECRET = CLIENT, PAYPAL_SECRET
    payout_accounts.add(
        actor=host, provider="paypal", destination="host@example.org", currency="EUR", country="FR", now=NOW
    )
    owed(folio)

    send()
    settle_open()

    op = MoneyOp.objects.get(kind="payout")
    assert Payout.objects.get().status == "paid"
    assert paypal.moved() == [(str(op.pk), SHARE, "EUR")]
    (batch,) = paypal.batches.values()
    assert batch["items"][0]["payout_item"]["receiver"] == "host@example.org"


def test_payout_that_nobody_claims_comes_back(paypal: PayPalFake, settings: Settings) -> None:
    host = make_user()
    folio = make_folio(host=host)
    pay(folio)
    settings.PAYPAL_API_BASE = paypal.url
    settings.PAYPAL_CLIENT_ID, settings.PAYPAL_SECRET = CLIENT, PAYPAL_SECRET
    payout_accounts.add(
        actor=host, provider="paypal", destination="host@example.org", currency="EUR", country="FR", now=NOW
    )
    owed(folio)
    paypal.paying = "UNCLAIMED"
    send()
    settle_open()
    sent = Payout.objects.get()
    op = MoneyOp.objects.get(kind="payout")

    paypal.settle_payout(str(op.pk), "RETURNED")
    result = sending.look_up(op, at=LATER)
    assert result is not None
    with transaction.atomic():
        record(op_id=op.pk, result=result, now=LATER)

    assert sent.status == "sent"
    assert (result.status, result.stage) == ("succeeded", "returned")
    assert Payout.objects.get(pk=sent.pk).status == "reversed"


@pytest.mark.parametrize("number", ["0708374149", "+0708374149", "708", "+25470837414x"])
def test_phone_without_its_countrys_code_is_no_destination(
    daraja: DarajaFake, settings: Settings, number: str
) -> None:
    settings.MPESA_API_BASE = daraja.url
    settings.MPESA_CONSUMER_KEY, settings.MPESA_CONSUMER_SECRET = KEY, SECRET
    settings.MPESA_SHORT_CODE = settings.MPESA_PAYOUT_SHORT_CODE = SHORT_CODE
    settings.MPESA_PASSKEY = PASSKEY
    settings.MPESA_INITIATOR, settings.MPESA_SECURITY_CREDENTIAL = INITIATOR, CREDENTIAL

    with pytest.raises(Invalid) as refusal:
        payout_accounts.add(
            actor=make_user(), provider="mpesa", destination=number, currency="KES", country="KE", now=NOW
        )

    assert [(each.field, each.code) for each in refusal.value.errors] == [("destination", "invalid_phone")]
    assert not PayoutAccount.objects.exists()
