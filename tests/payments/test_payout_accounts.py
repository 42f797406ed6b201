"""Where hosts are paid."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection, transaction
from pytest_django import Settings

from backend.audit.models import AuditEntry
from backend.core.errors import Invalid, NotFound
from backend.notifications.models import Notification
from backend.payments import payout_accounts, payouts
from backend.payments import services as payments
from backend.payments.folios import Line
from backend.payments.models import MoneyOp, Payout, PayoutAccount
from backend.payments.providers.base import AccountState, Result
from tests.bookings.making import wrong_books
from tests.factories import NOW, make_user
from tests.payments.hosts import LATER, SHARE, account, booked, earn, owes, send, shown

pytestmark = pytest.mark.usefixtures("db")


def test_account_keeps_its_destination_sealed() -> None:
    host = make_user()

    made = account(host, "decline")

    made.refresh_from_db()
    assert (made.status, made.is_default, made.shown) == ("active", True, "decline")
    assert made.destination == "decline"
    entry = AuditEntry.objects.get(action="payout_account.add")
    assert entry.after == {"provider": "sandbox", "currency": ""}


def test_second_account_does_not_take_the_first_ones_place_by_itself() -> None:
    host = make_user()
    first, second = account(host), account(host, currency="USD")

    assert (first.is_default, second.is_default) == (True, False)
    payout_accounts.set_default(actor=host, account_id=second.pk, now=LATER)
    payout_accounts.set_default(actor=host, account_id=second.pk, now=LATER + timedelta(hours=1))

    rows = PayoutAccount.objects.order_by("id").values_list("is_default", "replaced_at")
    assert list(rows) == [(False, None), (True, LATER)]
    assert list(Notification.objects.values_list("kind", flat=True)) == ["security.payout_account_changed"]
    assert AuditEntry.objects.filter(action="payout_account.choose").count() == 1


def test_too_many_accounts_are_refused() -> None:
    host = make_user()
    for _number in range(payout_accounts.MOST):
        account(host)

    with pytest.raises(Invalid):
        account(host)

    assert PayoutAccount.objects.count() == payout_accounts.MOST


def test_disable_hands_over_to_another_account() -> None:
    host = make_user()
    first, second = account(host), account(host)
    earn(host)

    payout_accounts.disable(actor=host, account_id=first.pk, now=LATER)
    payout_accounts.disable(actor=host, account_id=first.pk, now=LATER)

    rows = PayoutAccount.objects.order_by("id").values_list("status", "is_default")
    assert list(rows) == [("disabled", False), ("active", True)]
    assert shown(host) == [("on_hold", SHARE, SHARE, "EUR", ["account_changed"])]
    with pytest.raises(payout_accounts.PayoutsUnderWay):
        payout_accounts.disable(actor=host, account_id=second.pk, now=LATER)
    with pytest.raises(payout_accounts.AccountUnusable):
        payout_accounts.set_default(actor=host, account_id=first.pk, now=LATER)
    with pytest.raises(NotFound):
        payout_accounts.disable(actor=make_user(), account_id=second.pk, now=LATER)
    assert list(rows.all()) == [("disabled", False), ("active", True)]


def test_disable_waits_for_what_is_on_its_way() -> None:
    host = make_user()
    first = account(host, "timeout")
    account(host)
    earn(host)
    send()

    with pytest.raises(payout_accounts.PayoutsUnderWay):
        payout_accounts.disable(actor=host, account_id=first.pk, now=LATER)

    first.refresh_from_db()
    assert first.status == "active"


def test_learn_restricts_an_account_and_lets_it_work_again() -> None:
    host = make_user()
    made = account(host)
    PayoutAccount.objects.filter(pk=made.pk).update(provider_ref="acct_1")
    earn(host)
    restricted = AccountState("acct_1", "restricted", ["individual.id_number"], shown="•••• 4242")

    learned = payout_accounts.learn(provider="sandbox", state=restricted, now=NOW)
    payout_accounts.learn(provider="sandbox", state=restricted, now=LATER)

    assert learned is not None
    assert (learned.status, learned.requirements, learned.shown) == (
        "restricted",
        ["individual.id_number"],
        "•••• 4242",
    )
    assert shown(host) == [("on_hold", SHARE, SHARE, "EUR", ["account_restricted"])]
    assert send().ops == []
    kinds = Notification.objects.filter(user=host).order_by("id").values_list("kind", flat=True)
    assert list(kinds) == ["payout_account.restricted", "payout.on_hold"]

    payout_accounts.learn(provider="sandbox", state=AccountState("acct_1", "active"), now=LATER)
    assert shown(host) == [("scheduled", SHARE, SHARE, "EUR", [])]
    send()
    assert shown(host)[0][0] == "paid"


def test_learn_of_a_stranger_or_a_disabled_account_changes_nothing() -> None:
    host = make_user()
    made = account(host)
    PayoutAccount.objects.filter(pk=made.pk).update(provider_ref="acct_1")
    payout_accounts.disable(actor=host, account_id=made.pk, now=NOW)

    stranger = payout_accounts.learn(provider="sandbox", state=AccountState("acct_2", "active"), now=NOW)
    payout_accounts.learn(provider="sandbox", state=AccountState("acct_1", "active"), now=NOW)

    assert stranger is None
    assert list(PayoutAccount.objects.values_list("status", "is_default")) == [("disabled", False)]
    assert Payout.objects.count() == 0


def _set_up_wallets(settings: Settings) -> None:
    """PayPal and M-Pesa are set up; nothing is asked of them."""
    settings.PAYPAL_CLIENT_ID = settings.PAYPAL_SECRET = "x"
    settings.MPESA_CONSUMER_KEY = settings.MPESA_CONSUMER_SECRET = "x"
    settings.MPESA_SHORT_CODE, settings.MPESA_PASSKEY = "174379", "x"
    settings.MPESA_INITIATOR = settings.MPESA_SECURITY_CREDENTIAL = "x"


def test_destinations_are_checked_masked_and_sealed(settings: Settings) -> None:
    _set_up_wallets(settings)
    host = make_user()

    email = payout_accounts.add(
        actor=host, provider="paypal", currency="EUR", destination=" ana@example.com ", now=NOW
    )
    phone = payout_accounts.add(
        actor=host, provider="mpesa", currency="KES", destination="+254 712 345-678", now=NOW
    )

    assert (email.shown, email.destination) == ("a•••@example.com", "ana@example.com")
    assert (phone.shown, phone.destination) == ("•••• 78", "+254712345678")
    with connection.cursor() as cursor:
        cursor.execute("SELECT destination FROM payout_accounts")
        kept = str(cursor.fetchall())
    assert ("ana@" in kept, "712345" in kept, kept.count("sealed:v2:")) == (False, False, 2)
    for provider, currency, destination in (
        ("paypal", "EUR", "nobody"),
        ("paypal", "KES", "ana@example.com"),
        ("mpesa", "KES", "0712"),
        ("mpesa", "EUR", "+254712345678"),
        ("sandbox", "EUR", ""),
    ):
        with pytest.raises(Invalid):
            payout_accounts.add(
                actor=host, provider=provider, currency=currency, destination=destination, now=NOW
            )
    assert PayoutAccount.objects.count() == 2


def test_payout_in_whole_shillings_leaves_the_rest_in_fx(settings: Settings) -> None:
    host = make_user()
    folio = earn(host, currency="KES", lines=[Line("guest", "night", 1, 123_456, 123_456)], amount=123_456)
    _set_up_wallets(settings)
    payout_accounts.add(actor=host, provider="mpesa", currency="KES", destination="+254712345678", now=NOW)

    (op,) = payouts.prepare_due(now=LATER).ops
    MoneyOp.objects.filter(pk=op.pk).update(state="sending")
    with transaction.atomic():
        payments.record(op_id=op.pk, result=Result("succeeded", "ref", fee_minor=1_000), now=LATER)

    assert (op.amount_minor, op.currency) == (123_500, "KES")
    assert booked("payout.sent") == [
        ("clearing:mpesa", "KES", -124_500),
        ("provider_fees", "KES", 1_000),
        ("fx", "KES", 123_500),
        ("fx", "KES", -123_456),
        ("host_payable", "KES", 123_456),
    ]
    payout = Payout.objects.get()
    assert (payout.status, payout.paid_minor, payout.amount_minor) == ("sent", 123_500, 123_456)
    assert owes(folio) == 0
    assert wrong_books() == {}
